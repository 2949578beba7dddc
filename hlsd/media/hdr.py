"""Reads what a picture says of light and colour beside its parameter sets: SEI messages, and Dolby Vision's RPU.

Sources: ITU-T H.265 §7.3.5, §D.2.28, §D.2.35, §D.2.38; H.264 has the same messages under the same numbers
(§7.3.2.3.1, Annex D). The head of the RPU is read as libavcodec's dovi_rpudec does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from hlsd.base.errors import MediaError
from hlsd.media import nal
from hlsd.media.bits import BitReader, unescape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hlsd.media.unit import Aside

_MASTERING: Final = 137, 24
_LIGHT: Final = 144, 4
_TRANSFER: Final = 147, 1
_RPU: Final = 62
_LARGEST: Final = 4096
"""Bytes of an SEI NAL unit that are looked at."""
_MOST: Final = 16 * _LARGEST
"""Of all those of a picture together: a message may be two bytes long."""


def from_sei(sample: bytes, codec: Literal["h264", "h265"], aside: Aside) -> Aside:
    """`aside` with what the SEI messages of a picture say of mastering display, light level and preferred transfer."""
    for kind, payload in _messages(sample, codec):
        if (kind, len(payload)) == _MASTERING:
            aside = aside._replace(mastering=payload)
        elif (kind, len(payload)) == _LIGHT:
            aside = aside._replace(light=payload)
        elif (kind, len(payload)) == _TRANSFER:
            aside = aside._replace(transfer=payload[0])
    return aside


def _messages(sample: bytes, codec: Literal["h264", "h265"]) -> Iterator[tuple[int, bytes]]:
    """Payload type and payload of each SEI message in a sample; what is damaged ends its NAL unit."""
    mask, sei, header = (0x1F, 6, 1) if codec == "h264" else (0x7E, 39 << 1, 2)
    left = _MOST
    for unit in nal.split(sample, 4):
        if unit[0] & mask != sei or left <= 0:
            continue
        left -= min(len(unit), _LARGEST)
        rbsp = unescape(unit[header:_LARGEST])
        at, end = 0, len(rbsp)
        while end - at > 2:  # less is the trailing bit
            kind = size = 0
            while at < end and rbsp[at] == 0xFF:
                kind += 255
                at += 1
            kind += rbsp[at] if at < end else 0
            at += 1
            while at < end and rbsp[at] == 0xFF:
                size += 255
                at += 1
            size += rbsp[at] if at < end else 0
            at += 1
            if at + size <= end:
                yield kind, rbsp[at : at + size]
            at += size


def dolby_profile(sample: bytes) -> int | None:
    """The Dolby Vision profile of an H.265 picture, as far as it matters: 5 or 8; None without Dolby Vision.

    The RPU is a NAL unit of the unspecified type 62, at the picture's end. Profile 5 is the one whose base layer is in
    a colour space of its own (IPTPQc2): vdr_rpu_profile 0 with a full-range base layer.
    """
    unit = next((unit for unit in reversed(nal.split(sample, 4)) if unit[0] >> 1 & 0x3F == _RPU), None)
    if unit is None:
        return None
    bits = BitReader(unescape(unit[2:34]))
    try:
        if bits.u(8) != 25 or bits.u(6) != 2:  # rpu_nal_prefix, rpu_type
            return None
        bits.skip(11)  # rpu_format
        profile = bits.u(4)
        bits.skip(4)  # vdr_rpu_level
        if not bits.flag():  # vdr_seq_info_present_flag
            return 8
        bits.skip(1)  # chroma_resampling_explicit_filter_flag
        if not bits.u(2):  # coefficient_data_type
            bits.ue()
        bits.skip(2)  # vdr_rpu_normalized_idc
        return 5 if not profile and bits.flag() else 8
    except MediaError:
        return None
