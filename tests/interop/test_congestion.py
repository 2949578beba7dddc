"""Congestion control as seen from outside: what `ss` shows of the sockets of a server that its users run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.net.congestion import USUAL
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.ports import free_port
from tests.support.publishing import Persistent
from tests.support.server import HlsdServer

_PROC = Path("/proc/sys/net/ipv4")
needs_ss = pytest.mark.skipif(shutil.which("ss") is None, reason="ss (package iproute2) is not installed")


def listed(kind: str) -> list[str]:
    return (_PROC / f"{kind}congestion_control").read_text().split()


def system() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def another() -> str:
    """One that anybody may have and the system does not take by itself."""
    found = [name for name in listed("tcp_allowed_") if name != system()]
    if not found:
        pytest.skip(f"this kernel allows {system()} only")
    return found[0]


def controls(way: str, port: int) -> set[str]:
    """The congestion controls of the established connections from (`sport`) or to (`dport`) a port."""
    command = ["ss", "-tinH", "state", "established", f"{way} = :{port}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in said.splitlines() if line.startswith("\t")]
    return {name for row in rows for name in row if name in listed("tcp_available_")}


def shown(way: str, port: int, *wanted: set[str]) -> Callable[[], bool]:
    """Whether `ss` shows one of these sets: for `eventually`, since an accepted connection takes a moment."""
    return lambda: controls(way, port) in wanted


@contextlib.contextmanager
def connected(port: int, *, tls: bool = False) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), 10) as bare:
        if not tls:
            yield bare
            return
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(bare) as secure:
            yield secure


def lines(server: HlsdServer, event: str) -> list[dict[str, object]]:
    said = [json.loads(line) for line in server.logs().splitlines() if line.startswith("{")]
    return [line for line in said if line["event"] == event]


def secured(folder: Path) -> dict[str, str]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    write_self_signed(cert, key, ["localhost", "127.0.0.1"])
    named = {"CERT": str(cert), "KEY": str(key)}
    return {f"HLSD_{section}__{name}": path for section in ("HTTPS", "RTMP") for name, path in named.items()}


@needs_ss
@pytest.mark.interop
async def test_every_listener_and_every_push_has_what_is_configured(tmp_path: Path) -> None:
    """HTTP, HTTPS (as HTTP says), RTMP, RTMPS, pushes by RTMP and RTMPS; the log and the API say the same."""
    wanted = another()
    https, rtmps, there = free_port(), free_port(), free_port()
    certificates = secured(tmp_path)
    left = {f"HLSD_{name}__CONGESTION": "" for name in ("HTTP", "RTMP", "RELAY")}
    target = HlsdServer(
        tmp_path / "target", env=certificates | left | {"HLSD_RTMP__TLS_PORT": f"{there}", "HLSD_HTTPS__PORT": "0"}
    )
    env = certificates | {
        "HLSD_HTTPS__PORT": f"{https}",
        "HLSD_RTMP__TLS_PORT": f"{rtmps}",
        "HLSD_HTTP__CONGESTION": wanted,
        "HLSD_RTMP__CONGESTION": wanted,
        "HLSD_RELAY__CONGESTION": wanted,
        "SSL_CERT_FILE": certificates["HLSD_RTMP__CERT"],
    }  # fmt: skip
    server = HlsdServer(tmp_path / "server", env=env)
    server.command()
    (server.state / "hlsd.toml").write_text(
        f'[[relay]]\nmode = "push"\nmatch = "live/*"\nurl = "rtmp://127.0.0.1:{target.rtmp_port}/live/{{stream}}"\n'
        f'urls = ["rtmps://localhost:{there}/live/{{stream}}-secure"]\n'
    )
    film = Film(seconds=4).make(tmp_path / "films")
    with target, server, Persistent(film, server.rtmp("film")):
        ports = {"http": server.http_port, "https": https, "rtmp": server.rtmp_port, "rtmps": rtmps}
        with contextlib.ExitStack() as stack:
            for name, port in ports.items():
                stack.enter_context(connected(port, tls=name in {"https", "rtmps"}))
            for name, port in ports.items():
                await eventually(shown("sport", port, {wanted}))
                assert controls("dport", port) <= {system()}, f"{name}: the client's end is its own"
            # the target's end has the system's, our end of the same connection what is configured
            for port in (target.rtmp_port, there):
                await eventually(shown("dport", port, {wanted, system()}, {wanted}))
                assert controls("sport", port) == {system()}
        await eventually(lambda: len(lines(server, "relay push started")) == 2)
        held = httpx.get(f"http://127.0.0.1:{server.http_port}/api/v1/server", headers=server.bearer).json()["data"]
        assert held["congestion"] == {"rtmp": wanted, "relay": wanted, "https": wanted, "http": wanted}
        for event in ("http listening", "https listening", "rtmp listening", "relay push started"):
            assert {line["congestion"] for line in lines(server, event)} == {wanted}, event
        assert lines(server, "no such congestion control") == []


@needs_ss
@pytest.mark.interop
async def test_what_is_not_allowed_is_one_warning_and_the_server_serves(tmp_path: Path) -> None:
    """Without CAP_NET_ADMIN the kernel answers EPERM for what tcp_allowed_congestion_control does not list."""
    barred = [name for name in listed("tcp_available_") if name not in {*listed("tcp_allowed_"), system()}]
    if not barred:
        pytest.skip("this kernel allows all that it has to everybody")
    prefix = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"] if os.geteuid() == 0 else []
    env = {"HLSD_HTTP__CONGESTION": barred[0], "HLSD_RTMP__CONGESTION": "nobodys_own"}
    with HlsdServer(tmp_path / "server", env=env, prefix=prefix) as server:
        with connected(server.http_port), connected(server.rtmp_port):
            await eventually(shown("sport", server.http_port, {system()}))
            await eventually(shown("sport", server.rtmp_port, {system()}))
        told = {line["setting"]: line for line in lines(server, "no such congestion control")}
        assert set(told) == {"http.congestion", "rtmp.congestion"}
        assert all(line["level"] == "warning" and line["instead"] == system() for line in told.values())
        assert "net.ipv4.tcp_allowed_congestion_control" in str(told["http.congestion"]["reason"])
        assert barred[0] in str(told["http.congestion"]["reason"])
        assert "modprobe tcp_nobodys_own" in str(told["rtmp.congestion"]["reason"])
        assert [line["congestion"] for line in lines(server, "http listening")] == [system()]


@pytest.mark.interop
def test_auto_takes_bbr_where_the_system_takes_reno(tmp_path: Path) -> None:
    """In a network namespace of its own, whose default is reno; hlsd asks for nothing, and the kernel has bbr."""
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("a network namespace needs root and unshare")
    if "bbr" not in listed("tcp_available_"):
        pytest.skip("this kernel has no bbr loaded")
    assert "reno" in USUAL
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HLSD_")}
    script = f"echo reno > {_PROC}/tcp_congestion_control && exec {sys.executable} -m hlsd check"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=clean | {"HLSD_HTTP__CONGESTION": ""},
    )
    assert done.returncode == 0, done.stderr
    assert "#   http.congestion: reno" in done.stdout.splitlines()
    assert "#   relay.congestion: bbr" in done.stdout.splitlines()
