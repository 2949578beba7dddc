"""A UDP port hands datagrams on with who sent them, joins a group, and goes on when one of them was too much."""

from __future__ import annotations

import socket

import pytest

from hlsd.base.faults import Faults
from hlsd.ingest.allowed import Allowed
from hlsd.ingest.datagram_port import LARGEST, DatagramPort
from tests.support.eventually import eventually


async def test_datagrams_come_with_their_sender_and_a_fault_costs_one() -> None:
    came: list[tuple[bytes, tuple[str, int]]] = []
    faults = Faults()

    def take(datagram: bytes, address: tuple[str, int]) -> None:
        if datagram == b"bad":
            raise ValueError
        came.append((datagram, address))

    port = DatagramPort("ts.udp[0].port", "ts_udp", take, faults)
    port.open("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        for datagram in (b"one", b"bad", b"x" * (LARGEST + 100)):
            sock.sendto(datagram, ("127.0.0.1", port.number))
        await eventually(lambda: len(came) == 2)
        assert came == [(b"one", sock.getsockname()), (b"x" * LARGEST, sock.getsockname())]
    assert faults.tasks.pop("ts_udp") == 1
    port.close()
    port.close()


async def test_a_port_that_is_taken_is_said_by_its_setting() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = DatagramPort("ts.udp[0].port", "ts_udp", lambda _datagram, _address: None, Faults())
        with pytest.raises(OSError, match=r"ts\.udp\[0\]\.port"):
            port.open("127.0.0.1", sock.getsockname()[1])


async def test_what_is_sent_to_a_group_comes() -> None:
    came: list[bytes] = []
    port = DatagramPort("ts.udp[0].port", "ts_udp", lambda datagram, _: came.append(datagram), Faults())
    port.open("127.0.0.1", 0, "239.255.77.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sock.sendto(b"to all", ("239.255.77.1", port.number))
        await eventually(lambda: came == [b"to all"])
    port.close()


def test_who_may_send_is_known_by_network() -> None:
    allowed = Allowed(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"])
    assert all(ip in allowed for ip in ("192.0.2.9", "2001:db8::1", "198.51.100.7", "2001:db8::1%eth0"))
    assert not any(ip in allowed for ip in ("192.0.3.1", "::1", "198.51.100.8", "no address", ""))
    for n in range(1000):
        assert f"10.0.{n // 250}.{n % 250}" not in allowed
    assert "192.0.2.9" in allowed
