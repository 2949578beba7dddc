"""Feeds a `Segmenter` and looks at what comes out as a client would: playlists and media through `live`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hlsd.media.unit import AccessUnit, Tracks
from hlsd.ports import Playable, Rendering
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.settings import HlsSettings
from hlsd.segmenter.window import Window
from tests.support.frames import BOTH
from tests.support.playlistcheck import Snapshot, Violation, check_playlist

RUN = "r1"


def settings(**changes: Any) -> HlsSettings:
    """Defaults of `[hls]` with these changes."""
    return HlsSettings.model_validate(changes)


def segmenter(first_msn: int = 1000, **changes: Any) -> Segmenter:
    """A segmenter of run `RUN`."""
    return Segmenter(Run(RUN, settings(**changes), first_msn=first_msn))


def feed(
    target: Segmenter,
    units: Iterable[AccessUnit],
    tracks: Tracks | None = BOTH,
    *,
    each: Callable[[], None] = lambda: None,
) -> None:
    """Announces `tracks` (None: not again) and pushes the units; calls `each` after every one."""
    if tracks is not None:
        target.tracks(tracks)
    for unit in units:
        target.unit(unit)
        each()


def text(live: Playable, *, skip: bool = False) -> str:
    """The playlist of this instant; there must be one."""
    rendering = live.playlist(skip=skip)
    assert rendering is not None
    return rendering.body.decode()


class Watcher:
    """Reads the playlist whenever it has changed and judges it against everything it has been."""

    def __init__(self, live: Playable) -> None:
        self.live = live
        self.history: list[Snapshot] = []
        self.violations: list[Violation] = []
        self._seen: Rendering | None = None

    def look(self) -> None:
        """Takes a snapshot if there is a new one."""
        rendering = self.live.playlist()
        if rendering is None or rendering is self._seen:
            return
        self._seen = rendering
        now = rendering.body.decode()
        if self.history and self.history[-1].text == now:
            return
        self.violations += check_playlist(now, self.history[-1:])
        self.history.append(Snapshot(0.0, now))


def fill(window: Window, segments: int, *, parts: int = 4, part: int = 45_000, size: int = 100) -> None:
    """Finishes so many segments of equal parts."""
    for _ in range(segments):
        begin(window)
        for index in range(parts):
            window.append(bytes([index]) * size, part, independent=index == 0)
        window.finish()


def begin(window: Window, *, discontinuity: bool = False, init: str | None = None) -> None:
    """Opens the next segment at a steady wall clock."""
    past = [*window.removed, *window.segments]
    date = 1_700_000_000.0
    if past:
        date = past[-1].date + past[-1].duration / 90_000
    window.begin(date=date, discontinuity=discontinuity, init=init, independent=True)
