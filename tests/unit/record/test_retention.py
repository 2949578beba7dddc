"""Which recordings go."""

from __future__ import annotations

from hlsd.record.index import Row
from hlsd.record.retention import RetentionLimits, condemned

NOW = 1_000_000.0


def row(number: int, age: float, size: int) -> Row:
    return Row(f"r{number}", "live", "cam", "", "", f"{number}.mp4", "mp4", "", 1, int((NOW - age) * 1000), 0, size)


ROWS = [row(1, 500, 100), row(2, 400, 50), row(3, 300, 70), row(4, 10, 20)]


def gone(limits: RetentionLimits, *, total: int = 240, free: int = 1000) -> list[str]:
    return condemned(ROWS, limits, now=NOW, total=total, free=free)


def test_nothing_goes_without_limits() -> None:
    assert gone(RetentionLimits()) == []
    assert not RetentionLimits().any


def test_the_oldest_go_for_their_age() -> None:
    assert gone(RetentionLimits(age=350)) == ["r1", "r2"]


def test_the_oldest_go_until_the_rest_fits() -> None:
    assert gone(RetentionLimits(bytes=120)) == ["r1", "r2"]
    assert gone(RetentionLimits(bytes=120), total=400) == ["r1", "r2", "r3", "r4"], "what is being written counts"


def test_the_oldest_go_until_enough_is_free() -> None:
    assert gone(RetentionLimits(free=1120)) == ["r1", "r2"]
    assert gone(RetentionLimits(free=900)) == []


def test_any_of_the_three_is_enough() -> None:
    assert gone(RetentionLimits(age=350, bytes=80)) == ["r1", "r2", "r3"]
