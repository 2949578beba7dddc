"""What the relay room remembers of names."""

from __future__ import annotations

import pytest

from hlsd.relay.memory import FIRST, LONGEST, LONGEST_KNOWN, MOST, PullMemory, asker_of, share

KEY = ("live", "cam")


def rest(memory: PullMemory, now: float) -> float:
    """How long a name rests that has just failed, to a half second."""
    memory.failed(KEY, now)
    for halves in range(1000):
        if not memory.rests(KEY, now + halves / 2):
            return halves / 2
    raise AssertionError("for ever")


def test_a_name_that_fails_rests_longer_each_time() -> None:
    memory, found, now = PullMemory(), [], 0.0
    for _ in range(8):
        found.append(rest(memory, now))
        now += found[-1]
    assert found == [2, 4, 8, 16, 32, 60, 60, 60]
    assert (FIRST, LONGEST) == (2, 60)


def test_a_name_that_was_good_never_rests_long() -> None:
    """Its origin was restarted: the viewers who wait shall not wait a minute more."""
    memory = PullMemory()
    for _ in range(9):
        memory.failed(KEY, 0.0)
    memory.good(KEY)
    assert not memory.rests(KEY, 0.0)
    assert memory.known(KEY)
    assert [rest(memory, 100.0 * number) for number in range(1, 4)] == [2, LONGEST_KNOWN, LONGEST_KNOWN]


def test_names_without_end_take_memory_with_one() -> None:
    memory = PullMemory()
    for number in range(MOST + 500):
        memory.failed(("a", str(number)), 0.0)
        memory.good(("b", str(number)))
    assert len(memory._failed) == len(memory._good) == MOST
    assert memory.known(("b", str(MOST + 499)))
    assert not memory.known(("b", "0"))
    memory.sweep(0.0)
    assert len(memory._failed) == MOST
    memory.sweep(LONGEST * 2)
    assert not memory._failed


def test_a_share_is_kept_and_one_place_is_one() -> None:
    assert [share(bound) for bound in (1, 2, 4, 50, 100)] == [1, 1, 3, 37, 75]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "192.0.2.1", False),
    ],
)
def test_who_asks_is_one_address_or_one_customer_s_network(one: str, other: str, same: bool) -> None:
    assert (asker_of(one) == asker_of(other)) is same
