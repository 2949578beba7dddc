"""Makes key pictures whose picture is known: four areas of colour, or one grey of HDR, by real encoders."""

from __future__ import annotations

import functools
import io
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from hlsd.media.unit import AccessUnit, Tracks, VideoTrack
from hlsd.ports import Publication, PublishRequest
from hlsd.snapshots.wire import Job, StillVariant
from tests.support.flvmedia import ENCODERS
from tests.support.units import units_of

Codec = Literal["h264", "h265"]
QUARTERS = ((200, 30, 40), (30, 180, 60), (40, 60, 210), (150, 150, 150))
"""Red, green; blue, grey."""
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@functools.lru_cache(maxsize=16)
def quarters(
    codec: Codec = "h264", size: tuple[int, int] = (1920, 1080), matrix: str = "bt709", more: str = "", turn: int = 0
) -> tuple[VideoTrack, AccessUnit]:
    """A key picture of four areas, encoded with that matrix; `turn` moves the colours on, for another picture."""
    width, height = size
    colours = QUARTERS[turn:] + QUARTERS[:turn]
    rgb = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(colours):
        down, right = divmod(number, 2)
        rgb[down * height // 2 : (down + 1) * height // 2, right * width // 2 : (right + 1) * width // 2] = colour
    frame = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(rgb, format="rgb24"),
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709 if matrix == "bt709" else Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
    )
    said = f"colormatrix={matrix}" + (f":{more}" if more else "")
    return _encoded(codec, frame, said)


@functools.lru_cache(maxsize=8)
def grey_hdr(transfer: str, code: int) -> tuple[VideoTrack, AccessUnit]:
    """A key picture of ten bits in BT.2020 that is all of one luma, by its code (64 to 940)."""
    planes = np.vstack([np.full((96, 160), code, np.uint16), np.full((48, 160), 512, np.uint16)])
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p10le")
    return _encoded("h265", frame, f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc")


def _encoded(codec: Codec, frame: av.VideoFrame, params: str) -> tuple[VideoTrack, AccessUnit]:
    output = io.BytesIO()
    quiet = ":log-level=none:pools=none:bframes=0:frame-threads=1" if codec == "h265" else ""
    with av.open(output, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as container:
        stream = cast("av.VideoStream", container.add_stream(ENCODERS[codec], rate=25))
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "ultrafast", "crf": "16", f"x{codec[1:]}-params": params + quiet}
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    tracks, units = units_of(output.getvalue())
    assert tracks.video is not None
    return tracks.video, units[0]


def job(still: tuple[VideoTrack, AccessUnit], *variants: StillVariant, unit: bytes | None = None) -> Job:
    """What the child is asked for."""
    track, key = still
    return Job(track.codec, track.video_range, track.record, key.payload if unit is None else unit, variants)


def pixels(body: bytes) -> Pixels:
    """A JPEG or WebP as libav reads it, RGB."""
    with av.open(io.BytesIO(body), "r") as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


def areas(picture: Pixels) -> list[tuple[int, ...]]:
    """The mean colours of its four quarters, their edges left out."""
    height, width, _ = picture.shape
    found = []
    for down in (0, 1):
        for right in (0, 1):
            part = picture[
                (4 * down + 1) * height // 8 : (4 * down + 3) * height // 8,
                (4 * right + 1) * width // 8 : (4 * right + 3) * width // 8,
            ]
            found.append(tuple(int(value) for value in part.mean((0, 1)).round()))
    return found


def far(picture: Pixels, wanted: tuple[tuple[int, int, int], ...] = QUARTERS) -> int:
    """By how much the areas are off at most, of 255."""
    return max(
        abs(one - other)
        for got, want in zip(areas(picture), wanted, strict=True)
        for one, other in zip(got, want, strict=True)
    )


class Sending:
    """A publisher in the test's own loop: real admission, real stream, key pictures that the test chooses."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._dts = publication.origin

    @classmethod
    async def to(cls, hub: object, name: str = "cam", app: str = "live") -> Sending:
        """Publishes to a hub."""
        request = PublishRequest(app, name, "test", "127.0.0.1", 0, lambda _: None)
        publication = await hub.publish(request)  # type: ignore[attr-defined]
        return cls(publication)

    def key(self, still: tuple[VideoTrack, AccessUnit], unit: bytes | None = None) -> None:
        """A key picture, two seconds after the one before."""
        track, key = still
        self._publication.tracks(Tracks(track))
        self._dts += 180_000
        payload = key.payload if unit is None else unit
        self._publication.unit(key._replace(dts=self._dts, pts=self._dts, payload=payload))

    def tracks(self, tracks: Tracks) -> None:
        """Announces something else."""
        self._publication.tracks(tracks)

    def end(self) -> None:
        """Leaves."""
        self._publication.end("closed")
