"""What a way in asks of whoever turns sound that is not AAC into AAC, and where that sound goes; and AAC to Opus.

A way in makes a `SoundConverter` for each publication (`SoundDesk.converter`) and hands it every packet of sound that
is no AAC, with the time of its clock. Frames come back later, from the event loop, to the publication's `Normaliser`,
as if the publisher had sent AAC: `audio_config` once, `audio` for each frame. AAC goes to the `Normaliser` directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from hlsd.media.sounds import SoundFormat


class SoundSink(Protocol):
    """Where converted sound goes: a `Normaliser`. Times as there."""

    def audio_config(self, codec: Literal["aac"], record: bytes, now: float) -> None:
        """Takes the AudioSpecificConfig, before the first frame. It never changes."""
        ...

    def audio(self, codec: Literal["aac"], timestamp: int, frame: bytes, now: float, wall: float) -> None:
        """Takes the next raw frame."""
        ...

    def sound_comes(self) -> None:
        """There will be sound: a stream that has not begun waits for it."""
        ...

    def at(self, timestamp: int) -> int | None:
        """Where what was sent at `timestamp` is on the stream, in ticks; None where nothing of it goes out yet."""
        ...


class SoundTeller(Protocol):
    """Who is told what became of a publisher's sound: its `Publication`."""

    def converted(self, codecs: tuple[str, ...]) -> None:
        """Says by name what the publisher sends that is turned into AAC; empty: nothing is."""
        ...

    def as_sent(self, form: SoundFormat, ticks: int, packet: bytes) -> None:
        """Takes a packet as it came, for viewers who take its codec; the AAC that becomes of it goes to the sink."""
        ...

    def remark(self, event: str, facts: Mapping[str, object]) -> None:
        """Says in the log what was mended; the caller sees to it that this is seldom."""
        ...


class SoundConverter(Protocol):
    """One publication's sound on its way to AAC."""

    def take(self, form: SoundFormat, timestamp: int, packet: bytes, now: float) -> None:
        """Takes a packet sent at `timestamp` ms modulo 2^32, of one codec or another; never blocks.

        Raises UnsupportedCodec if it is not decoded, or not any more.
        """
        ...

    def aside(self) -> None:
        """What follows is AAC that goes as it is, until `take` is called again."""
        ...

    @property
    def record(self) -> bytes:
        """The AudioSpecificConfig of what comes out; empty before the first sound."""
        ...

    def close(self) -> None:
        """The publisher has left: what is under way comes out at once, or not at all."""
        ...


class OpusMaker(Protocol):
    """A stream's sound on its way to viewers who take Opus."""

    def take(self, form: SoundFormat, ms: int, packet: bytes) -> None:
        """Takes a frame that is to be heard at `ms` of the stream's clock; never blocks.

        What comes of it comes later, from the event loop; nothing where there is no room, or no process now.
        """
        ...

    def close(self) -> None:
        """Nobody listens any more."""
        ...


class OpusDesk(Protocol):
    """Who makes Opus (`hlsd.sound`)."""

    def opus(self, made: Callable[[int, bytes], None]) -> OpusMaker | None:
        """For one stream; None where there is no room for one more.

        `made(at, packet)` gets each packet of 20 ms, `at` in samples of 48 kHz on the clock of what was handed over.
        """
        ...


class SoundDesk(Protocol):
    """Who converts (`hlsd.sound`)."""

    def converter(self, sink: SoundSink, teller: SoundTeller, channels: int = 0) -> SoundConverter:
        """A converter for one publication; `channels` of the AAC: 1, 2, or 0 where the first sound decides."""
        ...

    def warm(self) -> None:
        """Some sound will have to be converted soon: what takes a while to begin may begin."""
        ...
