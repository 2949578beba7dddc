"""Judges every request for a stream: the one place where it is decided what a player gets.

Pure: a request and the streams of this instant in, an answer out; no sockets, no waiting, no clock. Every road (fast
path, ASGI, HTTP/2) asks here, so all of them answer alike. An answer is bytes (`Reply`), or what to wait for before
asking again (`Hold…`), or `Fall`: not a stream's business.

The order of decisions for a media playlist is that of draft-pantos-hls-rfc8216bis §6.2.5: authorised, ended, directives
well formed, too far, there already, hold. Ids such as DD05 name the rules. A media playlist without directives is never
held once it exists; HEAD is never held and never makes a session.

Who comes in is let in with the stream's next part. A player starts PART-HOLD-BACK before the end of the first playlist
it sees, takes that end for this very moment, and most never come nearer to live again: with a playlist as old as a part
is long they stay that much behind for as long as they watch.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Hashable
from dataclasses import replace

from hlsd.delivery.answer import (
    FALL,
    Answer,
    Ask,
    Obtain,
    Open,
    Reply,
    WaitForMedia,
    WaitForNews,
    WaitForPart,
    WaitForPlaylist,
)
from hlsd.delivery.cors import METHODS, Cors, Headers
from hlsd.delivery.proxies import Proxies
from hlsd.delivery.request import (
    MAX_PATH,
    MAX_QUERY,
    BadRequest,
    Request,
    Span,
    Target,
    accepts_gzip,
    accepts_html,
    arguments,
    etag_matches,
    is_ours,
    is_prefetch,
    parse_directive,
    parse_path,
    parse_query,
    parse_range,
    playback_id,
)
from hlsd.delivery.settings import HttpSettings
from hlsd.ports import (
    MEDIA,
    MORE,
    Denial,
    Directory,
    Grant,
    Lateness,
    Media,
    Playable,
    PlayRequest,
    Rendering,
    Session,
    Sessions,
)

PLAYLIST_TYPE = b"application/vnd.apple.mpegurl"
_ANEW = ("unknown", "split")
"""Why an id is not accepted though its viewer may be: a playlist then leads to a session of its own (§4.2, rule 13)."""
MAX_HOLD = 8.0
"""Seconds a delivery directive is held at most: hls.js gives up on a first byte after 10 (DD09)."""

MAX_EXPECTATION = 6.0
"""Seconds that a playlist's request waits for its stream to come; its first playlist takes a second or two more."""

MAX_JOIN_WAIT = 0.5
"""Longest part, in seconds, that is worth a viewer's waiting for the next one before the first picture."""

_OWN = (b"if-none-match", b"range", b"if-range")
"""Headers with which an answer is one request's own."""
_WHOLE = "whole"
"""The form of a media resource."""

_TOLD = frozenset(("banned", "expired", "limit", "address", "late"))
"""Reasons for a refusal that its viewer is told; what else there is, is nobody's business."""
_FULL = b"10"
"""Seconds after which somebody else may have gone."""

_NO_STORE = b"no-store"
_MEDIA_CACHE = b"max-age=3600, immutable"
_REASONS = {
    400: "bad request",
    403: "session not accepted",
    404: "not found",
    405: "method not allowed",
    414: "address too long",
    416: "range outside of the resource",
    503: "not ready, ask again",
}


class Judge:
    """Answers requests for the streams of one directory."""

    def __init__(self, directory: Directory, sessions: Sessions, settings: HttpSettings) -> None:
        self._directory = directory
        self._sessions = sessions
        self._first_wait = settings.first_playlist_wait
        self._proxies = Proxies(settings.trusted_proxies, settings.prefix)
        self._cors = Cors(settings)
        self._vary_origin: Headers = [(b"vary", b"Origin")] if self._cors.varies else []
        self._vary_both: Headers = [(b"vary", b"Accept-Encoding, Origin" if self._cors.varies else b"Accept-Encoding")]

    def answer(self, request: Request) -> Answer:
        """What `request` gets. Never raises for what a stranger may send; never a status of 5xx but 503."""
        if not is_ours(request.path):
            return FALL
        request.prefix = self._proxies.prefix(request.peer, request.headers.get(b"x-forwarded-prefix")) + request.mount
        forwarded = request.headers.get(b"x-forwarded-for")
        if forwarded is not None and request.peer in self._proxies:
            request.peer, request.peer_port = self._proxies.viewer(request.peer, forwarded), 0
        if len(request.path) > MAX_PATH or len(request.query) > MAX_QUERY:
            return self._refuse(request, 414)
        try:
            target = parse_path(request.path)
            if target is not None and target.kind == "foreign":
                return FALL
            if request.method == "OPTIONS":
                return self.preflight(request)
            if request.method not in ("GET", "HEAD"):
                return self._refuse(request, 405, more=[(b"allow", METHODS)])
            if target is None:
                return self._refuse(request, 404)
            return self._judge(request, target)
        except BadRequest as error:
            return self._refuse(request, 400, words=str(error))

    def unavailable(self, request: Request) -> Reply:
        """The answer when this server cannot hold one more request, or is about to stop."""
        return self._refuse(request, 503)

    @property
    def varies(self) -> bool:
        """Whether answers differ by Origin."""
        return self._cors.varies

    def knows_origin(self, origin: bytes) -> bool:
        """Whether `origin` is answered differently from a request without one."""
        return self._cors.varies and self._cors.lists(origin)

    # -- for the endpoints of other ways out

    def viewer(self, request: Request, target: Target, protocol: str) -> PlayRequest:
        """The viewer at the door of another way out. Raises BadRequest."""
        return replace(self._viewer(request, target), protocol=protocol)

    def refuse(self, request: Request, status: int, words: str = "", more: Headers | None = None) -> Reply:
        """An error, as for playlists."""
        return self._refuse(request, status, words=words, more=more)

    def readable(self, request: Request) -> Headers:
        """CORS headers of an answer."""
        return self._readable(request)

    def preflight(self, request: Request) -> Reply:
        """The answer to OPTIONS."""
        return Reply(204, [*self._readable(request), *self._cors.preflight(), (b"cache-control", _NO_STORE)])

    def may_read(self, request: Request) -> bool:
        """Whether the page that asks may read what it gets: for WebSockets, where the browser does not see to it."""
        origin = request.headers.get(b"origin")
        if origin is None or self._cors.headers(origin):
            return True
        return origin.partition(b"://")[2] == request.headers.get(b"host")

    # -- who asks

    def _viewer(self, request: Request, target: Target) -> PlayRequest:
        """The viewer at the door."""

        def text(name: bytes, most: int = 512) -> str:
            return request.headers.get(name, b"").decode("latin-1")[:most]

        scheme, _, token = text(b"authorization", 8192).partition(" ")
        return PlayRequest(
            target.app,
            target.name,
            "hls",
            request.peer,
            request.peer_port,
            query=arguments(request.query),
            user_agent=text(b"user-agent"),
            referer=text(b"referer", 1024),
            origin=text(b"origin"),
            host=text(b"host"),
            bearer=token.strip() if scheme.lower() == "bearer" else "",
            playback_id=playback_id(request.headers, request.query),
        )

    def _admit(self, request: Request, target: Target) -> Denial | None:
        """Finds whose request it is, or why it is refused."""
        agent = request.headers.get(b"user-agent", b"").decode("latin-1")
        viewer = self._sessions.admit(target.sid, target.app, target.name, request.peer, agent)
        if isinstance(viewer, Denial):
            return viewer
        request.session = viewer
        return None

    def deny(self, request: Request, denial: Denial) -> Reply:
        """A refusal, with what a page needs to say why in its own words (`HLSD-Refused`) and when to ask again."""
        if denial.status == 404:
            return self._refuse(request, 404, words=denial.words)
        more: Headers = [(b"hlsd-refused", denial.reason.encode() if denial.reason in _TOLD else b"denied")]
        if denial.reason == "limit":
            more.append((b"retry-after", _FULL))
        return self._refuse(request, denial.status, words=denial.words, more=more)

    # -- what the path names

    def _judge(self, request: Request, target: Target) -> Answer:
        match target.kind:
            case "page":
                return self._page(request, target)
            case "multivariant":
                return self._multivariant(request, target, parse_query(request.query))
            case "playlist":
                return self._playlist(request, target, parse_query(request.query))
            case _:
                return self._media(request, target)

    def _page(self, request: Request, target: Target) -> Answer:
        """`/{app}/{name}`: the player page for a browser, the playlist for anything else (contract §1)."""
        if accepts_html(request.headers.get(b"accept")):
            return FALL
        query = "?" + request.query.decode("latin-1")  # a signature must survive the redirection
        if len(query) == 1 or not all("!" <= char <= "~" for char in query):
            query = ""
        return self._redirect(request, f"/{target.app}/{target.name}.m3u8{query}")

    def _multivariant(self, request: Request, target: Target, query: dict[str, str]) -> Answer:
        """The way in. First whether the viewer may, so that nobody else learns what is there or makes it come."""
        flat = query.get("flat", "") not in ("", "0")
        if request.method == "GET":
            if is_prefetch(request.headers):  # nobody watches yet: no session, and nothing that could be used later
                return self._refuse(request, 503, words="not to be fetched ahead")
            known = query.get("sid", "")
            if known and (answer := self._again(request, target, known, flat=flat)) is not None:
                return answer
        return self._ask(request, target, flat=flat)

    def _again(self, request: Request, target: Target, sid: str, *, flat: bool) -> Answer | None:
        """The way in for who has a session already (`?sid=`); None if it is not accepted."""
        there = target._replace(sid=sid)
        # The id first, whether or not the stream is there: else the time that a wrong one takes would tell.
        denial = self._admit(request, there)
        playable = self._directory.find(target.app, target.name)
        if denial is not None or playable is None or request.session is None:
            request.session = None
            return None
        return self._opened(request, there, playable, request.session, flat=flat)

    def _ask(self, request: Request, target: Target, *, flat: bool) -> Answer:
        """Asks whether the viewer may, and goes on."""
        play = self._viewer(request, target)

        def asked(grant: Grant | Denial) -> Answer:
            if isinstance(grant, Denial):
                return self.deny(request, grant)
            there, viewer = target, play
            if grant.name and grant.name != target.name:
                there, viewer = _renamed(target, grant.name), replace(play, name=grant.name, asked=play.name)
            if request.method == "HEAD":
                return self._outside(request, there)
            return self._enter(request, there, viewer, grant, flat=flat)

        return Ask(play, asked)

    def _enter(self, request: Request, target: Target, play: PlayRequest, grant: Grant, *, flat: bool) -> Answer:
        """An authorised viewer waits for the stream, then for its first playlist; then it has a session."""

        def let_in(playable: Playable) -> Answer:
            if playable.gone:
                return self._gone_or_late(request, target, playable)
            return Open(
                play,
                grant,
                lambda viewer: self._opened(request, target, playable, viewer, flat=flat),
                instead=target.sid,
            )

        def present(playable: Playable) -> Answer:
            if not target.sid and _soon_newer(playable):
                return WaitForNews(playable, playable.version, playable.part_target, lambda _: let_in(playable))
            if playable.target_duration or flat:
                return let_in(playable)
            # a variant whose playlist is not there yet is not worth naming (P07)
            return self._hold_first(request, target, playable, begun)

        def begun(request: Request, target: Target, playable: Playable) -> Answer | None:  # noqa: ARG001
            return let_in(playable) if playable.target_duration else None

        def obtained(playable: Playable | Denial) -> Answer:
            return self.deny(request, playable) if isinstance(playable, Denial) else present(playable)

        playable = self._directory.find(target.app, target.name)
        if playable is not None and not (playable.ended and self._directory.obtainable(target.app, target.name)):
            return present(playable)
        if self._directory.obtainable(target.app, target.name):
            return Obtain(play, obtained)
        return self._refuse(request, 404)

    def _outside(self, request: Request, target: Target) -> Reply:
        """The answer to HEAD, which never holds and never makes a session (HT07)."""
        playable = self._directory.find(target.app, target.name)
        if playable is None or not playable.target_duration:
            return self._refuse(request, 404)
        return Reply(200, self._multivariant_headers(request))

    def _opened(
        self, request: Request, target: Target, playable: Playable, viewer: Session | Denial, *, flat: bool
    ) -> Answer:
        if isinstance(viewer, Denial):
            return self.deny(request, viewer)
        request.session = viewer
        if viewer.name != target.name:  # who was asked besides has led it to another stream
            there = self._directory.find(viewer.app, viewer.name)
            if there is None:
                return self._refuse(request, 404)
            target, playable = _renamed(target, viewer.name), there
        if flat:
            return self._redirect(request, f"{viewer.prefix.decode()}index.m3u8")
        body = playable.multivariant(f"{target.variant}~{viewer.sid.decode()}/index.m3u8")
        if body is None:
            return self._gone_or_late(request, target, playable)
        headers = self._multivariant_headers(request)
        if accepts_gzip(request.headers.get(b"accept-encoding")):
            body = gzip.compress(body, 1, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", b"%d" % len(body)))
        return Reply(200, headers, body)

    def _multivariant_headers(self, request: Request) -> Headers:
        return [
            (b"content-type", PLAYLIST_TYPE),
            (b"cache-control", b"private, no-store"),
            *self._vary_both,
            *self._cors.headers(request.headers.get(b"origin")),
        ]

    def _playlist(self, request: Request, target: Target, query: dict[str, str]) -> Answer:
        """A media playlist; the steps are numbered as in hls-rules §5."""
        denial = self._admit(request, target)  # (1)
        if denial is not None:
            if denial.reason in _ANEW and request.method == "GET" and not is_prefetch(request.headers):
                return self._ask(request, target, flat=True)
            return self.deny(request, denial)
        playable = self._directory.find(target.app, target.name)
        if playable is None:
            if request.session is not None and self._sessions.awaits(request.session):
                return self._hold_expected(request, target, query)
            return self._refuse(request, 404, cache=b"private, max-age=1")
        now = playable.playlist()
        if now is None:
            return self._hold_first(request, target, playable, self._playlist_now)
        if playable.ended or not playable.low_latency:  # (2); without CAN-BLOCK-RELOAD directives have no meaning
            return self._rendered(request, now)
        return self._reload(request, target, playable, now, query)

    def _hold_expected(self, request: Request, target: Target, query: dict[str, str]) -> Answer:
        """Holds for a stream whose publisher may be as quick to come back after a restart as its viewers were.

        hls.js 1.7 takes two refusals of a playlist in a row, then it gives up.
        """
        if request.method == "HEAD":
            return self._refuse(request, 503)

        def then(released: bool) -> Answer:  # noqa: ARG001 - it may have come in the last instant
            if self._directory.find(target.app, target.name) is None:
                return self._refuse(request, 503)
            return self._playlist(request, target, query)

        return WaitForPlaylist(self._directory.expected(target.app, target.name), MAX_EXPECTATION, then)

    def _reload(
        self, request: Request, target: Target, playable: Playable, now: Rendering, query: dict[str, str]
    ) -> Answer:
        """A low-latency playlist with the directives it may carry."""
        try:
            asked = self._directives(query)  # (3) (4)
        except BadRequest as error:
            return self._refuse(request, 400, words=str(error), cache=_four_targets(playable))
        skip = query.get("_HLS_skip") in ("YES", "v2")  # other values are ignored (DD13)
        if asked is None or request.method == "HEAD":
            return self._rendered(request, (playable.playlist(skip=True) or now) if skip else now)
        msn, part = asked
        match playable.lateness(msn, part):
            case Lateness.TOO_FAR:  # (5)
                return self._refuse(request, 400, words="too far ahead", cache=_four_targets(playable))
            case Lateness.READY:  # (6)
                return self._blocked(request, playable, skip)
            case Lateness.WAIT:  # (7)
                return WaitForPart(
                    playable,
                    msn,
                    part,
                    _hold_time(playable),
                    lambda released: self._after_hold(request, target, playable, skip, released),
                    self._alike(request, skip),
                )

    @staticmethod
    def _directives(query: dict[str, str]) -> tuple[int, int | None] | None:
        """`_HLS_msn` and `_HLS_part`, or None if there is neither."""
        msn, part = query.get("_HLS_msn"), query.get("_HLS_part")
        if msn is None:
            if part is None:
                return None
            raise BadRequest("_HLS_part needs _HLS_msn")  # §6.2.5.2
        return (
            parse_directive("_HLS_msn", msn),
            None if part is None else parse_directive("_HLS_part", part),
        )

    def _after_hold(self, request: Request, target: Target, playable: Playable, skip: bool, released: bool) -> Reply:
        """Ends a held reload: the playlist, or why not (DD09)."""
        if released:
            return self._blocked(request, playable, skip)
        here = self._directory.find(target.app, target.name) is playable
        if here and playable.ended and (last := playable.playlist()) is not None:
            return self._rendered(request, last)
        if here and playable.away and (last := playable.playlist()) is not None:
            # "hold […], then return the last playlist unchanged through publish.grace" (contract §4.2, rule 12).
            # It was held for as long as any (DD01: never early), so nobody spins.
            return self._rendered(request, last, conditional=False)
        return self._gone_or_late(request, target, playable)

    def _blocked(self, request: Request, playable: Playable, skip: bool) -> Reply:
        rendering = playable.playlist(skip=skip)
        if rendering is None:
            return self._refuse(request, 503)
        cache = b"private, max-age=%d" % (6 * playable.target_duration)
        return self._rendered(request, rendering, cache=cache, conditional=False)

    def _playlist_now(self, request: Request, target: Target, playable: Playable) -> Reply | None:  # noqa: ARG002
        now = playable.playlist()
        return None if now is None else self._rendered(request, now)

    def _media(self, request: Request, target: Target) -> Answer:
        denial = self._admit(request, target)
        if denial is not None:
            return self.deny(request, denial)
        playable = self._directory.find(target.app, target.name)
        if playable is None:
            return self._refuse(request, 404, cache=b"max-age=1")
        media = playable.media(target.run, target.resource)
        if media is not None:
            return self._resource(request, media)
        if request.method == "GET" and not playable.ended and playable.expects(target.run, target.resource):
            return WaitForMedia(
                playable,
                target.run,
                target.resource,
                _hold_time(playable),
                lambda _: self._after_media(request, target, playable),
                self._alike(request, _WHOLE),
            )
        return self._no_media(request, playable)

    def _after_media(self, request: Request, target: Target, playable: Playable) -> Reply:
        """Ends the wait for a hinted part: whole, or 404 if it will not come, or 503 (DD14)."""
        media = playable.media(target.run, target.resource)
        if media is not None:
            return self._resource(request, media)
        if playable.ended or not playable.expects(target.run, target.resource):
            return self._no_media(request, playable)
        return self._gone_or_late(request, target, playable)

    # -- waiting for the first playlist

    def _hold_first(
        self,
        request: Request,
        target: Target,
        playable: Playable,
        now: Callable[[Request, Target, Playable], Answer | None],
    ) -> Answer:
        """Holds until there is a playlist: a publisher who has just begun is no error to a player."""
        if request.method == "HEAD":
            return self._refuse(request, 404)
        if playable.ended:
            return self._refuse(request, 404)

        def then(released: bool) -> Answer:  # noqa: ARG001 - the playlist may have come in the last instant
            return now(request, target, playable) or self._gone_or_late(request, target, playable)

        if not self._first_wait:
            return then(False)
        return WaitForPlaylist(playable, self._first_wait, then)

    def _gone_or_late(self, request: Request, target: Target, playable: Playable) -> Reply:
        gone = playable.ended or self._directory.find(target.app, target.name) is not playable
        return self._refuse(request, 404 if gone else 503)

    # -- bytes

    def _alike(self, request: Request, form: Hashable) -> Hashable:
        """All that the answer to a held request depends on beside the stream; None if that is too much to be shared."""
        get = request.headers.get
        if any(name in request.headers for name in _OWN):
            return None
        zipped = accepts_gzip(get(b"accept-encoding"))
        return form, zipped, get(b"origin") if self._cors.varies else None

    def _rendered(
        self, request: Request, rendering: Rendering, *, cache: bytes = b"private, no-cache", conditional: bool = True
    ) -> Reply:
        """A media playlist. It is `private`: its path holds a session (SE04)."""
        zipped = accepts_gzip(request.headers.get(b"accept-encoding"))
        # "strong": bytes that differ by coding need tags that differ (RFC 9110 §8.8.3.3)
        etag = f'{rendering.etag[:-1]}-gzip"' if zipped else rendering.etag
        headers: Headers = [
            (b"cache-control", cache),
            (b"etag", etag.encode()),
            *self._vary_both,
            *self._cors.headers(request.headers.get(b"origin")),
        ]
        if conditional and etag_matches(request.headers.get(b"if-none-match"), etag):
            return Reply(304, headers)
        body = rendering.gzip if zipped else rendering.body
        headers.append((b"content-type", PLAYLIST_TYPE))
        headers.append((b"content-length", b"%d" % len(body)))
        if zipped:
            headers.append((b"content-encoding", b"gzip"))
        return Reply(200, headers, b"" if request.method == "HEAD" else body)

    def _resource(self, request: Request, media: Media) -> Reply:
        """A segment, part or initialisation section; immutable, so every cache may keep it."""
        get = request.headers.get
        headers: Headers = [
            (b"cache-control", _MEDIA_CACHE),
            (b"etag", media.etag.encode()),
            (b"accept-ranges", b"bytes"),
            *self._readable(request),
        ]
        if etag_matches(get(b"if-none-match"), media.etag):
            return Reply(304, headers)
        size = len(media.body)
        kind = MORE if media.init else MEDIA
        wanted = get(b"range")
        condition = get(b"if-range")
        if wanted is None or request.method == "HEAD" or (condition and condition.strip() != media.etag.encode()):
            span: Span | str = "whole"
        else:
            span = parse_range(wanted, size)
        if span == "outside":
            return self._refuse(request, 416, more=[(b"content-range", b"bytes */%d" % size)])
        headers.append((b"content-type", media.content_type.encode()))
        if isinstance(span, Span):
            headers.append((b"content-range", b"bytes %d-%d/%d" % (span.start, span.stop - 1, size)))
            headers.append((b"content-length", b"%d" % (span.stop - span.start)))
            return Reply(206, headers, memoryview(media.body)[span.start : span.stop], media=kind)
        headers.append((b"content-length", b"%d" % size))
        return Reply(200, headers, b"" if request.method == "HEAD" else media.body, media=kind)

    def _no_media(self, request: Request, playable: Playable) -> Reply:
        """404; where parts appear by the second, nobody may remember it for longer than one (B.1)."""
        life = 1 if playable.low_latency else max(1, playable.target_duration)
        return self._refuse(request, 404, cache=b"max-age=%d" % life)

    def _redirect(self, request: Request, location: str) -> Reply:
        """Sends the client to another path of ours."""
        return Reply(
            302,
            [
                (b"location", f"{request.prefix}{location}".encode()),
                (b"cache-control", _NO_STORE),
                (b"content-length", b"0"),
                *([(b"vary", b"Accept, Origin" if self._cors.varies else b"Accept")]),
                *self._cors.headers(request.headers.get(b"origin")),
            ],
        )

    def _refuse(
        self, request: Request, status: int, *, words: str = "", cache: bytes = _NO_STORE, more: Headers | None = None
    ) -> Reply:
        """An error: small plain text that no player takes for a playlist (SE05)."""
        body = f"{status} {words or _REASONS[status]}\n".encode()
        headers: Headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", cache),
            *self._readable(request),
            *(more or ()),
        ]
        if status == 503 and not any(name == b"retry-after" for name, _ in headers):
            headers.append((b"retry-after", b"1"))
        return Reply(status, headers, b"" if request.method == "HEAD" else body)

    def _readable(self, request: Request) -> Headers:
        """CORS, with the Vary it may need."""
        return [*self._cors.headers(request.headers.get(b"origin")), *self._vary_origin]


def _renamed(target: Target, name: str) -> Target:
    """The same for another stream of the app; what is relative to its path goes there."""
    inside = not target.variant or target.variant.startswith("../")
    return target._replace(name=name, variant=f"{'../' if inside else ''}{name}/")


def _hold_time(playable: Playable) -> float:
    return min(3.0 * playable.target_duration, MAX_HOLD)


def _soon_newer(playable: Playable) -> bool:
    """Whether a part is about to come that a viewer at the door may wait for."""
    present = playable.target_duration and not playable.ended and not playable.away
    return bool(present) and playable.low_latency and playable.part_target <= MAX_JOIN_WAIT


def _four_targets(playable: Playable) -> bytes:
    return b"private, max-age=%d" % (4 * playable.target_duration)
