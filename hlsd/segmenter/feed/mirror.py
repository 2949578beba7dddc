"""Makes of frames what they tell of: a window and a `Live` that render what the one who cuts renders, byte for byte.

It decides nothing: which segments are listed, what is still served, every number and every date is told. Law: a version
is shown when all of it has come, never in part. What does not follow from what was told before is a ProtocolError: then
the line is to be closed, and a new one begins with a `HELLO`. Held requests outlive that if it is the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hlsd.base.errors import ProtocolError
from hlsd.base.faults import Faults
from hlsd.segmenter.feed import state as told
from hlsd.segmenter.feed.frames import FeedFrame, FrameKind, Octets, read_words
from hlsd.segmenter.feed.numbers import (
    PartHead,
    SegmentHead,
    Slide,
    read_close,
    read_init,
    read_part,
    read_segment,
    read_slide,
    read_whole,
)
from hlsd.segmenter.live import Live
from hlsd.segmenter.window import Part, Segment, Window

MOST_FRAMES: Final = 200_000
"""Of one version: a window of hours has tens of thousands of parts."""
MOST_INITS: Final = 10_000
NEAR: Final = 2
"""Parts beyond the hinted one that another mirror may have hinted already: what is told takes milliseconds."""


class MirrorWindow(Window):
    """A window of which everything is told."""

    def __init__(self, run: str, first_msn: int, max_bytes: int) -> None:
        super().__init__(run, first_msn, ".ts", listed=1, max_bytes=max_bytes)

    def nears(self, name: str, *, parts: bool) -> bool:
        """As `Window`, and what another mirror may have listed already.

        Who asks by several connections is answered by several workers, or nodes, and one of them hears of what is new
        some milliseconds before another: what one has listed must not be 404 at the next.
        """
        if super().nears(name, parts=parts):
            return True
        stem, _, extension = name.partition(".")
        kind, digits = stem[:1], stem[1:]
        if (
            not digits.isdecimal()
            or len(digits) > 18
            or digits != str(int(digits))
            or not self.hint.endswith(extension)
        ):
            return False
        if kind == "p":
            return parts and 0 < int(digits) - self.next_part <= NEAR
        return kind == "s" and int(digits) == self._next_msn - (self.open is not None)

    def open_segment(self, head: SegmentHead) -> None:
        """The next segment begins."""
        if self.open is not None or head.msn != self._next_msn or (head.init and head.init not in self.inits):
            raise ProtocolError("a segment out of turn")
        self._next_msn += 1
        init = f"{self.run}/{head.init}" if head.init else None
        uri = f"{self.run}/{head.name}"
        self.open = Segment(head.msn, uri, head.date, head.discontinuity, init, head.independent)

    def add_part(self, head: PartHead, body: Octets) -> None:
        """The open segment has one more part."""
        segment = self.open
        if segment is None or (not body) != head.gap:
            raise ProtocolError("a part out of turn")
        uri = f"{self.run}/{head.name}"
        part = Part(head.number, uri, head.duration, head.independent, head.gap, _kept(body), len(body), head.mapped)
        self.next_part = head.number + 1
        self._hint = f"{self.run}/{head.hint}"
        segment.parts.append(part)
        self._named[head.name] = part
        self._grow(segment, head.duration, len(body))

    def fill_whole(self, msn: int, duration: int, body: Octets) -> None:
        """The open segment is this, and has no parts."""
        segment = self.open
        if segment is None or segment.msn != msn or segment.parts:
            raise ProtocolError("a whole segment out of turn")
        # `Segment.body` joins parts: one of all of it, which is not listed.
        segment.parts.append(Part(0, segment.uri, duration, segment.independent, not body, _kept(body), len(body)))
        self._grow(segment, duration, len(body))
        segment.finished = True
        assert segment.body is not None
        segment.parts.clear()

    def close_segment(self, msn: int) -> None:
        """The open segment is finished."""
        segment = self.open
        if segment is None or segment.msn != msn:
            raise ProtocolError("the end of a segment out of turn")
        segment.finished = True
        if segment.size:
            self._named[segment.uri.rpartition("/")[2]] = segment
        self.segments.append(segment)
        self.open = None

    def slide(self, to: Slide) -> None:
        """Which are listed from now on, and which are served."""
        while self.segments and self.segments[0].msn < to.listed:
            self.removed.append(self.segments.pop(0))
        while self.removed and self.removed[0].msn < to.kept:
            self._drop(self.removed.pop(0))
        if self.media_sequence != to.listed:
            raise ProtocolError("a window that slid elsewhere")
        self.discontinuity_sequence = to.timeline
        self._drop_unused_inits()

    def take(self, state: told.State) -> None:
        """The numbers and lines of `FACTS`."""
        if told.number(state, "next") != self._next_msn:
            raise ProtocolError("facts of another window")
        self.target_duration = told.number(state, "target", 86_400)
        self.next_part = told.number(state, "part")
        self._hint = f"{self.run}/{told.name(state, 'hint')}"
        self.ended = told.truth(state, "ended")
        self.ranges.mirror(told.ranges_of(state))

    def _grow(self, segment: Segment, duration: int, size: int) -> None:
        segment.duration += duration
        segment.size += size
        self.bytes += size
        if self.bytes > self.max_bytes:
            raise ProtocolError(f"a stream of more than {self.max_bytes} bytes")


class Mirror:
    """One stream by its name, through however many runs. `came(live)` is called when another run is there to be served.

    `most` bytes of one window.
    """

    def __init__(self, most: int, came: Callable[[Live], None], faults: Faults | None = None) -> None:
        self._most = most
        self._came = came
        self._faults = faults
        self.live: Live | None = None
        """What is served; None before the first version of a run, and after its end."""
        self._window: MirrorWindow | None = None
        self._next: MirrorWindow | None = None  # of a run that is being told
        self._state: told.State | None = None
        self._waiting: list[FeedFrame] = []

    def reset(self) -> None:
        """The line has ended: a version of which not everything came is not shown."""
        self._waiting.clear()

    def take(self, frames: list[FeedFrame]) -> None:
        """The next frames of the line. Raises ProtocolError."""
        for frame in frames:
            if frame.kind is FrameKind.PING:
                continue
            self._waiting.append(frame)
            if len(self._waiting) > MOST_FRAMES:
                raise ProtocolError("a version without an end")
            if frame.last:
                waiting, self._waiting = self._waiting, []
                self._show(waiting)

    def gone(self) -> None:
        """The stream is no more."""
        live, self.live = self.live, None
        self._window = self._next = self._state = None
        if live is not None:
            live.remove()

    def _show(self, frames: list[FeedFrame]) -> None:
        version = frames[0].version
        for frame in frames:
            if frame.version != version:
                raise ProtocolError("a version among others")
            self._apply(frame)
            if frame.kind is FrameKind.GONE:
                return
        window, state = self._next or self._window, self._state
        if window is None or state is None:
            raise ProtocolError("no HELLO")
        facts = told.facts_of(state, version)
        self._next = None
        live, self._window = self.live, window
        previous = told.name(state, "previous", absent=True)
        if live is not None and live.about[0] == window.run:
            if not previous:
                live.follow(None)  # its viewers had their time
            live.mirror(window, facts)
            return
        self.live = Live(window, self._faults)
        self.live.mirror(window, facts)
        if live is not None:
            live.follow(None)
            if live.about[0] == previous:
                self.live.follow(live)  # whose media somebody may still be reading (EN04)
        self._came(self.live)
        if live is not None and not live.ended:
            live.remove()  # its end was not heard: who waits for it looks again

    def _apply(self, frame: FeedFrame) -> None:  # noqa: C901 - a table of what there is
        kind, body = frame.kind, frame.body
        if kind is FrameKind.HELLO:
            said = read_words(body)
            self._next = MirrorWindow(told.name(said, "run"), told.number(said, "first"), self._most)
            self._state = None
            return
        if kind is FrameKind.GONE:
            self.gone()
            return
        window = self._next or self._window
        if window is None:
            raise ProtocolError("no HELLO")
        if kind is FrameKind.FACTS:
            self._state = read_words(body)
            window.take(self._state)
        elif kind is FrameKind.INIT:
            name, octets = read_init(body)
            if len(window.inits) >= MOST_INITS or name in window.inits:
                raise ProtocolError("too many initialisation sections")
            window.add_init(name, octets)
        elif kind is FrameKind.SEGMENT:
            window.open_segment(read_segment(body))
        elif kind is FrameKind.PART:
            window.add_part(*read_part(body))
        elif kind is FrameKind.WHOLE:
            window.fill_whole(*read_whole(body))
        elif kind is FrameKind.CLOSE:
            window.close_segment(read_close(body))
        else:
            window.slide(read_slide(body))


def _kept(body: Octets) -> bytes | memoryview:
    """A body as windows keep it; an empty one is a gap."""
    return body if len(body) else b""
