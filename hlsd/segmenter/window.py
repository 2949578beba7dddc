"""Keeps the live window: which segments and parts are listed, which are still served, and their numbers.

Law: media sequence numbers rise by one for each segment and never fall (MP04); a number keeps its URI, duration and
discontinuity for ever (MP05); segments are appended at the end and removed at the head only (MP06); a removed segment
stays downloadable for a further window (MP12); parts are numbered by one running counter, so that the hinted name
holds even if the part turns out to open the next segment (LL16).

It takes bytes and durations from the local segmenter as it would from a feed; it refuses to know codecs, muxers,
sockets and the time of day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hlsd.media.unit import TICKS
from hlsd.segmenter.listed_ranges import ListedRanges

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from hlsd.media.segment_keys import SegmentKeys


@dataclass(slots=True)
class Part:
    """A partial segment: `duration` in ticks; `gap`: nothing to fetch. `body` is never altered once set.

    `size` in bytes: of the body, or about what it will be while the body is put off (None). `mapped`: it needs the
    initialisation section of its segment, so it is fMP4, whatever it is called.
    """

    number: int
    uri: str
    duration: int
    independent: bool
    gap: bool
    body: bytes | memoryview | None
    size: int
    mapped: bool = False


@dataclass(slots=True)
class Segment:
    """A media segment: `finished` once its last part is there.

    `date` is the wall clock of its first frame, seconds since the epoch; `init` the URI that EXT-X-MAP names, or None;
    `independent`: it begins with an IDR.
    """

    msn: int
    uri: str
    date: float
    discontinuity: bool
    init: str | None
    independent: bool
    parts: list[Part] = field(default_factory=list)
    duration: int = 0
    size: int = 0
    finished: bool = False
    sealed: bytes = b""
    """The same encrypted, once somebody asked for it."""
    _whole: bytes | None = None

    @property
    def gap(self) -> bool:
        """Whether it is finished and there is nothing in it to fetch (MP23)."""
        return self.finished and not self.size

    @property
    def body(self) -> bytes | None:
        """The whole segment; None while it is not finished.

        Its parts are joined when somebody first asks for all of it: low-latency viewers never do, and a stream that
        nobody watches is not copied for nobody. The parts become views of it, so their bytes are in memory once.
        """
        if self._whole is None and self.finished:
            bodies = [(part, part.body) for part in self.parts if part.body is not None]
            whole = b"".join([body for _, body in bodies])
            view, at = memoryview(whole), 0
            for part, body in bodies:
                part.body = view[at : at + len(body)]
                at += len(body)
            self._whole = whole
        return self._whole


class Window:
    """The segments of one run, oldest first, with the open one at the end.

    `run` is the path part that makes the run's URIs unique for the life of the server (MP19).
    """

    def __init__(  # noqa: PLR0913 - what a window is told by the house
        self, run: str, first_msn: int, extension: str, *, listed: int, max_bytes: int, first_discontinuity: int = 0
    ) -> None:
        self.run = run
        self.extension = extension
        self.target_duration = 0
        """EXT-X-TARGETDURATION, seconds; fixed before the first playlist, 0 until then."""
        self.segments: list[Segment] = []
        """Finished segments that the playlist lists."""
        self.open: Segment | None = None
        """The segment under way: it has at least one part."""
        self.removed: list[Segment] = []
        """Segments that left the playlist and are still served, oldest first."""
        self.discontinuity_sequence = first_discontinuity
        """EXT-X-DISCONTINUITY-SEQUENCE: the number of the first listed segment's timeline."""
        self.next_part = 0
        """The number of the part that comes next: the hinted one."""
        self.inits: dict[str, bytes] = {}
        """Initialisation sections by name."""
        self.ranges = ListedRanges()
        """What EXT-X-DATERANGE tells of."""
        self.bytes = 0
        """Media held, bytes."""
        self.ended = False
        self.revision = 0
        """Rises when something that was listed becomes another thing, and is not merely followed or let go."""
        self._next_msn = first_msn
        self._listed = listed
        self.max_bytes = max_bytes
        """How much media may be held, bytes."""
        self._named: dict[str, Segment | Part] = {}
        self._hint = ""

    @property
    def media_sequence(self) -> int:
        """EXT-X-MEDIA-SEQUENCE: the number of the first listed segment."""
        return self.segments[0].msn if self.segments else self._next_msn - (self.open is not None)

    @property
    def last_msn(self) -> int:
        """The number of the newest listed segment, finished or open; one below the first if there is none."""
        return self._next_msn - 1

    @property
    def timeline(self) -> int:
        """The number of the newest listed segment's timeline, as a player counts it (EXT-X-DISCONTINUITY-SEQUENCE)."""
        listed = sum(segment.discontinuity for segment in self.segments)
        return self.discontinuity_sequence + listed + (self.open is not None and self.open.discontinuity)

    @property
    def hint(self) -> str:
        """The URI of the next part, whichever segment it will belong to, and whichever container.

        "It MUST match the URI that will be subsequently added to the Playlist" (rfc8216bis §4.4.5.3), and somebody may
        be waiting for it since the last part: so a part that follows a change of container is called by the extension
        of before.
        """
        return self._hint or self._part_uri(self.next_part)

    def nears(self, name: str, *, parts: bool) -> bool:
        """Whether the segment or, with `parts`, the part of that name is waited for: of parts, the hinted one."""
        return parts and f"{self.run}/{name}" == self.hint

    def add_init(self, name: str, body: bytes) -> str:
        """Keeps an initialisation section; returns its URI."""
        self.inits[name] = body
        self.bytes += len(body)
        return f"{self.run}/{name}"

    def init_of(self, segment: Segment) -> bytes | None:
        """The initialisation section that the segment needs; None if it needs none."""
        return self.inits.get(segment.init.rpartition("/")[2]) if segment.init is not None else None

    def begin(self, *, date: float, discontinuity: bool, init: str | None, independent: bool) -> Segment:
        """Opens the next segment; the one before it must be finished."""
        assert self.open is None
        msn = self._next_msn
        self._next_msn += 1
        name = f"s{msn}{self.extension}"
        segment = Segment(msn, f"{self.run}/{name}", date, discontinuity, init, independent)
        self.open = segment
        return segment

    def append(self, body: bytes, duration: int, *, independent: bool) -> Part:
        """Adds a part to the open segment. An empty body is a gap."""
        part = self.put_off(len(body), duration, independent=independent)
        part.body = body
        return part

    def put_off(self, size: int, duration: int, *, independent: bool) -> Part:
        """Adds a part whose body comes later, by `fill`, and will have about `size` bytes; none at all is a gap."""
        segment = self.open
        assert segment is not None
        mapped = segment.init is not None
        part = Part(self.next_part, self.hint, duration, independent, not size, None, size, mapped)
        self.next_part += 1
        self._hint = self._part_uri(self.next_part)
        segment.parts.append(part)
        segment.duration += duration
        segment.size += size
        self.bytes += size
        self._named[part.uri.rpartition("/")[2]] = part
        return part

    def fill(self, segment: Segment, part: Part, body: bytes) -> None:
        """Gives a part that was put off its body; an empty one makes it a gap."""
        more = len(body) - part.size
        part.body, part.size, part.gap = body, len(body), not body
        segment.size += more
        self.bytes += more

    def part_company(self, segment: Segment) -> None:
        """Puts a discontinuity before a segment of which nobody has been told; one that is off the list needs none."""
        if segment is self.open or any(segment is one for one in self.segments):
            segment.discontinuity = True
            self.revision += 1

    def holds(self, part: Part) -> bool:
        """Whether the part can still be asked for."""
        return part.uri.rpartition("/")[2] in self._named

    def finish(self) -> Segment:
        """Closes the open segment and lists it; drops what the window no longer holds."""
        segment = self.open
        assert segment is not None
        segment.finished = True
        if segment.size:
            self._named[segment.uri.rpartition("/")[2]] = segment
        self.segments.append(segment)
        self.open = None
        self._slide()
        if self.ranges:
            self.ranges.expire(self.segments[0].date)
        return segment

    def forget_parts(self, segment: Segment) -> None:
        """Leaves a finished segment without parts, as if it had been cut in one piece."""
        assert segment.body is not None  # joined while its parts are there
        self.revision += 1
        for part in segment.parts:
            del self._named[part.uri.rpartition("/")[2]]
        segment.parts.clear()

    def start_at(self, msn: int, timeline: int) -> bool:
        """Numbers the first segment and its timeline so; False where there has been one, which keeps its numbers."""
        if self.segments or self.open is not None or self.removed:
            return self._next_msn == msn
        self._next_msn, self.discontinuity_sequence = msn, timeline
        return True

    def pass_over(self) -> None:
        """Another rendition has a segment that this one, of which nothing is listed yet, will not have."""
        assert not self.segments
        assert self.open is None
        self._next_msn += 1

    def discard_open(self) -> None:
        """Forgets the open segment, which nobody may have been told of; its number is used again."""
        segment, self.open = self.open, None
        self._hint = ""
        if segment is not None:
            self.revision += 1
            self.bytes -= segment.size
            self._next_msn = segment.msn
            for part in segment.parts:
                del self._named[part.uri.rpartition("/")[2]]

    def mend(self, waiting: Container[int]) -> None:
        """Puts sums right after something raised in the middle of a change; of parts, what nobody will write is a gap.

        `waiting`: the `id` of each part whose body is still to come.
        """
        self.revision += 1
        every = [*self.removed, *self.segments]
        segment = self.open
        if segment is not None and any(segment is one for one in every):
            self.open = None
        elif segment is not None and not segment.parts:
            self.discard_open()  # nothing of it was listed
        elif segment is not None:
            segment.finished = False  # it is not listed yet, so it can be finished again
            every.append(segment)
        for segment in every:
            for part in segment.parts:
                if part.body is None and id(part) not in waiting:
                    part.body, part.size, part.gap = b"", 0, True
            if segment.parts:
                segment.duration = sum(part.duration for part in segment.parts)
                segment.size = sum(part.size for part in segment.parts)
        self.bytes = sum(segment.size + len(segment.sealed) for segment in every) + sum(map(len, self.inits.values()))

    def find(self, name: str) -> Segment | Part | None:
        """The finished segment or the part of that name in this run, listed or not yet dropped."""
        return self._named.get(name)

    def seal(self, segment: Segment, keys: SegmentKeys) -> bytes:
        """A finished segment encrypted, once for all who ask for it."""
        if not segment.sealed and segment.body is not None:
            segment.sealed = keys.seal(segment.body, segment.msn)
            self.bytes += len(segment.sealed)
        return segment.sealed

    def over_budget(self) -> bool:
        """Whether even the shortest legal window needs more bytes than allowed."""
        return self.bytes > self.max_bytes

    def duration(self) -> float:
        """Of the listed finished segments, seconds."""
        return sum(segment.duration for segment in self.segments) / TICKS

    def tail(self) -> Iterator[tuple[Segment, float]]:
        """Listed segments from the newest to the oldest, each with the seconds between its end and the live edge."""
        behind = 0.0
        if self.open is not None:
            yield self.open, 0.0
            behind = self.open.duration / TICKS
        for segment in reversed(self.segments):
            yield segment, behind
            behind += segment.duration / TICKS

    def _part_uri(self, number: int) -> str:
        return f"{self.run}/p{number}{self.extension}"

    def _slide(self) -> None:
        """Removes at the head: never below three target durations (MP07), earlier where memory runs out."""
        listed = sum(segment.duration for segment in self.segments)
        floor = 3 * self.target_duration * TICKS
        while len(self.segments) > self._listed and listed - self.segments[0].duration >= floor:
            listed -= self._remove_head()
        # "duration of the segment plus the duration of the longest Playlist" (rfc8216bis §6.2.2): one window more.
        kept = sum(segment.duration for segment in self.removed)
        longest = max(listed, floor)
        while self.removed and kept - self.removed[0].duration >= longest + self.removed[0].duration:
            kept -= self.removed[0].duration
            self._drop(self.removed.pop(0))
        if self.bytes > self.max_bytes:
            self.shrink(self.max_bytes)
        self._drop_unused_inits()

    def shrink(self, to: int) -> None:
        """Memory runs out: lets go of what may go until `to` bytes are left.

        What is no longer listed goes first, the newest of it last (MP12), then the list shrinks down to its floor.
        """
        listed = sum(segment.duration for segment in self.segments)
        floor = 3 * self.target_duration * TICKS
        while self.bytes > to:
            shrinks = len(self.segments) > 1 and listed - self.segments[0].duration >= floor
            if self.removed and (len(self.removed) > 1 or not shrinks):
                self._drop(self.removed.pop(0))
            elif shrinks:
                listed -= self._remove_head()
            else:
                break

    def _remove_head(self) -> int:
        """Takes the oldest segment off the list; returns its duration."""
        head = self.segments.pop(0)
        self.discontinuity_sequence += head.discontinuity
        self.removed.append(head)
        return head.duration

    def _drop(self, segment: Segment) -> None:
        self.bytes -= segment.size + len(segment.sealed)
        self._named.pop(segment.uri.rpartition("/")[2], None)
        for part in segment.parts:
            self._named.pop(part.uri.rpartition("/")[2], None)

    def _drop_unused_inits(self) -> None:
        if len(self.inits) < 2:
            return
        used = {segment.init for segment in (*self.removed, *self.segments)}
        if self.open is not None:
            used.add(self.open.init)
        newest = next(reversed(self.inits))
        for name in [name for name in self.inits if name != newest and f"{self.run}/{name}" not in used]:
            self.bytes -= len(self.inits.pop(name))
