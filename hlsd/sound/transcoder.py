"""Turns the packets of one stream into frames with their places: decoder, clock and encoder put together.

Law: a packet that cannot be decoded costs its own time in silence, and nothing else: whatever is sent, what comes out
goes on. A change of the source's codec, rate or channels changes nothing of what comes out. For the sound process only.
"""

from __future__ import annotations

from typing import Final

import av

from hlsd.base.errors import MediaError
from hlsd.media.sounds import SoundFormat
from hlsd.sound.clock import FRAME, RATE, SoundClock
from hlsd.sound.decoder import SoundDecoder
from hlsd.sound.encoder import OpusEncoder, SoundEncoder
from hlsd.sound.joiner import Joiner
from hlsd.sound.rate import RATE_UNKNOWN, RateFinder
from hlsd.sound.wire import DRIFT, ERROR, UNABLE, Frame

_LONGEST: Final = RATE // 2
"""Samples that a packet may stand for where it cannot be decoded."""
_MOST: Final = 2 * RATE
"""Samples that may come of one packet; the rest is damage."""


class Transcoder:
    """One stream's. `channels` of what comes out: 1, 2, or 0 where the first sound decides; `bitrate`: that of stereo.

    `step`: a position at which a frame would begin, for a stream that has been heard before. `codec`: "aac", "opus".
    """

    def __init__(
        self, channels: int, bitrate: int, step: int | None = None, codec: str = "aac", joins: type[Joiner] = Joiner
    ) -> None:
        self._step = step
        self._joins = joins
        self._made_by = OpusEncoder if codec == "opus" else SoundEncoder
        self.channels = channels
        self.silence = 0
        """Samples of silence that the last packet was given."""
        self.flags = 0
        """What is to be said of the last packet."""
        self._bitrate = bitrate
        self._clock = SoundClock()
        self._decoder: SoundDecoder | None = None
        self._encoder: SoundEncoder | None = None
        self._finder: RateFinder | None = None
        self._joiner: Joiner | None = None
        self._next: SoundFormat | None = None
        """What follows is of this form: its decoder is made with its first packet, and charged to it."""
        self._lasted = FRAME
        """Samples of the last packet that was decoded."""
        self._surplus = 0
        """Samples that are to be left out."""
        self._made: list[Frame] = []
        """Frames that nobody has asked for yet."""

    def open(self, form: SoundFormat) -> None:
        """Packets of `form` follow."""
        self._next = form

    def _turn(self) -> None:
        form, self._next = self._next, None
        if form is None:
            return
        self._made += self._rest()
        self._clock.renew()
        self._finder = RateFinder(form) if form.codec in RATE_UNKNOWN else None
        if self._finder is None:
            self._begin(form)

    def take(self, ms: int, packet: bytes) -> list[Frame]:
        """The frames that the packet of time `ms` completes."""
        self.silence = self.flags = 0
        self._turn()
        if self._finder is not None:
            found = self._finder.take(ms, packet)
            if found is None:
                return []
            form, waiting = found
            self._finder = None
            self._begin(form)
            return self._all([frame for at, early in waiting for frame in self._take(at, early)])
        if self._joiner is not None:
            return self._all(self._each(self._joiner.take(ms, packet, self._encoder.room if self._encoder else 0)))
        return self._all(self._take(ms, packet))

    def lose(self, ms: int) -> list[Frame]:
        """As `take`, for a packet that is not looked at: silence stands for it."""
        self.silence = self.flags = 0
        return self._all(self._joined() + self._place(ms, None))

    def end(self) -> list[Frame]:
        """All that is left: nothing follows."""
        self.silence = self.flags = 0
        made = self._rest()
        return self._all(made + (self._encoder.end() if self._encoder is not None else []))

    def _all(self, made: list[Frame]) -> list[Frame]:
        """These frames behind those that were made before."""
        waiting, self._made = self._made, []
        return waiting + made

    def _each(self, packets: list[tuple[int, bytes]]) -> list[Frame]:
        return [frame for at, packet in packets for frame in self._take(at, packet)]

    def _joined(self) -> list[Frame]:
        """Those of packets that wait for others."""
        return self._each(self._joiner.rest()) if self._joiner is not None else []

    def _begin(self, form: SoundFormat) -> None:
        self._joiner = self._joins(form.rate) if form.codec == "nellymoser" and form.rate else None
        try:
            self._decoder = SoundDecoder(form, self.channels)
        except (av.FFmpegError, MediaError, ValueError):
            self._decoder = None

    def _take(self, ms: int, packet: bytes) -> list[Frame]:
        decoder = self._decoder
        if decoder is None:
            self.flags |= UNABLE
            return self._place(ms, None)
        try:
            pieces = decoder.decode(packet)
        except (av.FFmpegError, ValueError):
            pieces = []
        if not pieces:
            self.flags |= ERROR
            return self._place(ms, None)
        self.channels = decoder.channels
        planes = [b"".join(parts) for parts in zip(*pieces, strict=True)]
        return self._place(ms, planes)

    def _place(self, ms: int, planes: list[bytes] | None) -> list[Frame]:
        """Puts a packet's samples where they belong; silence as long as the last packet where there are none."""
        if self._encoder is None:
            if planes is None:
                return []  # it begins with the first sound
            self._encoder = self._made_by(self.channels, self._bitrate * self.channels // 2)
        encoder, clock = self._encoder, self._clock
        place = clock.judge(ms)
        made: list[Frame] = []
        if place.anchor:
            assert clock.written is not None
            made += self._anchor(encoder, clock.written)
        self._surplus = place.surplus or self._surplus
        if place.silence:
            made += encoder.silence(place.silence)
            self.silence += place.silence
        if place.drift:
            self.flags |= DRIFT
        if planes is None:
            samples = max(0, self._lasted - self._surplus)
            self._surplus -= self._lasted - samples
            self.silence += samples
            made += encoder.silence(samples)
        else:
            samples = len(planes[0]) // 4
            self._lasted = min(samples, _LONGEST)
            start, end = min(self._surplus, samples), min(samples, _MOST)
            self._surplus -= start
            if start or end < samples:
                planes = [plane[4 * start : 4 * end] for plane in planes]
                samples = max(0, end - start)
            made += encoder.add(planes)
        clock.add(samples)
        return made

    def _anchor(self, encoder: SoundEncoder, at: int) -> list[Frame]:
        """Begins at that position; in step with the frames that others have made up to here, if there are some."""
        self._surplus = 0
        behind = (at - self._step) % encoder.SAMPLES if self._step is not None else 0
        self._step = None
        return encoder.anchor(at - behind) + encoder.silence(behind)

    def _rest(self) -> list[Frame]:
        """What a decoder that is not needed any more still has."""
        made = self._joined()
        decoder, self._decoder = self._decoder, None
        if decoder is None or self._encoder is None:
            return made
        try:
            for planes in decoder.rest():
                made += self._encoder.add(planes)
                self._clock.add(len(planes[0]) // 4)
        except (av.FFmpegError, ValueError):
            self.flags |= ERROR
        return made
