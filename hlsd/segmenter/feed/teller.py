"""Makes the frames of one rendition: all there is for who comes new, and what has changed since for all who listen.

It compares the window with what it told last, so nothing of the segmenter knows of it, and a stream that nobody
listens to costs nothing. Law: a version is encoded once, however many listen; media is not copied. What it asks of the
rendition is what a viewer asks: parts that were put off are written, rates are measured (MV08).
"""

from __future__ import annotations

from collections.abc import Iterator

from hlsd.segmenter.feed.frames import FeedFrame, FrameKind, Octets, encode, words
from hlsd.segmenter.feed.numbers import (
    PartHead,
    SegmentHead,
    Slide,
    pack_close,
    pack_init,
    pack_part,
    pack_segment,
    pack_slide,
    pack_whole,
)
from hlsd.segmenter.feed.state import State, state_of
from hlsd.segmenter.live import Live
from hlsd.segmenter.window import Part, Segment, Window


class Teller:
    """Of one rendition (`live` and its `window`)."""

    def __init__(self, live: Live, window: Window) -> None:
        self.live = live
        self._window = window
        self._state: State | None = None
        """What is known to who has heard all; None: nothing was told yet."""
        self._slide = Slide(0, 0, 0)
        self._inits: dict[str, bytes] = {}
        self._revision = -1
        self._next = 0
        """The number of the segment that is told of next, the open one among them until it is finished."""
        self._open = False
        """Whether its beginning was told."""
        self._parts = 0
        """How many of its parts were told."""

    def news(self) -> list[Octets]:
        """What has changed since the last call, as octets; nothing before there is a playlist."""
        live, window = self.live, self._window
        if live.gone:
            return encode(FeedFrame(FrameKind.GONE, live.facts.version, last=True))
        if not window.target_duration:
            return []
        live.variant("")
        if self._state is None or self._revision != window.revision or not self._follows():
            return self.greeting()
        return self._octets(self._changes())

    def greeting(self) -> list[Octets]:
        """All there is, for who has heard nothing; who has heard all may be told this too. Nothing without a playlist.

        To be called when `news` was: else those who listen already would miss what lies between.
        """
        window = self._window
        if not window.target_duration:
            return []
        begins = (window.removed or window.segments)[0].msn if window.segments else window.media_sequence
        hello = words({"run": window.run, "first": begins, "rendition": self.live.name})
        self._state, self._inits, self._revision = {}, {}, window.revision
        self._next, self._open, self._parts = begins, False, 0
        self._slide = Slide(begins, begins, 0)
        return self._octets([(FrameKind.HELLO, hello, b""), *self._changes()])

    def _follows(self) -> bool:
        """Whether the window still has what is to be told next."""
        window = self._window
        if self._next > window.last_msn:
            return not self._open and self._next == window.last_msn + 1
        return any(segment.msn == self._next for segment in self._untold())

    def _untold(self) -> Iterator[Segment]:
        """The segments of which not everything was told, oldest first."""
        window = self._window
        found: list[Segment] = [window.open] if window.open is not None else []
        for listed in (window.segments, window.removed):
            for segment in reversed(listed):
                if segment.msn < self._next:
                    break
                found.append(segment)
        return reversed(found)

    def _changes(self) -> list[tuple[FrameKind, bytes, Octets]]:
        told: list[tuple[FrameKind, bytes, Octets]] = []
        window = self._window
        for segment in self._untold():
            self._tell(segment, told)
        kept = window.removed[0].msn if window.removed else window.media_sequence
        slide = Slide(window.media_sequence, kept, window.discontinuity_sequence)
        if slide != self._slide or not told:
            told.append((FrameKind.SLIDE, pack_slide(slide), b""))
            self._slide = slide
        state = state_of(self.live, window)
        if state != self._state:
            told.append((FrameKind.FACTS, words(state), b""))
            self._state = state
        return told

    def _tell(self, segment: Segment, told: list[tuple[FrameKind, bytes, Octets]]) -> None:
        """What is new of one segment."""
        window, state = self._window, self._state
        assert state is not None
        if not self._open:
            init = segment.init.rpartition("/")[2] if segment.init is not None else ""
            body = window.inits.get(init)
            if body is not None and self._inits.get(init) is not body:
                self._inits = {name: one for name, one in self._inits.items() if name in window.inits} | {init: body}
                told.append((FrameKind.INIT, pack_init(init), body))
            name = segment.uri.rpartition("/")[2]
            head = SegmentHead(segment.msn, segment.date, segment.discontinuity, segment.independent, name, init)
            told.append((FrameKind.SEGMENT, pack_segment(head), b""))
            self._open, self._parts = True, 0
            state["next"] = segment.msn + 1
        body = None
        for number in range(self._parts, len(segment.parts)):
            part = segment.parts[number]
            told.append((FrameKind.PART, pack_part(self._part(segment, part, number)), part.body or b""))
            self._parts += 1
        if segment is not window.open:
            if not segment.parts:
                told.append((FrameKind.WHOLE, pack_whole(segment.msn, segment.duration), segment.body or b""))
            told.append((FrameKind.CLOSE, pack_close(segment.msn), b""))
            self._open, self._next = False, segment.msn + 1

    def _part(self, segment: Segment, part: Part, number: int) -> PartHead:
        window, state = self._window, self._state
        assert state is not None
        name = part.uri.rpartition("/")[2]
        # What follows the newest part is what is hinted; what followed an older one is known.
        newest = part.number + 1 == window.next_part
        following = segment.parts[number + 1].uri if number + 1 < len(segment.parts) else part.uri
        hint = (window.hint if newest else following).rpartition("/")[2]
        state["part"], state["hint"] = part.number + 1, hint
        return PartHead(part.number, part.duration, part.independent, part.gap, part.mapped, name, hint)

    def _octets(self, told: list[tuple[FrameKind, bytes, Octets]]) -> list[Octets]:
        version, count = self.live.facts.version, len(told)
        octets: list[Octets] = []
        for number, (kind, body, more) in enumerate(told, 1):
            octets += encode(FeedFrame(kind, version, body, last=number == count), more)
        return octets
