"""Plays from a server: the puller's side of the conversation (RTMP 1.0 §7.2.2.1), for one connection.

It says what ffmpeg's player says: connect with a player's capabilities, createStream, play, SetBufferLength. What the
server then sends as audio, video and data comes out of `receive_data` as `Tag`s. A server may hold a player whose
stream is not there (nginx-rtmp does): silence after `Ready` is the caller's to time.
"""

from __future__ import annotations

from hlsd.ingest.rtmp import message as rtmp
from hlsd.ingest.rtmp.amf0 import Value
from hlsd.ingest.rtmp.chunk import Message
from hlsd.ingest.rtmp.client import ClientConnection, ClientEvent, RtmpUrl
from hlsd.ingest.rtmp.connection import COMMAND_CSID, STATUS_CSID, Closed, Tag

MAX_MESSAGE = 8 * 1024 * 1024
"""Bytes of the largest message (one frame) that a server may send."""
BUFFER_MS = 3000

_PLAY = 5.0
_LIVE_OR_RECORDED = -2000.0
_OVER = frozenset({"NetStream.Play.Stop", "NetStream.Play.UnpublishNotify", "NetStream.Play.Complete"})
_MISSING = frozenset({"NetStream.Play.StreamNotFound", "NetStream.Play.Failed", "NetStream.Failed"})


class PlayConnection(ClientConnection):
    """The playing client's side of one connection. `Ready` says that play was accepted, not that media comes."""

    STARTED = "NetStream.Play.Start"
    _STARTING = _PLAY

    def __init__(
        self, url: RtmpUrl, now: float, *, user_agent: str = "LNX 9,0,124,2 (hlsd)", max_message: int = MAX_MESSAGE
    ) -> None:
        super().__init__(url, now, user_agent=user_agent, max_message=max_message)

    def close(self) -> None:
        """Queues the goodbye; what `data_to_send` gives then is the last."""
        if self.closed is None and self._msid:
            self._send_command(COMMAND_CSID, 0, "deleteStream", 7.0, None, float(self._msid))
        self._ready = False
        self.closed = self.closed or Closed("closed", "closed by us")

    def _capabilities(self) -> dict[str, Value]:
        # audioCodecs and videoCodecs are what Flash players send: servers look whether H.264 (128) and AAC (1024) are
        # in it. fourCcList is enhanced RTMP's: "hvc1" asks for H.265 as such, "av01" for AV1.
        return {
            "fpad": False,
            "capabilities": 15.0,
            "audioCodecs": 4071.0,
            "videoCodecs": 252.0,
            "videoFunction": 1.0,
            "fourCcList": ["av01", "hvc1", "avc1", "mp4a"],
        }

    def _prepare(self) -> None:
        """Nothing goes before createStream."""

    def _begin(self) -> None:
        self._send_command(STATUS_CSID, self._msid, "play", _PLAY, None, self._url.key, _LIVE_OR_RECORDED)
        stream_and_length = rtmp.number(self._msid) + rtmp.number(BUFFER_MS)
        self._send_control(rtmp.USER_CONTROL, rtmp.user_control(rtmp.SET_BUFFER_LENGTH, stream_and_length))

    def _on_media(self, message: Message, now: float, events: list[ClientEvent | Tag | Closed]) -> None:  # noqa: ARG002
        # One stream was created here, so there is no other that media could be of; some servers send it on 0 or 1.
        events.append(message)

    def _on_other_status(self, code: str, description: str, events: list[ClientEvent | Tag | Closed]) -> None:
        # Reset and Start of later items of a playlist, PublishNotify: nothing to do
        if code in _OVER:
            self._close(Closed("closed", f"ended by the server: {code} {description}".rstrip()), events)
        elif code in _MISSING:
            self._close(Closed("refused", f"{code}: {description}"), events)
