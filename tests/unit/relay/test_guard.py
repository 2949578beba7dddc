"""The guard against relays that would connect where they must not."""

from __future__ import annotations

import socket

import pytest

from hlsd.relay.address import read_address
from hlsd.relay.guard import Forbidden, HostList

LOCAL_FORMS = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "0.0.0.0", "0",
    "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1", "224.0.0.1",
    "255.255.255.255", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]",
    "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]",
]  # fmt: skip
"""The ways to write an address that is nobody's business (decimal, hex, octal, mapped)."""


def resolved(host: str) -> list[str]:
    """What the system's resolver makes of a numeric form; nothing is asked of any server."""
    found = socket.getaddrinfo(host.strip("[]"), 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return [str(entry[4][0]) for entry in found]


@pytest.mark.parametrize("host", LOCAL_FORMS)
def test_no_form_of_a_private_address_passes_although_every_host_is_listed(host: str) -> None:
    """`*` lists every public host: a form that slipped through would reach the machine's own services."""
    with pytest.raises(Forbidden):
        HostList(["*"]).judge("http", resolved(host))


def test_a_name_must_be_listed_and_scheme_with_it() -> None:
    hosts = HostList(["*.example.com", "rtsp://cams.local", "10.0.0.0/8"])
    hosts.lists(read_address("rtmp://a.example.com/live/x"))
    hosts.lists(read_address("rtsp://CAMS.local./x"))
    hosts.lists(read_address("rtsp://10.1.2.3/x"))
    for url in (
        "http://cams.local/x.flv",
        "http://example.com/x.flv",
        "http://a.example.com.evil.net/x.flv",
        "http://192.168.1.1/x.flv",
        "file:///etc/passwd",
    ):
        with pytest.raises(Forbidden):
            hosts.lists(read_address(url))


def test_nothing_is_listed_by_default() -> None:
    with pytest.raises(Forbidden):
        HostList([]).lists(read_address("rtmp://93.184.216.34/live/x"))


def test_every_address_of_a_name_counts() -> None:
    """A name with one public and one private address is half an attack."""
    with pytest.raises(Forbidden):
        HostList(["*"]).judge("http", ["93.184.216.34", "127.0.0.1"])
    assert HostList(["*"]).judge("http", ["93.184.216.34", "1.1.1.1"]) == "93.184.216.34"


def test_listed_ranges_are_let_through_also_in_ipv6_clothes() -> None:
    hosts = HostList(["127.0.0.0/8"])
    assert hosts.judge("rtmp", ["127.0.0.1"]) == "127.0.0.1"
    assert hosts.judge("rtmp", ["::ffff:127.0.0.1"]) == "::ffff:127.0.0.1"
    with pytest.raises(Forbidden):
        hosts.judge("rtmp", ["10.0.0.1"])
    with pytest.raises(Forbidden):
        HostList(["rtsp://127.0.0.0/8"]).judge("http", ["127.0.0.1"])


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com\\@127.0.0.1/x", "http://a@b@127.0.0.1/x", "http://exa mple.com/", "http://%31%32%37.0.0.1/",
        "http://example.com\n.evil/", "HTTP://example.com/", "concat:http://a/|file:/etc/passwd", "ftp://a/b",
        "http://ⓔxample.com/", "http:///x", "http://a:99999/x", "http://a:0/x", "udp://239.0.0.1", "file:relative",
        "hls+http://a/x.m3u8", "data:text/plain,x", "subfile,,start,0,end,0,,:/etc/passwd", "", "/etc/passwd",
        "http://a/\x00", "rtmp://" + "a" * 5000,
    ],
)  # fmt: skip
def test_odd_addresses_are_no_addresses(url: str) -> None:
    """What two readers could read differently is read by none."""
    with pytest.raises(ValueError):  # noqa: PT011  the texts vary
        read_address(url)


@pytest.mark.parametrize("entry", ["gopher://x", "a b", "", "file://x", "http://x/y"])
def test_an_entry_that_is_none_is_told(entry: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        HostList([entry])
