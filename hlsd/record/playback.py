"""Answers `/{app}/{stream}/r/{id}.m3u8`, `.mp4`, `.vtt` and what lies below them: recordings, to viewers with sessions.

The way in is the entrance, as for live: authorised, opened, counted; then the viewer is led to a path with its session,
`/{app}/{stream}/~{sid}/r/…`, where everything else is. Files are read piece by piece by threads, and a piece is read
when the one before has been taken. Only GET makes a session; HEAD says what GET would get.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import ClassVar, Final

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hlsd.base.clock import Clock
from hlsd.delivery.answer import Reply
from hlsd.delivery.cors import Headers
from hlsd.delivery.http1.file_sender import sender_of
from hlsd.delivery.judge import ANEW, Judge
from hlsd.delivery.play_request import play_request
from hlsd.delivery.replies import MEDIA_CACHE
from hlsd.delivery.request import (
    BadRequest,
    Request,
    Span,
    Target,
    arguments,
    etag_matches,
    is_prefetch,
    parse_path,
    parse_range,
)
from hlsd.delivery.web import COUNTED, charge_of, read_request
from hlsd.media.key_vault import KeyVault
from hlsd.ports import (
    ABSENT,
    VOD,
    Denial,
    Entrance,
    Media,
    PlayRequest,
    Sessions,
)
from hlsd.record.boxes import BadBox
from hlsd.record.excerpt import Excerpt
from hlsd.record.file_body import DIRECT, FileBody
from hlsd.record.index import IndexAway
from hlsd.record.open_recordings import Crowded, OpenRecording, OpenRecordings
from hlsd.record.remote.bucket import StoreFault
from hlsd.record.sealed_answers import SealedAnswers
from hlsd.record.segments import FIRST, piece_of
from hlsd.record.sprites import Sprites
from hlsd.record.thumbnail_answers import ThumbnailAnswers
from hlsd.record.thumbnails import sheet_name

_METHODS: Final = b"GET, HEAD, OPTIONS"
_SECONDS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{0,9})?", re.ASCII)
_TYPES: Final = {"mp4": "video/mp4", "ts": "video/mp2t", "flv": "video/x-flv"}
_TEXTS: Final = frozenset({"m3u8", "vtt"})


class Visit:
    """What a viewer of a recording comes for (`hlsd.ports.Outputs`, and the output too)."""

    ended = False
    name = ""
    """Of the stream that it was let in to, which whoever authorises may have renamed."""

    def __init__(self, open_recordings: OpenRecordings, ident: str) -> None:
        self._open_recordings = open_recordings
        self._ident = ident

    def find(self, app: str, name: str) -> Visit:  # noqa: ARG002 - whether it is of that stream is asked for by `ready`
        """It is never obtained from elsewhere: it is here, or it is not."""
        self.name = name
        return self

    async def ready(self, request: PlayRequest, output: Visit) -> Denial | None:  # noqa: ARG002
        """Whether there is such a recording of the stream that the viewer may watch."""
        try:
            recording = await self._open_recordings.get(self._ident, request.app, request.name)
        except StoreFault as error:
            return Denial(error.status, str(error), "store")
        except IndexAway as error:
            return Denial(503, str(error), "store")
        if recording is None:
            return ABSENT
        self._open_recordings.put_back(recording)
        return None


class RecordRequest:
    """One request on its way: what it is, and how what is sent is charged.

    `within` is the recording that what is asked for is told by, where its name is of no recording.
    """

    def __init__(self, request: Request, target: Target, scope: Scope, sessions: Sessions, within: str = "") -> None:
        self.request = request
        self.target = target
        self.ident, _, self.ending = target.resource.partition("/")[0].rpartition(".")
        self.below = target.resource.partition("/")[2]
        if self.below:
            self.ident, self.ending = target.resource.partition("/")[0], ""
        self.asked = self.ident
        """What is named; `ident` is what is read for it."""
        self.ident = within or self.ident
        self.charge = charge_of(scope, sessions)
        self.scope = scope


class RecordEndpoint:
    """The endpoint of all of them."""

    RUN: ClassVar[str] = "r"
    """The step of a path behind which it answers."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        open_recordings: OpenRecordings,
        sprites: Sprites,
        judge: Judge,
        entrance: Entrance,
        sessions: Sessions,
        clock: Clock,
        vault: KeyVault | None = None,
    ) -> None:
        self._open_recordings = open_recordings
        self._sealed = SealedAnswers(open_recordings, judge.replies, vault)
        self._thumbnails = ThumbnailAnswers(sprites, judge.replies)
        self._judge = judge
        self._replies = judge.replies
        self._entrance = entrance
        self._sessions = sessions
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = read_request(scope)
        self._judge.locate(request)
        scope[COUNTED] = True
        try:
            target = parse_path(request.path)
            if target is None or target.run != self.RUN:
                reply: Reply | None = self._replies.refuse(request, 404)
            elif request.method == "OPTIONS":
                reply = self._replies.preflight(request)
            elif request.method not in {"GET", "HEAD"}:
                reply = self._replies.refuse(request, 405, more=[(b"allow", _METHODS)])
            else:
                one = self._read(request, target, scope)
                reply = await (self._inside(one, receive, send) if target.sid else self._enter(one))
        except BadRequest as error:
            reply = self._replies.refuse(request, 400, words=str(error))
        except Crowded as error:
            reply = self._replies.refuse(request, 503, words=str(error))
        except StoreFault as error:
            reply = self._replies.refuse(request, error.status, words=str(error))
        except IndexAway:
            reply = self._replies.unavailable(request)
        if reply is not None:
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            await send({"type": "http.response.body", "body": reply.body})
            charge_of(scope, self._sessions)(request.session, len(reply.body), reply.media)

    def _read(self, request: Request, target: Target, scope: Scope) -> RecordRequest:
        """What is asked for."""
        return RecordRequest(request, target, scope, self._sessions)

    # -- the way in

    async def _enter(self, one: RecordRequest) -> Reply:
        """Lets a viewer in, and leads it to where its session is."""
        request, target = one.request, one.target
        if one.below:
            return self._replies.refuse(request, 404)
        play = play_request(request, target, VOD)
        times = _times(request)  # before there is a session
        if request.method == "HEAD":
            return await self._look(one, play)
        if is_prefetch(request.headers):
            return self._replies.refuse(request, 503, words="not to be fetched ahead")
        entry = await self._entrance.enter(play, Visit(self._open_recordings, one.ident), instead=target.sid)
        if isinstance(entry, Denial):
            return self._replies.deny(request, entry)
        session = request.session = entry.session
        session.in_bytes += request.size
        session.last = self._clock.monotonic()
        return self._replies.redirect(request, f"{session.prefix.decode()}{self.RUN}/{target.resource}{times}")

    async def _look(self, one: RecordRequest, play: PlayRequest) -> Reply:
        """What GET would get, whoever asks may look at it: no session, and no body."""
        request, target = one.request, one.target
        found = await self._entrance.glance(play, Visit(self._open_recordings, one.ident))
        if isinstance(found, Denial):
            return self._replies.deny(request, found)
        recording = await self._open_recordings.get(one.ident, target.app, found.name)
        if recording is None:
            return self._replies.refuse(request, 404)
        try:
            return await self._whole(one, recording) or self._replies.refuse(request, 404)
        finally:
            self._open_recordings.put_back(recording)

    # -- with a session

    async def _inside(self, one: RecordRequest, receive: Receive, send: Send) -> Reply | None:
        request, target = one.request, one.target
        agent = request.headers.get(b"user-agent", b"").decode("latin-1")
        viewer = self._sessions.admit(target.sid, target.app, target.name, request.peer, agent, VOD)
        if isinstance(viewer, Denial):
            if viewer.reason in ANEW and request.method == "GET" and not one.below:
                return await self._enter(one)
            return self._replies.deny(request, viewer)
        request.session = viewer
        self._sessions.linger(viewer)
        viewer.requests += 1
        viewer.in_bytes += request.size
        viewer.last = self._clock.monotonic()
        recording = await self._open_recordings.get(one.ident, target.app, target.name)
        if recording is None:
            return self._replies.refuse(request, 404, cache=b"max-age=1")
        try:
            if one.below:
                return await self._piece(one, recording, receive, send)
            if one.ending in _TEXTS or request.method == "HEAD":
                return await self._whole(one, recording)
            return await self._send_file(one, recording, receive, send)
        finally:
            self._open_recordings.put_back(recording)

    async def _whole(self, one: RecordRequest, recording: OpenRecording) -> Reply | None:
        """The playlist; of a file what HEAD says of it."""
        request = one.request
        if one.ending == "m3u8":
            if recording.layout is None:
                return self._replies.refuse(request, 404)
            cache = b"private, max-age=3600" if recording.whole else b"private, no-cache"
            return self._replies.playlist(request, self._sealed.listed(recording), cache=cache)
        if one.ending == "vtt":
            return self._thumbnails.cues(request, recording)
        if one.ending != recording.row.format:
            return self._replies.refuse(request, 404)
        if self._sealed.keys(recording) is not None:
            return self._sealed.no_file(request)
        part = await self._excerpt(one, recording)
        headers = self._file_headers(one, recording, part)
        size = len(part.front) + part.size if part is not None else recording.size
        return Reply(200, [*headers, (b"content-length", b"%d" % size)])

    async def _piece(self, one: RecordRequest, recording: OpenRecording, receive: Receive, send: Send) -> Reply | None:
        """The initialisation section, or a segment."""
        request, layout = one.request, recording.layout
        if layout is None:
            return self._replies.refuse(request, 404)
        if one.below == "i.mp4":
            tag = f'"{recording.row.id}-i"'
            return self._replies.resource(request, Media(recording.init, "video/mp4", tag, init=True))
        sheet = sheet_name(one.below)
        if sheet is not None:
            return await self._thumbnails.sheet(request, recording, sheet)
        keys = self._sealed.keys(recording)
        if keys is not None or recording.choice is not None:
            return await self._sealed.piece(request, one.below, recording, layout, keys, one.charge, send)
        number = one.below.removeprefix("s").removesuffix(".m4s")
        if piece := piece_of(one.below, layout.fragments):
            part = Excerpt(b"", *piece)
        elif f"s{number}.m4s" != one.below or not number.isascii() or not number.isdigit() or len(number) > 9:
            return self._replies.refuse(request, 404)
        elif FIRST <= int(number) < FIRST + len(recording.spans):
            span = recording.spans[int(number) - FIRST]
            part = Excerpt(b"", span.offset, span.size)
        else:
            return self._replies.refuse(request, 404, cache=b"max-age=1")
        # Of one object all who want it live share the bytes; here each would hold its own, so they are sent in pieces.
        headers: Headers = [
            (b"content-type", b"video/mp4"),
            (b"etag", f'"{recording.row.id}-{number}"'.encode()),
            (b"accept-ranges", b"bytes"),
            (b"cache-control", MEDIA_CACHE),
            *self._replies.readable(request),
        ]
        return await self._send_span(one, recording, headers, part, (receive, send))

    # -- files

    async def _excerpt(self, one: RecordRequest, recording: OpenRecording) -> Excerpt | None:
        """What `?from=&to=` cuts out; None where neither is asked for. Raises BadRequest."""
        asked = arguments(one.request.query)
        begin, end = _seconds(asked, "from"), _seconds(asked, "to")
        if begin is None and end is None:
            return None
        if recording.layout is None:
            raise BadRequest("only MP4 can be cut")
        try:
            part = await self._open_recordings.cut(recording, begin, end)
        except BadBox:
            part = None
        if part is None:
            raise BadRequest("there is nothing between from and to")
        return part

    def _file_headers(self, one: RecordRequest, recording: OpenRecording, part: Excerpt | None) -> Headers:
        row = recording.row
        tag = recording.etag if part is None else f'{recording.etag[:-1]}-{part.offset:x}-{part.size:x}"'
        name = row.path.rpartition("/")[2]
        return [
            (b"content-type", _TYPES[row.format].encode()),
            (b"content-disposition", f'inline; filename="{name}"'.encode()),
            (b"etag", tag.encode()),
            (b"last-modified", formatdate(row.ended or row.started_ms / 1000, usegmt=True).encode()),
            (b"accept-ranges", b"bytes"),
            (b"cache-control", b"private, max-age=3600" if recording.whole else b"private, no-cache"),
            *self._replies.readable(one.request),
        ]

    async def _send_file(
        self, one: RecordRequest, recording: OpenRecording, receive: Receive, send: Send
    ) -> Reply | None:
        """Sends the file, or a part of it; None once it is sent."""
        if one.ending != recording.row.format:
            return self._replies.refuse(one.request, 404)
        if self._sealed.keys(recording) is not None:
            return self._sealed.no_file(one.request)
        part = await self._excerpt(one, recording)
        headers = self._file_headers(one, recording, part)
        whole = part if part is not None else Excerpt(b"", 0, recording.size)
        return await self._send_span(one, recording, headers, whole, (receive, send))

    async def _send_span(
        self, one: RecordRequest, recording: OpenRecording, headers: Headers, part: Excerpt, asgi: tuple[Receive, Send]
    ) -> Reply | None:
        """Sends what lies somewhere in the file, or the range of it that is asked for; None once it is sent."""
        request, (receive, send) = one.request, asgi
        tag = dict(headers)[b"etag"].decode()
        size = len(part.front) + part.size
        if etag_matches(request.headers.get(b"if-none-match"), tag):
            return Reply(304, headers)
        if request.method == "HEAD":
            return Reply(200, [*headers, (b"content-length", b"%d" % size)])
        condition = request.headers.get(b"if-range")
        wanted: Span | str = "whole"
        if condition is None or condition.strip() == tag.encode():
            wanted = parse_range(request.headers.get(b"range"), size)
        if wanted == "outside":
            return self._replies.refuse(request, 416, more=[(b"content-range", b"bytes */%d" % size)])
        span = wanted if isinstance(wanted, Span) else Span(0, size)
        status = 206 if isinstance(wanted, Span) else 200
        if status == 206:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (span.start, span.stop - 1, size)))
        headers.append((b"content-length", b"%d" % (span.stop - span.start)))
        files = sender_of(one.scope) if not recording.key and span.stop - span.start >= DIRECT else None
        try:
            sending = FileBody(request.session, one.charge, recording, self._open_recordings, self._clock, files)
            await sending.begin(part.front, part.offset, span)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await sending.run(part.front, part.offset, span, receive, send)
        finally:
            if files is not None:
                files.close()
        return None


def playback_routes(endpoint: RecordEndpoint) -> list[Route]:
    """Where it answers."""
    return [
        Route("/{app}/{name}/r/{file}", endpoint),
        Route("/{app}/{name}/{sid}/r/{file}", endpoint),
        Route("/{app}/{name}/{sid}/r/{record}/{file}", endpoint),
    ]


def _times(request: Request) -> str:
    """`?from=&to=` as they were asked for: nothing else of the query is needed once there is a session."""
    asked = arguments(request.query)
    kept = [f"{name}={asked[name]}" for name in ("from", "to") if _seconds(asked, name) is not None]
    return f"?{'&'.join(kept)}" if kept else ""


def _seconds(asked: dict[str, str], name: str) -> float | None:
    text = asked.get(name, "")
    if not text:
        return None
    if not _SECONDS.fullmatch(text):
        raise BadRequest(f"{name} should be a number of seconds")
    return float(text)
