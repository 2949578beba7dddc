"""Connections are bounded by whose they are."""

from __future__ import annotations

from hlsd.delivery.http1.connections import Connections
from hlsd.delivery.settings import HttpSettings


def test_an_ipv6_host_is_one_address_however_many_it_has() -> None:
    """It takes new ones of its /64 as it likes; a proxy of ours within the same network is not bounded with it."""
    settings = HttpSettings(max_connections_per_ip=2, trusted_proxies=["2001:db8:0:1::1"])
    connections = Connections(settings, 0.0, 10_000)
    entered = [connections.enter(f"2001:db8:0:1::{n}") for n in range(2, 5)]
    assert entered[0] is entered[1] is not None
    assert entered[2] is None
    assert connections.enter("2001:db8:0:2::1") is not None
    proxy = [connections.enter("2001:db8:0:1::1") for _ in range(3)]
    assert proxy[0] is proxy[2] is not None
    assert entered[0] is not None
    for _ in range(2):
        connections.free(entered[0])
    assert connections.enter("2001:db8:0:1::9") is not None
