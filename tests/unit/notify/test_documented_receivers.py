"""The checks that docs/events.md gives to receivers: they accept the vector and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hlsd.events import Action
from tests.unit.operator.test_signature import AT, BODY, SECRET, VECTOR

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "events.md").read_text()


def snippet(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is copied from documentation is run in production."""
    monkeypatch.setattr("time.time", lambda: AT + 10.0)
    scope: dict[str, object] = {}
    exec(snippet("python"), scope)
    is_ours = scope["is_ours"]
    assert callable(is_ours)
    assert is_ours(SECRET, VECTOR, BODY) is True
    assert is_ours(SECRET, VECTOR, BODY + b" ") is False
    monkeypatch.setattr("time.time", lambda: AT + 301.0)
    assert is_ours(SECRET, VECTOR, BODY) is False


NODE = """
Date.now = () => {now} * 1000;
const say = (secret, header, body) => console.log(isOurs(secret, header, Buffer.from(body)));
say("{secret}", "{vector}", '{body}');
say("{secret}", "{vector}", '{body} ');
say("{secret}", "{vector}".replace("t=15", "t=14"), '{body}');
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node() -> None:
    """The same in JavaScript."""
    for seconds, said in ((10, ["true", "false", "false"]), (301, ["false"] * 3)):
        fields = {"{now}": str(AT + seconds), "{secret}": SECRET.decode(), "{vector}": VECTOR, "{body}": BODY.decode()}
        script = NODE
        for name, value in fields.items():
            script = script.replace(name, value)
        command = ["node", "-e", snippet("js") + script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.split() == said, done.stderr


def test_the_page_names_every_action() -> None:
    """A new event without a line there is a defect."""
    assert [action.value for action in Action if f"`{action.value}`" not in PAGE] == []
