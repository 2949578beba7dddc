"""Takes frames of sound out of RTP: AAC (RFC 3640, RFC 6416), G.711 and Opus (RFC 3551, RFC 7587). Pure.

Law: never raises; what is not whole is left out, frames and packets of one have bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from hlsd.base.errors import MediaError
from hlsd.media import aac
from hlsd.media.bits import BitReader

if TYPE_CHECKING:
    from hlsd.ingest.rtsp.announced import AnnouncedTrack
    from hlsd.webrtc.rtp import RtpPacket

FRAMES: Final = 64
"""Frames of one packet; the rest is damage."""
WHOLE_LIMIT: Final = 16 * 1024
"""Bytes of a packet that is one frame."""

Frame = tuple[int, bytes]
"""An RTP time and what is heard from there."""


class SoundPayload(Protocol):
    """Of one track."""

    def push(self, packet: RtpPacket, *, hole: bool) -> list[Frame]:
        """The frames that are whole by this packet; `hole`: some before it are missing."""
        ...


class WholePackets:
    """Each packet is one frame."""

    def push(self, packet: RtpPacket, *, hole: bool) -> list[Frame]:  # noqa: ARG002 - it builds on nothing
        """As `SoundPayload`."""
        return [(packet.timestamp, packet.payload)] if 0 < len(packet.payload) <= WHOLE_LIMIT else []


class AacUnits:
    """`mpeg4-generic`: access units behind their headers (RFC 3640 §3.2)."""

    def __init__(self, track: AnnouncedTrack) -> None:
        facts = track.facts
        self._size_bits = _number(facts.get("sizelength", "13"), 13)
        self._index_bits = _number(facts.get("indexlength", "3"), 3)
        self._delta_bits = _number(facts.get("indexdeltalength", "3"), 3)
        self._step = _step(track)
        self._part = bytearray()
        self._wanted = 0
        self._at = 0

    def push(self, packet: RtpPacket, *, hole: bool) -> list[Frame]:
        """As `SoundPayload`."""
        payload = packet.payload
        if hole or (self._wanted and packet.timestamp != self._at):
            self._wanted = 0
        if len(payload) < 2:
            return []
        bits = int.from_bytes(payload[:2], "big")
        at = 2 + (bits + 7) // 8
        try:
            sizes = self._sizes(BitReader(payload[2:at]), bits)
        except MediaError:
            return []
        if len(sizes) == 1 and sizes[0] > len(payload) - at:  # "a fragment of an AU" (§3.2.3)
            return self._fragment(packet, sizes[0], payload[at:])
        self._wanted = 0
        found: list[Frame] = []
        for number, size in enumerate(sizes):
            if not size or at + size > len(payload):
                break
            found.append((packet.timestamp + number * self._step & 0xFFFFFFFF, payload[at : at + size]))
            at += size
        return found

    def _sizes(self, reader: BitReader, bits: int) -> list[int]:
        sizes: list[int] = []
        while bits > 0 and len(sizes) < FRAMES:
            index = self._delta_bits if sizes else self._index_bits
            sizes.append(reader.u(self._size_bits))
            reader.skip(index)
            bits -= self._size_bits + index
        return sizes

    def _fragment(self, packet: RtpPacket, size: int, octets: bytes) -> list[Frame]:
        if size > aac.LARGEST_FRAME:
            self._wanted = 0
            return []
        if self._wanted != size:
            self._part, self._wanted, self._at = bytearray(), size, packet.timestamp
        self._part += octets
        if len(self._part) < size:
            return []
        whole = bytes(self._part[:size])
        self._wanted = 0
        return [(packet.timestamp, whole)]


class LatmElements:
    """`MP4A-LATM` whose configuration is told beside it: one element a time (RFC 6416 §6.1)."""

    def __init__(self, track: AnnouncedTrack) -> None:
        self._step = _step(track)
        self._part = bytearray()
        self._at = -1

    def push(self, packet: RtpPacket, *, hole: bool) -> list[Frame]:
        """As `SoundPayload`."""
        if hole or (self._at >= 0 and packet.timestamp != self._at):
            self._part.clear()
            # "the marker bit … set to one to mark the last fragment": what goes on without its beginning is damage,
            # and shows as such by its lengths
        self._at = packet.timestamp
        self._part += packet.payload
        if not packet.marker:
            if len(self._part) > WHOLE_LIMIT:
                self._part.clear()
            return []
        element, self._at = bytes(self._part), -1
        self._part.clear()
        found: list[Frame] = []
        at = 0
        while at < len(element) and len(found) < FRAMES:
            size = 0
            while at < len(element) and element[at] == 255:
                size, at = size + 255, at + 1
            if at >= len(element):
                break
            size, at = size + element[at], at + 1
            if not 0 < size <= aac.LARGEST_FRAME or at + size > len(element):
                break
            found.append((packet.timestamp + len(found) * self._step & 0xFFFFFFFF, element[at : at + size]))
            at += size
        return found


def sound_payload(track: AnnouncedTrack) -> SoundPayload:
    """What reads a track that is carried."""
    if track.codec == "MPEG4-GENERIC":
        return AacUnits(track)
    return LatmElements(track) if track.codec == "MP4A-LATM" else WholePackets()


def _step(track: AnnouncedTrack) -> int:
    """Ticks that a frame lasts: with SBR the clock may be that of what comes out, and the frame that of the core."""
    form = track.form
    if form is None:
        return 1024
    try:
        told = aac.read_record(form.config)
    except MediaError:
        return 1024
    return told.frame_samples * track.rate // told.sample_rate


def _number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 and int(text) <= 32 else default
