"""Whatever a source sends: what arrives and can be decoded comes out of every way out, once, in order, in time.

The short form of `python -m tests.footage`: the first seeds of each kind, always the same. HLSD_SEED=n begins with
another seed, HLSD_FRESH=1 with one that is drawn; a seed that fails becomes one of `FOUND`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.footage import changes  # noqa: F401 - more kinds
from tests.footage.encoded import SHORT, Take, decoded, film_of
from tests.footage.house import play
from tests.footage.judge import judge
from tests.footage.kinds import KINDS
from tests.support.seeds import first_seed

SEEDS = 2
"""Films of each kind."""
FOUND: dict[str, tuple[int, ...]] = {}
"""Seeds beyond the first ones that found something once."""


@pytest.mark.timeout(400)
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


@pytest.mark.timeout(400)
@pytest.mark.parametrize("take", SHORT, ids=lambda take: take.name)
def test_real_encoders_come_out_as_they_went_in(take: Take, tmp_path: Path) -> None:
    """Every unit as it was, and decoded to the same pictures."""
    path = take.make(tmp_path, first_seed())
    film = film_of(path, first_seed())
    result = play(film, keep=True)
    assert not judge(film, result), take
    wanted = decoded(path.read_bytes())
    assert len(wanted) >= take.rate * take.seconds - 1
    for view in result.views:
        if view.name in {"ll", "ll-fmp4", "plain", "flv"}:
            assert view.kept is not None
            got = [picture for body in view.kept.values() for picture in decoded(bytes(body))]
            assert got == wanted, view.name
