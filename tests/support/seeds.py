"""Says by which seeds tests draw: always the same, unless they are told otherwise.

`make test` means the same each time. HLSD_SEED=n draws by another seed; HLSD_FRESH=1 by one that nobody has chosen, as
the long forms do: what it finds becomes an example of the test that found it. pytest prints the seed in its heading.
"""

from __future__ import annotations

import functools
import os
import random

from tests.support.told import told, yes

FIXED = 1


@functools.cache
def first_seed() -> int:
    """The seed of this run; the processes of one run agree on it, because it is handed on in the environment."""
    given = told("SEED")
    if given:
        return int(given)
    if not fresh():
        return FIXED
    drawn = random.SystemRandom().randrange(1 << 30)
    os.environ["TESTS_SEED"] = str(drawn)
    return drawn


def fresh() -> bool:
    """Whether draws are to be new ones."""
    return yes("FRESH")


def rng(name: str) -> random.Random:
    """Draws for the test of that name."""
    return random.Random(f"{name} {first_seed()}")
