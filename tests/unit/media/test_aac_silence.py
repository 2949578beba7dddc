"""Silent frames as a decoder takes them (ISO/IEC 14496-3 §4.4.2.1)."""

from __future__ import annotations

import io
from dataclasses import replace

import av
import pytest

from hlsd.media.aac import adts_header, adts_prefix, read_record
from hlsd.media.aac_silence import silent_frame
from tests.support.frames import AUDIO


@pytest.mark.parametrize("layout", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("rate", [3, 4, 11])
def test_silent_frames_decode_to_silence_in_every_layout(layout: int, rate: int) -> None:
    record = (2 << 11 | rate << 7 | layout << 3).to_bytes(2, "big")
    track = read_record(record)
    frame = silent_frame(track)
    assert frame is not None
    framed = adts_header(adts_prefix(track), len(frame)) + frame
    with av.open(io.BytesIO(framed * 40), "r", format="aac") as source:
        heard = 0
        for decoded in source.decode(audio=0):
            heard += 1
            assert decoded.samples == 1024
            assert decoded.layout.nb_channels == track.channels
            if layout != 7:  # PyAV 18 reads beyond the samples of eight planes
                assert not any(any(bytes(plane)) for plane in decoded.planes)
    assert heard == 40


def test_loudspeakers_of_a_program_config_element_get_no_guess() -> None:
    """Which elements its frames have is not read here; a wrong guess would end the decoder."""
    assert silent_frame(replace(AUDIO, record=b"\x11\x80")) is None
