"""`hlsd doctor`: what is in the way is named with what to do, and the status says so."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlsd.base.errors import ConfigError
from hlsd.commands.doctor import disk, machine, services
from hlsd.commands.doctor.finding import Finding
from hlsd.config import Settings, load
from tests.support.command import hlsd
from tests.support.ports import free_port


def settings(**overrides: object) -> Settings:
    given = {"http.port": free_port(), "rtmp.port": free_port(), "webrtc.enabled": False, "https.port": free_port()}
    return load(None, {}, given | {key.replace("__", "."): value for key, value in overrides.items()})


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_command_says_all_and_its_status_says_whether_anything_is_in_the_way(tmp_path: Path, taken: int) -> None:
    env = {"HLSD_SERVER__STATE_DIR": str(tmp_path), "HLSD_HTTP__PORT": str(free_port()), "HLSD_HTTP__BIND": "127.0.0.1"}
    env |= {"HLSD_WEBRTC__ENABLED": "false", "HLSD_RTMP__BIND": "127.0.0.1"}
    done = hlsd("doctor", "-c", os.devnull, HLSD_RTMP__PORT=str(free_port()), **env)
    assert (done.returncode, done.stderr) == (0, "")
    for looked_at in ("server.state_dir", "http.port", "rtmp.port", "open files", "http.congestion", "clock", "memory"):
        assert looked_at in done.stdout
    done = hlsd("doctor", "-c", os.devnull, HLSD_RTMP__PORT=str(taken), **env)
    assert done.returncode == 1
    bad = done.stdout[done.stdout.index("BAD ") :]
    assert bad.startswith(f"BAD   rtmp.port (TCP 127.0.0.1:{taken}): Address already in use\n      → `ss -lnp")


def test_a_port_of_nobody_s_address_and_one_of_udp_are_told(taken: int) -> None:
    del taken
    found = list(machine.ports(settings(rtmp__bind="192.0.2.1")))
    (bad,) = [one for one in found if one.grade == "bad"]
    assert "rtmp.bind" in bad.remedy
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        found = list(machine.ports(settings(webrtc__enabled=True, webrtc__bind="127.0.0.1", webrtc__port=port)))
    assert [one.what for one in found if one.grade == "bad"] == [f"webrtc.port (UDP 127.0.0.1:{port})"]


def test_every_port_that_is_asked_for_is_looked_at() -> None:
    ports = {key: free_port() for key in ("srt.port", "jt1078.port", "rtmp.tls_port", "metrics.port")}
    udp = [{"port": free_port(), "path": "live/cam", "allow": ["127.0.0.1"]}]
    given = {"rtmp.cert": "a", "rtmp.key": "b", "ts.udp": udp, **ports}
    looked = [one.what.partition(" ")[0] for one in machine.ports(settings(**given))]
    assert set(looked) == {"http.port", "rtmp.port", "ts.udp[0].port", *ports}
    assert looked.count("jt1078.port") == 2


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (found,) = disk.folders(settings(server__state_dir=Path("/proc/nobody/writes/here")))
    assert found.grade == "bad"
    assert "server.state_dir" in found.remedy
    (found,) = disk.folders(settings(server__state_dir=tmp_path / "new"))
    assert found.grade == "good"
    assert not (tmp_path / "new").exists(), "it looks, and makes nothing"


def test_a_receiver_that_is_not_there_is_told_without_its_secrets(taken: int) -> None:
    url = f"http://user:SECRET@127.0.0.1:{free_port()}/hook?token=SECRET"
    away, there = services.reachable(settings(notify__url=[url, f"http://127.0.0.1:{taken}/"]))
    assert (away.grade, there.grade) == ("bad", "good")
    assert "SECRET" not in str(away)


def test_an_address_that_is_none_and_a_folder_one_may_not_see_are_findings(tmp_path: Path) -> None:
    (found,) = services.reachable(settings(auth__callback_url=f"http://{'a' * 70}.test/"))
    assert found.grade == "bad"
    with pytest.raises(ConfigError, match="should be a URL"):
        settings(notify__url="http://127.0.0.1:99999/")
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0)
        (found,) = disk.folders(settings(server__state_dir=tmp_path / "closed" / "state"))
        assert found.grade == "bad"


def test_a_program_of_events_that_is_not_there_is_told() -> None:
    rules = [{"command": [name], "events": ["postPlay"]} for name in ("sh", "no-such-program")]
    there, away = services.programs(settings(notify__exec=rules))
    assert (there.grade, away.grade) == ("good", "bad")


def test_a_certificate_that_does_not_exist_is_told() -> None:
    found = list(services.certificates(settings(https__cert="/nowhere.pem", https__key="/nowhere.key")))
    assert [one.grade for one in found] == ["bad"]
    assert "/nowhere.pem" in found[0].said


def test_memory_and_files_name_what_to_set() -> None:
    assert machine.memory(settings(limits__max_memory=2**60)).remedy.startswith("set limits.max_memory to")
    assert isinstance(machine.files(), Finding)
    assert machine.clock().grade in {"good", "note"}
