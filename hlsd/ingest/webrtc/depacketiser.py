"""Takes NAL units out of RTP: H.264 (RFC 6184, modes 0 and 1) and H.265 (RFC 7798). Pure.

A picture is all NAL units of one RTP time, however many packets they come in and wherever its parameter sets stand.
Law: a picture of which something is missing is not handed on; `lost` says so. Bytes, units and packets of one picture
have bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hlsd.ingest.webrtc.jitter import Ordered
from hlsd.media.nal import NAL_LIMIT

PICTURE_LIMIT: Final = 2 << 20
"""Bytes of one picture."""
_START: Final = 0x80
_END: Final = 0x40


@dataclass(slots=True)
class CodedPicture:
    """The NAL units of one RTP time."""

    timestamp: int
    units: list[bytes] = field(default_factory=list)
    key: bool = False
    """Whether a slice of it is of a picture that needs no other."""
    slices: bool = False


class Depacketiser:
    """Of H.264; H.265 differs in its headers."""

    SINGLE = range(1, 24)
    KEYS = range(5, 6)
    SLICES = range(1, 6)
    HEADER = 1

    def __init__(self) -> None:
        self.lost = 0
        """Pictures that were not whole."""
        self._picture: CodedPicture | None = None
        self._fragment: list[bytes] | None = None
        self._size = 0
        self._broken = False  # something of the picture under way is missing
        self._hole = False  # something before the next packet is

    @property
    def held(self) -> int:
        """Bytes of the picture under way."""
        return self._size

    def begin_anew(self) -> None:
        """Another source sends now: what is under way is nothing."""
        self._picture = self._fragment = None
        self._size = 0
        self._broken = self._hole = False

    def push(self, ordered: Ordered) -> list[CodedPicture]:
        """Takes the next packet; returns the pictures that are whole by it."""
        packet, hole = ordered.packet, ordered.hole or self._hole
        if not packet.payload:  # padding only, which a sender may put anywhere
            self._hole = hole
            return []
        self._hole = False
        done, picture = list[CodedPicture](), self._picture
        if picture is not None and picture.timestamp != packet.timestamp:
            # It had no marker; or what was lost was its end.
            done += self._finish(whole=not hole)
            picture = None
        if picture is None:
            self._picture = picture = CodedPicture(packet.timestamp)
            # What is missing may have been of the picture before, or the beginning of this one: who can tell?
            self._broken = False
        if hole:
            self._broken = True
            self._fragment = None
        self._take(packet.payload)
        if packet.marker:
            done += self._finish(whole=True)
        return done

    def _finish(self, *, whole: bool) -> list[CodedPicture]:
        picture, self._picture = self._picture, None
        if self._fragment is not None:
            self._broken = True
        self._fragment = None
        self._size = 0
        if picture is None or not (picture.units or self._broken):
            return []
        if self._broken or not whole:
            self.lost += 1
            return []
        return [picture]

    def _take(self, payload: bytes) -> None:
        """One packet's payload (RFC 6184 §5.2)."""
        kind = payload[0] & 0x1F
        if kind == 28:  # FU-A
            if len(payload) < 3:
                self._broken = True
                return
            head = payload[1]
            self._fragmented(head, bytes((payload[0] & 0xE0 | head & 0x1F,)), payload[2:])
        elif kind == 24:  # STAP-A
            self._aggregated(payload, 1)
        elif kind in self.SINGLE:
            self._add(payload)
        else:
            self._broken = True

    def _kind(self, unit: bytes) -> int:
        return unit[0] & 0x1F

    def _fragmented(self, head: int, first: bytes, rest: bytes) -> None:
        if head & _START:
            if self._fragment is not None:
                self._broken = True
            self._fragment = [first]
        fragment = self._fragment
        if fragment is None:
            self._broken = True
            return
        self._size += len(rest)
        if self._size > PICTURE_LIMIT or len(fragment) > NAL_LIMIT:
            self._broken = True
            self._fragment = None
            return
        fragment.append(rest)
        if head & _END:
            self._fragment = None
            unit = b"".join(fragment)
            self._size -= len(unit) - len(first)
            self._add(unit)

    def _aggregated(self, payload: bytes, at: int) -> None:
        while at + 2 <= len(payload):
            end = at + 2 + (payload[at] << 8 | payload[at + 1])
            if end > len(payload) or end - at - 2 < self.HEADER:
                self._broken = True
                return
            self._add(payload[at + 2 : end])
            at = end
        self._broken = self._broken or at != len(payload)

    def _add(self, unit: bytes) -> None:
        picture = self._picture
        assert picture is not None
        self._size += len(unit)
        if self._size > PICTURE_LIMIT or len(picture.units) >= NAL_LIMIT:
            self._broken = True
            return
        kind = self._kind(unit)
        if kind in self.SLICES:
            picture.slices = True
            picture.key = picture.key or kind in self.KEYS
        picture.units.append(unit)


class H265Depacketiser(Depacketiser):
    """Of H.265, whose senders use no decoding order numbers (`sprop-max-don-diff` is 0 where it is not said)."""

    SINGLE = range(48)
    KEYS = range(16, 22)
    SLICES = range(32)
    HEADER = 2

    def _take(self, payload: bytes) -> None:
        """One packet's payload (RFC 7798 §4.4)."""
        if len(payload) < 3:
            self._broken = True
            return
        kind = payload[0] >> 1 & 0x3F
        if kind == 49:  # FU
            head = payload[2]
            self._fragmented(head, bytes((payload[0] & 0x81 | (head & 0x3F) << 1, payload[1])), payload[3:])
        elif kind == 48:  # AP
            self._aggregated(payload, 2)
        elif kind in self.SINGLE:
            self._add(payload)
        else:
            self._broken = True

    def _kind(self, unit: bytes) -> int:
        return unit[0] >> 1 & 0x3F
