"""Hears what the peer says of the connection: windows, settings, resets, pings, farewells (RFC 9113 §6.3 to §6.9).

Sans-IO. What it says moves the sending half (`hlsd.delivery.http2.sending`); whatever of it is of no use to anybody has
its price (`http2/budget`).
"""

from __future__ import annotations

from hlsd.delivery.http2.budget import REQUEST
from hlsd.delivery.http2.frames import ACK, DEFAULT_FRAME, HEAD_SIZE, MAX_WINDOW, PING, SETTINGS, ErrorCode, frame
from hlsd.delivery.http2.payloads import (
    ConnectionFault,
    check_ping,
    check_priority,
    check_settings,
    read_settings,
)
from hlsd.delivery.http2.sending import SendSide
from hlsd.delivery.http2.stream import Http2Stream


class ControlSide(SendSide):
    """The sending half, and what the peer may do to it."""

    def _on_reset(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        if stream_id == 0 or stream_id > self.highest:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        self._budget.waste(1.0)
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._budget.effort += REQUEST // 8
            self._over(stream)

    def _on_window(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        more = int.from_bytes(payload, "big") & 0x7FFFFFFF
        self._budget.window(more)
        if stream_id == 0:
            self._window += more
            if not more or self._window > MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "connection window out of range")
            return
        if stream_id > self.highest:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._budget.waste(0.1)
            return
        stream.window += more
        if not more or stream.window > MAX_WINDOW:
            self._wrong(stream, ErrorCode.FLOW_CONTROL_ERROR if more else ErrorCode.PROTOCOL_ERROR)
        else:
            self._ready(stream)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        check_settings(flags, stream_id, payload)
        entries = len(payload) // 6
        self._budget.effort += entries
        self._budget.waste(1.0 + entries / 16)
        if flags & ACK:
            return
        window, self._max_frame = read_settings(payload, self._initial_window, self._max_frame)
        self._most = self._max_frame // DEFAULT_FRAME * DEFAULT_FRAME - HEAD_SIZE  # with its head it fills TLS records
        if window != self._initial_window:
            self._resize(window)
        self._say(frame(SETTINGS, ACK, 0))

    def _resize(self, window: int) -> None:
        """A new initial window holds for the streams that are open, too (§6.9.2)."""
        change = window - self._initial_window
        self._initial_window = window
        self._budget.effort += len(self.streams)
        self._budget.waste(len(self.streams) / 50)
        for stream in list(self.streams.values()):
            stream.window += change  # "can cause the available space … to become negative"
            if stream.window > MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window out of range")
            if change > 0:
                self._ready(stream)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        check_ping(stream_id, payload)
        self._budget.waste(1.0)
        if not flags & ACK:
            self._say(frame(PING, ACK, 0, payload))

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        if stream_id or len(payload) < 8:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY malformed")
        self._budget.waste(1.0)
        self._going = True
        self._end_if_done()

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        """Deprecated, and of no use to us; "An endpoint … can ignore" (§5.3.2)."""
        check_priority(stream_id, payload)
        self._budget.waste(0.1)

    def _on_push(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a client may not push")

    def _wrong(self, stream: Http2Stream, code: ErrorCode) -> None:
        """The peer makes us reset a stream, which costs us as much as if it had done so itself (CVE-2025-8671)."""
        self._abandon(stream, code)
        self._budget.effort += REQUEST // 8
        self._budget.waste(1.0)
