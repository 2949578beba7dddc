"""Judges every request for a stream: what a player gets whose session is open, and who has to come in first.

Pure: a request and the streams of this instant in, an answer out; no sockets, no waiting, no clock. Every transport
(fast path, ASGI, HTTP/2) asks here, so all of them answer alike. An answer is bytes (`Reply`), or what to wait for
before asking again (`WaitFor…`), or `Enter`: whoever asks has no session, and goes by the entrance
(`hlsd.delivery.hls_viewers`); or `Fall`: not a stream's business.

The order of decisions for a media playlist is that of draft-pantos-hls-rfc8216bis §6.2.5: authorised, ended, directives
well formed, too far, there already, hold. Ids such as DD05 name the rules. A media playlist without directives is never
held once it exists; HEAD is never held and never makes a session.
"""

from __future__ import annotations

from collections.abc import Hashable

from hlsd.delivery.answer import FALL, Answer, Enter, Reply, WaitForMedia, WaitForPart, WaitForPlaylist
from hlsd.delivery.cors import METHODS
from hlsd.delivery.play_request import play_request
from hlsd.delivery.replies import Replies
from hlsd.delivery.request import (
    MAX_PATH,
    MAX_QUERY,
    BadRequest,
    Request,
    Target,
    accepts_gzip,
    accepts_html,
    is_ours,
    is_prefetch,
    parse_directive,
    parse_path,
    parse_query,
)
from hlsd.delivery.settings import HttpSettings
from hlsd.ports import AUDIO_ONLY, Denial, Directory, Lateness, Playable, Rendering, Sessions

ANEW = ("unknown", "split")
"""Why an id is not accepted though its viewer may be: a playlist then leads to a session of its own (§4.2, rule 13)."""
MAX_WAIT = 8.0
"""Seconds a delivery directive is held at most: hls.js gives up on a first byte after 10 (DD09)."""

MAX_EXPECTATION = 6.0
"""Seconds that a playlist's request waits for its stream to come; its first playlist takes a second or two more."""

_OWN = (b"if-none-match", b"range", b"if-range")
"""Headers with which an answer is one request's own."""
_WHOLE = "whole"
"""What is asked for of a media resource."""


class Judge:
    """Answers requests for the streams of one directory."""

    def __init__(self, directory: Directory, sessions: Sessions, settings: HttpSettings) -> None:
        self.replies = Replies(settings)
        """How its answers are worded."""
        self._directory = directory
        self._sessions = sessions
        self._first_wait = settings.first_playlist_wait
        self._proxies = settings.proxies

    def answer(self, request: Request) -> Answer:
        """What `request` gets. Never raises for what a stranger may send; never a status of 5xx but 503."""
        if not is_ours(request.path):
            return FALL
        self.locate(request)
        if len(request.path) > MAX_PATH or len(request.query) > MAX_QUERY:
            return self.replies.refuse(request, 414)
        try:
            target = parse_path(request.path)
            if target is not None and target.kind == "foreign":
                return FALL
            if request.method == "OPTIONS":
                return self.replies.preflight(request)
            if request.method not in ("GET", "HEAD"):
                if request.method in {"POST", "PUT"} and target is not None and target.name.endswith(".ts"):
                    return FALL  # who publishes MPEG-TS: by another method it is the page of a stream called so
                return self.replies.refuse(request, 405, more=[(b"allow", METHODS)])
            if target is None:
                return self.replies.refuse(request, 404)
            return self._judge(request, target)
        except BadRequest as error:
            return self.replies.refuse(request, 400, words=str(error))

    def locate(self, request: Request) -> None:
        """Notes in `request` what a proxy of ours says of it: whose it is, and below which path."""
        request.prefix = self._proxies.prefix(request.peer, request.headers.get(b"x-forwarded-prefix")) + request.mount
        forwarded = request.headers.get(b"x-forwarded-for")
        if forwarded is not None and request.peer in self._proxies:
            request.peer, request.peer_port = self._proxies.viewer(request.peer, forwarded), 0

    def _admit(self, request: Request, target: Target) -> Denial | None:
        """Finds whose request it is, or why it is refused."""
        agent = request.headers.get(b"user-agent", b"").decode("latin-1")
        viewer = self._sessions.admit(target.sid, target.app, target.name, request.peer, agent)
        if isinstance(viewer, Denial):
            return viewer
        request.session = viewer
        return None

    def _find(self, target: Target) -> Playable | None:
        """The rendition that the path names; the main one where it names none."""
        found = self._directory.find(target.app, target.name)
        return found.rendition(target.rendition) if found is not None and target.rendition else found

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
        return self.replies.redirect(request, f"/{target.app}/{target.name}.m3u8{query}")

    def _multivariant(self, request: Request, target: Target, query: dict[str, str]) -> Answer:
        """The way in; with `?dvr=` it is that of the stream's past (`hlsd.timeshift`)."""
        if "dvr" in query:
            return FALL
        flat = query.get("flat", "") not in ("", "0")
        if query.get("audio") == "only":
            target = target._replace(rendition=AUDIO_ONLY)
        if request.method == "GET":
            if is_prefetch(request.headers):  # nobody watches yet: no session, and nothing that could be used later
                return self.replies.refuse(request, 503, words="not to be fetched ahead")
            known = query.get("sid", "")
            if known and (answer := self._again(request, target, known, flat=flat)) is not None:
                return answer
        return Enter(target, play_request(request, target, "hls"), flat)

    def _again(self, request: Request, target: Target, sid: str, *, flat: bool) -> Answer | None:
        """The way in for who has a session already (`?sid=`); None if it is not accepted."""
        there = target._replace(sid=sid)
        # The id first, whether or not the stream is there: else the time that a wrong one takes would tell.
        denial = self._admit(request, there)
        playable = self._find(target)
        if denial is not None or playable is None or request.session is None:
            request.session = None
            return None
        entered = self.replies.entered(request, there, playable, request.session, flat=flat)
        return entered or self._gone_or_late(request, target, playable)

    def _playlist(self, request: Request, target: Target, query: dict[str, str]) -> Answer:
        """A media playlist; the steps are numbered as in hls-rules §5."""
        denial = self._admit(request, target)  # (1)
        if denial is not None:
            if denial.reason in ANEW and request.method == "GET" and not is_prefetch(request.headers):
                return Enter(target, play_request(request, target, "hls"), flat=True)
            return self.replies.deny(request, denial)
        playable = self._find(target)
        if playable is None:
            if request.session is not None and self._sessions.awaits(request.session):
                return self._wait_for_expected(request, target, query)
            return self.replies.refuse(request, 404, cache=b"private, max-age=1")
        now = playable.playlist()
        if now is None:
            return self._wait_for_first(request, target, playable)
        if playable.ended or not playable.low_latency:  # (2); without CAN-BLOCK-RELOAD directives have no meaning
            return self.replies.playlist(request, now)
        return self._reload(request, target, playable, now, query)

    def _wait_for_expected(self, request: Request, target: Target, query: dict[str, str]) -> Answer:
        """Holds for a stream whose publisher may be as quick to come back after a restart as its viewers were.

        hls.js 1.7 takes two refusals of a playlist in a row, then it gives up.
        """
        if request.method == "HEAD":
            return self.replies.refuse(request, 503)

        def then(released: bool) -> Answer:  # noqa: ARG001 - it may have come in the last instant
            if self._find(target) is None:
                return self.replies.refuse(request, 503)
            return self._playlist(request, target, query)

        return WaitForPlaylist(self._directory.expected(target.app, target.name), MAX_EXPECTATION, then)

    def _reload(
        self, request: Request, target: Target, playable: Playable, now: Rendering, query: dict[str, str]
    ) -> Answer:
        """A low-latency playlist with the directives it may carry."""
        try:
            asked = self._directives(query)  # (3) (4)
        except BadRequest as error:
            return self.replies.refuse(request, 400, words=str(error), cache=_four_targets(playable))
        skip = query.get("_HLS_skip") in ("YES", "v2")  # other values are ignored (DD13)
        if asked is None or request.method == "HEAD":
            return self.replies.playlist(request, (playable.playlist(skip=True) or now) if skip else now)
        msn, part = asked
        match playable.lateness(msn, part):
            case Lateness.TOO_FAR:  # (5)
                return self.replies.refuse(request, 400, words="too far ahead", cache=_four_targets(playable))
            case Lateness.READY:  # (6)
                return self._reloaded(request, playable, skip)
            case Lateness.WAIT:  # (7)
                return WaitForPart(
                    playable,
                    msn,
                    part,
                    _wait_time(playable),
                    lambda released: self._after_wait(request, target, playable, skip, released),
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

    def _after_wait(self, request: Request, target: Target, playable: Playable, skip: bool, released: bool) -> Reply:
        """Ends a held reload: the playlist, or why not (DD09)."""
        if released:
            return self._reloaded(request, playable, skip)
        here = self._find(target) is playable
        if here and playable.ended and (last := playable.playlist()) is not None:
            return self.replies.playlist(request, last)
        if here and playable.away and (last := playable.playlist()) is not None:
            # "hold […], then return the last playlist unchanged through publish.grace" (contract §4.2, rule 12).
            # It was held for as long as any (DD01: never early), so nobody spins.
            return self.replies.playlist(request, last, conditional=False)
        return self._gone_or_late(request, target, playable)

    def _reloaded(self, request: Request, playable: Playable, skip: bool) -> Reply:
        rendering = playable.playlist(skip=skip)
        if rendering is None:
            return self.replies.refuse(request, 503)
        cache = b"private, max-age=%d" % (6 * playable.target_duration)
        return self.replies.playlist(request, rendering, cache=cache, conditional=False)

    def _media(self, request: Request, target: Target) -> Answer:
        denial = self._admit(request, target)
        if denial is not None:
            return self.replies.deny(request, denial)
        playable = self._find(target)
        if playable is None:
            return self.replies.refuse(request, 404, cache=b"max-age=1")
        media = playable.media(target.run, target.resource)
        if media is not None:
            return self.replies.resource(request, media)
        if request.method == "GET" and not playable.ended and playable.expects(target.run, target.resource):
            return WaitForMedia(
                playable,
                target.run,
                target.resource,
                _wait_time(playable),
                lambda _: self._after_media(request, target, playable),
                self._alike(request, _WHOLE),
            )
        return self.replies.no_media(request, playable)

    def _after_media(self, request: Request, target: Target, playable: Playable) -> Reply:
        """Ends the wait for a hinted part: whole, or 404 if it will not come, or 503 (DD14)."""
        media = playable.media(target.run, target.resource)
        if media is not None:
            return self.replies.resource(request, media)
        if playable.ended or not playable.expects(target.run, target.resource):
            return self.replies.no_media(request, playable)
        return self._gone_or_late(request, target, playable)

    def _wait_for_first(self, request: Request, target: Target, playable: Playable) -> Answer:
        """Holds until there is a playlist: a publisher who has just begun is no error to a player."""
        if request.method == "HEAD" or playable.ended:
            return self.replies.refuse(request, 404)

        def then(released: bool) -> Answer:  # noqa: ARG001 - the playlist may have come in the last instant
            now = playable.playlist()
            return self._gone_or_late(request, target, playable) if now is None else self.replies.playlist(request, now)

        return WaitForPlaylist(playable, self._first_wait, then) if self._first_wait else then(False)

    def _gone_or_late(self, request: Request, target: Target, playable: Playable) -> Reply:
        gone = playable.ended or self._find(target) is not playable
        return self.replies.refuse(request, 404 if gone else 503)

    def _alike(self, request: Request, what: Hashable) -> Hashable:
        """All that the answer to a held request depends on beside the stream; None if that is too much to be shared."""
        get = request.headers.get
        if any(name in request.headers for name in _OWN):
            return None
        zipped = accepts_gzip(get(b"accept-encoding"))
        return what, zipped, get(b"origin") if self.replies.varies else None


def _wait_time(playable: Playable) -> float:
    return min(3.0 * playable.target_duration, MAX_WAIT)


def _four_targets(playable: Playable) -> bytes:
    return b"private, max-age=%d" % (4 * playable.target_duration)
