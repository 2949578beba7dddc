"""What an app and a stream may be called: the rule, and that everybody keeps the same one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from hlsd.api.models import SessionsQuery, StreamsQuery
from hlsd.auth.settings import AuthSettings
from hlsd.base.stream_name import LONGEST, PATH_PATTERN, PATTERN, RESERVED_APPS, bare, fault, is_name, read_path
from hlsd.delivery.request import BadRequest, is_ours, parse_path
from hlsd.ingest.rtmp.address import BadAddress, read_address

GOOD = ("cam", "a", "7", "_", "-", "a.b", "a~", "a.", "x" * 128, "A-b_c.d~e")
BAD = ("", ".", "..", ".cam", "~cam", "a..b", "a b", "a/b", "a%20b", "cämera", "a\n", "x" * 129, "a\u0661")


@pytest.mark.parametrize("name", GOOD)
def test_everybody_lets_a_good_name_pass(name: str) -> None:
    assert all(accepts(name).values()), accepts(name)


@pytest.mark.parametrize("name", BAD)
def test_nobody_lets_another_pass(name: str) -> None:
    """`~cam` was published to before it was refused; a key `a..b` was a setting that no encoder could use."""
    assert not any(accepts(name).values()), accepts(name)


def accepts(name: str) -> dict[str, bool]:
    """Who takes `name` for a stream's."""
    return {
        "rule": is_name(name),
        "fault": not fault("live", name),
        "path": read_path(f"live/{name}") == ("live", name),
        "rtmp": works(lambda: read_address("live", "", name), BadAddress),
        "url": works(lambda: parse_path(f"/live/{name}/~x/r/s.ts".encode()), BadRequest) and name != "",
        "settings": works(lambda: AuthSettings.model_validate({"keys": {f"live/{name}": "its-key"}}), ValidationError),
        "key": works(lambda: AuthSettings.model_validate({"keys": {"other": name}}), ValidationError),
        "app": works(lambda: StreamsQuery.model_validate({"app": name}), ValidationError),
        "stream": works(lambda: SessionsQuery.model_validate({"stream": f"live/{name}"}), ValidationError)
        and len(name) <= LONGEST,
    }


def works(what: Any, error: type[Exception]) -> bool:
    try:
        return what() is not None
    except error:
        return False


@given(st.text("ab._~-/", max_size=12) | st.text(max_size=6))
@example("x" * 129)
@example("a." * 64)
def test_the_pattern_for_schemas_says_the_same(text: str) -> None:
    """An OpenAPI document must not promise what is refused, nor forbid what is not."""
    assert is_name(text) == (len(text) <= LONGEST and re.fullmatch(PATTERN, text) is not None)
    if len(text) <= LONGEST:
        assert (read_path(text) is not None) == (re.fullmatch(PATH_PATTERN, text) is not None)


def test_the_pattern_takes_linear_time() -> None:
    """It judges what strangers send: a name that nearly fits must not be tried in every way."""
    assert re.fullmatch(PATTERN, "a" * 50_000 + "!") is None
    assert re.fullmatch(PATTERN, "a." * 50_000 + ".") is None


@pytest.mark.parametrize("app", sorted(RESERVED_APPS))
def test_no_stream_is_looked_for_where_none_can_be_published(app: str) -> None:
    assert fault(app, "cam")
    assert not is_ours(f"/{app}/cam.m3u8".encode())


@pytest.mark.parametrize(
    ("path", "stream"), [("/live/a.m3u8", "/live/a"), ("/live/a/index.m3u8", "/live/a"), ("/live/a", "/live/a")]
)
def test_a_stream_has_one_path_whatever_its_url_ends_in(path: str, stream: str) -> None:
    assert bare(path) == stream
