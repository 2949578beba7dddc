"""Decodes one key picture and makes JPEG and WebP of it: the only place of this box that calls libav, in the child.

Law: what comes out has 8 bits, sRGB's primaries and BT.601's matrix, as JPEG (JFIF) and WebP want it, whatever came in;
HDR is mapped to what an ordinary screen shows. Nothing is made larger than it came.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Final, cast

import av
from av.codec.context import Flags
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from hlsd.base.errors import HlsdError, MediaError
from hlsd.snapshots.wire import PLANES, Job, Still, StillVariant

_DECODERS: Final = {"h264": "h264", "h265": "hevc", "av1": "libdav1d"}
_HD: Final = 720
"""Lines from which on a picture that does not say so is taken to have BT.709's matrix, as players do."""
_TALLEST: Final = 8192
"""Lines of what is made: a picture of 16 by 16384 is nobody's."""
_JPEG_QUALITY: Final = 4
"""libav's scale from 2 (best) to 31: about 85 of 100 of others."""
_WEBP: Final = {"quality": "78", "compression_level": "1"}

# Rec. ITU-R BT.2100 tables 4 and 5, then light in units of reference white: 203 cd/m² (Report ITU-R BT.2408).
_V: Final = "(clipval/maxval)"
_PQ: Final = (
    f"10000/203*pow(max(pow({_V},1/78.84375)-0.8359375,0)/(18.8515625-18.6875*pow({_V},1/78.84375)),1/0.1593017578125)"
)
_HLG: Final = f"1000/203*pow(if(lte({_V},0.5),{_V}*{_V}/3,(exp(({_V}-0.55991073)/0.17883277)+0.28466892)/12),1.2)"
_KNEE: Final = 0.6
"""Light up to this stays as it is; what is above is bent so that all of it fits below 1, white coming to 0.85."""
_MATRIX: Final = {
    "rr": "1.6605", "rg": "-0.5876", "rb": "-0.0728",
    "gr": "-0.1246", "gg": "1.1329", "gb": "-0.0083",
    "br": "-0.0182", "bg": "-0.1006", "bb": "1.1187",
}  # fmt: skip
"""From BT.2020's primaries to BT.709's, in light (Report ITU-R BT.2407)."""


class NoPicture(HlsdError):
    """Nothing can be made of the key picture."""


def paint(asked: Job) -> list[Still]:
    """The pictures. Raises NoPicture."""
    try:
        if asked.codec == PLANES:
            frame = _frame_of(asked)
            width, height = frame.width, frame.height
            return [Still(one, width, height, _encoded(frame, one)) for one in asked.variants]
        frame, aspect = _decoded(asked)
        return [_painted(frame, aspect, variant, asked.video_range) for variant in asked.variants]
    except (av.FFmpegError, MediaError, ValueError, MemoryError) as error:
        raise NoPicture(str(error)[:200] or type(error).__name__) from error


def _decoded(asked: Job) -> tuple[av.VideoFrame, Fraction]:
    """The picture, and how much wider than high its pixels are."""
    context = cast("av.VideoCodecContext", av.CodecContext.create(_DECODERS[asked.codec], "r"))
    context.extradata = asked.record
    context.thread_count = 1
    # A stream that begins with a recovery point instead of an IDR picture has nothing better to show.
    context.flags |= Flags.output_corrupt
    packet = av.Packet(asked.unit)
    packet.pts = packet.dts = 0
    frames = context.decode(packet)
    frames += context.decode(None)
    if not frames:
        raise MediaError("the decoder made no picture of it")
    aspect = context.sample_aspect_ratio
    return frames[0], aspect if aspect is not None and Fraction(1, 8) <= aspect <= 8 else Fraction(1)


def _painted(frame: av.VideoFrame, aspect: Fraction, variant: StillVariant, video_range: str) -> Still:
    shown = frame.width * aspect  # pixels that are not square become so
    most = variant.width
    if variant.form == PLANES:  # as much of it as fits: what is high is narrow
        most = min(most, round(shown * (most * 9 // 16) / frame.height))
    width = max(2, min(most, round(shown)) // 2 * 2)
    height = min(_TALLEST, max(2, round(frame.height * width / shown / 2) * 2))
    full = ColorRange.MPEG if variant.form == "webp" else ColorRange.JPEG
    if video_range == "SDR":
        small = _scaled(frame, width, height, "yuv420p", _matrix(frame), full)
    else:
        light = _scaled(frame, width, height, "gbrp12le", Colorspace.BT2020, ColorRange.JPEG)
        small = _scaled(_mapped(light, video_range), width, height, "yuv420p", Colorspace.ITU601, full)
    if variant.form == PLANES:
        return Still(variant, variant.width, variant.width * 9 // 16, _planes(small, variant.width))
    small.color_range = full
    small.pict_type = av.video.frame.PictureType.NONE
    small.pts = 0
    return Still(variant, width, height, _encoded(small, variant))


def _planes(frame: av.VideoFrame, width: int) -> bytes:
    """The picture's planes in the middle of black, `width` wide and 9/16 of that high."""
    height, made = width * 9 // 16, []
    for plane, part in zip(frame.planes, (1, 2, 2), strict=True):
        wide, high = width // part, height // part
        there, lines, step = frame.width // part, min(frame.height // part, high), plane.line_size
        canvas = bytearray((b"\x80" if part == 2 else b"\0") * (wide * high))
        rows, left, top = memoryview(plane), (wide - there) // 2, (high - lines) // 2
        for line in range(lines):
            at = (top + line) * wide + left
            canvas[at : at + there] = rows[line * step : line * step + there]
        made.append(bytes(canvas))
    return b"".join(made)


def _frame_of(asked: Job) -> av.VideoFrame:
    """The picture that planes are."""
    width, height = struct.unpack(">HH", asked.record)
    if width % 2 or height % 2 or len(asked.unit) != width * height * 3 // 2:
        raise NoPicture("not the planes of such a picture")
    frame = av.VideoFrame(width, height, "yuv420p")
    at, unit = 0, asked.unit
    for plane, part in zip(frame.planes, (1, 2, 2), strict=True):
        wide, high, step = width // part, height // part, plane.line_size
        rows = b"".join([unit[at + line * wide : at + (line + 1) * wide].ljust(step, b"\0") for line in range(high)])
        plane.update(rows.ljust(plane.buffer_size, b"\0"))
        at += wide * high
    frame.color_range = ColorRange.JPEG
    frame.pts = 0
    return frame


def _matrix(frame: av.VideoFrame) -> Colorspace:
    """What the picture says, or what players take it to mean (H.273: 1 BT.709, 5 and 6 BT.601, 9 BT.2020)."""
    said = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601, 9: Colorspace.BT2020}
    return said.get(int(frame.colorspace), Colorspace.ITU709 if frame.height >= _HD else Colorspace.ITU601)


def _scaled(  # noqa: PLR0913, PLR0917 - what a picture is
    frame: av.VideoFrame, width: int, height: int, form: str, matrix: Colorspace, full: ColorRange
) -> av.VideoFrame:
    source = ColorRange(frame.color_range) if int(frame.color_range) in {1, 2} else ColorRange.MPEG
    return VideoReformatter().reformat(
        frame,
        width,
        height,
        form,
        src_colorspace=matrix,
        dst_colorspace=Colorspace.ITU601,
        interpolation=Interpolation.AREA,
        src_color_range=source,
        dst_color_range=full,
        threads=1,
    )


def _mapped(frame: av.VideoFrame, video_range: str) -> av.VideoFrame:
    """From HDR in BT.2020 to an ordinary screen's light; small already, for each step looks at each pixel."""
    light = _PQ if video_range == "PQ" else _HLG
    bent = f"st(0,{light})*0+maxval*if(lte(ld(0),{_KNEE}),ld(0),1-{1 - _KNEE}*exp(-(ld(0)-{_KNEE})/{1 - _KNEE}))"
    shown = f"maxval*pow({_V},1/2.2)"
    graph = Graph()
    graph.threads = 1
    steps = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)),
        graph.add("lutrgb", r=bent, g=bent, b=bent),
        graph.add("colorchannelmixer", **_MATRIX),
        graph.add("lutrgb", r=shown, g=shown, b=shown),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*steps).configure()
    frame.pts = 0
    graph.vpush(frame)
    return graph.vpull()


def _encoded(frame: av.VideoFrame, variant: StillVariant) -> bytes:
    jpeg = variant.form == "jpg"
    encoder = av.CodecContext.create("mjpeg" if jpeg else "libwebp", "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = "yuv420p"
    encoder.color_range = frame.color_range
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    if jpeg:
        encoder.qmin = encoder.qmax = _JPEG_QUALITY
    else:
        encoder.options = dict(_WEBP)
    return b"".join([bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None))])
