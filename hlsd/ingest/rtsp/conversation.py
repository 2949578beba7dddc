"""Speaks RTSP with one client (RFC 2326): bytes in, what is to be done and bytes out. Pure.

Law: one thing is asked of the house at a time (`accept` or `refuse` answers it), and what comes meanwhile waits, up to
a bound. A connection publishes one stream, or plays one. What the client says wrong is answered to it; what is no RTSP
raises ProtocolError.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtsp.address import RtspTarget, control_of, read_url
from hlsd.ingest.rtsp.announced import AnnouncedTrack, read_description
from hlsd.ingest.rtsp.credentials import ShownCredentials, challenges, proves, read_shown
from hlsd.ingest.rtsp.message import REASONS, Interleaved, RtspReader, RtspRequest, write_answer
from hlsd.ingest.rtsp.transports import Transport, read_transports

METHODS: Final = "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
TIMEOUT: Final = 60
"""Seconds that the client is told its session lasts without a word of it."""
WAITING: Final = 64
"""Requests and packets that wait for the house."""
WRONG: Final = 3
"""Wrong passwords that one connection may show."""
NEVER_ASKED: Final = frozenset(("OPTIONS", "GET_PARAMETER", "SET_PARAMETER"))


class Announced(NamedTuple):
    """It would publish: `accept()` or `refuse()`."""

    target: RtspTarget
    tracks: Sequence[AnnouncedTrack]
    user_agent: str


class Described(NamedTuple):
    """It would play: `accept_play()` or `refuse()`."""

    target: RtspTarget
    user_agent: str


class RtspRecording(NamedTuple):
    """Media follows."""


class Playing(NamedTuple):
    """Media may go; `again`: it went already, and was paused."""

    again: bool


class Paused(NamedTuple):
    """Media must not go for now."""


class Left(NamedTuple):
    """It has said goodbye."""


class RtspMedia(NamedTuple):
    """A packet of a track, RTP or RTCP."""

    track: int
    control: bool
    payload: bytes


Happening = Announced | Described | RtspRecording | Playing | Paused | Left | RtspMedia
Accounts = Callable[[RtspTarget, str], Sequence[tuple[str, str]]]
"""The users and passwords of whom a stream's publisher ("publish") or player ("play") must be one; none: anybody."""
Claim = Callable[[int, tuple[int, int]], tuple[int, int] | None]
"""Whether a track may come and go by those ports of the client: our pair of ports, or None."""


class RtspConversation:
    """That of one connection. `ident`: of its session; `nonce`: what its passwords are hashed with."""

    def __init__(self, ident: str, nonce: str, accounts: Accounts, claim: Claim, *, basic: bool) -> None:
        self.transports: dict[int, Transport] = {}
        """The tracks that are set up."""
        self.state = "init"
        """"init", "announced", "recording", "described", "playing", "left"."""
        self.wrong = 0
        """Wrong passwords so far."""
        self.waiting = False
        """Whether the house is asked."""
        self._reader = RtspReader()
        self._queue: deque[RtspRequest | Interleaved] = deque()
        self._channels: dict[int, tuple[int, bool]] = {}
        self._controls: list[str] = []
        self._asked: RtspRequest | None = None
        self._shown = False
        self._began = False
        self._out = bytearray()
        self._ident = ident
        self._nonce = nonce
        self._accounts = accounts
        self._claim = claim
        self._basic = basic

    def take_out(self) -> bytes:
        """What is to be sent."""
        out, self._out = bytes(self._out), bytearray()
        return out

    @property
    def held(self) -> int:
        """Bytes that are not worked on yet."""
        return self._reader.held + sum([len(one.payload) for one in self._queue if isinstance(one, Interleaved)])

    def feed(self, octets: bytes) -> None:
        """Takes what came. Raises ProtocolError."""
        self._queue.extend(self._reader.feed(octets))
        if self.waiting and len(self._queue) > WAITING:
            raise ProtocolError("too much is sent before an answer")

    def happenings(self) -> Iterator[Happening]:
        """What comes of it, until the house is asked something. Raises ProtocolError."""
        queue = self._queue
        while queue and not self.waiting and self.state != "left":
            one = queue.popleft()
            if isinstance(one, Interleaved):
                known = self._channels.get(one.channel)
                if known is not None:
                    yield RtspMedia(*known, one.payload)
                continue
            happening = self._request(one)
            if happening is not None:
                yield happening

    # -- what the house answers

    def accept(self) -> None:
        """The publisher is let in."""
        self.state = "announced"
        self._reply(self._answered(), 200, {"Session": self._session})

    def accept_play(self, description: bytes, controls: list[str]) -> None:
        """The viewer is let in."""
        self.state, self._controls = "described", controls
        request = self._answered()
        base = request.url.rstrip("/") + "/"
        self._reply(request, 200, {"Content-Base": base, "Content-Type": "application/sdp"}, description)

    def refuse(self, status: int, words: str, *, ask: bool = False) -> None:
        """It is not let in; `ask`: a user and a password may help, if it has shown none."""
        request = self._answered()
        if ask and not self._shown:
            self._challenge(request, digest=False)
        else:
            self._reply(request, status, {}, words=words)

    # -- how

    @property
    def _session(self) -> str:
        return f"{self._ident};timeout={TIMEOUT}"

    def _answered(self) -> RtspRequest:
        request, self._asked = self._asked, None
        self.waiting = False
        assert request is not None
        return request

    def _request(self, request: RtspRequest) -> Happening | None:
        method = request.method
        if "require" in request.headers:
            self._reply(request, 551, {"Unsupported": _plain(request.headers["require"])})
        elif method in NEVER_ASKED:
            self._reply(request, 200, {"Public": METHODS} if method == "OPTIONS" else {})
        elif method == "ANNOUNCE":
            return self._announce(request)
        elif method == "DESCRIBE":
            return self._describe(request)
        elif method == "SETUP":
            self._set_up(request)
        elif method in ("PLAY", "RECORD", "PAUSE", "TEARDOWN"):
            return self._go(request)
        else:
            self._reply(request, 501, {"Public": METHODS})
        return None

    def _announce(self, request: RtspRequest) -> Happening | None:
        target = self._target(request, "publish")
        if target is None:
            return None
        tracks = read_description(request.body)
        if not any(track.carried for track in tracks):
            self._reply(request, 415, {}, words="none of the tracks is in a codec that is carried")
            return None
        if any(track.kind == "video" for track in tracks) and not any(
            track.kind == "video" and track.carried for track in tracks
        ):
            named = next(track.codec or str(track.payload) for track in tracks if track.kind == "video")
            self._reply(request, 415, {}, words=f"{named} is not carried: H.264 and H.265 are")
            return None
        self._controls = [track.control for track in tracks]
        self.waiting, self._asked = True, request
        return Announced(target, tracks, request.headers.get("user-agent", ""))

    def _describe(self, request: RtspRequest) -> Happening | None:
        target = self._target(request, "play")
        if target is None:
            return None
        self.waiting, self._asked = True, request
        return Described(target, request.headers.get("user-agent", ""))

    def _target(self, request: RtspRequest, action: str) -> RtspTarget | None:
        """Whose stream it is about, if it may be asked for."""
        if self.state != "init":
            self._reply(request, 455, {})
            return None
        target = read_url(request.url)
        if isinstance(target, str):
            self._reply(request, 404, {}, words=target)
            return None
        shown = read_shown(request.headers.get("authorization", ""))
        self._shown = shown is not None
        accounts = self._accounts(target, action)
        if accounts:
            return target if self._proven(request, shown, accounts) else None
        if shown is not None and shown.scheme == "basic":
            # what they say is the operator's to judge: arguments as any other URL has them
            return target._replace(query={"user": shown.user, "pass": shown.password, **target.query})
        return target

    def _proven(
        self, request: RtspRequest, shown: ShownCredentials | None, accounts: Sequence[tuple[str, str]]
    ) -> bool:
        if shown is not None and (self._basic or shown.scheme == "digest"):
            if any(proves(shown, user, password, self._nonce, request.method) for user, password in accounts):
                return True
            self.wrong += 1
            if self.wrong >= WRONG:
                self._reply(request, 403, {}, words="wrong user or password")
                self.state = "left"
                return False
        self._challenge(request, digest=True)
        return False

    def _challenge(self, request: RtspRequest, *, digest: bool) -> None:
        basic = self._basic or not digest
        asked = challenges(self._nonce, digest=digest, basic=basic)
        head = {"WWW-Authenticate": "\r\nWWW-Authenticate: ".join(asked)}
        self._reply(request, 401, head)

    def _set_up(self, request: RtspRequest) -> None:
        if self.state not in ("announced", "described"):
            self._reply(request, 455, {})
            return
        track = control_of(request.url, self._controls)
        if track < 0:
            self._reply(request, 404, {}, words="no such track")
            return
        if track in self.transports:
            self._reply(request, 455, {})
            return
        for offered in read_transports(request.headers.get("transport", "")):
            said = self._channel(track, offered) if offered.tcp else self._ports(track, offered)
            if said:
                mode = ';mode="record"' if self.state == "announced" else ""
                self._reply(request, 200, {"Transport": said + mode, "Session": self._session})
                return
        self._reply(request, 461, {})

    def _channel(self, track: int, offered: Transport) -> str:
        pair = offered.pair or (2 * track, 2 * track + 1)
        if any(channel in self._channels for channel in pair):
            return ""
        self._channels |= {pair[0]: (track, False), pair[1]: (track, True)}
        self.transports[track] = offered._replace(pair=pair)
        return f"RTP/AVP/TCP;unicast;interleaved={pair[0]}-{pair[1]}"

    def _ports(self, track: int, offered: Transport) -> str:
        assert offered.pair is not None
        ours = self._claim(track, offered.pair)
        if ours is None:
            return ""
        self.transports[track] = offered
        first, second = offered.pair
        return f"RTP/AVP;unicast;client_port={first}-{second};server_port={ours[0]}-{ours[1]}"

    def _go(self, request: RtspRequest) -> Happening | None:
        method, state = request.method, self.state
        if method == "TEARDOWN":
            self._reply(request, 200, {})
            self.state = "left"
            return Left()
        session = request.headers.get("session", self._ident).partition(";")[0].strip()
        if session != self._ident:
            self._reply(request, 454, {})
            return None
        head = {"Session": self._session}
        if method == "RECORD" and state in ("announced", "recording") and self.transports:
            self.state = "recording"
            self._reply(request, 200, head)
            return RtspRecording()
        if method == "PLAY" and state in ("described", "playing") and self.transports:
            self.state = "playing"
            self._reply(request, 200, {**head, "Range": "npt=now-"})
            again, self._began = self._began, True
            return Playing(again)
        if method == "PAUSE" and state in ("playing", "recording"):
            self._reply(request, 200, head)
            return Paused()
        self._reply(request, 455, {})
        return None

    def _reply(
        self, request: RtspRequest, status: int, headers: dict[str, str], body: bytes = b"", words: str = ""
    ) -> None:
        head = {"CSeq": _plain(request.headers.get("cseq", "0")), "Server": "hlsd", **headers}
        answer = write_answer(status, head, body)
        if words:  # the reason phrase is what clients show, or log
            answer = answer.replace(REASONS[status].encode(), _plain(words).encode(), 1)
        self._out += answer


def _plain(text: str) -> str:
    """Fit for a line of an answer."""
    return "".join([letter if " " <= letter <= "~" else "?" for letter in text[:200]])
