"""Where a film has pictures and no sound there is silence; what is heard is heard when it was."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hlsd.vod.media import carry_out
from hlsd.vod.orders import MediaOrder
from hlsd.vod.plan import Probed, plan
from hlsd.vod.silence import silent_frame
from tests.support.films import draw, with_sounds

SECONDS = 40
HEARD = [(3.0, 6.0), (10.0, 13.0)]
"""Seconds at which the film has sound: not at its beginning, with a hole, and not in its last 27."""


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo"), (6, "5.1")])
@pytest.mark.parametrize(("index", "rate"), [(3, 48_000), (4, 44_100), (8, 16_000)])
def test_a_frame_without_sound_is_read_as_such_by_who_reads_the_track(
    channels: int, layout: str, index: int, rate: int
) -> None:
    configuration = bytes([2 << 3 | index >> 1, (index & 1) << 7 | channels << 3])
    found = silent_frame(configuration)
    assert found is not None
    assert found[0] == rate
    decoder: Any = av.CodecContext.create("aac", "r")
    decoder.extradata = configuration
    frames = [frame for _ in range(3) for frame in decoder.decode(av.Packet(found[1]))]
    assert len(frames) >= 2
    for frame in frames:
        assert (frame.layout.name, frame.sample_rate, frame.samples) == (layout, rate, 1024)
        assert float(np.abs(frame.to_ndarray()).max()) < 1e-4


@pytest.mark.parametrize(
    "configuration", [b"", b"\x11", b"\x2b\x92", b"\x11\x84", b"\x11\x80", b"\x17\x88", b"\x11\xc0"]
)
def test_of_what_is_no_plain_aac_there_is_none(configuration: bytes) -> None:
    """HE-AAC, frames of 960 samples, channels by a list of their own, a rate that is spelt out, eight channels."""
    assert silent_frame(configuration) is None


def film(folder: Path, codec: str, form: str, heard: Sequence[tuple[float, float]], behind: float = 0.0) -> Path:
    """A tone at those seconds, in an order in which sound stands so many seconds behind the pictures."""
    pictures = draw(folder / "b.mp4", audio="", seconds=SECONDS, options={"bf": "0"})
    whole = with_sounds(pictures, folder / "w.mkv", [(440, codec, "eng")])
    path = folder / f"film.{form}"
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"max_interleave_delta": "1"}) as out:
        pairs: dict[Any, Any] = {stream: out.add_stream_from_template(stream) for stream in source.streams}
        packets: list[Any] = [packet for packet in source.demux() if packet.dts is not None]

        def place(packet: Any) -> Fraction:
            return Fraction(packet.dts * packet.time_base) + (round(behind) if packet.stream.type == "audio" else 0)

        for packet in sorted(packets, key=place):
            at = float(packet.dts * packet.time_base)
            if packet.stream.type == "video" or any(begin <= at < end for begin, end in heard):
                packet.stream = pairs[packet.stream]
                out.mux_one(packet)
    return path


def made(path: Path, form: str) -> tuple[Path, bool]:
    """What comes of it, and whether it is said to be damaged."""
    target = path.parent / "made.mp4"
    source, out = os.open(path, os.O_RDONLY), os.open(target, os.O_RDWR | os.O_CREAT)
    try:
        said = carry_out(MediaOrder("probe", source, form, 1 << 30, 0, 20), lambda: True, lambda _: None)
        planned = plan(Probed.read(said["film"]), [])
        os.lseek(source, 0, os.SEEK_SET)
        order = MediaOrder("make", source, form, 1 << 30, 8 << 20, 60, [out], planned, ident="1" * 23, app="vod")
        return target, bool(carry_out(order, lambda: True, lambda _: None)["damaged"])
    finally:
        os.close(source)
        os.close(out)


def loudness(path: Path) -> tuple[list[bool], float]:
    """Of each second of the pictures whether there is sound; the longest time without any packet of sound."""
    one: Any
    with av.open(str(path)) as one:
        begin = float(one.streams.video[0].start_time * one.streams.video[0].time_base)
        levels: list[list[float]] = [[] for _ in range(SECONDS)]
        times = [begin]
        for frame in one.decode(audio=0):
            times.append(float(frame.pts * frame.time_base))
            second = times[-1] - begin
            # What is near the edge of a second is not judged: frames are 21 ms, and the first of a tone fades in
            if 0.1 < second % 1 < 0.85 and second < SECONDS:
                levels[int(second)].append(float(np.abs(frame.to_ndarray()).mean()))
        times.append(begin + SECONDS)
    holes = [late - early for early, late in itertools.pairwise(times)]
    return [bool(each) and min(each) > 0.05 for each in levels], max(holes)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("codec", "name", "form"),
    [("aac", "mkv", "matroska"), ("aac", "ts", "mpegts"), ("libopus", "mkv", "matroska")],
)
def test_sound_that_begins_late_has_a_hole_and_ends_early_is_heard_when_it_was(
    tmp_path: Path, codec: str, name: str, form: str
) -> None:
    """Copied and made anew: browsers stood still for ever where a film's sound ended before its pictures."""
    target, damaged = made(film(tmp_path, codec, name, HEARD), form)
    heard, hole = loudness(target)
    assert [at for at, loud in enumerate(heard) if loud] == [3, 4, 5, 10, 11, 12]
    assert hole < 0.2
    assert not damaged


@pytest.mark.thorough
def test_sound_that_stands_behind_its_pictures_in_the_file_is_waited_for(tmp_path: Path) -> None:
    target, damaged = made(film(tmp_path, "aac", "mkv", [(0.0, SECONDS)], behind=15), "matroska")
    heard, hole = loudness(target)
    assert heard == [True] * SECONDS
    assert hole < 0.1
    assert not damaged


@pytest.mark.thorough
def test_sound_that_stands_further_behind_than_is_waited_for_is_told_to_be_missing(tmp_path: Path) -> None:
    target, damaged = made(film(tmp_path, "libopus", "mkv", [(0.0, SECONDS)], behind=60), "matroska")
    heard, hole = loudness(target)
    assert damaged
    assert heard[-18:] == [True] * 18, "what comes in time is there"
    assert not any(heard[:19])
    assert hole < 0.1
