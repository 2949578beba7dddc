"""docs/reliability.md says what is promised, and by which tests it is held: they are there, and so is what cites it."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TABLE = re.compile(r"^\| ([RT]\d+) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = TABLE.findall((CHECKOUT / "docs" / "reliability.md").read_text(encoding="utf-8"))


def test_every_test_that_holds_a_promise_is_there() -> None:
    assert len(ROWS) > 40
    missing = []
    for _, _, _, held, _ in ROWS:
        for name in re.findall(r"`([^`]+)`", held):
            path, _, function = name.partition("::")
            file = CHECKOUT / "tests" / path
            if not file.exists() or (function and f"def {function}(" not in file.read_text(encoding="utf-8")):
                missing.append(name)
    assert missing == []
    assert [row[0] for row in ROWS if "`" not in row[3]] == []


def test_every_promise_that_is_cited_is_made() -> None:
    made = {row[0] for row in ROWS}
    for kind in "RT":
        numbers = [name for name in made if name[0] == kind]
        assert sorted(numbers, key=lambda name: int(name[1:])) == [f"{kind}{n}" for n in range(1, len(numbers) + 1)]
    assert len(made) == len(ROWS)
    cited: dict[str, str] = {}
    for folder in ("hlsd", "tests", "bench"):
        for path in (CHECKOUT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for found in re.findall(r"(?<![\w.(<\"'])R(\d{1,2})(?=[,:. )])", text) + re.findall(
                r"def test_r(\d+)_", text
            ):
                cited[f"R{found}"] = path.name
    assert len(cited) > 8
    assert {name: where for name, where in cited.items() if name not in made} == {}
