"""Which addresses are public: the registries' word, whatever Python this runs on."""

from __future__ import annotations

import ipaddress

import pytest

from hlsd.relay.guard import Forbidden, HostList
from hlsd.relay.public import SPECIAL_V4, SPECIAL_V6, innermost, is_public

NOT_GLOBALLY_REACHABLE = [
    # https://www.iana.org/assignments/iana-ipv4-special-registry: "Globally Reachable" False or N/A
    "0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.170/32", "192.0.0.171/32", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "240.0.0.0/4", "255.255.255.255/32",
    # https://www.iana.org/assignments/iana-ipv6-special-registry
    "::1/128", "::/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32", "2001:2::/48",
    "2001:10::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
    # multicast, deprecated and unassigned
    "224.0.0.0/4", "ff00::/8", "fec0::/10", "::/96", "::ffff:0:0:0/96", "200::/7", "4000::/3", "e000::/4",
]  # fmt: skip
EMBEDDED = [
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1",
    "64:ff9b:1::7f00:1", "64:ff9b:1:7f00:0:100::", "2002:7f00:1::", "2002:a00:1::1", "2002:5db8:d822::",
    "2001:0:7f00:1::", "2001:0:53aa:64c:0:5f:80ff:fffe", "::127.0.0.1", "::10.0.0.1", "::93.184.216.34",
    "::ffff:0:127.0.0.1", "2a00:1450:4001::5efe:10.0.0.1", "2a00:1450:4001:0:200:5efe:127.0.0.1", "168.63.129.16",
]  # fmt: skip
PUBLIC = [
    "93.184.216.34", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "172.15.255.255", "172.32.0.0", "223.255.255.255", "::ffff:93.184.216.34", "64:ff9b::5db8:d822",
    "2606:2800:220:1::1",
    "2a00:1450:4001::1", "2001:4860:4860::8888", "2003::1", "2a00:1450:4001::5efe:93.184.216.34", "3ffe:ffff::1",
]  # fmt: skip


@pytest.mark.parametrize("network", NOT_GLOBALLY_REACHABLE)
def test_no_address_of_a_special_block_is_public(network: str) -> None:
    """Its first, its last and one from its middle; `*` lists none of them, the block itself lists all."""
    block = ipaddress.ip_network(network)
    for ip in {block[0], block[-1], block[block.num_addresses // 2]}:
        assert not is_public(ip), ip
        with pytest.raises(Forbidden):
            HostList(["*"]).judge("http", [str(ip)])
        if innermost(ip) is ip:
            assert HostList([network]).judge("http", [str(ip)]) == str(ip)


@pytest.mark.parametrize("text", EMBEDDED)
def test_an_address_within_an_address_hides_nothing(text: str) -> None:
    """Mapped, translated, tunnelled: it leads to the IPv4 address that is in it, through whoever translates."""
    assert not is_public(ipaddress.ip_address(text))
    with pytest.raises(Forbidden):
        HostList(["*"]).judge("rtsp", [text])
    with pytest.raises(Forbidden):
        HostList(["::/0"]).judge("rtsp", ["::ffff:127.0.0.1"])


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_public(text: str) -> None:
    """Also the neighbours of the special blocks, and what DNS64 makes for a host without IPv4."""
    assert is_public(ipaddress.ip_address(text))
    assert HostList(["*"]).judge("rtsp", [text]) == text


def test_a_zone_does_not_change_what_an_address_is() -> None:
    for text in ("fe80::1%1", "fe80::1%eth0", "::1%lo", "::ffff:127.0.0.1%1"):
        with pytest.raises(Forbidden):
            HostList(["*"]).judge("http", [text])


def test_the_tables_ask_nothing_of_the_running_python() -> None:
    """`is_global` and its like have changed in 3.11.10, 3.12.4, 3.13 and since: a guard must not with them."""

    class Bare(ipaddress.IPv4Address):
        is_global = is_private = is_multicast = is_reserved = property(lambda _: 1 / 0)

    class Bare6(ipaddress.IPv6Address):
        is_global = is_private = is_multicast = is_reserved = property(lambda _: 1 / 0)
        ipv4_mapped = sixtofour = teredo = property(lambda _: 1 / 0)

    assert is_public(Bare("93.184.216.34"))
    assert not is_public(Bare("10.0.0.1"))
    assert is_public(Bare6("2606:2800:220:1::1"))
    assert not is_public(Bare6("::ffff:10.0.0.1"))
    assert len(SPECIAL_V4) == 16
    assert len(SPECIAL_V6) == 4


def test_an_address_of_udp_by_api_has_no_arguments() -> None:
    """Libav reads `localaddr`, `sources`, `connect` and more from them."""
    from hlsd.relay.address import read_address

    HostList(["239.0.0.0/8"]).lists(read_address("udp://239.1.1.1:5000"))
    with pytest.raises(Forbidden, match="arguments"):
        HostList(["239.0.0.0/8"]).lists(read_address("udp://239.1.1.1:5000?localaddr=10.0.0.1"))
