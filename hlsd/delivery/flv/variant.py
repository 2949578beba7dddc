"""Is one variant of one stream on its way to everybody who watches in it: FLV, FLV in WebSocket messages, RTMP chunks.

Law: bytes are made once and shared. Fan-out is one loop over the viewers for what came since the last one, `BATCH` in a
turn of the event loop; who could not be served in time takes what it missed from the backlog in one write. A slow
viewer is only a place on the backlog. Units: ms of media, monotonic seconds.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final

from hlsd.base.faults import Faults
from hlsd.delivery.flv.backlog import Backlog, Burst
from hlsd.delivery.flv.viewer import NEXT_KEY, FlvViewer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hlsd.audience import Wrapping
    from hlsd.delivery.flv.settings import FlvSettings
    from hlsd.media.flv import OutTag
    from hlsd.media.unit import Tracks

BATCH: Final = 256
"""Viewers that are served in one turn of the event loop."""
GULP: Final = 256 * 1024
"""Bytes that a viewer who is behind gets in one write."""
MAX_LEAPS: Final = 5
"""Leaps in a row, never up to date between them, after which a viewer's way is too narrow for the stream."""
PER_VIEWER: Final = 0.001
"""Seconds for which tags are gathered, for each viewer: one round of writes costs about a hundredth of it."""


FILED: Final = 16 * 1024
"""Bytes of a burst from which a file in memory is worth its making: sendfile(2) takes its pages instead of copies."""
MANY: Final = 16
"""Viewers from which it is."""
FAULTS: Final = 5
"""New beginnings within `FAULTS_WITHIN` seconds; at the next fault its viewers go, and may come to a new variant."""
FAULTS_WITHIN: Final = 60.0


class FlvVariant:
    """The viewers of one variant; `opening(tracks, burst)` gives the tags that stand before a beginning."""

    def __init__(
        self,
        wrapping: Wrapping,
        settings: FlvSettings,
        opening: Callable[[Tracks, Burst], Sequence[OutTag]],
        empty: Callable[[FlvVariant], None],
        faults: Faults | None = None,
    ) -> None:
        self.wrapping = wrapping
        self.broken = False
        """What is on the backlog is not whole: it goes on with a key frame."""
        self._faults = faults or Faults()
        self._failures: deque[float] = deque(maxlen=FAULTS)
        self.backlog = Backlog(settings.queue_bytes, int(settings.queue * 1000))
        self.viewers: dict[FlvViewer, None] = {}
        self.tracks: Tracks | None = None
        """The tracks in force behind what is on the backlog."""
        self.news: list[OutTag] = []
        """Sequence headers that stand before the next tag."""
        self._live: dict[FlvViewer, None] = {}
        self._behind: dict[FlvViewer, None] = {}
        self._waiting: dict[FlvViewer, None] = {}
        self._opening = opening
        self._empty = empty
        self._gop_cache = settings.gop_cache
        self._give_up = settings.give_up
        self._round: list[FlvViewer] = []
        self._at = 0
        self._again = False
        self._served = 0
        """Every viewer who takes has got what stands before this burst."""
        self._reached = 0
        self._memory = -1
        self._filed = -1  # the burst that is in the file

    # -- coming and going

    def beginning(self) -> int:
        """Where a viewer who comes now begins."""
        key = self.backlog.key
        return key if key is not None and self._gop_cache else NEXT_KEY

    def enter(self, viewer: FlvViewer) -> None:
        """A new viewer: gets what there is at once."""
        self.viewers[viewer] = None
        viewer.cursor = self.beginning()
        self._file(viewer)
        self.advance(viewer)

    def forget(self, viewer: FlvViewer) -> None:
        """The viewer has gone."""
        for group in (self.viewers, self._live, self._behind, self._waiting):
            group.pop(viewer, None)
        if not self.viewers:
            self._empty(self)

    def block(self, viewer: FlvViewer) -> None:
        """The viewer takes nothing now."""
        if self._live.pop(viewer, self) is None or self._waiting.pop(viewer, self) is None:
            self._behind[viewer] = None

    def unblock(self, viewer: FlvViewer) -> None:
        """The viewer takes again."""
        if not viewer.blocked and not viewer.paused and self._behind.pop(viewer, self) is None:
            self._file(viewer)
            self.advance(viewer)

    def _file(self, viewer: FlvViewer) -> None:
        (self._waiting if viewer.cursor == NEXT_KEY else self._live)[viewer] = None

    # -- bursts

    def add(self, burst: Burst) -> None:
        """A new burst; `serve`, which must follow, brings it to the viewers."""
        backlog = self.backlog
        backlog.append(burst)
        if burst.tracks is not None and self._waiting:
            for viewer in self._waiting:
                viewer.cursor = backlog.end - 1
                self._live[viewer] = None
            self._waiting.clear()
        places = [viewer.cursor for viewer in self._behind if viewer.cursor >= 0]
        backlog.trim(min([*places, self._served]))

    def serve(self) -> None:
        """Begins a round: every viewer who takes gets what it has not got."""
        if self._round:
            self._again = True
            return
        self._round = list(self._live)
        self._at = 0
        self._reached = self.backlog.end
        self._turn()

    def _turn(self) -> None:
        """Serves the next `BATCH` viewers of the round."""
        backlog = self.backlog
        at, stop = self._at, min(self._at + BATCH, len(self._round))
        newest = backlog.end - 1
        last = backlog.burst(newest)
        data, size = last.data, last.size
        if newest != self._filed and size >= FILED and len(self._round) - at >= MANY:
            self._make_file(newest, data)
        file = self._memory if newest == self._filed else -1
        rest = iter(self._round[at:stop])
        while True:
            viewer: FlvViewer | None = None
            try:
                for viewer in rest:
                    if viewer.cursor == newest and viewer.started and not viewer.blocked and not viewer.ended:
                        viewer.cursor += 1
                        viewer.leaps = 0
                        viewer.put(data, size, file)
                    else:
                        self.advance(viewer)
            except Exception as error:  # noqa: BLE001 - one viewer's fault is its own
                self._lose(viewer, error)
            else:
                break
        self._at = stop
        if stop < len(self._round):
            asyncio.get_running_loop().call_soon(self._go_on, self._turn)
            return
        self._round = []
        self._served = self._reached
        self._drop_file()
        if self._again:
            self._again = False
            asyncio.get_running_loop().call_soon(self._go_on, self.serve)

    # -- faults of ours

    def reset(self) -> None:
        """What follows does not continue what is on the backlog: it goes on with the next key frame."""
        self.broken = True
        self.backlog.forget_key()

    def failed(self, error: Exception) -> None:
        """Something here has raised: its viewers go on at the next key frame, or go if that happens again and again."""
        self._faults.output("flv", error, variant=str(self.wrapping.key))
        now = monotonic()
        often = len(self._failures) == FAULTS and now - self._failures[0] < FAULTS_WITHIN
        self._failures.append(now)
        self._round, self._again = [], False
        self._drop_file()
        self.reset()
        if often:
            self.end("error:output")

    def _go_on(self, step: Callable[[], None]) -> None:
        """A step that the event loop calls, where nobody would hear what it raises."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - see above
            self.failed(error)

    def _lose(self, viewer: FlvViewer | None, error: Exception) -> None:
        """A viewer who cannot be served goes."""
        self._faults.output("viewer", error)
        if viewer is not None:
            with self._faults.guard("flv_end"):
                viewer.end("error:internal")

    def _make_file(self, number: int, data: bytes) -> None:
        """Lays a burst out as a file in memory; without one (no files, no memory) bytes are written as ever."""
        self._drop_file()
        try:
            self._memory = os.memfd_create("hlsd burst", os.MFD_CLOEXEC)
            if os.write(self._memory, data) == len(data):
                self._filed = number
        except OSError:
            self._drop_file()

    def _drop_file(self) -> None:
        """Closes the file; the kernel keeps its pages while they are under way."""
        if self._memory >= 0:
            os.close(self._memory)
        self._memory = self._filed = -1

    def advance(self, viewer: FlvViewer) -> None:
        """Writes what the viewer has not got, until it is up to date or its socket is full."""
        backlog = self.backlog
        while not viewer.blocked and not viewer.paused and not viewer.ended and viewer.cursor != NEXT_KEY:
            opening = b""
            if viewer.cursor < backlog.first:
                if not self._leap(viewer):
                    return
                opening = self._before(viewer, backlog.burst(viewer.cursor))
            if viewer.cursor >= backlog.end:
                viewer.leaps = 0
                return
            if not viewer.started:
                opening = self._before(viewer, backlog.burst(viewer.cursor))
            bursts = backlog.since(viewer.cursor, GULP)
            viewer.cursor += len(bursts)
            data = b"".join([opening, *(burst.data for burst in bursts)])
            viewer.put(data, len(data))

    def _leap(self, viewer: FlvViewer) -> bool:
        """Moves a viewer who fell off the backlog to the newest key frame; False if it waits for one, or goes."""
        viewer.leaps += 1
        if viewer.leaps > MAX_LEAPS:
            viewer.end("slow")
            return False
        key = self.backlog.key
        if key is None:
            viewer.cursor = NEXT_KEY
            if self._live.pop(viewer, self) is None:
                self._waiting[viewer] = None
            return False
        viewer.cursor = key
        return True

    def _before(self, viewer: FlvViewer, burst: Burst) -> bytes:
        """What a viewer needs who begins with `burst`: once for all of them, and the prologue for a new one."""
        tracks = burst.tracks
        if burst.opening is None and tracks is not None:
            burst.opening = self.wrapping.wrap(self._opening(tracks, burst))
        opening = burst.opening or b""
        if viewer.started or tracks is None:
            return opening
        viewer.started = True
        return self.wrapping.prologue(video=tracks.video is not None, audio=tracks.audio is not None) + opening

    # -- time

    @property
    def gather(self) -> float:
        """Seconds for which tags are worth gathering."""
        return PER_VIEWER * len(self.viewers)

    def sweep(self, now: float) -> None:
        """Once a second: looks for viewers who do not read."""
        rest = iter(list(self.viewers))
        while True:
            viewer: FlvViewer | None = None
            try:
                for viewer in rest:
                    viewer.sweep(now, self._give_up)
            except Exception as error:  # noqa: BLE001 - one viewer's fault is its own
                self._lose(viewer, error)
            else:
                return

    def end(self, reason: str) -> None:
        """Ends every viewer."""
        guard = self._faults.guard("flv_end")
        for viewer in list(self.viewers):
            with guard:
                viewer.end(reason)
