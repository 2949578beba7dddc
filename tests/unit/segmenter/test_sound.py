"""Sound of every layout and rate through both containers: what a decoder makes of it is what it was."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from structlog.testing import capture_logs

from hlsd.base.errors import MediaError
from hlsd.media import aac
from hlsd.media.unit import TICKS, AccessUnit, AudioTrack, Kind, Tracks
from hlsd.segmenter.fmp4 import Fmp4Muxer
from hlsd.segmenter.mpegts import TsMuxer
from hlsd.segmenter.mux import muxer_for
from tests.support.cuts import cut_all
from tests.support.frames import VIDEO, interleaved, video
from tests.support.isocheck import read_tracks
from tests.support.runs import feed, segmenter, text
from tests.support.sound import decode_file, decode_frames, make_aac

NAMED = {"mono": 1, "stereo": 2, "3.0": 3, "4.0": 4, "5.0": 5, "5.1": 6, "7.1": 8}
"""Layouts that have a channelConfiguration, as ffmpeg calls them, and their loudspeakers."""
SPELT = {"2.1": 3, "quad": 4, "quad(side)": 4, "3.1": 4, "4.1": 5, "5.0(side)": 5, "5.1(side)": 6, "hexagonal": 6}
SPELT |= {"6.1": 7, "7.0": 7, "7.1(wide)": 8, "octagonal": 8}
"""Layouts for which ffmpeg writes a program_config_element."""


def units(track: AudioTrack, frames: tuple[bytes, ...]) -> list[AccessUnit]:
    """The frames at the times of their own clock."""
    times = [n * track.frame_samples * TICKS // track.sample_rate for n in range(len(frames))]
    return [AccessUnit(Kind.AUDIO, at, at, True, True, body, 0.0) for at, body in zip(times, frames, strict=True)]


def sounds_alike(muxer: TsMuxer | Fmp4Muxer, track: AudioTrack, frames: tuple[bytes, ...]) -> bool:
    """Whether the container's sound decodes to the very samples that the encoder's frames do."""
    cuts, _ = cut_all(units(track, frames), tracks=Tracks(None, track))
    file = (muxer.init or b"") + b"".join(muxer.part(cut) for cut in cuts)
    return np.array_equal(decode_file(file), decode_frames(track.record, frames))


@pytest.mark.parametrize("layout", NAMED)
@pytest.mark.parametrize("container", [TsMuxer, Fmp4Muxer])
def test_a_layout_that_has_a_number_sounds_the_same_in_either_container(
    layout: str, container: type[TsMuxer | Fmp4Muxer]
) -> None:
    record, frames = make_aac(layout)
    track = aac.read_record(record)
    assert (track.channels, track.ordinary, track.record) == (NAMED[layout], True, record)
    assert sounds_alike(container(Tracks(None, track)), track, frames)


@pytest.mark.parametrize("rate", aac.SAMPLE_RATES)
@pytest.mark.parametrize("container", [TsMuxer, Fmp4Muxer])
def test_every_rate_sounds_the_same_in_either_container(rate: int, container: type[TsMuxer | Fmp4Muxer]) -> None:
    record, frames = make_aac("stereo", rate)
    track = aac.read_record(record)
    assert track.ordinary
    assert sounds_alike(container(Tracks(None, track)), track, frames)


@pytest.mark.parametrize("layout", SPELT)
def test_a_layout_that_is_spelt_out_goes_into_fmp4_whole(layout: str) -> None:
    """FM07: the `esds` has the program_config_element, and the sample entry as many loudspeakers as there are."""
    record, frames = make_aac(layout)
    track = aac.read_record(record)
    assert (track.channels, track.ordinary, track.record) == (SPELT[layout], False, record)
    muxer = muxer_for(Tracks(None, track), "auto")
    assert isinstance(muxer, Fmp4Muxer)
    (found,) = read_tracks(muxer.init).values()
    assert int.from_bytes(found.entry_body[16:18], "big") == SPELT[layout]
    assert record in found.entry_body
    assert sounds_alike(muxer, track, frames)
    with pytest.raises(MediaError, match=f"ADTS cannot name this layout of {track.channels} loudspeakers"):
        TsMuxer(Tracks(VIDEO, track))


@pytest.mark.parametrize(
    ("record", "what"),
    [
        (make_aac("5.1(side)")[0], "this layout of 6 loudspeakers"),
        (bytes.fromhex("1194"), "frames of 960 samples"),
        (bytes.fromhex("17805dbf90"), "47999 Hz"),
    ],
)
@pytest.mark.parametrize("container", ["auto", "fmp4"])
def test_sound_that_ends_chromium_is_left_out_beside_a_picture(record: bytes, what: str, container: str) -> None:
    """What it cannot play costs it the picture too, in either container; the log says what and why."""
    track = aac.read_record(record)
    media = interleaved(video(30, 6.0), units(track, (b"\x21\x10\x04",) * 250))
    with capture_logs() as logs:
        target = segmenter(container=container)
        feed(target, media, Tracks(VIDEO, track))
        target.tracks(Tracks(replace(VIDEO, frame_rate=Fraction(30)), track))  # another picture, and still that sound
    told = [entry for entry in logs if entry["event"] == "sound left out of HLS"]
    assert [(entry["log_level"], what in entry["reason"]) for entry in told] == [("warning", True)]
    muted = [target.muted]
    assert (".ts" if container == "auto" else ".m4s") in text(target.live)
    multivariant = target.live.multivariant("v")
    assert multivariant is not None
    assert b'CODECS="avc1.42c00d"' in multivariant
    target.tracks(Tracks(VIDEO, aac.read_record(b"\x11\x90")))
    assert [*muted, target.muted] == [True, False]
    feed(target, video(30, 3.0, start=6 * TICKS), None)
    assert b"mp4a" in (target.live.multivariant("v") or b"")


@pytest.mark.thorough
@pytest.mark.parametrize(("picture", "any_sound"), [(True, True), (False, False)])
def test_such_sound_is_carried_alone_or_where_the_operator_says_so(*, picture: bool, any_sound: bool) -> None:
    """Firefox, ffmpeg and VLC play it: sound alone has no picture to lose."""
    record, frames = make_aac("quad", seconds=6.0)
    track = aac.read_record(record)
    sound = units(track, frames)
    target = segmenter(any_sound=any_sound)
    tracks = Tracks(VIDEO if picture else None, track)
    feed(target, interleaved(video(30, 6.0), sound) if picture else sound, tracks)
    assert ".m4s" in text(target.live)
    assert b"mp4a.40.2" in (target.live.multivariant("v") or b"")


def test_a_stream_whose_sound_turns_rare_goes_on() -> None:
    """Sound that may stay out changes no container; a stream that has become fMP4 stays fMP4 (MP18)."""
    quad = aac.read_record(make_aac("quad")[0])
    stereo = aac.read_record(b"\x11\x90")
    target = segmenter(any_sound=True, low_latency=False)
    for number, track in enumerate((stereo, quad, stereo)):
        start = number * 6 * TICKS
        sound = [u._replace(dts=u.dts + start, pts=u.pts + start) for u in units(track, (b"\x21\x10\x04",) * 281)]
        feed(target, interleaved(video(30, 6.0, start=start), sound), Tracks(VIDEO, track))
    kinds = [segment.uri.rpartition(".")[2] for segment in target.window.segments]
    assert kinds[0] == "ts"
    assert kinds[-1] == "m4s"
    assert sorted(kinds, key=["ts", "m4s"].index) == kinds
