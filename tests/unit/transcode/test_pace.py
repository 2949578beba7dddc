"""Who is late leaves out pictures up to the next key; who leaves out too many gets less to do."""

from __future__ import annotations

from hlsd.transcode.pace import BEGINNING, LATE, MOST, SPAN, EncoderPace, PaceVerdict


def test_who_is_in_time_takes_all() -> None:
    pace = EncoderPace(0.0)
    assert {pace.judge(at / 30, 0.1, key=not at % 30) for at in range(3000)} == {PaceVerdict.TAKE}


def test_who_is_late_leaves_out_all_up_to_the_next_key_picture_at_which_it_is_in_time() -> None:
    pace, now = EncoderPace(-100.0), 0.0
    assert pace.judge(now, LATE + 0.1, key=False) is PaceVerdict.SKIP
    assert pace.judge(now, 0.0, key=False) is PaceVerdict.SKIP, "what it lacks cannot be decoded"
    assert pace.judge(now, LATE + 0.1, key=True) is PaceVerdict.SKIP
    assert pace.judge(now, 0.2, key=True) is PaceVerdict.TAKE
    assert pace.judge(now, 0.2, key=False) is PaceVerdict.TAKE


def test_in_the_beginning_it_may_be_later() -> None:
    pace = EncoderPace(0.0)
    assert pace.judge(1.0, MOST - 0.1, key=False) is PaceVerdict.TAKE
    assert pace.judge(BEGINNING, MOST - 0.1, key=False) is PaceVerdict.SKIP


def test_a_fifth_left_out_over_ten_seconds_is_too_much_and_then_it_has_another_chance() -> None:
    pace = EncoderPace(0.0)
    said = [pace.judge(at / 10, LATE + 1 if at % 100 > 70 else 0.0, key=at % 10 == 0) for at in range(450)]
    assert said.count(PaceVerdict.SHED) >= 1
    calm = [pace.judge(45 + at / 10, 0.0, key=at % 10 == 0) for at in range(round(SPAN * 20))]
    assert PaceVerdict.SHED not in calm[20:]


def test_a_jerk_now_and_then_is_none() -> None:
    pace = EncoderPace(0.0)
    said = [pace.judge(at / 10, LATE + 1 if at % 100 == 95 else 0.0, key=at % 10 == 0) for at in range(1000)]
    assert PaceVerdict.SHED not in said
    assert PaceVerdict.SKIP in said
