"""Answers requests for the thumbnails of a recording: the WebVTT of all, and a sheet as far as it is made."""

from __future__ import annotations

from typing import Final

from hlsd.delivery.answer import Reply
from hlsd.delivery.cors import Headers
from hlsd.delivery.replies import MEDIA_CACHE, Replies
from hlsd.delivery.request import Request, etag_matches
from hlsd.record.key_pictures import picture_track
from hlsd.record.open_recordings import OpenRecording
from hlsd.record.sprites import NoSheet, Sprites
from hlsd.record.thumbnails import SheetName, webvtt

_UNFINISHED: Final = b"private, no-cache"
"""Cache-Control of what will be another thing soon: it is asked for again each time."""


class ThumbnailAnswers:
    """The answers; who may have them was decided."""

    def __init__(self, sprites: Sprites, replies: Replies) -> None:
        self._sprites = sprites
        self._replies = replies

    def cues(self, request: Request, recording: OpenRecording) -> Reply:
        """`{id}.vtt`."""
        if recording.layout is None or picture_track(recording.layout) is None:
            return self._replies.refuse(request, 404, words="there are no pictures in it")
        tag = f'"{recording.row.id}-c{len(recording.spans)}{"v" if recording.whole else ""}"'
        cache = b"private, max-age=3600" if recording.whole else _UNFINISHED
        headers = self._headers(request, tag, cache)
        if etag_matches(request.headers.get(b"if-none-match"), tag):
            return Reply(304, headers)
        body = webvtt(recording.spans, recording.row.id).encode()
        return self._sent(request, headers, b"text/vtt; charset=utf-8", body)

    async def sheet(self, request: Request, recording: OpenRecording, name: SheetName) -> Reply:
        """`{id}/t{stride}-{n}.jpg`, with `HLSD-Tiles: made/of`; what is not whole may not be kept."""
        stem = f'"{recording.row.id}-{name.file}-'
        asked = request.headers.get(b"if-none-match", b"").decode("latin-1")
        had = asked.removeprefix(stem).removesuffix('"')
        have = int(had) if had.isascii() and had.isdigit() and len(had) < 4 else 0
        try:
            sheet = await self._sprites.get(recording, name, have)
        except NoSheet as error:
            return self._replies.refuse(request, 503 if error.later else 404, words=str(error))
        made, body = sheet.made, sheet.body
        tag = f'{stem}{made}"'
        whole = sheet.whole and recording.whole
        headers = self._headers(request, tag, MEDIA_CACHE if whole else _UNFINISHED)
        headers.append((b"hlsd-tiles", b"%d/%d" % (made, made if sheet.whole else sheet.count)))
        if etag_matches(request.headers.get(b"if-none-match"), tag):
            return Reply(304, headers)
        return self._sent(request, headers, b"image/jpeg", body)

    def _headers(self, request: Request, tag: str, cache: bytes) -> Headers:
        return [(b"etag", tag.encode()), (b"cache-control", cache), *self._replies.readable(request)]

    @staticmethod
    def _sent(request: Request, headers: Headers, kind: bytes, body: bytes) -> Reply:
        headers += [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        return Reply(200, headers, b"" if request.method == "HEAD" else body)
