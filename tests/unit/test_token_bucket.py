"""A bucket gives a second's worth at once, then its rate; a slow one at least what one thing needs."""

from __future__ import annotations

import pytest

from hlsd.base.token_bucket import TokenBucket


def taken(bucket: TokenBucket, now: float, wanted: int) -> int:
    """How many of `wanted` there was room for."""
    found = 0
    while found < wanted and bucket.has(1, now):
        bucket.take()
        found += 1
    return found


@pytest.mark.parametrize(("rate", "least", "at_once"), [(10, 0.0, 10), (10, 1.0, 10), (0.5, 1.0, 1), (0.5, 0.0, 0)])
def test_what_may_come_at_once(rate: float, least: float, at_once: int) -> None:
    bucket = TokenBucket(rate, 0.0, least)
    assert taken(bucket, 0.0, 100) == at_once
    assert taken(bucket, 1000.0, 100) == at_once, "a long silence saves nothing up"


def test_then_it_gives_its_rate() -> None:
    bucket = TokenBucket(0.5, 0.0, least=1.0)
    assert [taken(bucket, float(second), 9) for second in range(5)] == [1, 0, 1, 0, 1]
