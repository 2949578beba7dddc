"""Is one live stream: who publishes it, what it carries, and every output that is fed from it.

A stream lives from its first publication to the end of its outputs' lives: LIVE while somebody publishes, GRACE while
the publisher may come back (TL01, EN03), ENDED while finished playlists stay to be read (EN04), then it is removed.
It moves only by calls: publications push units in, the hub says what time it is. What an output raises reaches neither
the publisher nor the other outputs (`hlsd.streams.outlet`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from hlsd.base.faults import Faults
from hlsd.media.unit import TICKS, AccessUnit, Tracks
from hlsd.ports import AsSentTaker, EventTaker, Keeping, RangeTaker
from hlsd.stats import StreamStats
from hlsd.streams.claim import Claim
from hlsd.streams.outlet import Outlet

if TYPE_CHECKING:
    from collections.abc import Callable

    from hlsd.media.date_range import DateRange
    from hlsd.media.timed_event import TimedEvent
    from hlsd.ports import MediaRun, Output, PublishRequest

RANGES: Final = 256
"""Date ranges that a stream remembers."""
_SMOOTHING = 0.3
"""Weight of the newest second in the smoothed bit rate."""


class StreamState(enum.Enum):
    """Where a stream is in its life."""

    LIVE = "live"
    GRACE = "grace"
    ENDED = "ended"


class Stream:
    """One run of a name. `outlets` are its outputs by name, in the order in which they are fed.

    `announced(stream)` is told once, when the first tracks are known; `drop(stream, reason, words)` turns its publisher
    away.
    """

    def __init__(  # noqa: PLR0913 - whom it knows
        self,
        app: str,
        name: str,
        since: float,
        faults: Faults | None = None,
        *,
        id: str = "",  # noqa: A002 - it is one
        announced: Callable[[Stream], None] = lambda _: None,
        drop: Callable[[Stream, str, str], None] = lambda _stream, _reason, _words: None,
    ) -> None:
        self.id = id
        """Of this run of the name, as in events and in its media's URLs."""
        self.app = app
        self.name = name
        self.since = since
        """Wall clock of the first publication, seconds since the epoch."""
        self.state = StreamState.GRACE
        self.state_since = 0.0
        """Monotonic time of the last change of state."""
        self.stats = StreamStats()
        self.tracks: Tracks | None = None
        self.events = 0
        """Timed metadata so far: the number of the newest."""
        self.ranges: dict[str, DateRange] = {}
        """Date ranges that were told of, by id, the newest `RANGES`: what is said of one once must not change."""
        self.newest_key: AccessUnit | None = None
        """The newest key picture of the track that `tracks` has: kept for who wants a still picture of it."""
        self.dropped: tuple[str, ...] = ()
        """What its publisher sends that is not carried, by name of the codec."""
        self.converted: tuple[str, ...] = ()
        """What its publisher sends that is turned into what is carried, likewise."""
        self.outlets: dict[str, Outlet] = {}
        self.fed: tuple[Output, ...] = ()
        """The outputs as they are fed: made when one comes, goes or fails, not for each unit."""
        self.hearing: tuple[AsSentTaker, ...] = ()
        """Those of them that are `AsSentTaker`."""
        self.claim: Claim | None = None
        self.run: MediaRun | None = None
        """What an output keeps of it to be asked for, once there is one that does."""
        self._announced = announced
        self._drop = drop
        self.faults = faults or Faults()
        self._next_origin = 0
        self._counted_bytes = 0
        self._counted_at = 0.0

    @property
    def path(self) -> str:
        """`/{app}/{stream}`, as URLs and events name it."""
        return f"/{self.app}/{self.name}"

    @property
    def held(self) -> int:
        """Bytes of media that wait for something or are kept for viewers, those in the live window not counted."""
        kept = sum([outlet.hoarder.held for outlet in self.outlets.values() if outlet.hoarder is not None])
        key = self.newest_key
        kept += len(key.payload) if key is not None else 0
        return kept + (self.claim.request.held() if self.claim is not None else 0)

    def attach(self, name: str, output: Output) -> None:
        """Feeds `output` from now on."""
        self.detach(name)
        self.outlets[name] = Outlet(
            name,
            output,
            faults=self.faults,
            tracks=lambda: self.tracks,
            changed=self._refeed,
            app=self.app,
            name=self.name,
        )
        self._refeed()
        if isinstance(output, Keeping):
            self.run = output.run
        tracks = self.tracks
        if tracks is not None:
            try:
                output.tracks(tracks)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this output's
                self.failed(output, error)

    def detach(self, name: str) -> None:
        """Feeds the output of that name no more; nothing happens if there is none."""
        outlet = self.outlets.pop(name, None)
        if outlet is not None:
            outlet.revive()
            self._refeed()

    @property
    def over(self) -> bool:
        """Whether nobody will publish into this run any more."""
        return self.state is StreamState.ENDED

    def refresh(self) -> bool:
        """Asks its publisher for a key picture, if it can be asked."""
        ask = self.claim.request.refresh if self.claim is not None else None
        if ask is not None:
            ask()
        return ask is not None

    def turn_away(self, reason: str, words: str) -> None:
        """Lets its publisher go, if it has one; `words` tell it why."""
        self._drop(self, reason, words)

    def announce(self) -> None:
        """The first tracks are known."""
        self._announced(self)

    def failed(self, output: Output, error: Exception) -> None:
        """One of those that are fed has raised."""
        for outlet in self.outlets.values():
            if outlet.output is output or outlet is output:
                outlet.failed(error)
                return
        self.faults.output("detached", error, app=self.app, name=self.name)  # it went while it was being told

    def tell(self, say: Callable[[Output], None]) -> None:
        """Says something to every output; what one of them raises is its own."""
        rest = iter(self.fed)
        while True:
            output: Output | None = None
            try:
                for output in rest:
                    say(output)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this output's
                assert output is not None
                self.failed(output, error)
            else:
                return

    def event(self, event: TimedEvent, source: str) -> None:
        """Tells those outputs of it that carry such; `source` is who says it, for the figures."""
        self.stats.events[source, "ok"] += 1
        self.events += 1
        event = event._replace(number=self.events)
        self.tell(lambda output: output.event(event) if isinstance(output, EventTaker) else None)

    def date_range(self, told: DateRange) -> None:
        """Tells those outputs of it that have playlists."""
        self.stats.events["api", "ok"] += 1
        self.ranges[told.id] = told
        if len(self.ranges) > RANGES:
            del self.ranges[next(iter(self.ranges))]
        self.tell(lambda output: output.date_range(told) if isinstance(output, RangeTaker) else None)

    def publish(self, request: PublishRequest, now: float, ended: Callable[[Stream, str], None]) -> Claim:
        """Takes a publisher in; the one before it must have been let go. `ended` is told when it leaves."""
        assert self.claim is None
        self.claim = Claim(self, request, self._next_origin, now, lambda reason: ended(self, reason))
        self._move(StreamState.LIVE, now)
        self.stats.publishes += 1
        self.dropped = self.converted = ()
        for outlet in self.outlets.values():
            outlet.revive()
        if self.stats.publishes > 1:
            self.tell(_jump)
        return self.claim

    def release(self, now: float) -> None:
        """The publisher is gone: outputs finish what is open and wait."""
        claim, self.claim = self.claim, None
        if claim is None:
            return
        claim.revoke()
        self._next_origin = claim.last_dts + TICKS // 10
        self._move(StreamState.GRACE, now)
        self.tell(_pause)

    def finish(self, now: float) -> None:
        """Nobody will publish into this run any more."""
        self.release(now)
        self._move(StreamState.ENDED, now)
        self.newest_key = None
        for outlet in list(self.outlets.values()):
            outlet.revive()
        failing = set(map(id, self._resting()))
        self.tell(_end)
        for outlet in self._resting():  # who raised at its end gets it once more: it has let go of what was in its way
            if id(outlet) not in failing:
                outlet.end()

    def _resting(self) -> list[Outlet]:
        return [outlet for outlet in self.outlets.values() if outlet.resting]

    def _refeed(self) -> None:
        self.fed = tuple([outlet.fed for outlet in self.outlets.values()])
        self.hearing = tuple([one for one in self.fed if isinstance(one, AsSentTaker)])

    def measure(self, now: float) -> None:
        """Brings the smoothed bit rate up to `now` (monotonic seconds)."""
        elapsed = now - self._counted_at
        if elapsed <= 0:
            return
        received = self.stats.received_bytes
        rate = (received - self._counted_bytes) * 8 / elapsed
        if self._counted_at:
            old = self.stats.bitrate
            self.stats.bitrate = rate if not old else old + _SMOOTHING * (rate - old)
        self._counted_bytes, self._counted_at = received, now

    def _move(self, state: StreamState, now: float) -> None:
        self.state, self.state_since = state, now


def _jump(output: Output) -> None:
    output.jump()


def _pause(output: Output) -> None:
    output.pause()


def _end(output: Output) -> None:
    output.end()
