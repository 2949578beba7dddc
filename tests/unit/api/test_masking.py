"""The configuration, shown without its secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from hlsd.api.masking import shown
from hlsd.base.errors import ConfigError
from hlsd.config import Settings, listing, read


class Rule(BaseModel):
    url: str = "rtmp://user:hunter2@origin/live/a?sign=hunter2&u=1"
    secret: str = "hunter2"
    path: Path = Path("/etc/x")


class Section(BaseModel):
    key: SecretStr | None = SecretStr("hunter2")
    rules: list[Rule] = [Rule()]
    named: dict[str, str] = {"token": "hunter2", "u": "1"}
    urls: list[str] = ["http://hunter2@host/x?token=hunter2", "plain"]
    empty: SecretStr | None = None


class Masked(BaseModel):
    section: Section = Section()


def test_no_planted_secret_is_shown_wherever_it_hides() -> None:
    """By type, by name, in a URL's password and in its arguments."""
    found = shown(Masked())
    assert "hunter2" not in json.dumps(found)
    assert found["section"]["rules"] == [
        {"url": "rtmp://***@origin/live/***?sign=***&u=***", "secret": "********", "path": "/etc/x"}
    ]
    assert found["section"]["urls"] == ["http://***@host/***?token=***", "plain"]
    assert found["section"]["empty"] is None


def test_everything_of_the_true_configuration_can_be_shown() -> None:
    """Every type that a setting has, as JSON."""
    found = shown(Settings())
    assert json.loads(json.dumps(found)) == found
    assert set(found) == set(Settings.model_fields)


def test_tokens_of_the_file_are_masked_in_what_check_prints(tmp_path: Path) -> None:
    """`hlsd check` is pasted into tickets; names and scopes may be seen."""
    file = tmp_path / "hlsd.toml"
    file.write_text('[api]\ntokens = [{ name = "ci", token = "hunter2hunter2hunter2", scopes = ["write"] }]\n')
    text = listing(read(file, {}, {}))
    assert "hunter2" not in text
    assert '"ci"' in text
    file.write_text('[api]\ntokens = [{ name = "ci", token = "hunter2hunter2hunter2", scope = ["write"] }]\n')
    with pytest.raises(ConfigError, match=r"api\.tokens") as caught:
        read(file, {}, {})
    assert "hunter2" not in str(caught.value)
