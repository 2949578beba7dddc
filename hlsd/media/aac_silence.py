"""Makes an AAC frame in which nothing is heard, for the stretch in which a source sends pictures and no sound.

Players wait for both tracks: where one is missing they stand still. Source: ISO/IEC 14496-3 §4.4.2.1 (raw_data_block),
§4.4.2.7 and Table 1.19 for the elements of each channelConfiguration.
"""

from __future__ import annotations

from typing import Final

from hlsd.media.aac import SAMPLE_RATES
from hlsd.media.bits import BitReader
from hlsd.media.unit import AudioTrack

_SCE, _CPE, _LFE, _END = 0, 1, 3, 7
_ELEMENTS: Final[dict[int, tuple[int, ...]]] = {
    1: (_SCE,),
    2: (_CPE,),
    3: (_SCE, _CPE),
    4: (_SCE, _CPE, _SCE),
    5: (_SCE, _CPE, _CPE),
    6: (_SCE, _CPE, _CPE, _LFE),
    7: (_SCE, _CPE, _CPE, _CPE, _LFE),
}
_ICS_INFO: Final = "0" + "00" + "0" + "000000" + "0"
"""Reserved bit, ONLY_LONG_SEQUENCE, window shape, max_sfb 0, no predictor."""
_NOTHING: Final = "0" + "0" + "0"
"""No pulse data, no TNS, no gain control; with max_sfb 0 there are neither sections nor scale factors nor lines."""
_GAIN: Final = "00000000"


def silent_frame(track: AudioTrack) -> bytes | None:
    """A raw frame of the track without a sound; None where its loudspeakers stand in a program config element."""
    elements = _ELEMENTS.get(_layout(track.record))
    if elements is None:
        return None
    bits = ""
    counts: dict[int, int] = {}
    for element in elements:
        number = counts.get(element, 0)
        counts[element] = number + 1
        bits += f"{element:03b}{number:04b}"
        if element == _CPE:
            bits += "1" + _ICS_INFO + "00" + (_GAIN + _NOTHING) * 2  # common window, no mid/side mask
        else:
            bits += _GAIN + _ICS_INFO + _NOTHING
    bits += f"{_END:03b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _layout(record: bytes) -> int:
    """The channelConfiguration of an AudioSpecificConfig that has been read before (§1.6.2.1)."""
    bits = BitReader(record)
    if bits.u(5) == 31:
        bits.skip(6)
    if bits.u(4) >= len(SAMPLE_RATES):
        bits.skip(24)
    return bits.u(4)
