"""The words of questions and answers, dialect by dialect."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.auth.question import Answer, BackendQuestion, NoAnswer, duration_of, read, seal, session_of, word
from hlsd.auth.verdict import Fault, Pass

ASKED = BackendQuestion(
    action="play",
    app="live",
    name="cam",
    protocol="hls",
    ip="2001:db8::7",
    port=51234,
    query={"token": "abc", "u": "4&2"},
    user_agent="Player/1",
    referer="https://site/",
    host="tv.example",
    token="abc",
    session="sid",
)


def answer(status: int = 200, body: object = b"", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def verdict(status: int = 200, body: object = b"", **headers: str) -> Pass | Fault:
    return read(answer(status, body, **headers), "live", 180.0, 1000.0)


def test_the_signature_is_that_of_the_contract() -> None:
    """A receiver checks it with ten lines of its own; they must not break."""
    assert seal("nodemedia2017privatekey", 1503458721, b'{"action":"donePlay"}') == (
        "t=1503458721,v1=4c9fa6e5b45033ea43b456000f76ff7ec6f5fee4c435856e09ecf00dc77cc5f5"
    )


def test_our_question_has_the_fields_of_node_media_server() -> None:
    post = word("hlsd", "http://a/b", ASKED, secret="s", event_id="e-1", wall=1700000000.5, server_id="n")
    assert post.method == "POST"
    assert post.url == "http://a/b"
    assert post.body is not None
    said = json.loads(post.body)
    assert (said["action"], said["ip"], said["app"], said["name"]) == ("prePlay", "[2001:db8::7]:51234", "live", "cam")
    assert said["query"] == {"token": "abc", "u": "4&2"}
    assert (said["createtime"], said["endtime"], said["protocol"], said["path"]) == (
        1700000000500,
        0,
        "hls",
        "/live/cam",
    )
    assert post.headers["X-Hlsd-Signature"] == seal("s", 1700000000, post.body)
    assert post.headers["Content-Type"] == "application/json"
    for secret in ("abc", "4&2"):
        assert secret not in repr(ASKED)
        assert secret not in repr(post)


def test_flussonic_is_asked_by_get_for_viewers_and_by_post_for_publishers() -> None:
    post = word("flussonic", "http://a/b?x=1", ASKED, secret="", event_id="e", wall=0.0, server_id="")
    assert post.method == "GET"
    assert post.body is None
    fields = dict(parse_qsl(urlsplit(post.url).query, keep_blank_values=True))
    assert fields.pop("x") == "1"
    assert fields == {
        "name": "live/cam", "proto": "hls", "ip": "2001:db8::7", "token": "abc", "session_id": "sid",
        "request_type": "new_session", "request_number": "0", "stream_clients": "0", "total_clients": "0",
        "duration": "0", "bytes": "0", "qs": "token=abc&u=4%262", "user_agent": "Player/1", "referer": "https://site/",
        "host": "tv.example",
    }  # fmt: skip
    pushed = BackendQuestion("publish", "live", "cam", "rtmp", "192.0.2.1", 1, {})
    post = word("flussonic", "http://a/b", pushed, secret="", event_id="e", wall=0.0, server_id="")
    assert post.method == "POST"
    assert post.body is not None
    assert json.loads(post.body)["name"] == "live/cam"


def test_a_session_is_of_stream_address_protocol_and_token() -> None:
    assert session_of(ASKED) == session_of(
        BackendQuestion("play", "live", "cam", "hls", "2001:db8::7", 9, {}, token="abc")
    )
    assert session_of(ASKED) != session_of(
        BackendQuestion("play", "live", "cam", "hls", "2001:db8::8", 9, {}, token="abc")
    )


def test_every_answer_in_the_two_hundreds_lets_in() -> None:
    """Old receivers answer "ok"."""
    for body in (b"", b"ok", b"0", b"[]", b"<html>", b"{}"):
        found = verdict(200, body)
        assert isinstance(found, Pass)
        assert (found.user_id, found.max_sessions, found.auth_duration, found.expires) == ("", 0, 180.0, 0.0)
    assert isinstance(verdict(204), Pass)


def test_an_answer_carries_what_is_known_of_the_viewer() -> None:
    found = verdict(
        200,
        {"user_id": 42, "max_sessions": 2, "auth_duration": 60, "name": "cam-hd", "lifetime": 3600, "unique": True},
    )
    assert found == Pass("callback", "42", 2, True, 60.0, 4600.0, "cam-hd", 4600.0)
    found = verdict(200, b"", x_userid="u", x_max_sessions="3", x_authduration="30", x_unique="true")
    assert found == Pass("callback", "u", 3, True, 30.0)


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("other", "other"), ("/live/other", "other"), ("rtmp://10.0.0.1/live/other?x=1", "other"),
        ("https://h/live/other.m3u8", "other"), ("/live/other/index.m3u8", "other"), ("", ""),
    ],
)  # fmt: skip
def test_a_redirection_names_the_stream_to_use(location: str, name: str) -> None:
    found = verdict(302, b"", location=location)
    assert isinstance(found, Pass)
    assert found.name == name


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 499])
def test_every_answer_in_the_four_hundreds_keeps_out(status: int) -> None:
    assert isinstance(verdict(status, {"user_id": "x"}), Fault)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, b"", {}), (503, b"", {}), (599, b"", {}), (100, b"", {}), (600, b"", {}),
        (200, b'{"user_id"', {}), (200, b"{" + b'"a":{' * 5000, {}), (200, {"user_id": []}, {}),
        (200, {"max_sessions": "many"}, {}),
        (200, {"max_sessions": -1}, {}), (200, {"auth_duration": True}, {}), (200, {"name": 5}, {}),
        (200, {"name": "a/b/c"}, {}), (200, {"name": "other/cam"}, {}), (200, {"name": "x\r\nSet-Cookie: a"}, {}),
        (200, {"name": "../etc"}, {}), (200, {"name": "a..b"}, {}), (302, b"", {"location": "/vod/cam"}),
        (302, b"", {"location": "/live/a%0d%0ab"}), (302, b"", {"location": "http://[::1/live/a"}),
        (200, b"", {"x_max_sessions": "nan"}), (200, b"", {"x_max_sessions": "1; 2"}),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_no_answer(status: int, body: object, headers: dict[str, str]) -> None:
    """A bound that cannot be read must not pass for "no bound"; a name goes into playlists and headers."""
    with pytest.raises(NoAnswer):
        verdict(status, body, **headers)


def test_how_long_a_refusal_holds_is_the_back_ends_to_say() -> None:
    assert duration_of(answer(403, b"", x_authduration="60")) == 60.0
    assert duration_of(answer(403, {"auth_duration": 5})) == 5.0
    assert duration_of(answer(403)) is None
    assert duration_of(answer(403, b"{")) is None


@given(
    st.integers(100, 599), st.binary(max_size=60) | st.text(max_size=30).map(lambda text: b'{"name":"' + text.encode())
)
def test_no_answer_raises_anything_else(status: int, body: bytes) -> None:
    with contextlib.suppress(NoAnswer):
        verdict(status, body)
