"""Scripts of our pages never make markup of what they are told: names, metadata and messages are strangers' words."""

from __future__ import annotations

import re

import pytest

from tests.support.server import CHECKOUT

FILES = sorted(
    path
    for folder in ("hlsd", "web/publish")
    for kind in ("*.js", "*.html", "*.ts")
    for path in (CHECKOUT / folder).rglob(kind)
    if not {"node_modules", "dist"} & set(path.parts)
)
MARKUP = re.compile(
    r"\b(?:inner|outer)HTML\b|\binsertAdjacentHTML\b|\bdocument\.write|\bsrcdoc\b|\beval\(|\bnew Function\b"
    r"|\bcreateContextualFragment\b|\bDOMParser\b|\bset(?:Timeout|Interval)\(\s*[\"'`]|\bjavascript:"
)


def test_no_script_of_a_page_makes_markup_of_words() -> None:
    assert len(FILES) > 20
    found = {
        f"{path.relative_to(CHECKOUT)}:{number}": line.strip()
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MARKUP.search(line)
    }
    assert found == {}


@pytest.mark.parametrize("line", ["one.innerHTML = name;", "setTimeout('go()', 1)", "document.write(name)"])
def test_the_rule_finds_what_it_is_for(line: str) -> None:
    assert MARKUP.search(line)
