"""Programs at events: what they get, their order and bounds, what becomes of those that fail, hang or say too much."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hlsd.events import Action, Event
from hlsd.events.facts import Facts
from hlsd.notify.hook_commands import SAID, WAITING, HookCommands, variables
from hlsd.notify.settings import ExecRule, NotifySettings
from hlsd.stats import NotifyStats
from tests.support.eventually import eventually, eventually_here


class Hooks:
    """The programs of one rule, a shell script each, and what became of them."""

    def __init__(self, folder: Path, script: str, **rule: object) -> None:
        self.folder = folder
        self.stats = NotifyStats()
        given = {"command": ["sh", "-c", script, "hook", str(folder)], "events": ["postPublish", "donePublish"], **rule}
        self.commands = HookCommands(ExecRule.model_validate(given), self.stats, server_id="node", send_secrets=False)
        self.commands.start()
        self._seq = 0

    def tell(self, ident: str = "one", action: Action = Action.POST_PUBLISH, name: str = "cam", **query: str) -> None:
        """An event comes about."""
        self._seq += 1
        facts: Facts = {"app": "live", "name": name, "path": f"/live/{name}", "ip": "192.0.2.1:5", "inbytes": 7}
        self.commands.put(Event(action, ident, self._seq, 1.5, facts, query))

    async def done(self, count: int) -> None:
        """Until so many have run."""
        await eventually(lambda: sum(self.stats.commands.values()) == count)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def test_a_program_gets_the_event_as_json_and_as_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLSD_API__TOKEN", "a-secret-of-ours")
    hooks = Hooks(tmp_path, 'cat > "$1/json"; env > "$1/env"')
    hooks.tell(sign="hidden", quality="high; rm -rf /")
    await hooks.done(1)
    told = json.loads((tmp_path / "json").read_text())
    assert (told["action"], told["app"], told["name"], told["server_id"]) == ("postPublish", "live", "cam", "node")
    env = dict(line.partition("=")[::2] for line in lines(tmp_path / "env"))
    assert {name: env[name] for name in ("EVENT_ACTION", "EVENT_PATH", "EVENT_INBYTES", "EVENT_QUERY_QUALITY")} == {
        "EVENT_ACTION": "postPublish",
        "EVENT_PATH": "/live/cam",
        "EVENT_INBYTES": "7",
        "EVENT_QUERY_QUALITY": "high; rm -rf /",
    }
    assert env["EVENT_QUERY_SIGN"] == "***"
    assert not [name for name in env if name.startswith("HLSD_")]
    assert hooks.stats.commands == {"ok": 1}


async def test_only_the_events_and_streams_of_the_rule(tmp_path: Path) -> None:
    hooks = Hooks(tmp_path, 'echo "$EVENT_NAME" >> "$1/ran"', match="live/cam*", events="postPublish")
    for action, name in ((Action.POST_PUBLISH, "cam1"), (Action.DONE_PUBLISH, "cam1"), (Action.POST_PUBLISH, "film")):
        hooks.tell(action=action, name=name)
    await hooks.commands.stop(10.0)
    assert lines(tmp_path / "ran") == ["cam1"]


async def test_programs_of_one_publisher_run_in_order_and_others_do_not_wait(tmp_path: Path) -> None:
    wait = 'while [ ! -e "$1/go" ]; do sleep 0.01; done;'
    hooks = Hooks(tmp_path, f'[ "$EVENT_NAME" = slow ] && {{ {wait} }}; echo "$EVENT_NAME $EVENT_SEQ" >> "$1/ran"')
    hooks.tell("a", name="slow")
    hooks.tell("a", name="slow")
    hooks.tell("b", name="quick")
    await eventually(lambda: lines(tmp_path / "ran") == ["quick 3"])
    (tmp_path / "go").touch()
    await hooks.done(3)
    assert lines(tmp_path / "ran") == ["quick 3", "slow 1", "slow 2"]


async def test_no_more_run_at_once_than_the_rule_says_and_no_more_wait_than_there_is_room(tmp_path: Path) -> None:
    hooks = Hooks(tmp_path, 'touch "$1/$EVENT_ID"; while [ ! -e "$1/go" ]; do sleep 0.01; done', parallel=2)
    for number in range(2 + WAITING + 5):
        hooks.tell(str(number))
    await eventually(lambda: len(list(tmp_path.iterdir())) == 2)
    assert hooks.stats.commands == {"dropped": 5}
    await hooks.commands.stop(0.0)
    assert len(list(tmp_path.iterdir())) == 2
    assert hooks.stats.commands["dropped"] == 5 + WAITING


@pytest.mark.parametrize(
    ("script", "result", "said"),
    [
        ("echo broken >&2; exit 3", "failed", "broken"),
        ("exec sleep 60", "timeout", ""),
        ("sleep 60 & echo $! > $1/left; exit 0", "timeout", ""),
        ("head -c 100000 /dev/zero | tr '\\0' x; echo end", "ok", "end"),
        ("exec true", "ok", ""),
    ],
)
async def test_one_that_fails_hangs_or_says_too_much(tmp_path: Path, script: str, result: str, said: str) -> None:
    began = time.monotonic()
    with capture_logs() as log:
        hooks = Hooks(tmp_path, script, timeout=0.5)
        hooks.tell()
        await hooks.done(1)
    assert hooks.stats.commands == {result: 1}
    assert time.monotonic() - began < 30
    shown = [line["said"] for line in log if "said" in line]
    assert all(len(line) <= SAID for line in shown)
    if said:
        assert shown[0].endswith(said)
    if (tmp_path / "left").exists():
        pid = int((tmp_path / "left").read_text())
        await eventually(lambda: not os.path.exists(f"/proc/{pid}/fd/1"))  # noqa: PTH110


async def test_what_a_program_left_behind_ends_with_the_server(tmp_path: Path) -> None:
    hooks = Hooks(tmp_path, "sleep 300 & echo $! > $1/left; exit 0")
    hooks.tell()
    await eventually(lambda: bool(lines(tmp_path / "left")))
    pid = int((tmp_path / "left").read_text())
    await hooks.commands.stop(0.0)
    await eventually(lambda: not os.path.exists(f"/proc/{pid}/fd/1"))  # noqa: PTH110


async def test_what_it_left_behind_ends_too_if_the_server_goes_before_its_pipes_are_there(tmp_path: Path) -> None:
    """A program runs before asyncio has its pipes: it may have written and ended by then."""
    hooks = Hooks(tmp_path, "sleep 300 & echo $! > $1/left; exit 0")
    hooks.tell()
    for _ in range(3):  # it is begun in one of these turns of the loop, which stands still then until it has written
        await asyncio.sleep(0)
        with contextlib.suppress(AssertionError):
            eventually_here(lambda: lines(tmp_path / "left"), 0.5)
            break
    pid = int((tmp_path / "left").read_text())
    await hooks.commands.stop(0.0)
    await eventually(lambda: not os.path.exists(f"/proc/{pid}/fd/1"))  # noqa: PTH110


def test_whatever_a_peer_says_can_stand_in_an_environment() -> None:
    said = dict(variables({"name": "a\ud800b\0", "query": {"a": "one", "A": "two", "user-id": "x"}, "adopted": True}))
    assert said == {"EVENT_NAME": "a?b", "EVENT_QUERY_A": "one", "EVENT_ADOPTED": "true"}
    for value in said.values():
        os.fsencode(value)


async def test_a_program_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    with capture_logs() as log:
        hooks = Hooks(tmp_path, "", command=[str(tmp_path / "nowhere")])
        hooks.tell()
        await hooks.done(1)
    (line,) = [line for line in log if line["event"] == "program not started"]
    assert (line["command"], line["reason"]) == (str(tmp_path / "nowhere"), "No such file or directory")


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"command": [], "events": ["play"]}, "command"),
        ({"command": [" "], "events": ["postPlay"]}, "a program"),
        ({"command": ["x"], "events": ["publish"]}, "is no event"),
        ({"command": ["x"], "events": ["postPlay"], "match": "a/b/c"}, "app/stream"),
        ({"command": ["x"]}, "events"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rule: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        NotifySettings.model_validate({"exec": [rule]})
