"""A recording shows something at its time 0, as an encoder with B-frames sends it: by its bytes, not by a player."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks
from hlsd.record.beginning import begun
from hlsd.record.boxes import TrackRun
from hlsd.record.shape import open_layout, walk
from hlsd.segmenter.cut import Cut, Sample
from tests.support.frames import BOTH, VIDEO, audio, video
from tests.support.packets import read_packets
from tests.support.recording import finished, moved, reading, recorded

STEP = 3600
LEAD = 2 * STEP
PRIMING = 1024 * TICKS // 48_000


def encoded(seconds: float, *, sound: bool) -> list[AccessUnit]:
    """As ffmpeg publishes: sound begins a frame before the first picture is *shown*, 59 ms behind its decoding."""
    units = []
    for at, unit in enumerate(video(25, seconds)):
        later = 2 if unit.key or at % 50 == 49 else (4, 1, 1)[(at % 50 - 1) % 3]  # I P B B P B B, and a P at the end
        units.append(unit._replace(pts=unit.dts + later * STEP))
    if sound:
        units += moved(audio(seconds), LEAD - PRIMING)
    return sorted(units, key=lambda unit: (unit.dts, unit.kind))


def runs_of(file: bytes) -> list[list[TrackRun]]:
    """Of each fragment."""
    return [runs for _, runs in walk(reading(file), open_layout(reading(file)), len(file))]


@pytest.mark.parametrize("sound", [True, False], ids=["both", "picture"])
def test_the_first_decode_time_is_when_something_is_shown(sound: bool) -> None:
    """hls.js puts the first decode time at 0, and leaps over what is empty there: WebKitGTK may stand still by that."""
    units = encoded(4, sound=sound)
    (file,) = recorded(BOTH if sound else Tracks(VIDEO), units)
    first, *others = runs_of(file)
    assert [run.decode for run in first] == [0] * len(first), "each track begins there, and no frame before it"
    pictures = first[0]
    begin, at = LEAD - PRIMING * sound, 0
    assert pictures.shifts[0] == LEAD - begin, "by a frame of sound at most"
    shown, sent = list[int](), [unit for unit in units if unit.kind is Kind.VIDEO]
    for run in (first[0], *[one[0] for one in others]):
        assert run.decode == at or not shown, "no hole"
        at = run.decode
        for shift, lasts in zip(run.shifts, run.durations, strict=True):
            assert shift >= 0, "libavformat shows all of a fragment later where one is below"
            shown.append(at + shift)
            at += lasts
    assert shown == [unit.pts - begin for unit in sent], "pictures are shown when they were to be"
    whole = read_packets(finished(file)[0])
    decoded = [packet.dts for packet in whole.video]
    assert all(one < other for one, other in pairwise(decoded))
    assert len(decoded) == len(sent)
    if sound:
        assert whole.video[0].pts - whole.audio[0].pts == pytest.approx(PRIMING / TICKS, abs=0.002)


def test_what_has_no_such_hole_or_cannot_be_moved_stays() -> None:
    def cut(shown: list[int], *, sound: int | None = None, step: int = STEP) -> Cut:
        units = [
            unit._replace(dts=at * step, pts=pts)
            for at, (unit, pts) in enumerate(zip(video(25, len(shown) / 25), shown, strict=True))
        ]
        heard = [Sample(unit, PRIMING) for unit in moved(audio(0.1), sound)] if sound is not None else []
        return Cut(tuple([Sample(unit, step) for unit in units]), tuple(heard), 0, 4 * step, True, True, True)

    in_order = cut([0, STEP, 2 * STEP])
    assert begun(in_order) is in_order
    earlier = cut([LEAD, 5 * STEP, 3 * STEP], sound=-PRIMING)
    assert begun(earlier) is earlier, "sound is there from the first decode time on"
    only = cut([LEAD])
    assert begun(only) is only, "when the next picture is decoded is not known"
    far = cut([2 * TICKS + STEP * at for at in range(90)])
    assert begun(far) is far, "no decoder holds back so many"
    crowded = cut([5, 5, 5, 5, 5, 5, 6, 7], step=1)
    assert begun(crowded) is crowded, "there are not as many ticks as pictures"
    sound_only = Cut((), tuple([Sample(unit, PRIMING) for unit in audio(0.1)]), 0, STEP, True, True, True)
    assert begun(sound_only) is sound_only
