"""What holds for all tests: what is drawn is drawn alike each time, and nothing is timed by hypothesis.

`make test` must mean the same on each machine and each day, so examples are derandomized and none are kept from run to
run; see `tests.support.seeds` for how to draw others.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import core, settings

from tests.support.seeds import first_seed, fresh

# No test is timed: on a busy machine an example of microseconds takes as long as it takes.
_drawn_anew = fresh() or bool(os.environ.get("HLSD_SEED"))
settings.register_profile("hlsd", deadline=None, derandomize=not _drawn_anew, database=None, print_blob=True)
settings.load_profile("hlsd")
if _drawn_anew:
    core.global_force_seed = first_seed()  # type: ignore[assignment]


def pytest_report_header(config: pytest.Config) -> str:
    """Names the seed, so that a run can be repeated."""
    return f"seed: {first_seed()} ({'HLSD_SEED' if _drawn_anew else 'fixed'})"
