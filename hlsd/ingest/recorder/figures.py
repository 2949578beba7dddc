"""Counts what publishers by WebSocket do, and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from hlsd.base.figures import Figure, Reporter, Spec

SESSIONS = Spec("hlsd_recorder_sessions", "gauge", "Browsers that publish by WebSocket now, by state.", ("state",))
LAG = Spec(
    "hlsd_recorder_lag_seconds",
    "gauge",
    "How late what browsers send by WebSocket comes, behind what came soonest: of the latest one of an app.",
    ("app",),
)
RESUMED = Spec("hlsd_recorder_resumed", "counter", "Recordings that went on by another connection.")
ENDED = Spec(
    "hlsd_recorder_ended",
    "counter",
    "Browsers that were refused, or whose publication was ended by the server, by reason.",
    ("reason",),
)
REASONS: Final = ("parameters", "media", "large", "codec", "protocol", "late", "idle", "busy", "denied", "limit")
OTHER: Final = "other"


class RecorderStats:
    """What is counted: `ended` by the reason of the ending (`hlsd.ports.recorder`)."""

    def __init__(self) -> None:
        self.resumed = 0
        self.ended: Counter[str] = Counter()


class Lagging(Protocol):
    """A publisher as its figures see it."""

    @property
    def app(self) -> str: ...  # noqa: D102
    @property
    def away(self) -> bool: ...  # noqa: D102
    @property
    def lag(self) -> float: ...  # noqa: D102


class RecorderFigures(Reporter):
    """The figures; `publishers()` are those who publish, `label(app)` is what an app is called in a figure."""

    SPECS = (SESSIONS, LAG, RESUMED, ENDED)

    def __init__(
        self,
        stats: RecorderStats,
        publishers: Callable[[], Sequence[Lagging]],
        label: Callable[[str], str],
    ) -> None:
        self._stats = stats
        self._publishers = publishers
        self._label = label

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """What there is of all."""
        away = sum(one.away for one in self._publishers())
        yield SESSIONS, ("away",), away
        yield SESSIONS, ("live",), len(self._publishers()) - away
        yield RESUMED, (), self._stats.resumed
        ended = Counter(dict.fromkeys(REASONS, 0))
        for reason, count in self._stats.ended.items():
            ended[reason if reason in REASONS else OTHER] += count
        for reason, count in ended.items():
            yield ENDED, (reason,), count

    def apps(self) -> Iterator[Figure]:
        """How late those of each app are."""
        worst: dict[str, float] = {}
        for one in self._publishers():
            app = self._label(one.app)
            worst[app] = max(worst.get(app, 0.0), one.lag)
        for app, lag in worst.items():
            yield LAG, (app,), lag
