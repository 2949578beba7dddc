"""The face of the package: what `import hlsd` costs and offers, and that the views are what handlers get."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hlsd
from hlsd.relay.pull import Pull
from hlsd.relay.push import Push
from hlsd.sessions.session import Session
from hlsd.snapshots.timed import TakenPicture
from hlsd.streams.publisher import PublisherEntry
from tests.support.webhooks import Person

CHECKOUT = Path(__file__).resolve().parents[2]


def views(
    session: Session, publisher: PublisherEntry, pull: Pull, push: Push, taken: TakenPicture
) -> list[hlsd.Subject]:
    """For the type checker: what the events bring is what the views promise."""
    viewer: hlsd.Viewer = session
    publication: hlsd.Publisher = publisher
    relays: list[hlsd.Relay] = [pull, push]
    snapshot: hlsd.Snapshot = taken
    return [viewer, publication, *relays, snapshot, Person()]


def test_importing_it_loads_neither_the_server_nor_libav() -> None:
    """A tool that asks for the version must not pay for a media library."""
    code = (
        "import sys, hlsd; print(hlsd.__version__); "
        "print([name for name in ('av', 'hlsd.app', 'uvicorn', 'starlette') if name in sys.modules])"
    )
    first = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert first.stdout.splitlines() == [hlsd.__version__, "[]"]


def test_what_it_offers_is_there_and_is_what_the_types_say() -> None:
    """__init__.pyi is what checkers read, __getattr__ what programs get."""
    for name in hlsd.__all__:
        assert getattr(hlsd, name) is getattr(hlsd, name), name
        assert name in dir(hlsd)
    stub = ast.parse((CHECKOUT / "hlsd" / "__init__.pyi").read_text())
    said = next(one for one in stub.body if isinstance(one, ast.Assign))
    assert sorted(ast.literal_eval(said.value)) == sorted(hlsd.__all__)
    homes = {alias.name: one.module for one in stub.body if isinstance(one, ast.ImportFrom) for alias in one.names}
    assert homes == hlsd._HOMES
    with pytest.raises(AttributeError, match="Sever"):
        _ = hlsd.Sever  # type: ignore[attr-defined]
