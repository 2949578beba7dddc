"""Reads what stands in the frames of HTTP/2, and says whether it may (RFC 9113 §6). Pure.

Whatever is wrong with a payload here is a connection error (§5.4.1): `ConnectionFault`.
"""

from __future__ import annotations

from struct import iter_unpack
from typing import Final

from hlsd.delivery.http2.frames import (
    ACK,
    DEFAULT_FRAME,
    HAS_PRIORITY,
    MAX_FRAME,
    MAX_WINDOW,
    PADDED,
    SETTINGS,
    SETTINGS_ENABLE_PUSH,
    SETTINGS_INITIAL_WINDOW_SIZE,
    SETTINGS_MAX_CONCURRENT_STREAMS,
    SETTINGS_MAX_FRAME_SIZE,
    SETTINGS_MAX_HEADER_LIST_SIZE,
    ErrorCode,
    frame,
)

LARGEST_DATA: Final = 65_536
"""Bytes of a DATA frame of ours at most, whatever the peer would take."""

_LEAST: Final = {SETTINGS_MAX_FRAME_SIZE: DEFAULT_FRAME}
_MOST: Final = {SETTINGS_ENABLE_PUSH: 1, SETTINGS_INITIAL_WINDOW_SIZE: MAX_WINDOW, SETTINGS_MAX_FRAME_SIZE: MAX_FRAME}
"""What a setting may be (§6.5.2)."""


class ConnectionFault(Exception):
    """The peer was wrong in a way that ends the connection: with `code`, and `words` for the log and for GOAWAY."""

    def __init__(self, code: ErrorCode, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without its padding (§6.1)."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]


def header_block(flags: int, stream_id: int, payload: bytes) -> bytes:
    """What of a HEADERS frame's payload belongs to the header block (§6.2)."""
    if not stream_id & 1:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "not a client's stream id")
    if flags & PADDED:
        payload = unpadded(flags, payload)
    if flags & HAS_PRIORITY:
        if len(payload) < 5:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short")
        if int.from_bytes(payload[:4], "big") & 0x7FFFFFFF == stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
        payload = payload[5:]
    return payload


def own_settings(max_streams: int, max_header: int) -> bytes:
    """The SETTINGS frame with which the server begins."""
    bounds = ((SETTINGS_MAX_CONCURRENT_STREAMS, max_streams), (SETTINGS_MAX_HEADER_LIST_SIZE, max_header))
    return frame(SETTINGS, 0, 0, b"".join([key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in bounds]))


def check_settings(flags: int, stream_id: int, payload: bytes) -> None:
    """Whether a SETTINGS frame is one (§6.5)."""
    if stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
    if len(payload) % 6 or (flags & ACK and payload):
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")


def read_settings(payload: bytes, window: int, max_frame: int) -> tuple[int, int]:
    """The peer's initial window and largest frame, which have been `window` and `max_frame` so far.

    "the value of a SETTINGS parameter is the last value that is seen by a receiver" (§6.5): all are checked, but only
    the last one of a frame is applied, since that walks over every stream.
    """
    for key, value in iter_unpack(">HL", payload):
        if key == SETTINGS_INITIAL_WINDOW_SIZE:
            window = value
        elif key == SETTINGS_MAX_FRAME_SIZE:
            max_frame = min(value, LARGEST_DATA)
        if not _LEAST.get(key, 0) <= value <= _MOST.get(key, value):
            code = ErrorCode.PROTOCOL_ERROR
            if key == SETTINGS_INITIAL_WINDOW_SIZE:
                code = ErrorCode.FLOW_CONTROL_ERROR
            raise ConnectionFault(code, "a setting out of range")
    return window, max_frame


def check_ping(stream_id: int, payload: bytes) -> None:
    """Whether a PING frame is one (§6.7)."""
    if stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
    if len(payload) != 8:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong size")


def check_priority(stream_id: int, payload: bytes) -> None:
    """Whether a PRIORITY frame is one (§6.3)."""
    if stream_id == 0:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on the connection")
    if len(payload) != 5:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a wrong size")
