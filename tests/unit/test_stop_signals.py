"""Two wishes, and echoes that are none."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from hlsd.base import stop_signals
from hlsd.base.stop_signals import StopSignals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Puts back what the block leaves ignored: the test runner wants to be stoppable."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_a_doubled_signal_is_one_wish() -> None:
    """timeout(1) signals the process and its group: the drain must not be cut short by the echo."""
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(signals.stop.wait(), 5)
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(3):
            await asyncio.sleep(0)
        assert not signals.now.is_set()


async def test_a_later_signal_is_impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who asks twice does not want to wait for viewers."""
    monkeypatch.setattr(stop_signals, "ECHO", 0.0)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(signals.stop.wait(), 5)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(signals.now.wait(), 5)


async def test_signals_after_the_block_do_not_kill_what_is_ending_by_itself() -> None:
    """Between the loop's end and the process's exit a signal has no handler left: exit 0 must stay 0."""
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(signals.stop.wait(), 5)
    os.kill(os.getpid(), signal.SIGTERM)


async def test_without_a_wish_the_signals_mean_what_they_meant() -> None:
    """A server that failed to start leaves no trace in the process that tried."""
    with StopSignals():
        pass
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN
