"""Takes RTP packets out of a TCP connection: each behind two bytes of length (RFC 4571). Pure."""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import ProtocolError

MOST: Final = 16
"""Packets in a row that are none, after which the connection has lost its place."""


class FramedPackets:
    """One connection's. Holds no more than one packet, 64 KiB."""

    __slots__ = ("_bad", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._bad = 0

    @property
    def held(self) -> int:
        """Bytes."""
        return len(self._rest)

    def feed(self, octets: bytes) -> list[bytes]:
        """The packets that are whole. Raises ProtocolError where there are none for long."""
        data = self._rest + octets if self._rest else octets
        found: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= 2:
            behind = at + 2 + (data[at] << 8 | data[at + 1])
            if behind > end:
                break
            packet = data[at + 2 : behind]
            if len(packet) >= 12 and packet[0] >> 6 == 2:
                self._bad = 0
                found.append(packet)
            else:
                self._bad += 1
                if self._bad > MOST:
                    raise ProtocolError("no RTP behind lengths of two bytes")
            at = behind
        self._rest = data[at:]
        return found
