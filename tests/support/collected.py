"""A publication that writes down what an intake gives it, and the intake's feeding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hlsd.ingest.intake import Intake
from hlsd.media.sounds import SoundFormat
from hlsd.media.timed_event import TimedEvent
from hlsd.media.unit import AccessUnit, Kind, Tracks

ORIGIN = 450_000
Tag = tuple[int, int, bytes]


class Collected:
    """A publication that writes down what it is given, in order."""

    name = "show"
    origin = ORIGIN

    def __init__(self) -> None:
        self.calls: list[Tracks | AccessUnit | str] = []
        self.repairs: Counter[str] = Counter()
        self.events: list[TimedEvent] = []
        self.sent: list[tuple[SoundFormat, int, bytes]] = []
        self.lost: Counter[str] = Counter()
        self.dropped: tuple[str, ...] = ()
        self.other_tracks: list[tuple[str, ...]] = []
        self.turned: tuple[str, ...] = ()
        self.remarks: list[str] = []

    def tracks(self, tracks: Tracks) -> None:
        self.calls.append(tracks)

    def unit(self, unit: AccessUnit) -> None:
        self.calls.append(unit)

    def event(self, event: TimedEvent) -> None:
        self.events.append(event)

    def as_sent(self, form: SoundFormat, ticks: int, packet: bytes) -> None:
        self.sent.append((form, ticks, packet))

    def event_lost(self, reason: str) -> None:
        self.lost[reason] += 1

    def jump(self) -> None:
        self.calls.append("jump")

    def received(self, size: int) -> None:
        raise AssertionError("the connection counts bytes, not the intake")

    def repaired(self, kind: str) -> None:
        self.repairs[kind] += 1

    def left_out(self, codecs: tuple[str, ...]) -> None:
        self.dropped = codecs

    def tracks_left_out(self, names: tuple[str, ...]) -> None:
        self.other_tracks.append(names)

    def converted(self, codecs: tuple[str, ...]) -> None:
        self.turned = codecs

    def remark(self, event: str, facts: Mapping[str, object]) -> None:
        self.remarks.append(" ".join([event, *(f"{name}={value}" for name, value in facts.items())]))

    def end(self, reason: str) -> None:
        raise AssertionError("the connection says goodbye, not the intake")

    @property
    def announced(self) -> list[Tracks]:
        """The tracks, as often as they were told."""
        return [call for call in self.calls if isinstance(call, Tracks)]

    @property
    def units(self) -> list[AccessUnit]:
        """All access units."""
        return [call for call in self.calls if isinstance(call, AccessUnit)]

    def of(self, kind: Kind) -> list[AccessUnit]:
        """Those of one track."""
        return [unit for unit in self.units if unit.kind is kind]


def take(tags: Iterable[Tag], *, close: bool = True) -> Collected:
    """Feeds tags as fast as their timestamps say."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    for kind, time, body in tags:
        intake.tag(kind, time, body, time / 1000, 1e9 + time / 1000)
    if close:
        intake.close()
    return collected
