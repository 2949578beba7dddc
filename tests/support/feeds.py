"""Carries a rendition through the feed's frames into mirrors, cut into any pieces, and compares what both serve."""

from __future__ import annotations

import random

from hlsd.segmenter.feed.frames import FeedReader, Octets
from hlsd.segmenter.feed.mirror import Mirror
from hlsd.segmenter.feed.teller import Teller
from hlsd.segmenter.live import Live
from hlsd.segmenter.window import Window


class Ear:
    """One who listens: a reader and a mirror of its own."""

    def __init__(self, most: int = 1 << 30) -> None:
        self.came: list[Live] = []
        self.mirror = Mirror(most, self.came.append)
        self._reader = FeedReader()

    def hear(self, octets: list[Octets], draw: random.Random) -> None:
        """Takes octets in pieces of any length."""
        line = b"".join(octets)
        at = 0
        while at < len(line):
            size = draw.choice((1, 7, 100, 5000, 1 << 20))
            self.mirror.take(self._reader.feed(line[at : at + size]))
            at += size


class Wire:
    """A rendition, and who listens to it."""

    def __init__(self, live: Live, window: Window, draw: random.Random) -> None:
        self.live = live
        self.teller = Teller(live, window)
        self._window = window
        self._draw = draw
        self.ears: list[Ear] = []
        self.compared = 0
        live.watch(self.changed)

    def changed(self) -> None:
        """There is another version: all hear of it, and serve the same."""
        octets = self.teller.news()
        for ear in self.ears:
            ear.hear(octets, self._draw)
        self.compare()

    def join(self) -> Ear:
        """One more listens from now on."""
        self.changed()
        ear = Ear()
        ear.hear(self.teller.greeting(), self._draw)
        self.ears.append(ear)
        self.compare()
        return ear

    def compare(self) -> None:
        """Every answer of every mirror is the origin's, byte for byte."""
        if self.live.gone or not self._window.target_duration:
            return
        for ear in self.ears:
            there = ear.mirror.live
            assert there is not None
            self.compared += 1
            same(self.live, there)
            window = self._window
            for segment in (*window.removed, *window.segments, *([window.open] if window.open is not None else ())):
                named = [segment.uri, *[part.uri for part in segment.parts]]
                for uri in (*named, *([segment.init] if segment.init is not None else ())):
                    assert media(self.live, uri) == media(there, uri), uri


def same(here: Live, there: Live) -> None:
    """Both render the same, and judge the same."""
    for skip in (False, True):
        mine, its = here.playlist(skip=skip), there.playlist(skip=skip)
        assert (mine and (mine.body, mine.etag)) == (its and (its.body, its.etag))
    assert here.multivariant("x/") == there.multivariant("x/")
    assert (here.target_duration, here.part_target, here.ended, here.away, here.about) == (
        there.target_duration,
        there.part_target,
        there.ended,
        there.away,
        there.about,
    )


def media(live: Live, uri: str) -> tuple[bytes, str, str] | None:
    """What is served of it."""
    found = live.media(*uri.split("/"))
    return (bytes(found.body), found.content_type, found.etag) if found is not None else None
