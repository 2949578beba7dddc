"""Is one stream of a group as it is fed: put onto the clock of the group before it is cut.

Law: "Matching content in Variant Streams MUST have matching timestamps" (rfc8216bis §6.2.4). Each publisher has a clock
of its own, so what comes is held until one of its key pictures is known to be that with which another member began a
segment: they came at the same moment. From there it has that picture's time, the segment's number and its date, and is
cut as the others are. An encoder whose key pictures never come with the others' is put there by the wall clock instead:
"Clients MUST NOT assume that segments with the same Media Sequence Number in different Variant Streams or Renditions
have the same position" (rfc8216bis §4.4.3.2), and dates and timestamps let players change all the same.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import structlog

from hlsd.media.unit import TICKS, AccessUnit, Kind

if TYPE_CHECKING:
    from hlsd.media.date_range import DateRange
    from hlsd.media.timed_event import TimedEvent
    from hlsd.media.unit import Tracks
    from hlsd.segmenter.run import Run
    from hlsd.segmenter.segmenter import Segmenter

NEAR: Final = 0.45
"""Seconds by which the same picture of two members may come apart; at most two fifths of a group of pictures."""
TRIES: Final = 3
"""Segments of another member without a picture of ours at their beginnings, after which the clock decides."""
MOST_HELD: Final = 8192
MOST_BYTES: Final = 64 << 20
LONGEST: Final = 15.0
"""Units, bytes and seconds that are held for it."""
REMEMBERED: Final = 8


class KeyArrival(NamedTuple):
    """A key picture: ticks, and the wall clock when it came."""

    dts: int
    pts: int
    arrived: float


class SegmentStart(NamedTuple):
    """A segment that was begun with a key picture."""

    msn: int
    timeline: int
    key: KeyArrival


class Company(Protocol):
    """The group as its members see it."""

    epoch: float | None
    """The wall clock of tick 0, once somebody who has left knew it."""

    def others(self, member: GroupMember) -> bool:
        """Whether somebody else is on air."""
        ...

    def clocked(self, member: GroupMember) -> bool:
        """Whether somebody else has a place on the clock."""
        ...

    def leader(self, member: GroupMember) -> GroupMember | None:
        """Another member whose clock is known; one that cuts as the group does if there is one."""
        ...

    def leaves(self, member: GroupMember) -> None:
        """Its publisher has gone."""
        ...

    def started(self) -> None:
        """A member has begun a segment."""
        ...

    def changed(self) -> None:
        """Somebody has come to be there, or has left."""
        ...


class GroupMember:
    """One such stream (`hlsd.ports.Output`, `hlsd.ports.Keeping`); `inner` cuts it."""

    def __init__(self, inner: Segmenter, group: Company, name: str) -> None:
        self.name = name
        """In the group, and in URLs."""
        self.inner = inner
        self.placed = False
        """Whether it is on the group's clock."""
        self.aligned = True
        """Whether its segments begin where the others' do."""
        self.away = True
        """Nobody publishes it at this instant."""
        self.starts: deque[SegmentStart] = deque(maxlen=REMEMBERED)
        """Its newest segments that begin with a key picture."""
        self._group = group
        self._keys: deque[KeyArrival] = deque(maxlen=2 * REMEMBERED)
        self._shift = 0
        self._last = -1  # the newest tick that was fed
        self._held: list[AccessUnit] = []
        self._held_bytes = 0
        self._tracks: Tracks | None = None
        self._epoch: float | None = None
        self._seen = inner.window.last_msn
        self._log = structlog.get_logger().bind(run=inner.run.id, member=name)

    @property
    def run(self) -> Run:
        """As `hlsd.ports.Keeping`."""
        return self.inner.run

    @property
    def held(self) -> int:
        """Bytes of media that are in no part yet."""
        return self.inner.held + self._held_bytes

    @property
    def epoch(self) -> float | None:
        """The wall clock of tick 0; None while it is not known for good."""
        listing = self.inner.listing
        return listing.epoch if self.placed and listing.dated else None

    def tracks(self, tracks: Tracks) -> None:
        """As `Output.tracks`."""
        if self._held and tracks != self._tracks:
            self._held, self._held_bytes = [], 0  # of another kind, and nobody has seen it
        self._tracks, self.away = tracks, False
        if self.placed:
            self.inner.tracks(tracks)
            self._date()

    def unit(self, unit: AccessUnit) -> None:
        """As `Output.unit`."""
        self.away = False
        if self.placed:
            self._feed(unit)
        elif self._tracks is not None:
            self._hold(unit)

    def event(self, event: TimedEvent) -> None:
        """As `EventTaker.event`; what comes before it has a clock is of nobody's time."""
        if self.placed:
            self.inner.event(event._replace(pts=event.pts + self._shift))

    def date_range(self, told: DateRange) -> None:
        """As `RangeTaker.date_range`."""
        self.inner.date_range(told)

    def jump(self) -> None:
        """As `Output.jump`: what follows is placed anew."""
        self.inner.jump()
        self._let_go()

    def pause(self) -> None:
        """As `Output.pause`."""
        self._settle_by_clock()
        self._group.leaves(self)
        self.inner.pause()
        self._let_go()
        self._group.changed()

    def end(self) -> None:
        """As `Output.end`."""
        self._settle_by_clock()
        self._group.leaves(self)
        self.inner.end()
        self._let_go()
        self._group.changed()

    def reset(self) -> None:
        """As `Mendable.reset`."""
        self.inner.reset()
        self._let_go()

    def halt(self) -> None:
        """As `Mendable.halt`."""
        self.inner.halt()

    def look(self) -> None:
        """Another member has begun a segment, or left: whether this one can be placed now."""
        if self.placed or not self._held or self._tracks is None:
            return
        other = self._group.leader(self)
        if other is None:
            if not self._group.clocked(self):
                self._settle_alone()
            return
        if other.epoch is None:
            return
        mine = [KeyArrival(one.dts, one.pts, one.arrived) for one in self._held if one.key and one.kind is Kind.VIDEO]
        near = self._near(other)
        for start in other.starts:
            key = next((key for key in mine if abs(key.arrived - start.key.arrived) <= near), None)
            if key is not None:
                self._drop_before(key.dts)
                self._settle(start.key.pts - key.pts, start, other.epoch)
                return
        if not mine or len([one for one in other.starts if one.key.arrived > mine[0].arrived + NEAR]) >= TRIES:
            self._settle_by_clock()

    # -- the clock

    @staticmethod
    def _near(other: GroupMember) -> float:
        keys = other._keys
        gaps = [after.arrived - before.arrived for before, after in zip(keys, list(keys)[1:], strict=False)]
        return min([NEAR, *(0.4 * gap for gap in gaps if gap > 0)])

    def _hold(self, unit: AccessUnit) -> None:
        self._held.append(unit)
        if not self._group.others(self):
            self._settle_alone()
            return
        self._held_bytes += len(unit.payload)
        sound_only = self._tracks is not None and self._tracks.video is None
        full = len(self._held) >= MOST_HELD or self._held_bytes >= MOST_BYTES
        if sound_only or full or unit.arrived - self._held[0].arrived > LONGEST:
            self._settle_by_clock()
        elif unit.key and unit.kind is Kind.VIDEO:
            self.look()

    def _settle_alone(self) -> None:
        """Nobody else is there: it goes on with the clock that the group had, or begins one."""
        epoch = self._group.epoch
        first = self._held[0]
        self._settle(round((first.arrived - epoch) * TICKS) - first.dts if epoch is not None else 0, None, epoch)

    def _settle_by_clock(self) -> None:
        """What is held goes where the wall clock puts it."""
        if self.placed or not self._held or self._tracks is None:
            return
        other = self._group.leader(self)
        epoch = other.epoch if other is not None else None
        if other is None or epoch is None:
            self._settle_alone()
            return
        first = self._held[0]
        start = other.starts[-1] if other.starts else None
        self.aligned = False
        self._log.warning(
            "member of a group is cut by itself",
            reason="its key pictures do not come with those of the others",
            hint="give all encoders of a group one key-frame interval, and one clock",
        )
        self._settle(round((first.arrived - epoch) * TICKS) - first.dts, start, epoch)

    def _settle(self, shift: int, start: SegmentStart | None = None, epoch: float | None = None) -> None:
        """Places what is held, and all that follows."""
        held, self._held, self._held_bytes = self._held, [], 0
        tracks = self._tracks
        assert tracks is not None
        if held and held[0].dts + shift <= self._last:  # never back within a run
            shift, self.aligned = self._last + 1 - held[0].dts, False
        self._shift, self.placed, self._epoch = shift, True, epoch
        if start is not None and not self.inner.window.start_at(start.msn, start.timeline):
            self.aligned = False  # it has numbers of its own already
        self._seen = self.inner.window.last_msn
        self.inner.tracks(tracks)
        self._date()
        for unit in held:
            self._feed(unit)
        self._group.changed()

    def _feed(self, unit: AccessUnit) -> None:
        kind, dts, pts, key, clean, payload, arrived = unit
        shift = self._shift
        if shift:
            dts, pts = dts + shift, pts + shift
            unit = AccessUnit(kind, dts, pts, key, clean, payload, arrived)
        self._last = max(self._last, dts)
        if key and kind is Kind.VIDEO:
            self._keys.append(KeyArrival(dts, pts, arrived))
        self.inner.unit(unit)
        if self.inner.window.last_msn != self._seen:
            self._note_start()

    def _note_start(self) -> None:
        """A segment has begun: others may be waiting for it."""
        window, at = self.inner.window, self.inner.listing.segment_start
        self._seen = window.last_msn
        key = next((key for key in reversed(self._keys) if abs(key.dts - at) <= TICKS // 100), None)
        if key is not None and window.open is not None:
            self.starts.append(SegmentStart(self._seen, window.timeline, key))
            self._group.started()

    def _date(self) -> None:
        """The mapping of media time to the wall clock is the group's (MP15, MV12)."""
        if self._epoch is not None:
            listing = self.inner.listing
            listing.epoch, listing.dated = self._epoch, True

    def _drop_before(self, dts: int) -> None:
        """What came before the picture with which it begins is not shown."""
        self._held = [one for one in self._held if one.dts >= dts]

    def _let_go(self) -> None:
        """It has no place on the clock any more."""
        self.placed, self._shift, self._epoch = False, 0, None
        self._held, self._held_bytes = [], 0
        self._keys.clear()
        self.starts.clear()
