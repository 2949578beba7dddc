"""What the documents say of the code is there: links, files, settings, codes, events, keys of relays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlsd.api.problems import Code
from hlsd.config import sections
from hlsd.events import Action
from hlsd.record.settings import RecordRule
from hlsd.relay.settings import RelayRule

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FILE = re.compile(r"`((?:hlsd|tests|conf|docs|bench|scripts|grafana|examples|web)/[\w./*-]+)`")
_SETTING = re.compile(r"`([a-z]+)\.([a-z_0-9]+)(?: = [^`]*)?`")


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def astray(document: Path) -> Iterator[str]:
    """What the document points at that is not there."""
    text = document.read_text()
    for link in _LINK.findall(text):
        place, _, anchor = link.partition("#")
        if "://" in place:
            continue
        target = document.parent / place if place else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link
    yield from (name for name in _FILE.findall(text) if not list(CHECKOUT.glob(name)))


@pytest.mark.parametrize("document", DOCS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_what_a_document_points_at_is_there(document: Path) -> None:
    # A reader who meets one dead link trusts none of the others.
    assert list(astray(document)) == []


@pytest.mark.parametrize("document", DOCS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    known = {section: set(model.model_fields) for section, model in sections().items()}
    named = {(section, key) for section, key in _SETTING.findall(document.read_text()) if section in known}
    objects = {("server", "on"), ("server", "off"), ("hls", "latency")}  # of a program around hlsd, and of hls.js
    assert {f"{section}.{key}" for section, key in named - objects if key not in known[section]} == set()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("docs/api.md", [code.value for code in Code]),
        ("docs/events.md", [action.value for action in Action]),
        ("docs/relay.md", list(RelayRule.model_fields)),
        ("docs/recording.md", list(RecordRule.model_fields)),
    ],
)
def test_every_word_that_users_meet_is_explained(document: str, words: list[str]) -> None:
    text = (CHECKOUT / document).read_text()
    assert [word for word in words if f"`{word}`" not in text] == []


def test_the_site_has_each_page_once_and_names_none_that_is_not_there() -> None:
    """`make docs` says so too; this needs nothing installed."""
    named = re.findall(r"(?m)^ +- (?:[^:\n]+: )?(\S+\.md)$", (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8"))
    docs = CHECKOUT / "docs"
    assert sorted(named) == sorted(str(path.relative_to(docs)) for path in docs.glob("**/*.md"))


def test_every_rule_that_code_names_stands_in_the_rules() -> None:
    # "DD05" beside a branch is worth something only to who can look it up.
    rules = (CHECKOUT / "docs" / "hls-rules.md").read_text()
    known = set(re.findall(r"\b[A-Z]{1,2}\d{2}\b", rules))
    kinds = {rule[:-2] for rule in known}
    named = {
        rule
        for path in CHECKOUT.glob("hlsd/**/*.py")
        for rule in re.findall(r"\b[A-Z]{1,2}\d{2}\b", path.read_text())
        if rule[:-2] in kinds
    }
    assert named - known == set()
