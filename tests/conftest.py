"""What holds for all tests: draws are alike each time, hypothesis times nothing, and who may run beside whom.

`make test` must mean the same on each machine and each day, so examples are derandomized and none are kept from run to
run; see `tests.support.seeds` for how to draw others. scripts/test.sh says what runs beside what.
"""

from __future__ import annotations

import gc
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import core, settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.support import browser, gears
from tests.support.seeds import first_seed, fresh
from tests.support.told import told

LONG_ONES = (
    "test_shapes",
    "test_prometheus",
    "test_ten_publishers",
    "test_players",
    "test_ll_promises",
    "test_ll_directives",
)
"""Files that take the longest: begun first, so that no worker ends with one while the others have nothing to do."""

# No test is timed: on a busy machine an example of microseconds takes as long as it takes.
_drawn_anew = fresh() or bool(told("SEED"))
settings.register_profile("hlsd", deadline=None, derandomize=not _drawn_anew, database=None, print_blob=True)
settings.load_profile("hlsd")
if _drawn_anew:
    core.global_force_seed = first_seed()  # type: ignore[assignment]


def pytest_configure() -> None:
    """Plays share a browser; what is logged without a configuration is written plainly.

    structlog's own way of showing an exception (rich, with the locals) took most of the time of tests that raise.
    """
    browser.SHARED = True
    processors = structlog.get_config()["processors"]
    structlog.configure(
        [*processors[:-1], structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )


def pytest_collection_finish() -> None:
    """What has been collected stays to the end: the collector need not look through it in the midst of tests."""
    gc.collect()
    gc.freeze()


def pytest_report_header(config: pytest.Config) -> str:
    """Names the seed and the form, so that a run can be repeated."""
    form = "long" if gears.LONG else "short (python -m tests.support.gears says what it leaves out)"
    return f"seed: {first_seed()} ({'HLSD_SEED' if _drawn_anew else 'fixed'}), form: {form}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with what takes the longest; files stay as they are."""
    # The line of those that drive a browser is the longest. The sort is stable.
    items.sort(key=lambda item: LONG_ONES.index(item.path.stem) if item.path.stem in LONG_ONES else len(LONG_ONES))
    items.sort(key=lambda item: not drives_browsers(item.path))


@cache
def drives_browsers(path: Path) -> bool:
    """Whether a file has tests that do, by its text: xdist's scheduler knows no marks."""
    return "pytest.mark.browser" in path.read_text()


BROWSERS = int(told("BROWSERS") or 1)
"""Processes that drive browsers at a time."""


class FewBrowsersAtATime(LoadFileScheduling):  # type: ignore[misc]
    """A file stays in one process, and files with browsers stay in `BROWSERS` of them: each has a browser for all."""

    def _split_scope(self, nodeid: str) -> str:
        file = self.config.rootpath / nodeid.partition("::")[0]
        if not drives_browsers(file):
            return nodeid.partition("::")[0]
        return f"browsers {browser_files(file.parent).index(file) % BROWSERS}"


@cache
def browser_files(folder: Path) -> list[Path]:
    """The files of a folder that do."""
    return [file for file in sorted(folder.glob("test_*.py")) if drives_browsers(file)]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FewBrowsersAtATime | None:
    """Ours for `--dist loadfile`. (`loadgroup` of xdist 3.8 has no effect with pytest 9.2.)."""
    return FewBrowsersAtATime(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where films are kept: for all that scripts/test.sh runs, or for the session and its workers."""
    given = os.environ.get("TESTS_FILMS")
    if given:
        return Path(given)
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    return shared / "films"
