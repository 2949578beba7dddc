"""What a comment cites is there to be read: sections of our own pages, ids of rules, and named standards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = [path for folder in ("hlsd", "tests", "bench", "scripts") for path in (CHECKOUT / folder).rglob("*.py")]
CONTRACT = (CHECKOUT / "docs" / "contract.md").read_text(encoding="utf-8")
RULES = (CHECKOUT / "docs" / "hls-rules.md").read_text(encoding="utf-8")
OURS = re.compile(r"[Cc]ontract\s+§(\d(?:\.\d)?)(?:, rules? (\d+))?")
STANDARD = re.compile(
    r"RFC ?\d{4}|rfc\d{4}|draft-|H\.26[45]|1449\d|13818|ISO/IEC|FLV 10\.1|AMF0|RTMP 1\.0|E-RTMP|[Ee]nhanced RTMP|"
    r"AV1 Bitstream|AV1 (?:Codec|in) ISO|ID3 (?:tag version )?2\.4|SCTE 35|"
    r"CTA-5004|sqlite\.org|WebSocket|HTTP Live Streaming|hls-rules|OpenMetrics|[Cc]ontract"
)
"""What a bare § may belong to: it is named somewhere before it in its file."""


def cited(path: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Every find of the pattern, with where it stands."""
    text = path.read_text(encoding="utf-8")
    for match in pattern.finditer(text):
        yield f"{path.relative_to(CHECKOUT)}:{text.count(chr(10), 0, match.start()) + 1}", match


def test_every_section_of_the_contract_that_is_cited_is_there() -> None:
    sections = set(re.findall(r"^##+ (\d(?:\.\d)?) ", CONTRACT, re.MULTILINE))
    rules = set(re.findall(r"^(\d+)\. ", CONTRACT, re.MULTILINE))
    found = [(place, match) for path in SOURCES for place, match in cited(path, OURS)]
    assert len(found) > 20
    assert [place for place, match in found if match[1] not in sections] == []
    assert [place for place, match in found if match[2] and match[2] not in rules] == []


def test_every_rule_of_hls_that_is_cited_is_there() -> None:
    there = set(re.findall(r"\b([A-Z]{1,2}\d{2})\b", RULES))
    assert len(there) > 100
    families = {rule[:-2] for rule in there}
    pattern = re.compile(rf"\b((?:{'|'.join(sorted(families))})\d{{2}})\b")
    wrong = [
        f"{place}: {match[1]}"
        for path in (CHECKOUT / "hlsd").rglob("*.py")
        for place, match in cited(path, pattern)
        if match[1] not in there
    ]
    assert wrong == []


def test_every_other_section_belongs_to_a_standard_that_its_file_names() -> None:
    homeless = [
        place
        for path in SOURCES
        for place, match in cited(path, re.compile("§"))
        if STANDARD.search(path.read_text(encoding="utf-8")[: match.start()]) is None
    ]
    assert homeless == []


def test_nothing_cites_a_page_that_is_not_here() -> None:
    pattern = re.compile(r"[Cc]onventions[, ]+(?:rule|§)|\brtmp\.md\b|\bscale-out\b|\breliability R\d|decision \d+ of")
    me = Path(__file__)
    assert [place for path in SOURCES if path != me for place, _ in cited(path, pattern)] == []
