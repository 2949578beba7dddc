"""Reports what became of events."""

from __future__ import annotations

from collections.abc import Iterator

from hlsd.base.figures import Counts, Figure, Reporter, Spec
from hlsd.stats import NotifyStats

NOTIFY = Spec("hlsd_notify_events", "counter", "Webhook events, by result.", ("action", "result"))
NOTIFY_QUEUE = Spec("hlsd_notify_queue_length", "gauge", "Webhook events not delivered yet.")
NOTIFY_AGE = Spec("hlsd_notify_oldest_event_age_seconds", "gauge", "Age of the oldest of them; 0 if there is none.")
NOTIFY_EXEC = Spec("hlsd_notify_exec", "counter", "Runs of programs at events, by result.", ("result",))
NOTIFY_DURATION = Spec("hlsd_notify_request_duration_seconds", "histogram", "Time receivers took.", ("phase",))


class NotifyFigures(Reporter):
    """The figures of webhooks and the outbox."""

    SPECS = (NOTIFY, NOTIFY_QUEUE, NOTIFY_AGE, NOTIFY_EXEC, NOTIFY_DURATION)

    def __init__(self, stats: NotifyStats) -> None:
        self._stats = stats

    def node(self, now: float) -> Iterator[Figure]:
        """All of them: receivers are the node's."""
        stats = self._stats
        for (action, result), count in sorted(stats.events.items()):
            yield NOTIFY, (action, result), count
        yield NOTIFY_QUEUE, (), stats.queue_length
        yield NOTIFY_AGE, (), max(0.0, now - stats.oldest) if stats.oldest else 0.0
        for result, count in sorted(stats.commands.items()):
            yield NOTIFY_EXEC, (result,), count
        for phase, histogram in stats.duration.items():
            yield NOTIFY_DURATION, (phase,), Counts.of(histogram)
