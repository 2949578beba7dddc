"""Draws what a source takes: pictures and sound on one clock, before anything goes wrong with it.

A scene is frames in decoding order; effects (`tests.footage.kinds`) then move their wire times and arrivals, take some
away, and `film` makes tags of what is left.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from hlsd.media import aac, flv, nal
from hlsd.media.aac_silence import silent_frame
from hlsd.media.unit import Kind
from tests.footage import avc, hevc, sound
from tests.footage.bits import Noise
from tests.footage.film import MS, Duty, Film, Sent, Unit


@dataclass(slots=True)
class Frame:
    """A picture or frame of sound. `dts`, `pts`: ms by the scene's clock; `wire`: as sent; `at`: arrival, seconds."""

    kind: Kind
    dts: int
    pts: int
    key: bool
    units: list[bytes]
    """NAL units, or the one raw frame."""
    at: float
    wire: int = 0
    what: str = ""
    """Its type: idr, p, rasl and so on."""
    duty: Duty = Duty.SHOW
    epoch: int = 0
    loose: int = 0
    config: int = 0
    """Which configuration it belongs to."""
    split: bool = False
    """Each NAL unit goes into a tag of its own."""


@dataclass
class Look:
    """What a scene is made of. Seconds, hertz, bits per second."""

    codec: str = "h264"
    """h264, h265 or none."""
    fps: Fraction = Fraction(25)
    group: float = 2.0
    bframes: int = 0
    pyramid: bool = False
    opened: bool = False
    """Open groups of pictures; in H.265 with CRA and RASL pictures."""
    refresh: bool = False
    """Intra refresh: one IDR, then recovery points."""
    rate: float = 1e6
    swing: float = 0.5
    """How unequal pictures are: 0 not at all, 1 very."""
    slices: int = 1
    width: int = 320
    height: int = 176
    vui: bool = True
    sound: sound.SoundShape | None = field(default_factory=sound.SoundShape)
    sound_size: int = 200

    def __str__(self) -> str:
        words = []
        if self.codec != "none":
            words.append(
                f"{self.codec} {self.width}x{self.height} {float(self.fps):.4g}/s {self.rate / 1e6:.3g} Mbit/s"
            )
            words.append(f"gop {self.group:.3g} s b{self.bframes}{' pyramid' * self.pyramid}{' open' * self.opened}")
            words.append(f"{self.slices} slices{' refresh' * self.refresh}")
        if self.sound:
            one = self.sound
            words.append(f"aac {one.rate} Hz layout {one.layout} {one.samples} sbr {one.sbr} {self.sound_size} B")
        return ", ".join(words)


class Scene:
    """Frames of both tracks, each in decoding order; `first` is the mark of the first unit."""

    def __init__(self, look: Look, seconds: float, rng: random.Random, *, first: int = 0) -> None:
        self.look = look
        self.rng = rng
        self.noise = Noise(rng)
        self.seconds = seconds
        self.video: list[Frame] = []
        self.audio: list[Frame] = []
        self.avc = avc.AvcShape(look.width, look.height, rate=look.fps if look.vui else None, cabac=rng.random() < 0.7)
        self.hevc = hevc.HevcShape(look.width, look.height)
        self.video_records: list[bytes] = []
        self.audio_records: list[bytes] = []
        self.interleaved = True
        """Whether what arrives at one instant comes in order of time, and not one track after the other."""
        self._number = first
        self._last_key = 0
        if look.codec == "h264":
            self.video_records.append(avc.record(*avc.parameter_sets(self.avc)))
        elif look.codec == "h265":
            self.video_records.append(hevc.record(hevc.parameter_sets(self.hevc)))
        if look.codec != "none":
            self._shoot()
        if look.sound is not None:
            self.audio_records.append(sound.config(look.sound))
            self._record(look.sound)

    def number(self) -> int:
        """The mark of the next unit."""
        self._number += 1
        return self._number

    def _size(self, mean: float) -> int:
        swing = self.look.swing
        return max(10, min(4 << 20, int(mean * self.rng.lognormvariate(-swing * swing / 2, swing))))

    def _shoot(self) -> None:
        look = self.look
        count = max(2, round(self.seconds * look.fps))
        per_group = max(1, round(look.group * look.fps))
        mean = look.rate / 8 / float(look.fps)
        anchor = max(1.0, min(6.0, per_group / 3))
        delay = (2 if look.pyramid else 1) if look.bframes else 0
        shown = decoded = frame = idr = group_start = 0
        while shown < count:
            place = shown - group_start
            key = place % per_group == 0 and (shown == 0 or shown - self._last_key >= per_group)
            ahead = 0 if key and not (look.opened and shown) else min(look.bframes, count - shown - 1)
            if not key and place % per_group + ahead >= per_group and not look.opened:
                ahead = per_group - 1 - place % per_group  # a closed group ends with its last picture
            if look.opened and not key and place % per_group + ahead >= per_group:
                key = True  # the key picture stands behind its leading pictures in display order
            kind = self._key_kind(shown) if key else "p"
            if key:
                self._last_key = shown + ahead if look.opened and shown else shown
                if kind == "idr":
                    group_start = shown + ahead
                    frame, idr = 0, (idr + 1) & 0xFFFF
            order = shown + ahead - group_start
            size = self._size(mean * (anchor if key else 1.0))
            self._picture(decoded, shown + ahead, delay, kind, frame, order, size, idr)
            decoded += 1
            frame += 1
            leading = key and ahead > 0
            for index in range(ahead):
                reference = look.pyramid and index == ahead // 2
                name = ("rasl" if reference else "rasl_n") if leading else ("b" if reference else "n")
                self._picture(
                    decoded, shown + index, delay, name, frame, shown + index - group_start, self._size(mean * 0.5), idr
                )
                decoded += 1
                frame += reference
            shown += ahead + 1

    def _key_kind(self, shown: int) -> str:
        if shown == 0:
            return "idr"
        if self.look.refresh or self.look.opened:
            return "i" if self.look.codec == "h264" else "cra"
        return "idr"

    def _picture(
        self, decoded: int, shown: int, delay: int, kind: str, frame: int, order: int, size: int, idr: int
    ) -> None:
        look = self.look
        dts = round(1000 * decoded / look.fps)
        pts = max(dts, round(1000 * (shown + delay) / look.fps))
        number = self.number()
        key = kind in {"idr", "i", "cra"}
        if look.codec == "h264":
            name = {"rasl": "b", "rasl_n": "n"}.get(kind, kind)
            what = avc.AvcPicture(number, name, frame, order, size, look.slices, idr)
            units = avc.picture(self.avc, what, self.noise)
        else:
            name = {"p": "trail", "b": "trail", "i": "cra"}.get(kind, kind)
            inter = "i" if key else "p" if kind == "p" else "b"
            units = hevc.picture(self.hevc, hevc.HevcPicture(number, name, inter, order, size, look.slices), self.noise)
        self.video.append(Frame(Kind.VIDEO, dts, pts, key, units, dts / 1000, dts, kind))

    def _record(self, shape: sound.SoundShape) -> None:
        frame = 0
        while shape.ticks(frame) < self.seconds * 90_000:
            # An encoder hands a frame over when its last sample is there, and says in ms when it began.
            ms = round(shape.ticks(frame) / MS)
            size = max(6, min(8184, int(self.look.sound_size * self.rng.uniform(0.7, 1.3))))
            body = sound.frame(self.number(), size, self.noise)
            self.audio.append(Frame(Kind.AUDIO, ms, ms, True, [body], shape.ticks(frame + 1) / 90_000, ms, "aac"))
            frame += 1

    @property
    def frames(self) -> list[Frame]:
        """Of both tracks in order of arrival, each track in its own order."""
        merged: list[tuple[float, float, int, int, Frame]] = []
        for track in (self.video, self.audio):
            latest = 0.0
            for index, frame in enumerate(track):
                latest = frame.at = max(latest, frame.at)
                # What comes at once, as behind a pause of the network, comes in the order in which it was sent.
                merged.append((latest, frame.dts / 1000 if self.interleaved else 0.0, frame.kind, index, frame))
        return [frame for *_, frame in sorted(merged, key=lambda row: row[:4])]

    def film(self, kind: str, seed: int, *, start: int = 0, modulus: int = 1 << 32, enhanced: bool = False) -> Film:
        """The footage; `start` is added to wire times, which wrap at `modulus`."""
        film = Film(kind, seed, str(self.look), group=self.look.group)
        self.allow_silence(film)
        first = max(frame.at for frame in self.video[:2]) if self.video else 0.0
        for frame in self.audio:
            if frame.at <= first:
                frame.duty = (
                    Duty.MAY
                )  # there is nothing to play it with yet, or nobody can know that its picture is whole
        if self.look.codec == "none":
            film.sound_alone = True
        else:
            film.still = max([b.dts - a.dts for a, b in pairwise(self.video)], default=1000) / 1000
        if not self.audio and film.still > 1.0:
            film.gaps = 1 << 30  # TL06: nothing is sent for longer than a part can be
        configured = [-1, -1]
        for frame in self.frames:
            ms = (frame.wire + start) % modulus
            records = self.video_records if frame.kind is Kind.VIDEO else self.audio_records
            if configured[frame.kind] != frame.config:
                configured[frame.kind] = frame.config
                film.sent.append(Sent(frame.at, *self._config(frame, records[frame.config], ms, enhanced)))
            for body in self._bodies(frame, enhanced):
                film.sent.append(Sent(frame.at, flv.VIDEO if frame.kind is Kind.VIDEO else flv.AUDIO, ms, body))
            payload = nal.join(frame.units) if frame.kind is Kind.VIDEO else frame.units[0]
            film.units.append(
                Unit(
                    len(film.units), frame.kind, frame.dts * MS, frame.pts * MS, frame.key, payload, frame.at,
                    frame.epoch, frame.duty, frame.loose,
                )
            )  # fmt: skip
        return film

    def allow_silence(self, film: Film) -> None:
        """Where sound stops, silent frames may stand in for it, and one or two at either end may give way to them."""
        for record in self.audio_records:
            silent = silent_frame(aac.read_record(record))
            if silent is not None:
                film.silent.add(silent)
        for before, after in pairwise(self.audio):
            hole = after.dts - before.dts
            if hole > 150 or (after.at - before.at) * 1000 > 500:
                film.silences += int(max(hole, (after.at - before.at) * 1000) / 10) + 8
                for frame in self.audio:
                    if abs(frame.dts - before.dts) < 120 or abs(frame.dts - after.dts) < 120:
                        frame.duty = Duty.STREAMED if frame.duty is Duty.SHOW else frame.duty
        if self.audio and self.video:
            film.silences += max(0, self.video[-1].dts - self.audio[-1].dts - 500) // 10

    def _config(self, frame: Frame, record: bytes, ms: int, enhanced: bool) -> tuple[int, int, bytes]:
        if frame.kind is Kind.AUDIO:
            return flv.AUDIO, ms, flv.audio_config(record)
        if enhanced and self.look.codec == "h264":
            return flv.VIDEO, ms, b"\x90avc1" + record
        return flv.VIDEO, ms, flv.video_config("h264" if self.look.codec == "h264" else "h265", record)

    def _bodies(self, frame: Frame, enhanced: bool) -> list[bytes]:
        if frame.kind is Kind.AUDIO:
            return [flv.audio_frame(frame.units[0])]
        cts = frame.pts - frame.dts
        codec = "h264" if self.look.codec == "h264" else "h265"
        head = flv.video_head("h264" if codec == "h264" else "h265", frame.key, cts)
        if enhanced and codec == "h264":
            head = (b"\x91" if frame.key else b"\xa1") + b"avc1" + (cts & 0xFFFFFF).to_bytes(3, "big")
        if frame.split:
            return [head + nal.join([unit]) for unit in frame.units]
        return [head + nal.join(frame.units)]
