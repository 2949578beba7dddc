"""Fetches a film that is there as HLS, segment behind segment, into a file; a live playlist is followed.

Blocks: for the thread of a job. Law: as of a film that is one file (`hlsd.vod.fetch`): each address in a playlist is
judged like the first one, and bytes are bounded. A worker that dies loses the segment it was at: whoever goes on begins
behind the last one that is noted. Encrypted playlists are refused in words.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from hlsd.base.errors import MediaError
from hlsd.base.quantities import in_mib
from hlsd.relay.dial import Dial, SourceError
from hlsd.relay.hls_playlist import (
    PLAYLIST_LIMIT,
    Piece,
    UpstreamPlaylist,
    UpstreamVariant,
    choose,
    read_playlist,
)
from hlsd.relay.http_fetch import HttpFetch, StatusError
from hlsd.vod.fetch import awaited, check_url
from hlsd.vod.folder import NOTES, SOURCE, TMP
from hlsd.vod.job import JobFailed, TryAgain
from hlsd.vod.segment_file import SegmentFile
from hlsd.vod.settings import VodSettings

WITHIN: Final = 60.0
"""Seconds for a playlist, and for a segment."""
SEGMENT: Final = 128 << 20
"""Bytes of a segment: ten seconds of 100 Mbit/s."""
BANDWIDTH: Final = 12_000_000
"""Bits a second of the variant that is taken, at most: 1080p."""
SILENCE: Final = 30.0
"""Seconds without a new segment after which a live playlist is over."""
BEGIN: Final = 3
"""Segments of a live playlist that are there already and taken: "at least three target durations" of it are (RFC 8216
§6.3.3)."""
SHORTEST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 10.0
"""Seconds between two looks at a live playlist: half a target duration is what RFC 8216 §6.3.4 asks for."""


def is_playlist(url: str) -> bool:
    """Whether a URL names a playlist, by its path."""
    return check_url(url).path.lower().endswith((".m3u8", ".m3u"))


def fetch_playlist(  # noqa: PLR0913, PLR0917 - as of `fetch`
    url: str,
    settings: VodSettings,
    dial: Dial,
    grow: Callable[[str], int],
    wanted: Callable[[], bool],
    told: Callable[[int, int], None],
    enough: Callable[[], bool] = lambda: False,
    longest: float = 0.0,
) -> None:
    """Fetches into `grow(name)`, after what is there; `told(segments, of)`, of 0 where it is live.

    A live one is followed until it ends, brings nothing for `SILENCE`, lasts `longest` seconds (0: vod.max_duration),
    or until `enough()`. Raises JobFailed, TryAgain, Cancelled.
    """
    if not settings.urls:
        raise JobFailed("forbidden_url", "vod.urls is off: no URL is fetched")
    media, notes = grow(SOURCE + TMP), -1
    try:
        notes = grow(NOTES)
        longest = min(longest or settings.max_duration, settings.max_duration)
        following = _Following(settings, HttpFetch(dial, lambda _: None), SegmentFile(media, notes), told, enough)
        asyncio.run(awaited(following.run(url, longest), wanted))
    finally:
        os.close(media)
        if notes >= 0:
            os.close(notes)


class _Following:
    """One playlist, and what of it is on the disk."""

    def __init__(
        self,
        settings: VodSettings,
        http: HttpFetch,
        file: SegmentFile,
        told: Callable[[int, int], None],
        enough: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._http = http
        self._file = file
        self._told = told
        self._enough = enough

    async def run(self, url: str, longest: float) -> None:
        try:
            found = await self._first(url)
            if isinstance(found, list):
                url = choose(found, BANDWIDTH).url
                found = await self._first(url)
            if found is None:
                return  # it is gone since a worker died: what that one has recorded is the film
            if not isinstance(found, UpstreamPlaylist):
                raise JobFailed("bad_media", "a playlist of playlists of playlists")
            if found.ended and sum(piece.duration for piece in found.pieces) > self._settings.max_duration:
                raise JobFailed("bad_media", "it lasts longer than vod.max_duration")
            live = self._file.live = not found.ended or self._file.live
            if live and self._file.last < 0 and len(found.pieces) > BEGIN:
                self._file.last = found.pieces[-BEGIN].msn - 1  # from now on, and not from an hour ago
            await (self._follow(url, found, longest) if live else self._pieces(found, live=False, longest=0.0))
        except MediaError as error:
            raise JobFailed("bad_media", str(error)) from None
        except SourceError as error:
            if error.final:
                code = "fetch_failed" if isinstance(error, StatusError) else "forbidden_url"
                raise JobFailed(code, str(error)) from None
            raise TryAgain(str(error)) from None

    async def _playlist(self, url: str) -> UpstreamPlaylist | list[UpstreamVariant]:
        fetched = await self._http.get(url, PLAYLIST_LIMIT, WITHIN)
        return read_playlist(fetched.body, fetched.url)

    async def _first(self, url: str) -> UpstreamPlaylist | list[UpstreamVariant] | None:
        """The playlist; of a recording that goes on None if it cannot be had any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SILENCE
        while True:
            try:
                return await self._playlist(url)
            except SourceError:
                if not (self._file.live and self._file.size):
                    raise
                if loop.time() > until:
                    return None
            await asyncio.sleep(1.0)

    async def _follow(self, url: str, found: UpstreamPlaylist, longest: float) -> None:
        """A live one. What goes wrong with it for a while is not its end."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while True:
            before = self._file.last
            if found.pieces and found.pieces[-1].msn < before:
                self._file.last = found.pieces[0].msn - 1  # whoever makes it counts anew
            goes_on = await self._pieces(found, live=True, longest=longest)
            if self._file.last != before:
                heard = loop.time()
            silent = loop.time() - heard > SILENCE
            if not goes_on or found.ended or silent or await asyncio.to_thread(self._enough):
                break
            await asyncio.sleep(min(LONGEST_WAIT, max(SHORTEST_WAIT, found.target / 2)))
            try:
                fresh = await self._playlist(url)
            except SourceError:
                continue  # until it has been silent for too long
            if isinstance(fresh, UpstreamPlaylist):
                found = fresh
        if not self._file.size:
            raise JobFailed("fetch_failed", f"the live playlist brought nothing for {SILENCE:.0f} s")

    async def _pieces(self, found: UpstreamPlaylist, *, live: bool, longest: float) -> bool:
        """Fetches what is not there yet; False where a recording is long enough."""
        file = self._file
        for number, piece in enumerate(found.pieces):
            if piece.msn <= file.last:
                continue
            if piece.key is not None:
                raise JobFailed("bad_media", "it is encrypted")
            octets = await self._octets(piece, live=live)
            if octets is None:
                return False
            file.add(piece.msn, octets, piece.duration)
            self._told(number + 1, 0 if live else len(found.pieces))
            if live and file.seconds >= longest:
                return False
        return True

    async def _octets(self, piece: Piece, *, live: bool) -> bytes | None:
        """A segment, empty where it is a hole; None where what is there is a film, and this one cannot follow it."""
        file, octets = self._file, b""
        if piece.gap:
            return b""
        init = str(piece.init) if piece.init is not None else ""
        if init != file.init and file.size:
            if live:
                return None
            raise JobFailed("bad_media", "its initialisation section changes in the middle")
        parts = [piece.part] if piece.init is None or init == file.init else [piece.init, piece.part]
        try:
            for part in parts:
                octets += (await self._http.get(part.url, SEGMENT, WITHIN, part.span)).body
        except SourceError as error:
            if not live or (error.final and not isinstance(error, StatusError)):
                raise
            return b""  # it is gone, or cannot be had
        if file.size + len(octets) > self._settings.max_bytes:
            if live and file.size:
                return None
            raise JobFailed("too_large", f"it has more than {in_mib(self._settings.max_bytes)}")
        file.init = init
        return octets
