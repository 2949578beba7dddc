"""What a run of the tests is told in the environment: HLSD_LONG, HLSD_SEED, HLSD_FRESH, HLSD_FAST, HLSD_BROWSERS.

hlsd refuses variables of its prefix that it does not know, in its commands and in the servers of tests: so what is told
is kept under another name, which the other processes of the run inherit.
"""

from __future__ import annotations

import os


def told(name: str) -> str:
    """The word for `name`; empty if nothing was said."""
    given = os.environ.pop(f"HLSD_{name}", None)
    if given is not None:
        os.environ[f"TESTS_{name}"] = given
    return os.environ.get(f"TESTS_{name}", "")


def yes(name: str) -> bool:
    """Whether it was said, other than by 0."""
    return told(name) not in {"", "0"}
