"""Takes other rules up while streams are recorded: who is recorded begins or ends, files of the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal, Protocol

from hlsd.base.match import Match
from hlsd.ports import Commit, Reloadable
from hlsd.record.retention import RetentionLimits

if TYPE_CHECKING:
    from hlsd.base.faults import Faults
    from hlsd.ports import LiveStream
    from hlsd.record.recorder import Recorder
    from hlsd.record.settings import RecordRule, RecordSettings
    from hlsd.record.store import RecordingStore

BY_RULE: Final = "record"
"""Name of the output of a stream that rules want."""
READ: Final = frozenset({"path", "format", "rotate", "max_bytes", "max_tasks"})
"""Keys that are read when a file begins, or a task."""
HOOKED: Final = frozenset({"rules", "keep_for", "keep_bytes", "keep_free"})

Rules = list[tuple[Match, "RecordRule", str]]


class Ruled(Protocol):
    """Whoever records by the rules."""

    recorders: dict[tuple[str, str, str], Recorder]
    on_air: Callable[[], Iterable[LiveStream]]
    store: RecordingStore
    faults: Faults

    def turn_to(self, rules: Rules, limits: RetentionLimits) -> None:
        """Keeps other rules from now on, for what begins."""

    def rule_for(
        self, app: str, name: str, when: Literal["always", "api"] | None = None
    ) -> tuple[RecordRule, str] | None:
        """The first rule for a stream, and what it is called."""

    def by_rule(self, stream: LiveStream) -> Recorder | None:
        """The recorder that a rule wants of a stream."""


def rules_of(settings: RecordSettings) -> Rules:
    """Each rule with its pattern, and what it is called that has no name."""
    return [(Match(rule.match), rule, f"rule{at}") for at, rule in enumerate(settings.rules, 1)]


def limits_of(settings: RecordSettings) -> RetentionLimits:
    """What is kept here."""
    return RetentionLimits(settings.keep_for, settings.keep_bytes, settings.keep_free)


def reloadables(service: Ruled) -> tuple[Reloadable, ...]:
    """What a service of recordings takes while it runs."""

    def change(settings: RecordSettings) -> Commit:
        rules = rules_of(settings)

        def commit() -> None:
            on_air = list(service.on_air())
            before = [(stream, _always(service, stream)) for stream in on_air]
            service.turn_to(rules, limits_of(settings))
            for _, rule, number in rules:
                service.store.stats.rule(rule.name or number)
            guard = service.faults.guard("record_change")
            for stream, rule_before in before:
                with guard:
                    _follow(service, stream, rule_before)

        return commit

    return (Reloadable("record", READ), Reloadable("record", HOOKED, change))


def _always(service: Ruled, stream: LiveStream) -> RecordRule | None:
    found = service.rule_for(stream.app, stream.name)
    return found[0] if found is not None and found[0].when == "always" else None


def _follow(service: Ruled, stream: LiveStream, before: RecordRule | None) -> None:
    now = _always(service, stream)
    if now == before:
        return
    recorder = service.recorders.pop((BY_RULE, stream.app, stream.name), None)
    if recorder is not None:
        stream.detach(BY_RULE)
        recorder.stop("api")
    if now is not None and (begun := service.by_rule(stream)) is not None:
        stream.attach(BY_RULE, begun)
