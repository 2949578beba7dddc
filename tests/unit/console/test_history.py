"""The last hour of streams: one point each turn, none invented, none kept for ever."""

from __future__ import annotations

import random

from hlsd.console import history
from hlsd.console.history import EVERY, POINTS, History, StreamPoint


class Turns:
    """A history whose streams and clock are said."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.streams: list[StreamPoint] = []
        self.history = History(lambda: self.streams, lambda: self.now)

    def turn(self, *streams: StreamPoint) -> None:
        self.now += EVERY
        self.streams = list(streams)
        self.history.turn()


def test_points_are_those_of_the_stream_and_the_last_is_the_newest() -> None:
    turns = Turns()
    for number in range(5):
        turns.turn(StreamPoint("/live/a", number * 1_000_000, number))
    first, bits, viewers = turns.history.of("/live/a")
    assert first == int((turns.now - 4 * EVERY) * 1000)
    assert bits == [number * 1_000_000 for number in range(5)]
    assert viewers == [0, 1, 2, 3, 4]
    assert turns.history.of("/live/nobody")[1:] == ([], [])


def test_a_stream_that_was_away_has_a_hole_of_nothing() -> None:
    turns = Turns()
    turns.turn(StreamPoint("/live/a", 2e6, 3))
    turns.turn()
    turns.turn()
    first, bits, _ = turns.history.of("/live/a")
    assert (first, bits) == (int((turns.now - 2 * EVERY) * 1000), [2_000_000])
    turns.turn(StreamPoint("/live/a", 1e6, 1))
    assert turns.history.of("/live/a")[1] == [2_000_000, 0, 0, 1_000_000]


def test_nothing_grows_with_time() -> None:
    turns, draw = Turns(), random.Random(7)
    for number in range(3 * POINTS):
        here = [name for name in range(4) if draw.random() < 0.7 or name == number % 4]
        turns.turn(*[StreamPoint(f"/live/{name}", draw.random() * 1e13, 2**40) for name in here])
        for name in range(4):
            bits, viewers = turns.history.of(f"/live/{name}")[1:]
            assert len(bits) == len(viewers) <= POINTS
    turns.turn()
    for _ in range(POINTS + 1):
        turns.turn()
    assert len(turns.history) == 0
    for number in range(history.STREAMS + 50):
        turns.turn(StreamPoint(f"/made/up{number}", 1.0, 0))
    assert len(turns.history) <= history.STREAMS
