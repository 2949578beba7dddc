"""Makes the tracks of one rendition: packets as they came, or frames that are scaled and encoded.

Law: an encoded rendition has a key picture wherever `keys` says, and nowhere else, so that all of a film have them at
the same instants; no more than `RATE` pictures a second; sound is AAC of two channels at most. In the media process.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av

from hlsd.vod.orders import MediaOrder
from hlsd.vod.plan import PlannedRendition
from hlsd.vod.scaler import TICKS, Scaler

RATE: Final = 60
EVERY: Final = 2 * TICKS
"""Ticks between two key pictures."""
_EARLY: Final = TICKS // RATE * 9 // 10
"""Ticks after a picture before which another one is left out."""
SOUND_RATE: Final = 128_000
_CHANNELS: Final = {1: "mono", 2: "stereo"}


class KeyClock:
    """Says which pictures are keys in every rendition: by the source's where one is copied, else each two seconds."""

    def __init__(self, *, of_source: bool) -> None:
        self._of_source = of_source
        self._next = -1

    def key(self, at: int, *, source: bool) -> bool:
        """Whether the picture shown at tick `at` is one; `source`: it is one there."""
        if self._of_source:
            return source
        if at < self._next:
            return False
        self._next = at + EVERY if self._next < 0 else self._next + max(1, (at - self._next) // EVERY + 1) * EVERY
        return True


class EncodedPictures:
    """Pictures of another size or codec: frames in, packets of H.264 out."""

    def __init__(self, out: Any, order: MediaOrder, made: PlannedRendition, film: Any) -> None:  # noqa: ANN401 - libav's
        rate = Fraction(film.video.guessed_rate or film.video.average_rate or 25)
        stream = out.add_stream("libx264", rate=min(max(rate, Fraction(1)), Fraction(RATE)))
        stream.width, stream.height, stream.pix_fmt = made.width, made.height, "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.thread_count = order.threads
        context.options = {
            "preset": order.preset,
            "crf": str(order.crf),
            "maxrate": str(made.most),
            "bufsize": str(2 * made.most),
            "profile": "high",
            "g": "100000",
            "sc_threshold": "0",
            "forced-idr": "1",
            "x264-params": "annexb=0:open-gop=0",
        }
        self._stream = stream
        self._scaler = Scaler(made.width, made.height, order.rotation)
        self._last = -1 << 62

    def packets(self, frame: Any, *, key: bool) -> Iterator[Any]:  # noqa: ANN401 - libav's
        """What comes out for a frame whose `pts` is in ticks."""
        if frame.pts <= self._last or (frame.pts - self._last < _EARLY and not key):
            return
        self._last = frame.pts
        picture = self._scaler.scaled(frame)
        picture.pts, picture.time_base = frame.pts, Fraction(1, TICKS)
        picture.pict_type = av.video.frame.PictureType.I if key else av.video.frame.PictureType.NONE
        yield from self._stream.encode(picture)

    def rest(self) -> Iterator[Any]:
        """What is left."""
        yield from self._stream.encode(None)


class EncodedSound:
    """Sound of another codec: frames in, packets of AAC out."""

    def __init__(self, out: Any, source: Any) -> None:  # noqa: ANN401 - libav's
        """`source` is the stream whose frames it is given."""
        heard = source.codec_context
        rate = heard.sample_rate if heard.sample_rate in {32_000, 44_100, 48_000} else 48_000
        layout = _CHANNELS.get(heard.layout.nb_channels, "stereo")
        stream = out.add_stream("aac", rate=rate, layout=layout)
        stream.bit_rate = SOUND_RATE
        stream.codec_context.time_base = Fraction(1, rate)
        self.stream = stream
        self._rate = rate
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate, frame_size=1024)
        self._next: int | None = None

    def packets(self, frame: Any) -> Iterator[Any]:  # noqa: ANN401 - libav's
        """What comes out for a frame whose `pts` is in ticks."""
        at = frame.pts * self._rate // TICKS
        frame.pts = None  # holes of less than a picture are none: it goes on from where it began
        if self._next is None:
            self._next = at
        for piece in self._resampler.resample(frame):
            yield from self._encoded(piece)

    def rest(self) -> Iterator[Any]:
        """What is left."""
        if self._next is not None:
            for piece in self._resampler.resample(None):
                yield from self._encoded(piece)
            yield from self.stream.encode(None)

    def _encoded(self, piece: Any) -> Iterator[Any]:  # noqa: ANN401 - libav's
        assert self._next is not None
        piece.pts, piece.time_base = self._next, Fraction(1, self._rate)
        self._next += piece.samples
        yield from self.stream.encode(piece)
