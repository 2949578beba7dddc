"""Puts the PES packets of one elementary stream together, and makes pictures, frames of sound and tags of them.

Law: of a picture no more than `PICTURE_LIMIT` is held, of anything else `PACKET_LIMIT`; what is longer is dropped, and
told as a loss. Never raises.
"""

from __future__ import annotations

from typing import Final

from hlsd.ingest.mpeg.items import WRAP, MpegItem, MpegLoss, MpegPicture, MpegTag
from hlsd.ingest.mpeg.latm import LatmSound
from hlsd.ingest.mpeg.opus import OpusSound
from hlsd.ingest.mpeg.pes import Pes, length_of, read_pes
from hlsd.ingest.mpeg.sound_frames import FramedSound, SoundFrames, WholeSound, look_ac3, look_adts, look_mpeg
from hlsd.ingest.mpeg.stream_types import StreamKind
from hlsd.media.sounds import SoundFormat
from hlsd.media.unit import Kind

PICTURE_LIMIT: Final = 16 << 20
"""Bytes of a picture, as `hlsd.ingest.picture` has it."""
PACKET_LIMIT: Final = 256 << 10
"""Bytes of a packet of sound or of tags: 64 KiB where it says how long it is."""
FULL: Final = 184 - 8
"""Bytes of payload that a full transport packet has at least, one with a clock reference (ISO/IEC 13818-1 §2.4.3.4)."""
_FAR: Final = 90_000
"""Ticks that a DTS may be before its PTS and a picture without times behind the one before; the rest is damage."""
_FRAME: Final = 3_600


def sound_frames(kind: StreamKind) -> SoundFrames:
    """What cuts the sound of such a stream into frames."""
    framing = kind.sound
    if framing == "adts":
        return FramedSound(look_adts, 0xFF)
    if framing == "mpa":
        return FramedSound(look_mpeg, 0xFF)
    if framing == "ac3":
        return FramedSound(look_ac3, 0x0B)
    if framing == "latm":
        return LatmSound()
    if framing == "opus":
        return OpusSound(kind.channels)
    return WholeSound(SoundFormat(framing, b"", 8_000, 1))


class ElementaryStream:
    """One stream. `counter`: the continuity_counter of its last packet, -1 where none is known."""

    __slots__ = (
        "_expected",
        "_frames",
        "_key",
        "_last",
        "_pace",
        "_parts",
        "_size",
        "_told",
        "_untold",
        "counter",
        "kind",
        "repeated",
        "track",
    )

    def __init__(self, kind: StreamKind) -> None:
        self.kind = kind
        self.track = Kind.VIDEO if kind.picture is not None else Kind.AUDIO if kind.sound else None
        """Whose it is; None: of neither."""
        self.counter = -1
        self.repeated = False
        """The last packet was the one before it once more."""
        self._parts: list[bytes] = []
        """Of the PES packet under way; empty: none is."""
        self._size = 0
        self._expected = 0
        """Its bytes; 0: not known."""
        self._key = False
        self._frames = sound_frames(kind) if kind.sound else None
        self._last = -1
        """The DTS of the last picture; -1: none has come."""
        self._pace = _FRAME
        self._told = 0
        """The last DTS that was sent."""
        self._untold = 0
        """Pictures since then."""

    @property
    def held(self) -> int:
        """Bytes that are not whole yet."""
        return self._size + (self._frames.held if self._frames is not None else 0)

    @property
    def open_ended(self) -> bool:
        """Whether there is more to come of what is under way, by all that can be told."""
        return bool(self._parts) and not self._expected and len(self._parts[-1]) >= FULL

    def begin(self, payload: bytes, key: bool, items: list[MpegItem]) -> None:
        """The first bytes of a PES packet; the one before it ends here."""
        if self._parts:
            self.finish(items)
        self._parts, self._size, self._key = [payload], len(payload), key
        self._expected = length_of(payload) if len(payload) >= 6 else 0
        if 0 < self._expected <= self._size:
            self.finish(items)

    def add(self, payload: bytes, items: list[MpegItem]) -> None:
        """More of it."""
        if not self._parts:
            return
        self._parts.append(payload)
        self._size += len(payload)
        if 0 < self._expected <= self._size:
            self.finish(items)
        elif self._size > (PICTURE_LIMIT if self.track is Kind.VIDEO else PACKET_LIMIT):
            self.lose()
            if self.track is not None:
                items.append(MpegLoss(self.track))

    def lose(self) -> None:
        """What is under way is damaged."""
        self._parts, self._size = [], 0
        if self._frames is not None:
            self._frames.lose()

    def finish(self, items: list[MpegItem]) -> None:
        """What is under way is whole."""
        parts, size = self._parts, self._size
        self._parts, self._size = [], 0
        if not parts:
            return
        if size < self._expected:  # the end of it is missing: a bounded packet says so by itself
            self._cut_short(items)
            return
        packet = parts[0] if len(parts) == 1 else b"".join(parts)
        pes = read_pes(packet[: self._expected] if self._expected else packet)
        if pes is not None:
            self.take(pes, self._key, items)
        elif self.track is Kind.VIDEO:
            items.append(MpegLoss(Kind.VIDEO))

    def take(self, pes: Pes, key: bool, items: list[MpegItem]) -> None:
        """A whole PES packet, wherever it comes from."""
        codec, frames = self.kind.picture, self._frames
        if codec is not None:
            dts, pts = self._times(pes)
            if dts >= 0 and pes.payload:
                items.append(MpegPicture(codec, dts, pts, key, pes.payload))
        elif frames is not None:
            items += frames.feed(pes.payload, pes.pts)
        elif pes.pts is not None and pes.payload[:3] == b"ID3":
            items.append(MpegTag(pes.pts, pes.payload))

    def _cut_short(self, items: list[MpegItem]) -> None:
        self.lose()
        if self.track is not None:
            items.append(MpegLoss(self.track))

    def _times(self, pes: Pes) -> tuple[int, int]:
        """DTS and PTS of a picture; a negative DTS where nothing is known."""
        last = self._last
        if pes.dts is None or pes.pts is None:
            if last < 0:
                return -1, -1
            dts = pts = (last + self._pace) % WRAP
            self._untold += 1
        else:
            dts, pts = pes.dts, pes.pts
            if (pts - dts) % WRAP > _FAR and (dts - pts) % WRAP > _FAR:
                pts = dts
            if last >= 0 and 0 < (step := (dts - self._told) % WRAP) <= _FAR:
                self._pace = step // (self._untold + 1)
            self._told, self._untold = dts, 0
        self._last = dts
        return dts, pts
