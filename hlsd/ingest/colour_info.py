"""Reads colorInfo, which tells in AMF0 what a picture's parameter sets may leave open.

Source: Enhanced RTMP v2, "Metadata Frame".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hlsd.ingest.rtmp import amf0
from hlsd.media.unit import Aside, Colour

_LIMIT: Final = 4096
_VALUES: Final = 128
"""Values of a colorInfo that are read; it has two dozen."""
_POINTS: Final = "colorPrimaries", "transferCharacteristics", "matrixCoefficients"
_PRIMARIES: Final = "greenX", "greenY", "blueX", "blueY", "redX", "redY", "whitePointX", "whitePointY"


def read_colour_info(body: bytes) -> Aside | None:
    """What a metadata packet of video says; None if it is no colorInfo."""
    try:
        values = amf0.decode(body[:_LIMIT], max_values=_VALUES)
    except amf0.AmfError:
        return None
    if len(values) > 1 and values[0] == "colorInfo":
        return _read(values[1] if isinstance(values[1], Mapping) else {})
    return None


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
