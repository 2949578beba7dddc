"""What must run as long as the server does is begun again when it ends, and told and counted."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from hlsd.base import upkeep
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, keep, sweep
from tests.support.eventually import eventually
from tests.support.mischief import Mischief


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PAUSE", 0.0)


@pytest.mark.parametrize("how", ["raises", "returns", "is cancelled from within"])
async def test_a_task_that_ends_by_itself_is_counted_and_begun_again(how: str) -> None:
    faults, begun = Faults(), list[int]()

    async def work() -> None:
        begun.append(1)
        if how == "raises":
            raise Mischief
        if how != "returns":
            raise asyncio.CancelledError

    task = keep(work, "work", faults)
    assert faults.tasks["work"] == 0, "known from the start, so that its first fault is a rise"
    await eventually(lambda: len(begun) >= 3)
    assert faults.tasks["work"] >= 2
    await end(task)
    assert task.cancelled()


async def test_a_task_that_may_end_is_not_begun_again() -> None:
    faults, begun = Faults(), list[int]()

    async def work() -> None:
        begun.append(1)

    await keep(work, "work", faults, lambda: True)
    assert begun == [1]
    assert faults.tasks["work"] == 0


async def test_cancelling_a_kept_task_ends_it_and_is_no_fault() -> None:
    faults = Faults()
    task = keep(asyncio.Event().wait, "work", faults)
    await asyncio.sleep(0)
    await end(task)
    assert task.cancelled()
    assert faults.tasks["work"] == 0


async def test_a_turn_that_raises_costs_that_turn_only() -> None:
    faults, turns = Faults(), list[int]()

    def turn() -> None:
        turns.append(1)
        raise Mischief

    task = sweep(0.0, turn, "sweep", faults)
    await eventually(lambda: len(turns) >= 5)
    assert not task.done()
    assert faults.tasks["sweep"] == len(turns)
    await end(task)


async def test_ending_what_raises_at_its_end_does_not_raise() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise Mischief

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end(task)
    await end(None)
    assert task.done()


async def test_a_task_whose_cancellation_a_library_has_made_another_error_of_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else who stops the server would wait for ever."""
    monkeypatch.setattr(upkeep, "AGAIN", 0.05)
    swallowed = 0

    async def work() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.wait_for(end(task), 20)
    assert swallowed == 3
    assert task.cancelled()


async def test_what_is_kept_is_over_also_if_its_cancellation_comes_out_of_it_as_another_error() -> None:
    faults = Faults()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise OSError("the line was cut") from None

    task = keep(work, "kept", faults)
    await asyncio.sleep(0)
    await asyncio.wait_for(end(task), 20)
    assert faults.tasks["kept"] == 0


async def test_who_is_cancelled_while_it_waits_for_an_end_is_cancelled() -> None:
    stubborn = asyncio.Event()

    async def work() -> None:
        while not stubborn.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    task = asyncio.create_task(work())
    ending = asyncio.create_task(end(task))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(ending, 20)
    stubborn.set()
    await asyncio.wait_for(end(task), 20)
