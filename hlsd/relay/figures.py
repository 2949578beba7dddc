"""Counts what a rule's relays have done: plain integers that metrics read."""

from __future__ import annotations


class Figures:
    """One rule's counts since the start. Bytes pulled or pushed, tries that brought media, tries that did not."""

    __slots__ = ("bytes", "failures", "starts")

    def __init__(self) -> None:
        self.bytes = 0
        self.starts = 0
        self.failures = 0
