"""Puts the packets of one channel together: pictures as in MPEG-2 systems (`hlsd.ingest.mpeg.items`), and sound.

Terminals are not exact. Law: a picture also ends where the time, the kind or the codec changes, whatever the flags of
its packets say; numbers that make no sense are not believed; and what begins in the middle is dropped, and told as a
loss. Never raises; of a picture no more than `PICTURE_LIMIT` is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hlsd.ingest.jt1078.packets import I_FRAME, LAST, MIDDLE, SOUND, TRANSPARENT, WHOLE, JtPacket
from hlsd.ingest.jt1078.sounds import JtSound
from hlsd.ingest.mpeg.elementary import PICTURE_LIMIT
from hlsd.ingest.mpeg.items import WRAP, MpegItem, MpegLoss, MpegPicture, MpegStreams
from hlsd.media.unit import Kind

if TYPE_CHECKING:
    from hlsd.media.codecs import VideoCodec

CODECS: Final[dict[int, VideoCodec]] = {98: "h264", 99: "h265"}
"""Pictures by their payload type (JT/T 1078-2016 Table 12)."""
FOREIGN: Final = {100: "AVS", 101: "SVAC"}
DISBELIEF: Final = 8
"""Numbers in a row that do not follow one another, from which on they are not looked at."""
LATE: Final = 100
"""Packets by which one is late at most."""
_START_CODES: Final = (b"\0\0\1", b"\0\0\0\1")


class JtFrames:
    """One channel's. `lossy`: it comes by UDP, where packets come late or not at all."""

    def __init__(self, *, lossy: bool, left_justified: bool = False) -> None:
        self.lost = 0
        """Gaps in the numbers."""
        self._lossy = lossy
        self._numbers: dict[bool, int] = {}
        """The last number: of sound, and of pictures. Terminals count both in one, or each."""
        self._strange = 0
        self._parts: list[bytes] = []
        self._key: tuple[int, int, int] | None = None
        """Time, kind and codec of the picture under way."""
        self._closed: tuple[int, int, int] | None = None
        """Of the last one that was whole."""
        self._missing: tuple[int, int, int] | None = None
        """Of the last one that was dropped."""
        self._size = 0
        self._flags_lie = False
        self._sound = JtSound(left_justified=left_justified)
        self._told: set[int] = set()
        """Payload types that were seen."""

    @property
    def held(self) -> int:
        """Bytes of a picture that is not whole, and of sound of which it is not clear what it is."""
        return self._size + self._sound.held

    def take(self, packet: JtPacket) -> list[MpegItem]:
        """What is whole with this packet."""
        items: list[MpegItem] = []
        if packet.kind == TRANSPARENT or not self._follows(packet, items):
            return items
        self._tell(packet, items)
        if packet.kind == SOUND:
            items += self._sound.take(packet)
        elif packet.payload_type in CODECS:
            self._take_picture(packet, items)
        return items

    def _tell(self, packet: JtPacket, items: list[MpegItem]) -> None:
        """What comes is said once; a picture that cannot be read at once, since nothing else will."""
        kind = packet.payload_type
        if kind in self._told or len(self._told) > 16:
            return
        self._told.add(kind)
        if packet.kind == SOUND:
            if foreign := self._sound.foreign(kind):
                items.append(MpegStreams("", foreign, silent=True))
        elif kind not in CODECS:
            items.append(MpegStreams(FOREIGN.get(kind, f"payload type {kind} of JT/T 1078"), refused=True))

    def _follows(self, packet: JtPacket, items: list[MpegItem]) -> bool:
        """Whether the packet is not late; a gap before it is told."""
        numbers, number, sound = self._numbers, packet.sequence, packet.kind == SOUND
        own, other = numbers.get(sound), numbers.get(not sound)
        step = _step(own, number) if own is not None else 1
        if self._lossy and -LATE < step <= 0 and self._strange < DISBELIEF:
            return False
        numbers[sound] = number
        if step == 1 or (other is not None and _step(other, number) == 1):
            self._strange = 0 if self._strange < DISBELIEF else DISBELIEF
        elif self._strange < DISBELIEF:
            self._strange += 1
            self.lost += 1
            if self._strange < DISBELIEF and False in numbers:  # where there is sound alone, no picture is missing
                self._lose(items)
        return True

    def _take_picture(self, packet: JtPacket, items: list[MpegItem]) -> None:
        key = (packet.ms, packet.kind, packet.payload_type)
        if self._parts and key != self._key:
            self._finish(items)
        if not self._parts:
            begins = packet.body.startswith(_START_CODES)
            if not begins and key == self._closed:  # more of what has gone out as a whole
                self._flags_lie = True
            if not begins and (packet.split in (MIDDLE, LAST) or key in (self._closed, self._missing)):
                if key != self._missing:
                    self._lose(items)
                self._missing = key
                return
            self._key = key
        self._parts.append(packet.body)
        self._size += len(packet.body)
        if self._size > PICTURE_LIMIT:
            self._missing = key
            self._lose(items)
        elif packet.split in (WHOLE, LAST) and not self._flags_lie:
            self._finish(items)

    def _finish(self, items: list[MpegItem]) -> None:
        """The picture under way is whole."""
        parts, key = self._parts, self._key
        self._parts, self._size = [], 0
        if parts and key is not None:
            ms, kind, payload_type = self._closed = key
            at = ms * 90 % WRAP
            items.append(MpegPicture(CODECS[payload_type], at, at, kind == I_FRAME, b"".join(parts)))

    def _lose(self, items: list[MpegItem]) -> None:
        if self._parts:
            self._missing = self._key
        self._parts, self._size = [], 0
        items.append(MpegLoss(Kind.VIDEO))


def _step(last: int, number: int) -> int:
    """How far a number of 16 bits is behind another one."""
    return (number - last + 0x8000 & 0xFFFF) - 0x8000
