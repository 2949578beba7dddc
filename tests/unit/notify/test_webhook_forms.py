"""The shapes of webhooks: old receivers get what they were written for, and their answers mean what they did."""

from __future__ import annotations

import json
from typing import cast
from urllib.parse import parse_qs

import pytest

from hlsd.events import Action, Event
from hlsd.events.facts import Facts
from hlsd.notify.payloads import FlussonicFormat, HlsdFormat, NginxFormat, PayloadFormat, SrsFormat, form_of
from hlsd.operator.answer import DENIED
from hlsd.operator.client import HttpReply, NoAnswer
from hlsd.ports import Grant

FACTS: Facts = {
    "ip": "192.0.2.7:51234",
    "app": "live",
    "name": "stream",
    "protocol": "hls",
    "createtime": 1700000000000,
    "endtime": 1700000061500,
    "inbytes": 4210,
    "outbytes": 18874368,
    "path": "/live/stream",
    "stream_id": "s_8f2",
    "user_id": "42",
    "user_agent": "AppleCoreMedia/1.0",
    "referer": "https://site/",
    "duration_ms": 61500,
    "media_bytes": 18612224,
    "requests": 97,
    "segments": 31,
    "reason": "idle",
    "codec": "hvc1.1.6.L93.B0,mp4a.40.2",
    "rendition": "main",
}
QUERY = {"u": "42", "token": "hush", "SIGN": "1-2"}
NOW = 1_700_000_071.5


def event(action: Action = Action.DONE_PLAY, **facts: object) -> Event:
    return Event(action, "c2Vzc2lvbg", 3, NOW, cast(Facts, {**FACTS, **facts}), QUERY, "0f6c")


def told(form: PayloadFormat, happened: Event) -> dict[str, object]:
    body = form.body(happened)
    assert body is not None
    found: dict[str, object] = json.loads(body)
    return found


def test_our_form_is_a_superset_of_node_media_servers() -> None:
    """A receiver written for v3 or v4 finds every field with its type (contract §2.2, §2.3)."""
    found = told(HlsdFormat("edge-1"), event())
    assert found == {
        "action": "donePlay",
        "id": "c2Vzc2lvbg",
        "query": {"u": "42", "token": "***", "SIGN": "***"},
        **FACTS,
        "event_id": "0f6c",
        "event_ts": 1700000071500,
        "seq": 3,
        "server_id": "edge-1",
    }


def test_secrets_leave_only_where_the_operator_says_so() -> None:
    """A receiver that checks the token itself must get it; nobody else does."""
    for name in ("hlsd", "srs", "nginx-rtmp", "flussonic"):
        happened = event(Action.PRE_PLAY)
        assert b"hush" not in (form_of(name, "", send_secrets=False, batch=False).body(happened) or b"")
        assert b"hush" in (form_of(name, "", send_secrets=True, batch=False).body(happened) or b"")


def test_srs_receivers_get_on_play_and_on_stop() -> None:
    """Field names of SRS's HTTP callback."""
    form = SrsFormat("vid-1")
    found = told(form, event(ip="[2001:db8::1]:4000"))
    assert found["action"] == "on_stop"
    assert found["client_id"] == "c2Vzc2lvbg"
    assert found["ip"] == "2001:db8::1"
    assert (found["app"], found["stream"], found["stream_url"]) == ("live", "stream", "/live/stream")
    assert found["param"] == "?u=42&token=%2A%2A%2A&SIGN=%2A%2A%2A"
    assert (found["send_bytes"], found["recv_bytes"], found["duration"]) == (18874368, 4210, 61.5)
    words = {action: form.body(event(action)) for action in Action}
    assert {action for action, body in words.items() if body is not None} == {
        Action.PRE_CONNECT, Action.DONE_CONNECT,
        Action.PRE_PUBLISH, Action.DONE_PUBLISH, Action.PRE_PLAY, Action.DONE_PLAY
    }  # fmt: skip


def test_nginx_receivers_get_a_form_and_the_client_cannot_write_its_fields() -> None:
    """`?addr=` of a viewer must not look like its address."""
    happened = Event(Action.PRE_PLAY, "7", 1, NOW, FACTS, {"addr": "10.0.0.1", "psk": "x y"})
    body = NginxFormat().body(happened)
    assert body is not None
    found = parse_qs(body.decode(), keep_blank_values=True)
    assert found["call"] == ["play"]
    assert found["addr"] == ["192.0.2.7"]
    assert found["psk"] == ["x y"]
    assert (found["app"], found["name"], found["clientid"]) == (["live"], ["stream"], ["7"])


def test_flussonic_sinks_get_what_they_know() -> None:
    """play_closed with its reason, times in milliseconds."""
    found = told(FlussonicFormat("edge-1"), event())
    assert (found["event"], found["media"], found["bytes"]) == ("play_closed", "live/stream", 18874368)
    assert (found["opened_at"], found["closed_at"], found["reason"]) == (1700000000000, 1700000061500, "idle")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (HttpReply(200, body=b"0"), True),
        (HttpReply(201, body=b' {"code": 0} '), True),
        (HttpReply(200, body=b'{"code":0,"data":null}'), True),
        (HttpReply(200, body=b"1"), False),
        (HttpReply(200, body=b'{"code":1}'), False),
        (HttpReply(200), False),
        (HttpReply(200, body=b"ok"), False),
        (HttpReply(403), False),
        (HttpReply(500), None),
        (HttpReply(302, {"location": "/live/x"}), None),
    ],
)
def test_srs_wants_the_code_zero(reply: HttpReply, said: bool | None) -> None:
    """Status 200 or 201 and a body of `0` or `{"code":0}`; anything else of 2xx is a no."""
    verdict = SrsFormat("").verdict(event(Action.PRE_PLAY), reply, 0.0)
    assert (None if isinstance(verdict, NoAnswer) else verdict == Grant(method="callback")) is said
    assert said is not False or verdict == DENIED


@pytest.mark.parametrize("name", ["nginx-rtmp", "flussonic"])
def test_where_bodies_mean_nothing_the_status_and_location_say_all(name: str) -> None:
    """nginx-rtmp's receivers answer with any page; what looks like a bound in it is none, and none that is broken."""
    form = form_of(name, "", send_secrets=False, batch=False)
    happened = event(Action.PRE_PLAY)
    assert form.verdict(happened, HttpReply(200, body=b'{"max_sessions":-1}'), NOW) == Grant(method="callback")
    assert form.verdict(happened, HttpReply(302, {"location": "/live/b"}), NOW) == Grant(name="b", method="callback")
    assert form.verdict(happened, HttpReply(404), NOW) == DENIED
    assert isinstance(form.verdict(happened, HttpReply(500), NOW), NoAnswer)


def test_our_form_hears_all_that_an_answer_may_say() -> None:
    """As the auth callback does: `hlsd.operator.answer` has its own tests."""
    said = HlsdFormat("").verdict(event(Action.PRE_PLAY), HttpReply(200, body=b'{"user_id":42,"lifetime":10}'), 100.0)
    assert said == Grant("42", expires=110, ends=110, method="callback")


def test_text_that_is_no_unicode_is_told_all_the_same() -> None:
    """A User-Agent may hold anything; one that cannot be encoded must not lose the event."""
    body = HlsdFormat("").body(event(user_agent="\udcff", referer="ü"))
    assert json.loads(body)["referer"] == "ü"
