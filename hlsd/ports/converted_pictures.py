"""What a way in asks of whoever turns pictures that are not carried into H.264, and where those go.

A way in makes a `PictureConverter` for each publication whose pictures are VP8 or VP9 and hands it every one, with the
time of its clock. Pictures come back later, from the event loop, to the publication's `Normaliser`, as if the publisher
had sent H.264: `video_config` before the first, `video` for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol

Convertible = Literal["vp8", "vp9"]
CONVERTIBLE: Final[dict[Convertible, str]] = {"vp8": "VP8", "vp9": "VP9"}
"""What is converted where it is allowed (`transcode.video`), and what people call it."""


class ConvertedPictures(Protocol):
    """Where converted pictures go: a `Normaliser`. Times as there."""

    def video_config(self, codec: Literal["h264"], record: bytes, now: float) -> None:
        """Takes the AVCDecoderConfigurationRecord of what follows."""
        ...

    def video(  # noqa: PLR0913, PLR0917 - as `Normaliser.video`
        self, codec: Literal["h264"], timestamp: int, cts: int, data: bytes, key: bool, now: float, wall: float
    ) -> None:
        """Takes the next picture: NAL units behind lengths of four bytes."""
        ...


class ConversionTeller(Protocol):
    """Who is told what became of them: a `Publication`."""

    def remark(self, event: str, facts: Mapping[str, object]) -> None:
        """Says in the log what was left out; the caller sees to it that this is seldom."""
        ...


class PictureConverter(Protocol):
    """One publication's pictures on their way to H.264."""

    def take(self, codec: Convertible, timestamp: int, picture: bytes, key: bool, now: float) -> bool:
        """Takes a picture sent at `timestamp` ms modulo 2^32; never blocks.

        False if it was left out: what builds on it is of no use, up to the next key picture. Raises UnsupportedCodec
        where there is no room for one more, or where the process that does it ends again and again.
        """
        ...

    @property
    def held(self) -> int:
        """Bytes that wait for the process to begin."""
        ...

    def close(self) -> None:
        """The publisher has left: what is under way does not come any more."""
        ...


class PictureDesk(Protocol):
    """Who converts (`hlsd.transcode`)."""

    @property
    def vacant(self) -> bool:
        """Whether there is room for one more."""
        ...

    def converter(self, sink: ConvertedPictures, teller: ConversionTeller) -> PictureConverter:
        """A converter for one publication; its process begins with the first picture."""
        ...


PictureDesks = Callable[[], PictureDesk | None]
"""Who converts, asked when it is needed; None: nobody does."""
