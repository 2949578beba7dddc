"""When pictures wait for their sound, and when not (FM10, TS16)."""

from __future__ import annotations

import pytest

from hlsd.media.unit import TICKS, AccessUnit, Kind
from hlsd.segmenter.alignment import MOST, MOST_BYTES, Alignment
from tests.support.frames import WALL, audio, interleaved, video


def passed(units: list[AccessUnit]) -> list[tuple[AccessUnit, float]]:
    """Each unit as it was passed on, with the arrival of what let it go."""
    alignment = Alignment()
    out: list[tuple[AccessUnit, float]] = []
    picture = -1
    for unit in units:
        for one in alignment.take(unit, picture):
            out.append((one, unit.arrived))
            if one.kind is Kind.VIDEO:
                picture = one.dts
    return out + [(one, units[-1].arrived) for one in alignment.rest()]


@pytest.mark.parametrize("late", [-3.0, -0.2, -0.001, 0.0, 0.05, 0.3])
def test_a_picture_waits_for_nothing_once_a_sound_in_step_was_heard_beside_one(late: float) -> None:
    """Whichever of the two comes first: the first seconds of a stream must not be later than the rest."""
    units = interleaved(video(25, 8.0), audio(8.0), audio_late=late)
    sent = {unit.payload: unit.arrived for unit in units if unit.kind is Kind.VIDEO}
    waited = [at - sent[unit.payload] for unit, at in passed(units) if unit.kind is Kind.VIDEO]
    assert max(waited[20:]) == 0
    assert max(waited) <= max(0.05, late + 0.05)


def test_pictures_wait_as_long_as_their_sound_is_late_and_no_unit_is_lost() -> None:
    units = interleaved(video(25, 20.0), audio(20.0), audio_late=2.0)
    out = passed(units)
    assert sorted(unit.payload for unit, _ in out) == sorted(unit.payload for unit in units)
    for kind in Kind:
        times = [unit.dts for unit, _ in out if unit.kind is kind]
        assert times == sorted(times)
    heard = 0
    for unit, _ in out[:-150]:  # where pictures have ended the last of them need not wait as long
        if unit.kind is Kind.AUDIO:
            heard = unit.dts
        else:
            assert unit.dts <= heard + TICKS // 10


def test_a_picture_waits_no_longer_than_its_bounds_where_no_sound_comes() -> None:
    """Four seconds, and no more bytes than may wait."""
    pictures = video(25, 20.0)
    arrived = {unit.payload: unit.arrived for unit in pictures}
    assert max(at - arrived[unit.payload] for unit, at in passed(pictures)[:-150]) <= MOST + 0.05
    alignment = Alignment()
    large = [
        AccessUnit(Kind.VIDEO, n * 3600, n * 3600, True, True, bytes(MOST_BYTES // 4), WALL + n / 1000)
        for n in range(20)
    ]
    waiting = sum(1 for unit in large) - sum(len(list(alignment.take(unit, -1))) for unit in large)
    assert waiting * (MOST_BYTES // 4) <= MOST_BYTES
