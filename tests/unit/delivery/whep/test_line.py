"""A line that carries too little gets less, then nothing; one that had a bad moment gets all again."""

from __future__ import annotations

from hlsd.delivery.whep.line import GIVE_UP, LONGEST, PATIENCE, REST, LineJudge


def after(judge: LineJudge, seconds: float, lost: float, now: float, sent: float = 2e6) -> float:
    for _ in range(round(seconds)):
        now += 1
        judge.report(lost, sent, now)
    return now


def test_a_moment_of_loss_changes_nothing() -> None:
    judge = LineJudge()
    now = after(judge, PATIENCE, 0.4, 0)
    after(judge, 10, 0.02, now)
    assert judge.passing == "all"


def test_loss_that_stays_leaves_key_pictures_and_then_nothing() -> None:
    judge, seen = LineJudge(), []
    now = 0.0
    for seconds in (1, PATIENCE, GIVE_UP):
        now = after(judge, seconds, 0.3, now)
        seen.append(judge.passing)
    assert seen == ["all", "keys", "nothing"]


def test_who_has_recovered_gets_all_again_and_waits_longer_each_time() -> None:
    judge = LineJudge()
    now, waits = 0.0, []
    for _ in range(6):
        began = now = after(judge, PATIENCE + 1, 0.3, now)
        while judge.passing != "all":
            now = after(judge, 1, 0.0, now)
        waits.append(now - began)
    assert waits == sorted(waits)
    assert REST <= waits[0] <= REST + 1
    assert waits[-1] <= LONGEST + 1


def test_a_receiver_that_says_how_little_its_line_carries_is_believed_if_it_loses_some() -> None:
    for lost, passing in ((0.1, "keys"), (0.0, "all")):
        judge = LineJudge()
        now = 0.0
        for _ in range(6):
            judge.estimate(500_000, now)
            now = after(judge, 1, lost, now)
        assert judge.passing == passing
