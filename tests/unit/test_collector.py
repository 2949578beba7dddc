"""What ended in a cycle goes soon, however long it lived."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from hlsd.base import collector
from tests.support.eventually import eventually


class Publication:
    """Knows itself, as connections and their transports know each other."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def seldom() -> Iterator[None]:
    """Nothing is collected but by who is tried."""
    before = gc.get_threshold()
    gc.set_threshold(0)
    yield
    gc.set_threshold(*before)


async def test_who_lived_long_and_ended_in_a_cycle_is_gone_with_the_next_look() -> None:
    one = Publication()
    gone = weakref.ref(one)
    gc.collect()  # it is among what lives long now, where Python looks for it last
    del one
    gc.collect(1)
    assert gone() is not None
    looking = asyncio.create_task(collector.tidy(0.01))
    await eventually(lambda: gone() is None)
    looking.cancel()
    await asyncio.wait({looking})


def test_looks_that_take_long_are_seldom() -> None:
    assert collector.pause(0.001) == collector.EVERY
    assert collector.pause(0.2) == 1000
