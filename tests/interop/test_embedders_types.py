"""Who embeds hlsd gets its types from the installed package: mypy --strict reads the examples without this checkout."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
WRONG = """
import hlsd

def viewer(one: hlsd.Viewer) -> None: ...
def publisher(one: hlsd.Publisher) -> None: ...
def relay(one: hlsd.Relay) -> None: ...
def snapshot(one: hlsd.Snapshot) -> None: ...
def anybody(one: hlsd.Subject) -> None: ...
async def later(one: hlsd.Viewer) -> None: ...

def wire(server: hlsd.Server, action: str) -> None:
    server.on("prePlay", viewer)
    server.on("donePlay", later)
    server.on("streamStart", publisher)
    server.on("relayStop", relay)
    server.on("snapshotDone", snapshot)
    server.on("prePublish", anybody)
    server.on(action, anybody)
    server.on("prePlay", lambda one: print(one.media_bytes))
    server.on("prePlay", publisher)  # wrong
    server.on("prePublish", later)  # wrong
    server.on(action, viewer)  # wrong
    server.on("prePublish", lambda one: print(one.media_bytes))  # wrong
    hlsd.nonsense  # wrong
    hlsd.asgi(server.settings).server.on("relayStart", viewer)  # wrong
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is published."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.whl"))


def test_the_wheel_says_that_it_has_types(wheel: Path) -> None:
    """PEP 561: without the marker a checker takes everything of it for Any."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {"hlsd/py.typed", "hlsd/__init__.pyi", "hlsd/delivery/player/page.html"} <= set(names)


@pytest.mark.timeout(300)
def test_the_examples_need_no_casts_and_slips_are_found(wheel: Path, tmp_path: Path) -> None:
    """One run of mypy over the examples, and over a file of mistakes that it must find, each at its line."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = tmp_path / "venv" / "lib" / version / "site-packages"
    zipfile.ZipFile(wheel).extractall(packages)
    # What hlsd stands on; the checkout is not among it, since a .pth of a folder that a .pth names is not followed.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    work = tmp_path / "work"
    work.mkdir()
    examples = sorted((CHECKOUT / "examples").glob("*.py"))
    for example in examples:
        text = example.read_text()
        assert not re.search(r"\bcast\(|isinstance|getattr|type: ignore", text), example.name
        shutil.copy(example, work)
    (work / "wrong.py").write_text(WRONG)
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache"),
            "--python-executable", str(python), *[example.name for example in examples], "wrong.py",
        ],
        cwd=work, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    found = {int(line) for line in re.findall(r"^wrong\.py:(\d+): error", done.stdout, re.MULTILINE)}
    meant = {number for number, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# wrong")}
    assert found == meant, done.stdout + done.stderr
    assert set(re.findall(r"^(\S+?):\d+: error", done.stdout, re.MULTILINE)) == {"wrong.py"}, done.stdout
