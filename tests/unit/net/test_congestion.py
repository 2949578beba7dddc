"""Congestion control: what is asked of the kernel, what holds then, and what is said where the kernel says no."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from structlog import get_logger
from structlog.testing import capture_logs

from hlsd.net.congestion import AUTO, BETTER, MAX_NAME, USUAL, Congestion, CongestionName, Verdict, choose, outlook
from hlsd.net.listening import listen

AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
UNKNOWN = "nobodys_own"


def tcp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def held(sock: socket.socket) -> str:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def system() -> str:
    with tcp() as sock:
        return held(sock)


def test_a_name_is_set_and_what_holds_is_what_the_kernel_says() -> None:
    """Reno is in every kernel, and allowed to everybody (net/ipv4/tcp_cong.c)."""
    with tcp() as sock:
        assert choose(sock, "reno") == Verdict("reno")
        assert held(sock) == "reno"


def test_empty_leaves_the_system_as_it_is() -> None:
    with tcp() as sock:
        assert choose(sock, "") == Verdict(system())
        assert held(sock) == system()


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1"])
def test_accepted_connections_have_what_their_listener_had_before_it_listened(bind: str) -> None:
    if bind == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with capture_logs() as lines:
        congestion = Congestion("http.congestion", "reno", get_logger())
        try:
            listening = listen("http.port", bind, 0, 8, congestion)
        except OSError:
            pytest.skip(f"{bind} is not an address of this machine")
    with listening, socket.create_connection((bind, listening.getsockname()[1])):
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            assert held(accepted) == congestion.held == "reno"
    assert lines == []


def test_a_name_that_the_kernel_has_not_is_one_warning_and_the_server_listens() -> None:
    with capture_logs() as lines:
        congestion = Congestion("rtmp.congestion", UNKNOWN, get_logger())
        congestion.look()
        with listen("rtmp.port", "127.0.0.1", 0, 8, congestion) as listening:
            assert held(listening) == congestion.held == system()
    assert len(lines) == 1
    assert lines[0]["log_level"] == "warning"
    assert (lines[0]["setting"], lines[0]["wanted"], lines[0]["instead"]) == ("rtmp.congestion", UNKNOWN, system())
    assert f"modprobe tcp_{UNKNOWN}" in lines[0]["reason"]
    assert f" {UNKNOWN}'" in lines[0]["reason"], "the sysctl keeps what is allowed now"


def test_auto_takes_bbr_for_reno_where_the_kernel_has_it_and_says_nothing_where_not() -> None:
    with capture_logs() as lines, tcp() as sock:
        choose(sock, "reno")
        congestion = Congestion("http.congestion", AUTO, get_logger())
        congestion.apply(sock)
        verdict = choose(sock, AUTO)
    assert "reno" in USUAL
    assert lines == []
    if BETTER in AVAILABLE and outlook(BETTER).held == BETTER:
        assert congestion.held == BETTER
        assert verdict == Verdict(BETTER)
    else:
        assert congestion.held == "reno"
        assert verdict.missed


def test_auto_leaves_what_somebody_has_chosen() -> None:
    others = [name for name in AVAILABLE if name not in USUAL and outlook(name).held == name]
    if not others:
        pytest.skip("this kernel has cubic and reno only")
    with tcp() as sock:
        choose(sock, others[0])
        assert choose(sock, AUTO) == Verdict(others[0])


def test_what_is_not_tcp_is_not_touched() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, capture_logs() as lines:
        congestion = Congestion("relay.congestion", "reno", get_logger())
        congestion.apply(ours)
        assert congestion.held == ""
        ours.sendall(b"as before")
        assert theirs.recv(16) == b"as before"
    assert lines == []


@pytest.mark.parametrize("name", ["a b", "bbr;", "bbr\n", "é", "x" * (MAX_NAME + 1), "../bbr"])
def test_what_cannot_be_a_name_is_an_error_of_the_configuration(name: str) -> None:
    with pytest.raises(ValidationError, match="congestion control"):
        TypeAdapter(CongestionName).validate_python(name)


@pytest.mark.parametrize("name", ["", AUTO, BETTER, "cubic", "bpf_cubic", "x" * MAX_NAME])
def test_names_are_taken_as_they_are(name: str) -> None:
    assert TypeAdapter(CongestionName).validate_python(name) == name
