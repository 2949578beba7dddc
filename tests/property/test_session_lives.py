"""Sessions over several processes: one start and one stop for each life, to the byte, whatever befalls them.

Both tables of lives are held to it, the one in memory and the scripts of Redis; and tables that break their word in one
place are found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hlsd.sessions.store import RENEW, RENEW_NEAR
from tests.support.gears import LIVES
from tests.support.lives_world import MemoryTable, Table, World

PROCESS = st.integers(0, 2)
SID = st.sampled_from("xxy")


class Machine(RuleBasedStateMachine):
    """What may befall a cluster."""

    make: Callable[[], Table]
    kinds: Counter[str]

    @initialize(calm=st.booleans(), period=st.sampled_from([RENEW, RENEW_NEAR]))
    def begin(self, calm: bool, period: float) -> None:
        self.calm = calm
        self.world = World(self.make(), period=period)

    @rule(process=PROCESS, sid=SID, size=st.integers(1, 9), lose=st.booleans())
    def hit(self, process: int, sid: str, size: int, lose: bool) -> None:
        self.world.hit(self.world.processes[process], sid, size, lose=lose)

    @rule(process=PROCESS, size=st.integers(1, 9))
    def hit_again(self, process: int, size: int) -> None:
        self.world.hit(self.world.processes[process], "x", size)

    @rule(seconds=st.sampled_from([1, 4, 9, 16, 40]), lose=st.booleans())
    def wait(self, seconds: int, lose: bool) -> None:
        self.world.pass_time(seconds, lose=lose)

    @rule(seconds=st.sampled_from([1, 6, 12]))
    def store_away(self, seconds: int) -> None:
        self.world.away = True
        self.world.pass_time(seconds)

    @rule()
    def store_back(self) -> None:
        self.world.away = False

    @rule(sid=SID, heard=st.booleans())
    def kick(self, sid: str, heard: bool) -> None:
        if not self.world.away:
            self.world.kick(sid, heard=heard)

    @precondition(lambda self: not self.calm)
    @rule(process=PROCESS)
    def crash(self, process: int) -> None:
        self.world.crash(self.world.processes[process])

    @precondition(lambda self: not self.calm)
    @rule(process=PROCESS, cut=st.booleans())
    def cut(self, process: int, cut: bool) -> None:
        self.world.processes[process].cut = cut
        self.world.faults = self.world.faults or cut

    @precondition(lambda self: not self.calm)
    @rule()
    def mark(self) -> None:
        self.world.mark()

    @precondition(lambda self: not self.calm)
    @rule()
    def fail_over(self) -> None:
        self.world.fail_over()

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.finish()
            self.kinds.update(self.world.kinds)


def run(make: Callable[[], Table], examples: int, steps: int = 50, *, shrink: bool = True) -> Counter[str]:
    """Draws so many runs; what was told in them, by kind."""
    kinds: Counter[str] = Counter()

    class Drawn(Machine):
        pass

    Drawn.make = staticmethod(make)  # type: ignore[assignment]
    Drawn.kinds = kinds
    phases = (Phase.explicit, Phase.generate, Phase.shrink) if shrink else (Phase.explicit, Phase.generate)
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Drawn, settings=how)
    return kinds


def test_the_table_in_memory_keeps_its_word() -> None:
    kinds = run(MemoryTable, LIVES.drawn())
    assert kinds["start"] > LIVES.drawn()
    assert kinds["fix"]
