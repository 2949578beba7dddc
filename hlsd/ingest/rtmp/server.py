"""Answers encoders and players: the server's side of the conversation (RTMP 1.0 §7.2), for one connection.

Law: media passes only from the message stream whose publish was accepted, and only while it holds. Nothing behind a
publish is parsed until the caller has said `accept_publish` or `refuse_publish`. Before that a peer may cost 64 KiB.

The answers, and their order, are those that ffmpeg, librtmp (OBS), GStreamer, nginx, Flash and FMLE all take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtmp import message as rtmp
from hlsd.ingest.rtmp.address import BadAddress, DoubtfulCredential, read_address, read_app
from hlsd.ingest.rtmp.amf0 import UNDEFINED, Value, encode
from hlsd.ingest.rtmp.chunk import Dechunker, Message
from hlsd.ingest.rtmp.connection import COMMAND_CSID, STATUS_CSID, WINDOW, Closed, Connection, Tag
from hlsd.ingest.rtmp.handshake import ServerHandshake
from hlsd.ingest.rtmp.welcome import welcome

_MAX_STREAMS = 8
_UNKNOWN_LIMIT = 64 * 1024
_HANDSHAKE_SIZE = 1 + 2 * 1536


class ConnectRequested(NamedTuple):
    """A peer has connected; answer with `accept_connect` or `refuse_connect`. `query` holds secrets.

    Only where the conversation was told to ask. `app` is empty where what was given for it is none.
    """

    app: str
    query: dict[str, str]
    user_agent: str
    page: str


class PublishRequested(NamedTuple):
    """A publisher asks for a name; answer with `accept_publish` or `refuse_publish`. `query` holds secrets."""

    app: str
    name: str
    query: dict[str, str]
    user_agent: str


class PublishEnded(NamedTuple):
    """The publisher has ended its publication in good order; the connection stays open for another."""


class PlayRequested(NamedTuple):
    """A player asks for a name on message stream `msid`; answer with `accept_play` or `refuse_play`.

    `query` holds secrets.
    """

    app: str
    name: str
    query: dict[str, str]
    msid: int
    user_agent: str = ""
    page: str = ""
    """pageUrl: what a browser's Referer would be."""


class PlayPaused(NamedTuple):
    """The player wants nothing for a while, or goes on."""

    paused: bool


class PlayEnded(NamedTuple):
    """The player has ended its playback, accepted or not; the connection stays open."""


ServerEvent = ConnectRequested | PublishRequested | PublishEnded | PlayRequested | PlayPaused | PlayEnded
"""Beside these `receive_data` returns `Tag` and `Closed`."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one connection may take: seconds and bytes."""

    handshake_timeout: float = 10.0
    publish_timeout: float = 15.0
    idle_timeout: float = 30.0
    ping_interval: float = 10.0
    max_message: int = 8 * 1024 * 1024
    chunk_size: int = 60_000


class ServerConnection(Connection[ServerEvent]):
    """The server's side of one connection. `now` is monotonic seconds; `asks`: whether `connect` waits for a yes."""

    def __init__(self, now: float, limits: ServerLimits | None = None, *, asks: bool = False) -> None:
        self._limits = limits or ServerLimits()
        dechunker = Dechunker(
            max_message=min(_UNKNOWN_LIMIT, self._limits.max_message),
            max_pending=2 * self._limits.max_message,
            # A publish decides how much the peer may send behind it, so parsing stops at every command.
            pause_at=frozenset({rtmp.COMMAND, rtmp.COMMAND_AMF3}),
        )
        super().__init__(ServerHandshake(), dechunker, now)
        self._deadline = now + self._limits.handshake_timeout
        self._app: str | None = None
        self._tc_url = ""
        self._user_agent = ""
        self._msids: set[int] = set()
        self._known = False
        self._announced = False
        self._publishing: int | None = None
        self._asked: int | None = None
        self._asks = asks
        self._connecting: rtmp.Command | None = None
        self._playing: int | None = None
        self._play_accepted = False
        self._page = ""
        self._last_media = now
        self.ignored = 0
        """Media messages dropped because no accepted publication covers them."""

    @property
    def awaiting(self) -> bool:
        """Whether a ConnectRequested or a PublishRequested waits for its answer."""
        return self._asked is not None or self._connecting is not None

    @property
    def busy(self) -> bool:
        """Whether bytes wait to be parsed, or a request for its answer."""
        return self._asked is not None or self._connecting is not None or self._dechunker.stopped

    @property
    def publishing(self) -> bool:
        """Whether an accepted publication is under way."""
        return self._publishing is not None

    @property
    def playing(self) -> bool:
        """Whether an accepted playback is under way."""
        return self._playing is not None and self._play_accepted

    @property
    def chunk_size(self) -> int:
        """The size in which this side cuts its messages, bytes."""
        return self._chunker.chunk_size

    def tick(self, now: float) -> list[ServerEvent | Tag | Closed]:
        """Looks at the deadlines; call it about once a second."""
        events: list[ServerEvent | Tag | Closed] = []
        if self.closed is not None or self.awaiting:
            return events
        limits = self._limits
        if self._publishing is not None:
            if now - self._last_media >= limits.idle_timeout:
                self._close(Closed("idle", f"no media for {limits.idle_timeout:g} s"), events)
        elif self._playing is None and now >= self._deadline:
            what = "handshake" if self._handshake is not None else "connect" if self._app is None else "publish"
            self._close(Closed("timeout", f"no {what} in time"), events)
        if self.closed is None and self._handshake is None:
            self._ping(now, limits.ping_interval)
        return events

    def accept_connect(self) -> None:
        """Lets the peer go on; then call `receive_data(b"", now)`: more of it may be here already."""
        command, self._connecting = self._connecting, None
        assert command is not None, "no connect to accept"
        self._welcome(command)

    def refuse_connect(self, text: str) -> None:
        """Refuses the connection: flush, then close."""
        command, self._connecting = self._connecting, None
        if command is not None and self.closed is None:
            error = _info("error", "NetConnection.Connect.Rejected", text)
            self._send_command(COMMAND_CSID, 0, "_error", command.transaction, None, error)
            self.closed = Closed("refused", f"NetConnection.Connect.Rejected: {text}")

    def accept_publish(self, now: float) -> None:
        """Lets the publisher start; then call `receive_data(b"", now)`: its media may be here already."""
        assert self._asked is not None, "no publish to accept"
        msid = self._publishing = self._asked
        self._asked = None
        self._known = True
        self._last_media = now
        self._dechunker.max_message = self._limits.max_message
        self._send_control(rtmp.USER_CONTROL, rtmp.user_control(rtmp.STREAM_BEGIN, rtmp.number(msid)))
        status: dict[str, Value] = {"code": "NetStream.Publish.Start", "description": "publishing"}
        if self._announced:
            self._send_command(STATUS_CSID, msid, "onFCPublish", 0.0, None, status)
        # librtmp drops the status unless it comes on the message stream that publishes
        self._send_status(msid, "status", "NetStream.Publish.Start", "publishing")

    def refuse_publish(self, code: str, text: str) -> None:
        """Refuses the publication, or ends one under way, and the connection: flush, then close."""
        msid = self._asked if self._asked is not None else self._publishing
        self._asked = self._publishing = self._connecting = None
        if self.closed is None:
            self._send_status(msid or 0, "error", code, text)
            self.closed = Closed("refused", f"{code}: {text}")

    def accept_play(self) -> None:
        """Lets the player start: flush, and the media of its message stream may follow."""
        msid = self._playing
        assert msid is not None, "no play to accept"
        self._play_accepted = self._known = True
        self._send_control(rtmp.USER_CONTROL, rtmp.user_control(rtmp.STREAM_BEGIN, rtmp.number(msid)))
        self._send_status(msid, "status", "NetStream.Play.Reset", "playing and resetting")
        self._send_status(msid, "status", "NetStream.Play.Start", "playing")
        access = encode("|RtmpSampleAccess", True, True)
        self._send(self._chunker.message(STATUS_CSID, rtmp.DATA, 0, msid, access))

    def end_play(self, code: str, text: str) -> None:
        """Tells the player that nothing follows, and ends the connection: flush, then close."""
        msid, self._playing, self._play_accepted = self._playing, None, False
        if msid is not None and self.closed is None:
            self._send_control(rtmp.USER_CONTROL, rtmp.user_control(rtmp.STREAM_EOF, rtmp.number(msid)))
            self._send_status(msid, "status", code, text)
            self.closed = Closed("closed", text)

    def refuse_play(self, msid: int, code: str, text: str) -> None:
        """Refuses a player, and ends the connection: flush, then close."""
        self._playing = None
        if self.closed is None:
            self._send_status(msid, "error", code, text)
            self.closed = Closed("refused", f"{code}: {text}")

    # Below: what the peer says.

    def _waits(self) -> bool:
        return self._asked is not None or self._connecting is not None  # looked at with each read

    def _check_limits(self) -> None:
        if not self._known and self.received - self._dechunker.unparsed > _UNKNOWN_LIMIT + _HANDSHAKE_SIZE:
            raise ProtocolError("more than 64 KiB and nothing accepted")

    def _on_handshake(self, now: float) -> None:
        self._deadline = now + self._limits.publish_timeout

    def _on_media(self, message: Message, now: float, events: list[ServerEvent | Tag | Closed]) -> None:
        if message.msid == self._publishing:
            self._last_media = now
            events.append(message)
        else:
            self.ignored += 1

    def _on_command(
        self, command: rtmp.Command, msid: int, now: float, events: list[ServerEvent | Tag | Closed]
    ) -> None:
        name = command.name
        if name == "connect":
            self._on_connect(command, events)
        elif self._app is None:
            raise ProtocolError("a command ahead of connect")
        elif name == "publish":
            self._on_publish(command, msid, events)
        elif name == "play":
            self._on_play(command, msid, events)
        elif name in {"pause", "pauseRaw"}:
            self._on_pause(command, msid, events)
        elif name == "deleteStream":
            which = command.number(0)  # GStreamer puts the key here: then its only stream is meant
            only = self._playing if self._publishing is None else self._publishing
            self._on_delete(only if which is None else int(which), now, events)
        elif name == "closeStream":
            self._on_delete(msid, now, events)
        elif name == "FCUnpublish":
            self._on_unpublish(now, events)
        else:
            self._on_call(name, command.transaction)

    def _on_call(self, name: str, transaction: float) -> None:
        """Answers calls that ask for an answer and nothing else."""
        if name in {"releaseStream", "FCPublish", "_checkbw"}:
            self._announced = self._announced or name == "FCPublish"
            if transaction:
                self._send_command(COMMAND_CSID, 0, "_result", transaction, None, UNDEFINED)
        elif name == "createStream":
            if len(self._msids) >= _MAX_STREAMS:
                raise ProtocolError(f"more than {_MAX_STREAMS} message streams")
            created = next(n for n in range(1, _MAX_STREAMS + 1) if n not in self._msids)
            self._msids.add(created)
            self._send_command(COMMAND_CSID, 0, "_result", transaction, None, float(created))
        elif name == "FCSubscribe":
            subscribed = _info("status", "NetStream.Play.Start", "subscribed")
            self._send_command(COMMAND_CSID, 0, "onFCSubscribe", 0.0, None, subscribed)
        elif name == "getStreamLength":
            self._send_command(COMMAND_CSID, 0, "_result", transaction, None, 0.0)
        elif transaction > 0 and name not in {"_result", "_error"}:
            error = _info("error", "NetConnection.Call.Failed", "no such call")
            self._send_command(COMMAND_CSID, 0, "_error", transaction, None, error)

    def _on_connect(self, command: rtmp.Command, events: list[ServerEvent | Tag | Closed]) -> None:
        if self._app is not None:
            error = _info("error", "NetConnection.Call.Failed", "connected already")
            self._send_command(COMMAND_CSID, 0, "_error", command.transaction, None, error)
            return
        asked = command.object
        self._app = _text(asked.get("app"))
        self._tc_url = _text(asked.get("tcUrl"))
        self._user_agent = _text(asked.get("flashVer"))
        self._page = _text(asked.get("pageUrl"))
        if self._asks:
            self._connecting = command
            events.append(ConnectRequested(*read_app(self._app, self._tc_url), self._user_agent, self._page))
        else:
            self._welcome(command)

    def _welcome(self, command: rtmp.Command) -> None:
        """Answers connect."""
        self._send_control(rtmp.WINDOW_ACK_SIZE, rtmp.number(WINDOW))
        self._send_control(rtmp.SET_PEER_BANDWIDTH, rtmp.peer_bandwidth(WINDOW))
        # ffmpeg sends at the size we announce here, so a large one saves both sides work
        self._send(self._chunker.set_chunk_size(self._limits.chunk_size))
        properties, info = welcome(command.object)
        self._send_command(COMMAND_CSID, 0, "_result", command.transaction, properties, info)

    def _on_publish(self, command: rtmp.Command, msid: int, events: list[ServerEvent | Tag | Closed]) -> None:
        if self._publishing is not None:
            self._send_status(msid, "error", "NetStream.Publish.BadName", "one publication a connection")
            return
        try:
            address = read_address(self._app or "", self._tc_url, command.text(0) or "")
        except BadAddress as error:
            doubtful = isinstance(error, DoubtfulCredential)
            self._asked = msid
            self.refuse_publish("NetStream.Publish." + ("Denied" if doubtful else "BadName"), str(error))
            self._report_refusal(events)
            return
        self._asked = msid
        events.append(PublishRequested(*address, self._user_agent))

    def _on_play(self, command: rtmp.Command, msid: int, events: list[ServerEvent | Tag | Closed]) -> None:
        try:
            address = read_address(self._app or "", self._tc_url, command.text(0) or "")
        except BadAddress as error:
            self.refuse_play(msid, "NetStream.Play.Failed", str(error))
            self._report_refusal(events)
            return
        if self._playing is not None:
            self._send_status(msid, "error", "NetStream.Play.Failed", "one playback a connection")
            return
        self._playing = msid
        events.append(PlayRequested(*address, msid, self._user_agent, self._page))

    def _on_pause(self, command: rtmp.Command, msid: int, events: list[ServerEvent | Tag | Closed]) -> None:
        if msid != self._playing or not self._play_accepted:
            return
        paused = bool(command.arguments and command.arguments[0] is True)
        code = "NetStream.Pause.Notify" if paused else "NetStream.Unpause.Notify"
        self._send_status(msid, "status", code, "paused" if paused else "going on")
        events.append(PlayPaused(paused))

    def _report_refusal(self, events: list[ServerEvent | Tag | Closed]) -> None:
        assert self.closed is not None
        events.append(self.closed)

    def _on_unpublish(self, now: float, events: list[ServerEvent | Tag | Closed]) -> None:
        # The first word of a goodbye, and often the last that is heard: ffmpeg closes behind it with our answers
        # unread, which resets the connection.
        self._end_publication(now, events)
        status: dict[str, Value] = {"code": "NetStream.Unpublish.Success", "description": "unpublished"}
        self._send_command(COMMAND_CSID, 0, "onFCUnpublish", 0.0, None, status)

    def _on_delete(self, msid: int | None, now: float, events: list[ServerEvent | Tag | Closed]) -> None:
        if msid is None:
            self._msids.clear()
            return
        self._msids.discard(msid)
        if msid == self._publishing:
            self._end_publication(now, events)
        elif msid == self._playing:
            self._playing = None
            self._play_accepted = False
            self._deadline = now + self._limits.publish_timeout
            events.append(PlayEnded())

    def _end_publication(self, now: float, events: list[ServerEvent | Tag | Closed]) -> None:
        if self._publishing is not None:
            self._publishing = None
            self._deadline = now + self._limits.publish_timeout
            events.append(PublishEnded())

    def _send_status(self, msid: int, level: str, code: str, text: str) -> None:
        self._send_command(STATUS_CSID, msid, "onStatus", 0.0, None, _info(level, code, text))


def _info(level: str, code: str, text: str) -> dict[str, Value]:
    return {"level": level, "code": code, "description": text}


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""
