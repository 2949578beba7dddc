"""Is what the peer may send: the windows of requests' bodies (RFC 9113 §5.2).

Sans-IO. Law: what somebody has read is what may be sent anew, so that no more of a body waits here than its window; the
connection's window is opened in large steps.
"""

from __future__ import annotations

from typing import Final

from hlsd.delivery.http2.control import ControlSide
from hlsd.delivery.http2.frames import DEFAULT_WINDOW, WINDOW_UPDATE, frame
from hlsd.delivery.http2.stream import Http2Stream

LASTING_WINDOW: Final = 512 * 1024
"""Bytes that a body which lasts may be ahead of its reader beside the default window: 20 Mbit/s at 200 ms."""


class WindowSide(ControlSide):
    """The sending half and what moves it, and the windows of the other half."""

    def __init__(self) -> None:
        super().__init__()
        self._credit = DEFAULT_WINDOW
        self._owed = 0
        """What the connection's window is to be opened by; below 0, what is not to be."""

    def consumed(self, stream: Http2Stream, size: int) -> None:
        """Lets the peer send `size` more bytes of a request's body."""
        self._give_back(size)
        if size and not stream.asked and self.streams.get(stream.id) is stream:
            stream.credit += size
            self._say(frame(WINDOW_UPDATE, 0, stream.id, size.to_bytes(4, "big")))

    def lasts(self, stream: Http2Stream) -> None:
        """Lets the body of a request go on for as long as it does, at more than a window in a round trip."""
        if stream.lasting or stream.asked or self.streams.get(stream.id) is not stream:
            return
        stream.lasting = True
        stream.credit += LASTING_WINDOW
        self._say(frame(WINDOW_UPDATE, 0, stream.id, LASTING_WINDOW.to_bytes(4, "big")))
        still = min(LASTING_WINDOW, max(0, -self._owed))  # open from one before
        self._owed += still
        if more := LASTING_WINDOW - still:
            self._credit += more
            self._say(frame(WINDOW_UPDATE, 0, 0, more.to_bytes(4, "big")))

    def forsaken(self, stream: Http2Stream, size: int) -> None:
        """Nobody reads a request's body any more, of which `size` bytes were not: others may send them."""
        self._give_back(size - LASTING_WINDOW if stream.lasting else size)

    def _give_back(self, size: int) -> None:
        """Opens the connection's window again, in large steps."""
        self._owed += size
        if self._owed >= DEFAULT_WINDOW // 2:
            self._credit += self._owed
            self._say(frame(WINDOW_UPDATE, 0, 0, self._owed.to_bytes(4, "big")))
            self._owed = 0
