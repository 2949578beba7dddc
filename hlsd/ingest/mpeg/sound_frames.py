"""Cuts what PES packets carry of sound into frames, each with its own time.

Law: the PTS of a packet is that of the first frame that begins in it (ISO/IEC 13818-1 §2.4.3.7); the frames behind it
follow by their samples, so that sixteen frames in one packet do not all sound at once. What is no frame is passed over
to the next one. Never raises; holds less than two frames of the longest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from hlsd.ingest.mpeg.items import WRAP, MpegSound
from hlsd.media import aac
from hlsd.media.sounds import SoundFormat

LONGEST: Final = 16 << 10
"""Bytes of a frame: of LOAS 8,194, of ADTS 8,191, of E-AC-3 4,096."""
SHORTEST: Final = 10
"""Bytes by which the length of a frame is known."""
MOST: Final = 256
"""Frames of one packet; the rest is damage."""
TRIES: Final = 64
"""Places in one packet, and as many again in each 4 KiB of it, that may look like the beginning of a frame and be none:
what is no sound must not cost a microsecond a byte."""
_TICKS: Final = 90_000


class FrameHead(NamedTuple):
    """A frame: its bytes, its samples (0: it belongs to the one before it), hertz, and what it is.

    `header`: bytes before the raw frame, where those are no part of it.
    """

    size: int
    samples: int
    rate: int
    form: SoundFormat
    header: int = 0


Look = Callable[[bytes, int], FrameHead | None]
"""The frame that begins at a place, by its first `SHORTEST` bytes; None: there begins none."""


class SoundFrames(Protocol):
    """The sound of one elementary stream."""

    @property
    def held(self) -> int:
        """Bytes of a frame that is not whole."""
        ...

    def feed(self, payload: bytes, pts: int | None) -> list[MpegSound]:
        """The frames that a PES packet completes."""
        ...

    def lose(self) -> None:
        """Something is missing before the next packet."""
        ...


class FramedSound:
    """Sound whose frames say how long they are."""

    def __init__(self, look: Look, first: int) -> None:
        self._look = look
        self._first = first
        self._rest = b""
        self._form: SoundFormat | None = None
        """What the last frame was; None: not known, or something is missing behind it."""
        self._base = -1
        """The time that the last PTS gave; -1: none has come."""
        self._samples = 0
        """Since then."""
        self._rate = 1

    @property
    def held(self) -> int:
        """As in `SoundFrames`."""
        return len(self._rest)

    def lose(self) -> None:
        """As in `SoundFrames`."""
        self._rest, self._form = b"", None

    def feed(self, payload: bytes, pts: int | None) -> list[MpegSound]:
        """As in `SoundFrames`."""
        before = len(self._rest)
        data = self._rest + payload
        found: list[MpegSound] = []
        at, end, tries = 0, len(data), TRIES + len(data) // TRIES
        while end - at >= SHORTEST and len(found) < MOST and tries:
            head = self._look(data, at) if data[at] == self._first else None
            if head is None or head.size < SHORTEST:
                tries -= 1
                place = data.find(self._first, at + 1)
                at = place if place >= 0 else end
                self._form = None
                continue
            if at + head.size > end:
                break
            if head.form != self._form and not self._goes_on(data, at + head.size, head.form):
                at, tries = at + 1, tries - 1
                continue
            self._form = head.form
            if pts is not None and at >= before:
                self._base, self._samples, pts = pts, 0, None
            if head.rate != self._rate:
                self._base, self._samples, self._rate = self._now(), 0, head.rate
            if head.samples and self._base >= 0:
                found.append(MpegSound(head.form, self._now(), data[at + head.header : at + head.size]))
                self._samples += head.samples
            at += head.size
        if pts is not None and at >= before:
            self._base, self._samples = pts, 0  # of a frame that is not whole yet
        self._rest = data[at:] if end - at <= LONGEST and tries else b""
        return found

    def _goes_on(self, data: bytes, at: int, form: SoundFormat) -> bool:
        """Whether a frame of that form begins there: what looks like one by chance has none behind."""
        if len(data) - at < SHORTEST:
            return at == len(data) or data[at] == self._first
        behind = self._look(data, at)
        return data[at] == self._first and behind is not None and behind.form == form

    def _now(self) -> int:
        return (self._base + self._samples * _TICKS // self._rate) % WRAP if self._base >= 0 else -1


class WholeSound:
    """Sound of which each PES packet holds so much as its sender liked: G.711."""

    held = 0

    def __init__(self, form: SoundFormat) -> None:
        self._form = form
        self._next = -1

    def lose(self) -> None:
        """As in `SoundFrames`."""
        self._next = -1

    def feed(self, payload: bytes, pts: int | None) -> list[MpegSound]:
        """As in `SoundFrames`."""
        at = pts if pts is not None else self._next
        if at < 0 or not payload:
            return []
        self._next = (at + len(payload) * _TICKS // self._form.rate) % WRAP
        return [MpegSound(self._form, at, payload)]


_MPEG1_RATES: Final = {
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_MPEG2_RATES: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""kbit/s by bitrate_index: ISO/IEC 11172-3 §2.4.2.3 by layer, ISO/IEC 13818-3 §2.4.2.3 for both."""
_HERTZ: Final = (44_100, 48_000, 32_000)
_LAYERS: Final = {2: SoundFormat("mp2"), 3: SoundFormat("mp3")}


def look_mpeg(data: bytes, at: int) -> FrameHead | None:
    """Layers II and III of MPEG-1, MPEG-2 and the half rates."""
    second, third = data[at + 1], data[at + 2]
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    index, rate = third >> 4, third >> 2 & 3
    if second & 0xE0 != 0xE0 or version == 1 or layer not in _LAYERS or index in (0, 15) or rate == 3:
        return None
    kbits = _MPEG1_RATES[layer][index] if version == 3 else _MPEG2_RATES[index]
    hertz = _HERTZ[rate] >> (0, 0, 1, 0)[version] if version else _HERTZ[rate] >> 2
    samples = 576 if layer == 3 and version != 3 else 1152
    return FrameHead(samples * 125 * kbits // hertz + (third >> 1 & 1), samples, hertz, _LAYERS[layer])


_AC3_KBITS: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_HERTZ: Final = (48_000, 44_100, 32_000)
_AC3, _EAC3 = SoundFormat("ac3"), SoundFormat("eac3")


def look_ac3(data: bytes, at: int) -> FrameHead | None:
    """AC-3 and enhanced AC-3 (ETSI TS 102 366 §4.3, §E.1.2)."""
    if data[at + 1] != 0x77:
        return None
    if data[at + 5] >> 3 > 10:
        return _look_eac3(data, at)
    code, size = data[at + 4] >> 6, data[at + 4] & 63
    if code == 3 or size >> 1 >= len(_AC3_KBITS):
        return None
    kbits, hertz = _AC3_KBITS[size >> 1], _AC3_HERTZ[code]
    words = kbits * 96_000 // hertz + (size & 1 if code == 1 else 0)
    return FrameHead(2 * words, 1536, hertz, _AC3)


def _look_eac3(data: bytes, at: int) -> FrameHead | None:
    size = 2 * (((data[at + 2] & 7) << 8 | data[at + 3]) + 1)
    code, blocks = data[at + 4] >> 6, (1, 2, 3, 6)[data[at + 4] >> 4 & 3]
    if code == 3:
        code, blocks = data[at + 4] >> 4 & 3, 6
        if code == 3:
            return None
        hertz = _AC3_HERTZ[code] // 2
    else:
        hertz = _AC3_HERTZ[code]
    depends = data[at + 2] >> 6 == 1 or data[at + 2] >> 3 & 7  # its channels beyond the first six, or another programme
    return FrameHead(size, 0 if depends else 256 * blocks, hertz, _EAC3)


def look_adts(data: bytes, at: int) -> FrameHead | None:
    """ADTS (ISO/IEC 13818-7 §6.2): its configuration, and the raw frame behind the header."""
    if data[at + 1] & 0xF6 != 0xF0:
        return None
    third, fourth = data[at + 2], data[at + 3]
    rate, layout = third >> 2 & 15, (third & 1) << 2 | fourth >> 6
    size, header = (fourth & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5, 7 if data[at + 1] & 1 else 9
    if rate >= len(aac.SAMPLE_RATES) or not layout or size <= header or data[at + 6] & 3:
        return None  # several raw blocks in one frame nobody sends
    config = (((third >> 6) + 1) << 11 | rate << 7 | layout << 3).to_bytes(2, "big")
    return FrameHead(size, 1024, aac.SAMPLE_RATES[rate], SoundFormat("aac", config), header)
