"""What [record] takes, and what it refuses with words."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlsd.base.errors import ConfigError
from hlsd.config import load


def test_rules_are_tables(tmp_path: Path) -> None:
    found = load(_file(tmp_path, '[[record]]\nmatch = "live/*"\nrotate = "10m"\n[[record]]\nwhen = "api"\n'), {}, {})
    assert [(rule.match, rule.when, rule.rotate) for rule in found.record.rules] == [
        ("live/*", "always", 600.0),
        ("*", "api", None),
    ]
    assert found.record.min_free == 2 << 30


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[record]\npath = "../{id}"', "record.path"),
        ('[record]\npath = "{app}/{stream}"', "{id}"),
        ('[record]\nkeep_free = "1GiB"', "min_free"),
        ('[record]\nformat = "mkv"', "record.format"),
        ('[[record]]\nmatch = "~("', "regular expression"),
        ('[[record]]\npath = "/x{id}"', "relative path"),
        ('[[record]]\nname = "a"\n[[record]]\nname = "a"', "one name"),
        ('[record]\nrotate = "0s"', "record.rotate"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(_file(tmp_path, text), {}, {})
    assert words in str(caught.value)


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hlsd.toml"
    path.write_text(text)
    return path
