"""A changed configuration: all of it or nothing, by everybody concerned, and what cannot be changed is named."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from hlsd.app import ConfigSource, Server
from hlsd.base.errors import ConfigError
from hlsd.config import Settings, load
from hlsd.ports import Denial, PlayRequest, Reloadable
from hlsd.reload import Reload
from tests.support.eventually import eventually
from tests.support.services import running
from tests.support.webhooks import URL, World, happened
from tests.support.webhooks import running as notifying

FREE: dict[str, object] = {"rtmp.bind": "127.0.0.1", "rtmp.port": 0, "http.bind": "127.0.0.1", "http.port": 0}
OTHER = "http://other.test/hook"


def settings(**given: object) -> Settings:
    """By section and key with two underscores between."""
    return load(None, {}, {name.replace("__", "."): value for name, value in given.items()})


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """The log's level is the process's: other tests read the log too."""
    before, level = structlog.get_config()["wrapper_class"], logging.getLogger().level
    yield
    structlog.configure(wrapper_class=before)
    logging.getLogger().setLevel(level)


def test_what_can_change_changes_where_everybody_has_it_and_the_rest_is_named() -> None:
    now = settings(auth__skew=1.0, limits__max_streams=5)
    held = now.limits
    told: list[int] = []

    def prepare(section: Any) -> Any:
        return lambda: told.append(section.max_streams)

    parts = [Reloadable("limits", frozenset({"max_streams"}), prepare), Reloadable("auth", frozenset({"skew"}))]
    done = Reload(now, lambda: parts).apply(settings(limits__max_streams=7, limits__max_memory="3GiB", rtmp__port=7))
    assert done.changed == ["limits.max_streams", "auth.skew"]
    assert done.restart == ["limits.max_memory", "rtmp.port"]
    assert (held.max_streams, told) == (7, [7])
    assert held.max_memory == settings().limits.max_memory
    assert held.model_fields_set == {"max_streams"}
    assert now.auth.model_fields_set == set()


def test_one_objection_and_nothing_has_changed() -> None:
    now, told = settings(), list[str]()

    def object_to(_: object) -> Any:
        raise OSError(2, "cannot read /cert.pem: No such file")

    parts = [
        Reloadable("limits", frozenset({"max_streams"}), lambda _: lambda: told.append("limits")),
        Reloadable("https", frozenset({"cert"}), object_to, always=True),
    ]
    with pytest.raises(ConfigError, match=r"https: cannot read /cert.pem"):
        Reload(now, lambda: parts).apply(settings(limits__max_streams=7))
    assert (now.limits.max_streams, told) == (settings().limits.max_streams, [])


def test_what_was_worked_out_from_old_rules_goes_with_them() -> None:
    now = load(None, {}, {"auth.apps": {"live": {"deny_ips": ["192.0.2.1"]}}})
    assert now.auth.rules("live").deny_ips == ["192.0.2.1"]
    wanted = load(None, {}, {"auth.apps": {"live": {"deny_ips": ["192.0.2.2"]}}})
    Reload(now, lambda: [Reloadable("auth", frozenset({"apps"}))]).apply(wanted)
    assert now.auth.rules("live").deny_ips == ["192.0.2.2"]


@pytest.mark.thorough
@pytest.mark.usefixtures("logging_as_before")
async def test_a_running_server_takes_rules_tokens_bounds_and_level_and_keeps_who_is_here(tmp_path: Path) -> None:
    async with running(tmp_path, {"api.token": "the old token of sixteen"}) as server:
        here = await server.sessions.open(viewer("192.0.2.1"), grant_of(await server.sessions.authorise(viewer())))
        assert not isinstance(here, Denial)
        wanted: dict[str, object] = {
            **FREE,
            "server.state_dir": str(tmp_path),
            "server.log_level": "error",
            "auth.play": True,
            "auth.secrets": ["secret of sixteen chars"],
            "sessions.max_sessions": 1,
            "limits.max_streams": 3,
            "api.token": "the new token of sixteen",
            "http.port": 1,
        }
        done = server.reload(load(None, {}, wanted))
        assert set(done.changed) == set(wanted) - set(FREE) - {"server.state_dir"}
        assert done.restart == ["http.port"]
        assert server.sessions.get(here.id) is here
        assert isinstance(await server.sessions.authorise(viewer()), Denial)
        assert isinstance(await server.sessions.open(viewer("192.0.2.9"), here.grant), Denial)
        level = structlog.get_config()["wrapper_class"]
        assert level is structlog.make_filtering_bound_logger(40)
        port = server.services["http"].port
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1/") as client:
            shown = [{"authorization": f"Bearer the {one} token of sixteen"} for one in ("old", "new")]
            asked = [(await client.get("server", headers=one)).status_code for one in shown]
        assert asked == [401, 200]
        server.reload(load(None, {}, {**wanted, "auth.play": False}))
        assert not isinstance(await server.sessions.authorise(viewer()), Denial)


@pytest.mark.thorough
async def test_relays_and_recordings_follow_their_rules(tmp_path: Path) -> None:
    one = {"mode": "static", "match": "live/one", "url": "rtmp://127.0.0.1:9/live/one"}
    two = {"mode": "static", "match": "live/two", "url": "rtmp://127.0.0.1:9/live/two"}
    base: dict[str, object] = {**FREE, "server.state_dir": str(tmp_path), "relay.rules": [one, two]}
    async with running(tmp_path, {"relay.rules": [one, two]}) as server:
        relay, record = server.node.relay, server.services["record"]
        await eventually(lambda: len(relay.pulls) == 2)
        stays = relay.pulls["live", "two"]
        three = {**one, "match": "live/three"}
        done = server.reload(
            load(None, {}, {**base, "relay.rules": [two, three], "record.rules": [{"match": "live/*"}]})
        )
        assert done.changed == ["relay.rules", "record.rules"]
        await eventually(lambda: set(relay.pulls) == {("live", "two"), ("live", "three")})
        assert relay.pulls["live", "two"] is stays
        assert record.rule_for("live", "x") is not None  # type: ignore[attr-defined]  # a Service, by its name


@pytest.mark.thorough
async def test_a_file_with_mistakes_is_told_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "hlsd.toml"
    overrides = {**FREE, "server.state_dir": str(tmp_path / "state")}

    def read() -> Settings:
        return load(file, {}, overrides)

    file.write_text("[limits]\nmax_streams = 5\n")
    told: list[str] = []
    source = ConfigSource(read, taken_up=lambda: told.append("again"))
    server = Server(read(), source=source)
    async with server:
        token = (tmp_path / "state" / "api.token").read_text().strip()
        port = server.services["http"].port
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1/", headers=headers) as client:
            same = (await client.post("reload")).json()["data"]
            assert same == {"changed": [], "needs_restart": []}
            file.write_text("[limits]\nmax_streams = 6\nmax_stream = 7\n")
            refused = await client.post("reload")
            assert refused.status_code == 409
            assert refused.json()["code"] == "not_reloaded"
            assert "limits.max_stream: no such key" in refused.json()["message"]
            assert server.settings.limits.max_streams == 5
            file.write_text("[limits]\nmax_streams = 6\n")
            assert (await client.post("reload")).json()["data"]["changed"] == ["limits.max_streams"]
            assert told == ["again", "again"]
            assert (await client.post("reload", headers={"authorization": ""})).status_code == 401


async def test_other_webhooks_get_what_comes_from_then_on_and_nothing_is_lost(tmp_path: Path) -> None:
    world = World()
    async with notifying(tmp_path, world) as here:
        for seq in range(1, 21):
            here.emit(happened("a", seq))
        now = here.notify._read.model_copy(update={"url": [URL, OTHER]})
        here.notify.change(now)()
        for seq in range(21, 41):
            here.emit(happened("a", seq))
        await eventually(lambda: len(got(world, URL)) >= 40 and len(got(world, OTHER)) >= 20)
        assert got(world, URL) == list(range(1, 41))
        assert got(world, OTHER) == list(range(21, 41))
        here.notify.change(now.model_copy(update={"url": []}))()
        here.emit(happened("a", 41))
        here.notify.change(now)()
        here.emit(happened("a", 42))
        await eventually(lambda: 42 in got(world, URL) and 42 in got(world, OTHER))
        assert 41 not in world.of("a")


async def test_a_test_event_is_sent_to_each_receiver_and_what_it_says_is_told(tmp_path: Path) -> None:
    world = World()
    world.answer = lambda request: httpx.Response(204 if request.url.host == "receiver.test" else 403)
    async with notifying(tmp_path, world, url=["http://receiver.test/hook", OTHER]) as here:
        tried = await here.notify.webhooks.test()
        said = [("http://receiver.test/***", 204), ("http://other.test/***", 403)]
        assert [(one.url, one.status) for one in tried] == said
        assert [event["action"] for event in world.taken] == ["test"]
        assert here.refused == []
        queues = await here.notify.webhooks.queues()
        assert [(one.url, one.waiting, one.failures) for one in queues] == [
            ("http://receiver.test/***", 0, 0),
            ("http://other.test/***", 0, 0),
        ]


@pytest.mark.thorough
async def test_programs_at_events_are_changed_and_those_under_way_come_to_their_end(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    slow = {"command": ["/bin/sh", "-c", f"sleep 0.5; echo done > {first}"], "events": "updatePlay"}
    quick = {"command": ["/bin/sh", "-c", f"echo done > {second}"], "events": "updatePlay"}
    async with notifying(tmp_path, World(), url=[], exec=[slow]) as here:
        here.emit(happened("a", 1))
        await asyncio.sleep(0)
        here.notify.change(here.notify._read.model_copy(update={"exec": type(here.notify._read)(exec=[quick]).exec}))()
        here.emit(happened("a", 2))
        await eventually(lambda: first.exists() and second.exists())
    assert second.read_text() == "done\n"


def got(world: World, url: str) -> list[int]:
    """The numbers of the events that were sent there, in order."""
    return [json.loads(request.content)["seq"] for request in world.requests if str(request.url) == url]


def viewer(ip: str = "192.0.2.1") -> PlayRequest:
    """Somebody at the door without a credential."""
    return PlayRequest("live", "cam", "flv", ip)


def grant_of(said: Any) -> Any:
    """What lets a viewer in."""
    assert not isinstance(said, Denial)
    return said
