"""Whatever a source sends, everything that arrives and can be decoded comes out of every way out: once, in order, in time.

The short form of `python -m tests.footage`: the first seeds of each kind, always the same. HLSD_SEED=n begins with
another seed, HLSD_FRESH=1 with one that is drawn; a seed that fails becomes one of `FOUND`.
"""

from __future__ import annotations

import pytest

from tests.footage import changes  # noqa: F401 - more kinds
from tests.footage.house import play
from tests.footage.judge import judge
from tests.footage.kinds import KINDS
from tests.support.seeds import first_seed

SEEDS = 3
"""Films of each kind."""
FOUND: dict[str, tuple[int, ...]] = {}
"""Seeds beyond the first ones that found something once."""


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_all_that_arrives_comes_out_once_in_order_and_in_time(kind: str) -> None:
    first = first_seed()
    failed = []
    for seed in (*range(first, first + SEEDS), *FOUND.get(kind, ())):
        film = KINDS[kind](seed)
        faults = judge(film, play(film))
        if faults:
            failed += [f"python -m tests.footage --kind {kind} --seeds {seed}  # {film.words}", *faults[:8]]
    assert not failed, "\n".join(failed)
