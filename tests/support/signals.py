"""Sends signals to processes of a test, and to no others: to process 0 is to all of the run's own group (kill(2))."""

from __future__ import annotations

import os
import signal


def send(pid: int, what: signal.Signals) -> None:
    """Sends `what`; AssertionError if there is no such process, which the parts that keep one say by 0."""
    assert pid > 0, "there is no process to send a signal to"
    os.kill(pid, what)
