"""Reads RTP packets (RFC 3550 §5.1) with their header extensions (RFC 8285). Pure."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from hlsd.base.errors import ProtocolError

_HEAD: Final = struct.Struct(">BBHII")
_ONE_BYTE: Final = 0xBEDE
_TWO_BYTE: Final = 0x1000


class RtpPacket(NamedTuple):
    """A packet; `payload` is without its padding, `transport` its number among all of the session (TWCC), or -1."""

    kind: int
    """The payload type."""
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    transport: int = -1


def is_rtcp(datagram: bytes) -> bool:
    """Whether what is RTP or RTCP is RTCP (RFC 5761 §4)."""
    return len(datagram) >= 2 and 192 <= datagram[1] <= 223


def read(datagram: bytes, transport_id: int = 0) -> RtpPacket:
    """A decrypted packet; `transport_id` is the extension with the transport's number, 0: none.

    Raises ProtocolError.
    """
    size = len(datagram)
    if size < 12 or datagram[0] >> 6 != 2:
        raise ProtocolError("no RTP")
    first, second, sequence, timestamp, ssrc = _HEAD.unpack_from(datagram)
    at = 12 + 4 * (first & 0x0F)
    transport = -1
    if first & 0x10:
        if at + 4 > size:
            raise ProtocolError("an RTP extension that is cut off")
        profile = datagram[at] << 8 | datagram[at + 1]
        end = at + 4 + 4 * (datagram[at + 2] << 8 | datagram[at + 3])
        if end > size:
            raise ProtocolError("an RTP extension that is cut off")
        if transport_id:
            transport = _extension(datagram, at + 4, end, profile, transport_id)
        at = end
    stop = size
    if first & 0x20:
        # "The last octet of the padding contains a count of how many padding octets should be ignored" (§5.1)
        padding = datagram[-1]
        if not padding or at + padding > size:
            raise ProtocolError("RTP padding that is longer than its packet")
        stop -= padding
    if at > stop:
        raise ProtocolError("an RTP header that is cut off")
    return RtpPacket(second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, datagram[at:stop], transport)


def _extension(datagram: bytes, at: int, end: int, profile: int, wanted: int) -> int:
    """The 16 bit value of one extension, or -1."""
    long = profile & 0xFFF0 == _TWO_BYTE
    if not long and profile != _ONE_BYTE:
        return -1
    while at < end:
        head = datagram[at]
        if not head:  # padding
            at += 1
            continue
        if long:
            if at + 2 > end:
                return -1
            number, size = head, datagram[at + 1]
            at += 2
        else:
            number, size = head >> 4, (head & 0x0F) + 1
            at += 1
            if number == 15:  # "processing … MUST terminate" (RFC 8285 §4.2)
                return -1
        if number == wanted and size >= 2 and at + 2 <= end:
            return datagram[at] << 8 | datagram[at + 1]
        at += size
    return -1


def resent(packet: RtpPacket, kind: int, ssrc: int) -> RtpPacket | None:
    """The packet of payload type `kind` that a retransmission carries (RFC 4588 §4); None if it carries none."""
    payload = packet.payload
    if len(payload) <= 2:
        return None  # padding only: a probe of the line's bandwidth
    return packet._replace(kind=kind, sequence=payload[0] << 8 | payload[1], ssrc=ssrc, payload=payload[2:])
