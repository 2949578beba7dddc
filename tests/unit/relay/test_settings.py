"""Relay rules in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hlsd.base.errors import ConfigError
from hlsd.config import listing, load, read
from hlsd.relay.plan import plan_of
from hlsd.relay.settings import RelayRule, RelaySettings
from hlsd.relay.template import TemplateSubject

PULL: dict[str, Any] = {"mode": "pull", "match": "live/*", "url": "rtmp://origin/{app}/{stream}"}


def test_rules_stand_alone_or_below_their_section(tmp_path: Path) -> None:
    """`[[relay]]` is what people write; `[relay]` with `[[relay.rules]]` is what TOML needs beside other keys."""
    alone, below = tmp_path / "alone.toml", tmp_path / "below.toml"
    alone.write_text('[[relay]]\nmode = "pull"\nmatch = "live/*"\nurl = "rtmp://origin/{path}"\n')
    below.write_text(
        '[relay]\nmax_pulls = 7\n[[relay.rules]]\nmode = "pull"\nmatch = "live/*"\nurl = "rtmp://origin/{path}"\n'
    )
    rules = [load(path, {}, {}).relay.rules for path in (alone, below)]
    assert rules[0] == rules[1]
    assert rules[0][0].url == "rtmp://origin/{path}"


def test_no_secret_of_a_rule_is_ever_shown(tmp_path: Path) -> None:
    """`hlsd check` is pasted into tickets; so are its errors."""
    path = tmp_path / "a.toml"
    path.write_text(
        '[[relay]]\nmode = "pull"\nurl = "rtmp://u:SECRET@o/x?k=SECRET"\nurls = ["rtmp://o/y?SECRET"]\n'
        'password = "SECRET"\nuser = "SECRET"\n'
    )
    assert "SECRET" not in listing(read(path, {}, {}))
    path.write_text(path.read_text() + "ttl = 1\n")
    with pytest.raises(ConfigError) as error:
        load(path, {}, {})
    assert "relay.rules[0].ttl" in str(error.value)
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"url": ""},
        {"url": "rtmp://{app}/x"},
        {"url": "gopher://x/y"},
        {"mode": "static"},
        {"mode": "push", "url": "http://x/y"},
        {"mode": "push", "url": "", "preset": "dahua", "host": "h"},
        {"match": "live"},
        {"match": "~("},
        {"backoff": [5, 1]},
        {"backoff": [0, 1]},
        {"sign": "nms"},
        {"sign": "nms", "url": "rtmp://o/{path}?{sign}"},
        {"url": "rtmp://o/{path}?{sign}"},
        {"preset": "dahua"},
        {"host": "a/b", "preset": "dahua"},
        {"host": "u@b", "preset": "dahua"},
        {"nope": 1},
    ],
)
def test_a_rule_that_cannot_work_is_told(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RelayRule.model_validate(PULL | change)


@pytest.mark.parametrize(
    ("preset", "sub", "url"),
    [
        ("hikvision", False, "rtsp://admin:p%40ss@10.0.0.9/Streaming/Channels/301"),
        ("hikvision", True, "rtsp://admin:p%40ss@10.0.0.9/Streaming/Channels/302"),
        ("dahua", False, "rtsp://admin:p%40ss@10.0.0.9/cam/realmonitor?channel=3&subtype=0"),
        ("dahua", True, "rtsp://admin:p%40ss@10.0.0.9/cam/realmonitor?channel=3&subtype=1"),
        ("uniview", False, "rtsp://admin:p%40ss@10.0.0.9/unicast/c3/s0/live"),
        ("uniview", True, "rtsp://admin:p%40ss@10.0.0.9/unicast/c3/s1/live"),
    ],
)
def test_presets_are_the_makers_addresses(preset: str, sub: bool, url: str) -> None:
    """Who has a camera knows its make, not its address."""
    camera = {"preset": preset, "sub": sub, "host": "10.0.0.9", "user": "admin", "password": "p@ss", "channel": "3"}
    rule = RelayRule.model_validate({"mode": "static", "match": "cams/front", **camera})
    plan = plan_of(rule, 1, None)
    assert plan.urls_for(TemplateSubject("cams", "front", {}), 0.0, "edge") == [url]


def test_a_channel_may_be_what_the_match_caught() -> None:
    """One rule for a recorder with sixteen cameras."""
    rule = RelayRule.model_validate(
        {"mode": "pull", "match": "~nvr/cam(\\d+)", "preset": "hikvision", "host": "nvr", "channel": "{g1}"}
    )
    plan = plan_of(rule, 1, None)
    groups = plan.match.groups("nvr", "cam12")
    assert groups is not None
    (url,) = plan.urls_for(TemplateSubject("nvr", "cam12", {}, groups), 0.0, "edge")
    assert url == "rtsp://nvr/Streaming/Channels/1201"


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(ValidationError, match="dahua, hikvision, uniview"):
        RelaySettings.model_validate({"rules": [{"mode": "static", "match": "a/b", "preset": "acme", "host": "h"}]})


def test_a_signing_secret_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIGIN_KEY", "nodemedia2017privatekey")
    rule = RelayRule.model_validate(
        PULL | {"url": "rtmp://o/{path}?{sign}", "sign": "nms", "sign_secret_env": "ORIGIN_KEY", "via": False}
    )
    (url,) = plan_of(rule, 1, None).urls_for(TemplateSubject("live", "stream", {}), 4102444800 - 3600, "edge")
    assert url == "rtmp://o/live/stream?sign=4102444800-6cf004fcee7fba7d00f99617aea4e0cc"
