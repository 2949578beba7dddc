"""Publishes to a server: the client's side of the conversation (RTMP 1.0 §7.2), for one connection.

It says what FMLE says: connect, releaseStream, FCPublish, createStream, publish. Pipelining nothing, it takes any
order of answers and the absence of those that servers forget. The playing client (`play_client`) derives from it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hlsd.base import masking
from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtmp import message as rtmp
from hlsd.ingest.rtmp.amf0 import Value
from hlsd.ingest.rtmp.chunk import Dechunker, Message
from hlsd.ingest.rtmp.connection import COMMAND_CSID, STATUS_CSID, WINDOW, Closed, Connection, Tag
from hlsd.ingest.rtmp.handshake import ClientHandshake

AUDIO_CSID = 4
VIDEO_CSID = 6

_URL = re.compile(r"(rtmps?)://([^/?#]+)/([^/?#]+)/([^#]+)", re.ASCII)
_CONNECT = 1.0
_CREATE_STREAM = 4.0
_PUBLISH = 5.0


class RtmpUrl(NamedTuple):
    """rtmp://host[:port]/app/name?arguments, in pieces. `key` is the name with its arguments: never log it."""

    secure: bool
    host: str
    port: int
    app: str
    key: str
    tc_url: str


def read_url(url: str) -> RtmpUrl:
    """Splits an rtmp:// or rtmps:// URL; ValueError, without the arguments in its text, if it is none."""
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(f"{masking.address(url)!r} is not rtmp://host[:port]/app/name")
    scheme, authority, app, key = match.groups()
    authority = authority.rpartition("@")[2]
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port:
        host, port = authority, ""
    if port and not (port.isdecimal() and int(port) < 65536):
        raise ValueError(f"port {port!r} of the URL is no port")
    number = int(port) if port else 443 if scheme == "rtmps" else 1935
    return RtmpUrl(scheme == "rtmps", host.strip("[]"), number, app, key, f"{scheme}://{authority}/{app}")


class Ready(NamedTuple):
    """The server takes media now."""


class Refused(NamedTuple):
    """The server does not want the publication; `code` is RTMP's, `description` the server's words."""

    code: str
    description: str


ClientEvent = Ready | Refused
"""Beside these `receive_data` returns `Closed`."""


class ClientConnection(Connection[ClientEvent]):
    """The publishing client's side of one connection. `now` is monotonic seconds throughout.

    `max_message` bounds what the server may send in one message, bytes.
    """

    STARTED = "NetStream.Publish.Start"
    """The status by which the server says that media may flow."""
    _STARTING = _PUBLISH
    """The transaction that asks for it."""

    def __init__(
        self,
        url: RtmpUrl,
        now: float,
        *,
        chunk_size: int = 60_000,
        user_agent: str = "FMLE/3.0 (compatible; hlsd)",
        max_message: int = 1024 * 1024,
    ) -> None:
        super().__init__(ClientHandshake(), Dechunker(max_message=max_message), now)
        self._url = url
        self._chunk_size = chunk_size
        self._user_agent = user_agent
        self._msid = 0
        self._ready = False
        self._out_window = 0
        handshake = self._handshake
        assert isinstance(handshake, ClientHandshake)
        self._send(handshake.hello())

    @property
    def ready(self) -> bool:
        """Whether `send_tag` may be called."""
        return self._ready and self.closed is None

    def send_tag(self, type_id: int, timestamp: int, body: bytes) -> None:
        """Queues an FLV tag body: type 8 audio, 9 video, 18 data; timestamp in ms (any integer, sent modulo 2^32)."""
        if not self.ready:
            raise ProtocolError("not publishing")
        csid = VIDEO_CSID if type_id == rtmp.VIDEO else AUDIO_CSID
        self._send(self._chunker.message(csid, type_id, timestamp, self._msid, body))

    def close(self) -> None:
        """Queues the goodbye; what `data_to_send` gives then is the last."""
        if self.closed is None and self._msid:
            self._send_command(COMMAND_CSID, 0, "FCUnpublish", 6.0, None, self._url.key)
            self._send_command(COMMAND_CSID, 0, "deleteStream", 7.0, None, float(self._msid))
        self._ready = False
        self.closed = self.closed or Closed("closed", "closed by us")

    def tick(self, now: float, ping_interval: float = 20.0) -> None:
        """Pings a silent server; call it now and then."""
        if self.closed is None and self._ready:
            self._ping(now, ping_interval)

    def _on_handshake(self, now: float) -> None:  # noqa: ARG002  the server's role needs it
        self._send(self._chunker.set_chunk_size(self._chunk_size))
        asked: dict[str, Value] = {
            "app": self._url.app,
            **self._capabilities(),
            "flashVer": self._user_agent,
            "tcUrl": self._url.tc_url,
        }
        self._send_command(COMMAND_CSID, 0, "connect", _CONNECT, asked)

    # What the roles differ in.

    def _capabilities(self) -> dict[str, Value]:
        return {"type": "nonprivate"}

    def _prepare(self) -> None:
        """Says what goes before createStream."""
        key = self._url.key
        self._send_command(COMMAND_CSID, 0, "releaseStream", 2.0, None, key)
        self._send_command(COMMAND_CSID, 0, "FCPublish", 3.0, None, key)

    def _begin(self) -> None:
        """Asks for what the stream was created for."""
        self._send_command(STATUS_CSID, self._msid, "publish", _PUBLISH, None, self._url.key, "live")

    def _on_other_status(self, code: str, description: str, events: list[ClientEvent | Tag | Closed]) -> None:
        if code == "NetStream.Unpublish.Success" and self._ready:
            self._close(Closed("closed", f"unpublished by the server: {description}"), events)

    # What the server says.

    def _on_media(self, message: Message, now: float, events: list[ClientEvent | Tag | Closed]) -> None:
        """A publisher is sent no media; data messages such as |RtmpSampleAccess say nothing to it."""

    def _on_peer_bandwidth(self, size: int | None) -> None:
        # "The peer receiving this message SHOULD respond with a Window Acknowledgement Size message if the window
        # size is different from the last one sent" (§5.4.5)
        if size and size != self._out_window:
            self._out_window = size
            self._send_control(rtmp.WINDOW_ACK_SIZE, rtmp.number(size))

    def _on_command(
        self,
        command: rtmp.Command,
        msid: int,  # noqa: ARG002  servers answer publish on 0 as well
        now: float,  # noqa: ARG002
        events: list[ClientEvent | Tag | Closed],
    ) -> None:
        name = command.name
        if name == "_result":
            self._on_result(command)
        elif name == "_error":
            # No answer to releaseStream or FCPublish matters
            if command.transaction in {_CONNECT, _CREATE_STREAM, self._STARTING}:
                self._refused(command, events)
        elif name == "onStatus":
            self._on_status(command, events)
        elif name == "close":
            self._close(Closed("closed", "closed by the server"), events)

    def _on_result(self, command: rtmp.Command) -> None:
        if command.transaction == _CONNECT:
            self._send_control(rtmp.WINDOW_ACK_SIZE, rtmp.number(WINDOW))
            self._prepare()
            self._send_command(COMMAND_CSID, 0, "createStream", _CREATE_STREAM, None)
        elif command.transaction == _CREATE_STREAM and not self._msid:
            msid = command.number(0)
            if msid is None or not 0 < msid < 2**32:
                raise ProtocolError("the server created no stream")
            self._msid = int(msid)
            self._begin()

    def _on_status(self, command: rtmp.Command, events: list[ClientEvent | Tag | Closed]) -> None:
        code, description, level = _status(command)
        if code == self.STARTED:
            if self._msid and not self._ready:
                self._ready = True
                events.append(Ready())
        elif level == "error":
            self._refused(command, events)
        else:
            self._on_other_status(code, description, events)

    def _refused(self, command: rtmp.Command, events: list[ClientEvent | Tag | Closed]) -> None:
        code, description, _ = _status(command)
        self._ready = False
        events.append(Refused(code or "NetConnection.Connect.Rejected", description))
        self._close(Closed("refused", f"{code}: {description}"), events)


def _status(command: rtmp.Command) -> tuple[str, str, str]:
    """Code, description and level of an information object, each "" if it is not there."""
    info = command.arguments[0] if command.arguments else None
    if not isinstance(info, dict):
        info = {}
    code, description, level = (info.get(key) for key in ("code", "description", "level"))
    return (
        code if isinstance(code, str) else "",
        description if isinstance(description, str) else "",
        level if isinstance(level, str) else "",
    )
