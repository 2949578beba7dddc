"""The words of questions, dialect by dialect."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from hlsd.auth.question import BackendQuestion, key_of, session_of, word

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


def test_our_question_has_the_fields_of_node_media_server() -> None:
    post = word("hlsd", "http://a/b", ASKED, event_id="e-1", wall=1700000000.5, server_id="n")
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
    assert post.headers["Content-Type"] == "application/json"
    for secret in ("abc", "4&2"):
        assert secret not in repr(ASKED)
        assert secret not in repr(post)


def test_flussonic_is_asked_by_get_for_viewers_and_by_post_for_publishers() -> None:
    post = word("flussonic", "http://a/b?x=1", ASKED, event_id="e", wall=0.0, server_id="")
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
    post = word("flussonic", "http://a/b", pushed, event_id="e", wall=0.0, server_id="")
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


@pytest.mark.parametrize(
    "other",
    [
        {"query": {"token": "abc", "u": "4", "&2": ""}},
        {"token": "x"},
        {"user_agent": "y"},
        {"host": "z"},
        {"number": 1},
    ],
    ids=str,
)
def test_another_question_is_another(other: dict[str, Any]) -> None:
    """Whoever asks the same is answered from one question; nobody else is."""
    assert key_of(replace(ASKED, port=9)) == key_of(ASKED)
    assert key_of(replace(ASKED, **other)) != key_of(ASKED)
    assert key_of(replace(ASKED, number=3), numbered=False) == key_of(ASKED, numbered=False)
