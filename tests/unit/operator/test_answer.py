"""What the operator's service says: one meaning for the auth callback and the webhooks."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.operator.answer import DENIED, MAX_DURATION, MAX_LIFETIME, MAX_SESSIONS, Said, by_status, hold_of, read
from hlsd.operator.client import HttpReply, NoAnswer
from hlsd.ports import Grant

NOW = 1000.0
YES = Grant(method="callback")


def reply(status: int = 200, body: object = b"", **headers: str) -> HttpReply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def verdict(status: int = 200, body: object = b"", **headers: str) -> Said:
    return read(reply(status, body, **headers), "live", NOW)


@pytest.mark.parametrize("body", [b"", b"ok", b"OK", b"0", b"[]", b"<html>", b"{}", b"null", b'[{"max_sessions": 2}]'])
def test_every_answer_in_the_two_hundreds_lets_in(body: bytes) -> None:
    """Old receivers answer "ok"."""
    assert verdict(200, body) == verdict(204, body) == YES


def test_an_answer_carries_what_is_known_of_the_peer() -> None:
    found = verdict(
        200,
        {"user_id": 42, "max_sessions": 2, "auth_duration": 60, "name": "cam-hd", "lifetime": 3600, "unique": True},
    )
    assert found == Grant("42", 2, True, 60.0, 4600.0, "", "cam-hd", "callback", 4600.0)
    found = verdict(200, b"ok", x_userid="u", x_max_sessions="3", x_authduration="30", x_unique="true")
    assert found == Grant("u", 3, True, 30.0, method="callback")
    assert verdict(200, {"user_id": "body"}, x_userid="header", x_max_sessions="3") == Grant(
        "body", 3, method="callback"
    )


def test_how_long_an_answer_holds_that_does_not_say_is_the_askers_to_know() -> None:
    assert read(reply(), "live", NOW, duration=180.0) == Grant(auth_duration=180.0, method="callback")
    assert read(reply(200, {"auth_duration": 0}), "live", NOW, duration=180.0) == YES


@pytest.mark.parametrize(
    ("said", "bound"),
    [
        ({"max_sessions": "2"}, {"max_sessions": 2}),
        ({"max_sessions": 2.0}, {"max_sessions": 2}),
        ({"max_sessions": 10**9}, {"max_sessions": MAX_SESSIONS}),
        ({"auth_duration": "15"}, {"auth_duration": 15.0}),
        ({"auth_duration": 1e300}, {"auth_duration": MAX_DURATION}),
        ({"lifetime": "60"}, {"expires": 1060.0, "ends": 1060.0}),
        ({"lifetime": 1e300}, {"expires": NOW + MAX_LIFETIME, "ends": NOW + MAX_LIFETIME}),
        ({"unique": 1}, {"unique": True}),
        ({"unique": "yes"}, {"unique": True}),
        ({"unique": "false"}, {}),
        ({"unique": 0}, {}),
        ({"max_sessions": 0, "lifetime": 0, "auth_duration": 0}, {}),
        ({"user_id": None, "max_sessions": None, "lifetime": None, "unique": None, "name": None}, {}),
        ({"name": "/live/b"}, {"name": "b"}),
        ({"user_id": "x" * 300}, {"user_id": "x" * 256}),
    ],
    ids=str,
)
def test_a_bound_that_can_be_read_holds(said: Mapping[str, object], bound: Mapping[str, object]) -> None:
    """Text that is a number is one; what is above a limit is the limit, not none; null is not there."""
    assert verdict(200, said) == Grant(**{"method": "callback", **bound})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, b"", {}), (503, b"", {}), (599, b"", {}), (100, b"", {}), (600, b"", {}),
        (200, b'{"user_id"', {}), (200, b'\xef\xbb\xbf{"max_sessions": 2', {}), (200, b"{" + b'"a":{' * 5000, {}),
        (200, {"user_id": []}, {}), (200, {"user_id": True}, {}),
        (200, {"max_sessions": "many"}, {}), (200, {"max_sessions": -1}, {}), (200, {"max_sessions": 0.5}, {}),
        (200, {"max_sessions": [2]}, {}), (200, {"max_sessions": True}, {}),
        (200, {"auth_duration": True}, {}), (200, {"auth_duration": {}}, {}), (200, {"auth_duration": ""}, {}),
        (200, {"lifetime": "soon"}, {}), (200, {"lifetime": -1}, {}), (200, b'{"lifetime": NaN}', {}),
        (200, {"unique": "perhaps"}, {}), (200, {"unique": 2}, {}), (200, {"unique": []}, {}),
        (200, {"name": 5}, {}), (200, {"name": "a/b/c"}, {}), (200, {"name": "other/cam"}, {}),
        (200, {"name": "x\r\nSet-Cookie: a"}, {}), (200, {"name": "../etc"}, {}), (200, {"name": "a..b"}, {}),
        (200, {"name": "~x"}, {}), (200, {"name": "a" * 129}, {}),
        (302, b"", {}), (302, b"", {"location": ""}), (302, b"", {"location": "//"}),
        (302, b"", {"location": "https://h"}), (302, b"", {"location": "/vod/cam"}),
        (302, b"", {"location": "/live/~x"}), (302, b"", {"location": "/live/a%0d%0ab"}),
        (302, b"", {"location": "http://[::1/live/a"}), (302, b"", {"location": "/live/" + "a/../" * 300 + "b"}),
        (200, b"", {"x_max_sessions": "nan"}), (200, b"", {"x_max_sessions": "1; 2"}), (200, b"", {"x_unique": "si"}),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_no_answer(status: int, body: object, headers: dict[str, str]) -> None:
    """A bound that cannot be read must not pass for "no bound"; a name goes into playlists and headers."""
    found = verdict(status, body, **headers)
    assert isinstance(found, NoAnswer)
    assert found.reason


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_however_it_is_encoded(encoding: str) -> None:
    """A service on Windows writes a byte order mark: with it the bounds were not seen."""
    body = '{"max_sessions": 2}'.encode(encoding)
    assert encoding == "utf-16-le" or body.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16, codecs.BOM_UTF32))
    assert verdict(200, body) == Grant(max_sessions=2, method="callback")


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("other", "other"), ("/live/other", "other"), ("rtmp://10.0.0.1/live/other?x=1", "other"),
        ("https://h/live/other.m3u8", "other"), ("/live/other/index.m3u8", "other"), ("/live/other/", "other"),
    ],
)  # fmt: skip
def test_a_redirection_names_the_stream_to_use(location: str, name: str) -> None:
    assert verdict(302, b"", location=location) == Grant(name=name, method="callback")
    assert by_status(reply(302, b"", location=location), "live") == Grant(name=name, method="callback")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 499])
def test_every_answer_in_the_four_hundreds_keeps_out(status: int) -> None:
    assert verdict(status, {"user_id": "x"}) == DENIED


def test_where_bodies_mean_nothing_none_is_looked_at() -> None:
    assert by_status(reply(200, b'{"max_sessions": -1}', x_max_sessions="nan"), "live") == YES


def test_how_long_a_refusal_holds_is_the_services_to_say() -> None:
    assert hold_of(reply(403, b"", x_authduration="60")) == 60.0
    assert hold_of(reply(403, {"auth_duration": 5})) == 5.0
    assert hold_of(reply(403)) is None
    assert hold_of(reply(403, b"{")) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["user_id", "name", "max_sessions", "lifetime", "auth_duration", "unique"]), inner
        )
    ),
)


@pytest.mark.thorough
@given(
    st.integers(100, 599),
    st.text(max_size=60),
    st.binary(max_size=60) | ANYTHING.map(lambda value: json.dumps(value).encode()),
)
def test_any_answer_is_judged(status: int, location: str, body: bytes) -> None:
    """A service is not ours: whatever it says ends in a verdict, and 4xx always in a no."""
    found = read(HttpReply(status, {"location": location}, body), "live", NOW)
    if 400 <= status < 500:
        assert found == DENIED
    if status >= 500:
        assert isinstance(found, NoAnswer)
    if isinstance(found, Grant):
        assert 0 <= found.max_sessions <= MAX_SESSIONS
        assert found.expires == found.ends
        assert found.expires == 0 or NOW < found.expires <= NOW + MAX_LIFETIME
        assert "/" not in found.name
