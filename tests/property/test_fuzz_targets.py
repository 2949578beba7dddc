"""Every reader of strangers' bytes takes what it is sent or refuses it by an error that its callers know (R20).

Some hundred cases each; `make fuzz` has a million, guided by coverage. What it found once stays in tests/fuzz/crashers.
"""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import kept
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS
from tests.support.gears import FUZZ
from tests.support.seeds import rng


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_or_refused(name: str) -> None:
    target, draw = TARGETS[name], rng(f"fuzz {name}")
    seeds = target.seeds()
    for case in (b"", b"\0", *seeds, *(path.read_bytes() for path in kept(name))):
        target.run(case)
    for _ in range(FUZZ.drawn()):
        target.run(mutated(draw, seeds, target.most))


@pytest.mark.parametrize("name", TARGETS)
def test_what_honest_peers_say_is_not_refused_at_once(name: str) -> None:
    """A seed that its reader does not know would leave the rest of it unvisited."""
    taken = 0
    for seed in TARGETS[name].seeds():
        try:
            TARGETS[name].take(seed)
        except Exception:  # noqa: BLE001 - cut off in the middle, some are
            continue
        taken += 1
    assert taken
