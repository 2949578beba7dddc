"""What may stand in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.sources import CHECKOUT, parsed

# Written in halves, so that this file does not name what it looks for.
_INDEX_HOSTS = re.compile(
    "|".join(
        (
            r"pypi\." + "org",
            r"pythonhosted\." + "org",
            r"registry\.npmjs\." + "org",
            r"registry\.yarnpkg\." + "com",
            r"--(extra-)?index-" + "url",
            r"(deb|security)\.debian\." + "org",
            r"archive\.ubuntu\." + "com",
        )
    )
)
_MACHINE_PATHS = re.compile(r"(?<![\w.])/(work|home|root)/" + r"[a-z]")
_LOCKS = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-build.txt",
    "requirements-node.txt",
)


@cache
def committed() -> tuple[Path, ...]:
    """The files of the checkout that git knows, or would take."""
    asked = ["git", "-c", f"safe.directory={CHECKOUT}", "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no git checkout to ask: {error}")
    return tuple(CHECKOUT / name for name in done.stdout.split("\0") if name and (CHECKOUT / name).is_file())


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in committed():
        raw = path.read_bytes()
        if b"\0" in raw[:8000]:
            continue
        for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()[:120]}")
    return found


owners_of_packages = cache(packages_distributions)


@cache
def names_imported(path: Path) -> frozenset[str]:
    """The packages that a module names in import statements."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return frozenset(found)


def imported(*folders: str) -> set[str]:
    """The packages that modules of these folders name in import statements, less our own and Python's."""
    found: set[str] = set()
    for path in committed():
        if path.suffix == ".py" and path.relative_to(CHECKOUT).parts[0] in folders:
            found |= names_imported(path)
    # tests/support/rtsp_server.py runs in the distribution's own Python, which has GStreamer's bindings.
    return found - sys.stdlib_module_names - {"hlsd", "bench", "scripts", "tests", "gi"}


def locked(name: str) -> set[str]:
    """What a lock installs, in normal form."""
    lines = (CHECKOUT / name).read_text().splitlines()
    return {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines if "==" in line}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("lock", "folders"),
    [
        ("requirements.txt", ("hlsd", "examples")),
        ("requirements-dev.txt", ("hlsd", "examples", "bench", "scripts", "tests")),
    ],
)
def test_a_lock_holds_all_that_is_imported(lock: str, folders: tuple[str, ...]) -> None:
    """Or `make run` and `make check` break on a fresh clone, where nothing else happens to be installed."""
    owners = owners_of_packages()
    there = locked(lock)
    missing = {
        package
        for package in imported(*folders)
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners.get(package, ["?"])} & there
    }
    assert not missing


def test_no_two_files_of_one_run_have_one_name() -> None:
    """Pytest imports them by it: whichever comes second is an error, and only where both are collected."""
    waiting = {"interop", "fault"}  # a run of their own: scripts/test.sh
    names: dict[tuple[bool, str], list[str]] = {}
    for path in committed():
        parts = path.relative_to(CHECKOUT).parts
        if parts[0] == "tests" and path.name.startswith("test_") and path.suffix == ".py":
            names.setdefault((parts[1] in waiting, path.name), []).append("/".join(parts))
    assert [both for both in names.values() if len(both) > 1] == []


def test_pytest_loads_the_plugins_that_are_named_and_no_others(request: pytest.FixtureRequest) -> None:
    """Those that come with what is installed cost each process of a run its seconds."""
    there = {
        name.partition(".")[0]
        for _, one in request.config.pluginmanager.list_plugin_distinfo()
        for name in [one.project_name]
    }
    assert {"pytest-asyncio", "pytest-timeout", "hypothesis"} <= there
    assert not there & {"schemathesis", "anyio"}


def test_nothing_names_a_package_index() -> None:
    """Where packages come from is the business of the machine that installs them."""
    assert not [line for line in lines_matching(_INDEX_HOSTS) if not line.startswith("scripts/lock.sh:")]


def test_nothing_names_a_path_of_one_machine() -> None:
    assert not lines_matching(_MACHINE_PATHS)


@pytest.mark.parametrize("name", [*_LOCKS, "requirements-docs.txt", "requirements-fuzz.txt"])
def test_locks_pin_everything_with_hashes(name: str) -> None:
    """`pip install --require-hashes` refuses a lock with a gap; better here than on a fresh machine."""
    text = (CHECKOUT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+ ", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_locks_agree_with_one_another() -> None:
    """They are installed into one environment."""
    versions: dict[str, set[str]] = {}
    for name in _LOCKS:
        for line in (CHECKOUT / name).read_text(encoding="utf-8").splitlines():
            pin = re.match(r"([a-z0-9._-]+)==([^ ;]+)(.*python_full_version.*)?", line)
            if pin and not pin[3]:
                versions.setdefault(pin[1], set()).add(pin[2])
    assert not {name: found for name, found in versions.items() if len(found) > 1}


def test_npm_locks_hold_no_addresses() -> None:
    locks = [path for path in committed() if path.name == "package-lock.json"]
    assert not [str(path) for path in locks if '"resolved"' in path.read_text(encoding="utf-8")]
