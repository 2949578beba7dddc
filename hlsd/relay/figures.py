"""Counts what a rule's relays have done: plain integers that metrics read at scrape time."""

from __future__ import annotations

from collections import Counter
from typing import Protocol


class Figures(Protocol):
    """What a relay counts into, shared by all of a rule.

    `up` is connections that carry media at this instant; `starts` attempts by result (`ok`, `refused`, `timeout`,
    `error`).
    """

    up: int
    starts: Counter[str]
    received_bytes: int
    sent_bytes: int


class RuleFigures:
    """The figures of one rule where nobody else keeps them."""

    __slots__ = ("received_bytes", "sent_bytes", "starts", "up")

    def __init__(self) -> None:
        self.up = 0
        self.starts: Counter[str] = Counter()
        self.received_bytes = 0
        self.sent_bytes = 0
