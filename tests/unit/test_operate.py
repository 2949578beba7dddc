"""What the commands show, and whom they ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.api.client import ApiClient, ApiRefused, address_of, token_of
from hlsd.api.settings import ApiSettings
from hlsd.commands import operate
from hlsd.delivery.settings import HttpSettings


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("192.0.2.1", "http://192.0.2.1:8000"),
    ],
)
def test_the_server_of_a_configuration_is_found(bind: str, url: str) -> None:
    """An address to listen on is not always one to connect to."""
    assert address_of(HttpSettings(bind=bind)) == url


def test_a_port_that_only_the_server_knows_is_said_so() -> None:
    """Port 0 takes a free one."""
    with pytest.raises(ApiRefused, match="--url"):
        address_of(HttpSettings(port=0))


def test_the_token_that_may_most_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """`hlsd kick` writes; a hash is no token."""
    reads = {"name": "r", "token": "reads, sixteen chars"}
    writes = {"name": "w", "token_env": "W_TOKEN", "scopes": ["read", "write"]}
    both = ApiSettings.model_validate({"tokens": [reads, writes]})
    assert token_of(both) == "reads, sixteen chars"
    monkeypatch.setenv("W_TOKEN", "writes, sixteen chars")
    assert token_of(both) == "writes, sixteen chars"
    assert token_of(ApiSettings.model_validate({"token": "the one for all, long"})) == "the one for all, long"
    hashed = ApiSettings.model_validate({"tokens": [{"name": "h", "hash": "sha256:" + "0" * 64}]})
    assert token_of(hashed) == ""
    assert token_of(hashed, "of the state folder") == token_of(both, "of the state folder") == "of the state folder"


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8000", "http://", ""])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ApiRefused):
        ApiClient(url)


@given(st.text(max_size=60))
def test_no_control_character_of_a_stranger_reaches_the_terminal(text: str) -> None:
    """A User-Agent can hold escape sequences that rewrite the screen, or markup."""
    shown = operate.plain(text)
    assert shown.plain.isprintable()
    assert shown.spans == []
    assert len(shown.plain) == len(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (59.9, "59s"), (125, "2m05s"), (3 * 3600 + 7 * 60, "3h07m"), (187_200, "2d4h")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    """They stand in a column."""
    assert operate.lasting(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 1024**3, "5.0 GiB"), (2**50, "1024.0 TiB")],
)
def test_sizes_are_short(count: int, text: str) -> None:
    """As durations."""
    assert operate.size(count) == text
