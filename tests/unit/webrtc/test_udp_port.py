"""Datagrams arrive as they were given, however many go with one call."""

from __future__ import annotations

import random
import socket

import pytest

from hlsd.base.clock import SystemClock
from hlsd.base.faults import Faults
from hlsd.webrtc import udp_port
from hlsd.webrtc.udp_port import UdpPort


def taken(sock: socket.socket, count: int) -> list[bytes]:
    sock.settimeout(10)
    return [sock.recv(2048) for _ in range(count)]


@pytest.mark.parametrize("cuts", [True, False])
async def test_many_go_at_once_and_none_is_another(cuts: bool) -> None:
    port = UdpPort(lambda *_: None, SystemClock(), Faults())
    port.open("127.0.0.1", 0)
    port._segments = cuts
    draw = random.Random(3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sink.bind(("127.0.0.1", 0))
        for sizes in (
            [],
            [5],
            [1188] * 9 + [400, 401, 1188, 1188, 30],
            [1188] * (udp_port.SEGMENTS + 3),
            [1400] * 60,
            [draw.randrange(1, 1200) for _ in range(40)],
        ):
            given = [draw.randbytes(size) for size in sizes]
            port.send_all(given, sink.getsockname())
            assert taken(sink, len(given)) == given
    port.close()
    port.send_all([b"late"] * 3, ("127.0.0.1", 9))


async def test_a_kernel_that_cannot_cut_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp_port, "_SEGMENT", 999)  # what this kernel does not know
    port = UdpPort(lambda *_: None, SystemClock(), Faults())
    port.open("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        port.send_all([b"one", b"two"], sink.getsockname())
        assert taken(sink, 2) == [b"one", b"two"]
    port.close()
