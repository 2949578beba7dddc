"""What goes over the pipe: read back as it was written, in any pieces; the child's bytes are a stranger's."""

from __future__ import annotations

import contextlib
import random

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.snapshots import wire
from hlsd.snapshots.budget import BURST, CpuBudget
from hlsd.snapshots.wire import DONE, JOB, READY, Job, JobOutcome, Still, StillVariant, reader

JOB_ASKED = Job("h265", "PQ", b"record", b"unit" * 100, (StillVariant(640, "jpg"), StillVariant(160, "webp")))
TOLD = JobOutcome(
    1.25, (Still(StillVariant(640, "jpg"), 640, 360, b"j" * 50), Still(StillVariant(160, "webp"), 160, 90, b""))
)


def test_messages_are_read_back_in_any_pieces() -> None:
    octets = wire.ready(0.5) + wire.job(JOB_ASKED) + wire.done(TOLD)
    for size in (1, 7, len(octets)):
        messages = reader()
        found = [one for at in range(0, len(octets), size) for one in messages.feed(octets[at : at + size])]
        assert [kind for kind, _ in found] == [READY, JOB, DONE]
        assert wire.read_ready(found[0][1]) == 0.5
        assert wire.read_job(found[1][1]) == JOB_ASKED
        assert wire.read_done(found[2][1]) == TOLD


def test_a_message_has_a_bound() -> None:
    with pytest.raises(ProtocolError, match="larger"):
        reader().feed(b"\x03\xff\xff\xff\xff")


def test_whatever_a_child_says_is_an_outcome_or_a_protocol_error() -> None:
    """It has read a publisher's bytes with libav: what it writes may be that publisher's."""
    dice = random.Random(7)
    body = reader().feed(wire.done(TOLD))[0][1]
    refused = 0
    for _ in range(2000):
        damaged = bytearray(body)
        for _ in range(dice.randrange(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            told = wire.read_done(bytes(damaged[: dice.randrange(len(damaged) + 1)]))
        except ProtocolError:
            refused += 1
        else:
            assert told.cpu >= 0
            assert sum(len(one.body) for one in told.pictures) <= len(body)
    assert refused > 100
    for said in (
        b"null",
        b"[]",
        b"[1,2]",
        b'[NaN,"",[]]',
        b'["a","",[]]',
        b'[1,"",[[1,"png",1,1,0]]]',
        b'[1,"",[[1,"jpg",1,1,-5]]]',
    ):
        with contextlib.suppress(ProtocolError):
            assert not wire.read_done(len(said).to_bytes(4, "big") + said).pictures


def test_a_budget_is_a_share_of_a_core_with_some_seconds_saved_up() -> None:
    budget = CpuBudget(0.25, 100.0)
    assert budget.wait(100.0) == 0
    budget.spend(0.25 * BURST)
    assert budget.wait(100.0) == 0
    budget.spend(0.5)
    assert budget.wait(100.0) == pytest.approx(2.0)
    assert budget.wait(101.0) == pytest.approx(1.0)
    assert budget.wait(102.5) == 0
    assert budget.wait(10_000.0) == 0
    budget.spend(0.25 * BURST + 1)  # no more than BURST was saved up meanwhile
    assert budget.wait(10_000.0) == pytest.approx(4.0)
