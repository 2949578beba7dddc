"""Keeps what a publisher says of its picture beside the parameter sets: colorInfo of Enhanced RTMP, SEI messages.

Law: looked at once for each configuration, in the key picture that it begins with. It makes no new track: who wants a
change seen sends a configuration. A Dolby Vision picture whose base layer no other decoder shows right is refused.
Source: Enhanced RTMP v2, "Metadata Frame".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.rtmp import amf0
from hlsd.media import hdr
from hlsd.media.unit import Aside, Colour

if TYPE_CHECKING:
    from hlsd.media.unit import VideoTrack

_LIMIT: Final = 4096
_VALUES: Final = 128
"""Values of a colorInfo that are read; it has two dozen."""
_POINTS: Final = "colorPrimaries", "transferCharacteristics", "matrixCoefficients"
_PRIMARIES: Final = "greenX", "greenY", "blueX", "blueY", "redX", "redY", "whitePointX", "whitePointY"
_WIDE: Final = 14
"""Transfer characteristics of BT.2020: HLG that looks right on old screens too is marked so (BT.2100 HLG by SEI)."""


class Asides:
    """What one publisher has said."""

    def __init__(self) -> None:
        self._told = Aside()
        self._seen: VideoTrack | None = None

    def metadata(self, body: bytes) -> None:
        """Takes a metadata packet of video; what is no colorInfo is passed over."""
        try:
            values = amf0.decode(body[:_LIMIT], max_values=_VALUES)
        except amf0.AmfError:
            return
        if len(values) > 1 and values[0] == "colorInfo":
            told = _read(values[1] if isinstance(values[1], Mapping) else {})
            if told != self._told:
                self._told, self._seen = told, None

    def picture(self, track: VideoTrack, sample: bytes) -> VideoTrack:
        """`track` with what is known of it besides, once its first key picture is there. Raises UnsupportedCodec."""
        if track is self._seen:
            return track
        if track.codec == "h265" and hdr.dolby_profile(sample) == 5:
            raise UnsupportedCodec("Dolby Vision profile 5")
        track = replace(track, aside=self._told)
        if track.video_range != "SDR" or track.shown_colour.transfer == _WIDE:
            track = replace(track, aside=hdr.from_sei(sample, track.codec, self._told))
        self._seen = track
        return track


def _read(info: Mapping[str, amf0.Value]) -> Aside:
    """Code points outside of a byte are no code points; an empty object takes back what was said."""
    config, light, mastering = (_numbers(info.get(name)) for name in ("colorConfig", "hdrCll", "hdrMdcv"))
    primaries, transfer, matrix = (round(config.get(name, 2)) for name in _POINTS)
    said = all(0 <= point <= 0xFF for point in (primaries, transfer, matrix))
    aside = Aside(Colour(primaries, transfer, matrix) if said else Colour())
    levels = [round(light.get(name, 0)) for name in ("maxCLL", "maxFall")]
    if any(levels) and all(0 <= level <= 0xFFFF for level in levels):
        aside = aside._replace(light=b"".join(level.to_bytes(2, "big") for level in levels))
    where = [round(mastering.get(name, -1) * 50_000) for name in _PRIMARIES]  # H.265 §D.3.28: steps of 0.00002
    bright = [round(mastering.get(name, -1) * 10_000) for name in ("maxLuminance", "minLuminance")]
    if all(0 <= step <= 50_000 for step in where) and all(0 <= step <= 0xFFFFFFFF for step in bright):
        octets = [step.to_bytes(2, "big") for step in where] + [step.to_bytes(4, "big") for step in bright]
        aside = aside._replace(mastering=b"".join(octets))
    return aside


def _numbers(value: amf0.Value) -> dict[str, float]:
    """The members of an object that are numbers a rounding can take."""
    if not isinstance(value, Mapping):
        return {}
    return {
        name: number
        for name, number in value.items()
        if isinstance(number, float) and abs(number) < 1e6  # NaN is not
    }
