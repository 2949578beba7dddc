"""Takes other rules up while streams are relayed.

Law: a rule that stays goes on with all that runs of it. Of one that is gone, what it pushes or pulls always ends; what
it has pulled for viewers goes on until nobody watches it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from hlsd.ports import Commit, Reloadable
from hlsd.relay.guard import HostList
from hlsd.relay.plan import Plan, plan_of

if TYPE_CHECKING:
    from hlsd.base.faults import Faults
    from hlsd.relay.pull import Pull
    from hlsd.relay.push import Push
    from hlsd.relay.settings import RelayRule, RelaySettings

READ: Final = frozenset({"max_pulls", "max_pushes", "max_starts_per_ip", "max_tasks"})
"""Keys that are read whenever they are needed."""
HOOKED: Final = frozenset({"rules", "allow_hosts", "push_seconds", "push_bytes"})

RuledPlan = tuple["RelayRule", Plan]


class Relaying(Protocol):
    """Whoever relays by the rules."""

    ruled: list[RuledPlan]
    faults: Faults

    def turn_to(self, ruled: list[RuledPlan], settings: RelaySettings, hosts: HostList) -> None:
        """Keeps other rules and bounds from now on, for what begins."""

    @property
    def plans(self) -> list[Plan]:
        """Of the rules."""

    def of(self, plan: Plan) -> list[Pull | Push]:
        """What runs of a rule."""

    def begin(self, plan: Plan) -> None:
        """A rule is new."""


def reloadables(service: Relaying) -> tuple[Reloadable, ...]:
    """What a service of relays takes while it runs."""

    def change(settings: RelaySettings) -> Commit:
        hosts = HostList(settings.allow_hosts)
        ruled = list(_kept(service.ruled, ruled_of(settings)))

        def commit() -> None:
            before = service.plans
            service.turn_to(ruled, settings, hosts)
            guard = service.faults.guard("relay_change")
            for plan in _without(before, service.plans):
                for relay in service.of(plan) if plan.mode != "pull" else ():
                    with guard:
                        relay.stop("removed")
            for plan in _without(service.plans, before):
                with guard:
                    service.begin(plan)

        return commit

    return (Reloadable("relay", READ), Reloadable("relay", HOOKED, change))


def ruled_of(settings: RelaySettings) -> list[RuledPlan]:
    """Each rule with its plan. Raises ValueError where a preset is not known."""
    return [(rule, plan_of(rule, number, settings.presets)) for number, rule in enumerate(settings.rules, 1)]


def _kept(old: Sequence[RuledPlan], new: Sequence[RuledPlan]) -> Iterator[RuledPlan]:
    """The new rules, each with its old plan where the rule is the same, wherever it stands: what runs is of that."""
    left = list(old)
    for rule, plan in new:
        same = next((one for one in left if one[0] == rule), None)
        if same is not None:
            left.remove(same)
        yield same or (rule, plan)


def _without(plans: Sequence[Plan], others: Sequence[Plan]) -> list[Plan]:
    return [plan for plan in plans if not any(one is plan for one in others)]
