"""Whose request a proxy hands on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hlsd.delivery.settings import HttpSettings
from hlsd.net.proxies import Proxies, path_prefix

PROXIES = Proxies(["127.0.0.1", "::1", "10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "viewer"),
    [
        ("127.0.0.1", b"203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", b"6.6.6.6, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("127.0.0.1", b"6.6.6.6,203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::5", b"[2a00::1]:443", "2a00::1"),
        ("::1", b"2a00::0001", "2a00::1"),
        ("203.0.113.1", b"6.6.6.6", "203.0.113.1"),
        ("127.0.0.1", b"6.6.6.6, unknown", "127.0.0.1"),
        ("127.0.0.1", b"6.6.6.6, rubbish, 10.0.0.9", "10.0.0.9"),
        ("127.0.0.1", b"10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("127.0.0.1", b"", "127.0.0.1"),
        ("", b"6.6.6.6", ""),
    ],
)
def test_the_rightmost_address_that_is_no_proxy_of_ours(peer: str, forwarded: bytes, viewer: str) -> None:
    """Further to the left stand a stranger's own words."""
    assert PROXIES.viewer(peer, forwarded) == viewer


@given(st.binary(max_size=200))
def test_any_header_names_an_address_or_the_peer(forwarded: bytes) -> None:
    """It is the network's word."""
    assert PROXIES.viewer("127.0.0.1", forwarded)


def test_a_name_is_no_proxy() -> None:
    """It would match nothing, and all its viewers would look like one."""
    with pytest.raises(ValidationError, match="trusted_proxies"):
        HttpSettings(trusted_proxies=["proxy.example.org"])
    assert "10.9.8.7" in PROXIES
    assert "11.0.0.1" not in PROXIES
    assert "nonsense" not in PROXIES


@pytest.mark.parametrize("peer", ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3", "::1", "2001:db8::1"])
def test_a_proxy_is_known_however_a_socket_shows_it(peer: str) -> None:
    """One that listens for both kinds shows IPv4 as `::ffff:…`: then its viewers were all one address."""
    assert peer in PROXIES
    assert PROXIES.viewer(peer, b"203.0.113.7") == "203.0.113.7"
    assert "::ffff:192.0.2.1" not in PROXIES
    assert "2001:db8::1" in Proxies(["2001:0DB8::0001"])


def test_what_was_set_is_read_once() -> None:
    settings = HttpSettings(trusted_proxies=["10.0.0.0/8"], prefix="/tv")
    assert settings.proxies is settings.proxies
    assert settings.proxies.prefix("192.0.2.1", None) == "/tv"
    assert "10.0.0.7" in settings.proxies


@pytest.mark.parametrize(
    ("said", "prefix"),
    [("", ""), ("/", ""), ("/tv", "/tv"), ("/tv/", "/tv"), ("/a/b-c_d.e~f", "/a/b-c_d.e~f"), ("/..x", "/..x")],
)
def test_a_prefix_is_a_path(said: str, prefix: str) -> None:
    """Without its last slash, so that our own paths can stand behind it."""
    assert path_prefix(said) == prefix


@pytest.mark.parametrize(
    "said",
    [
        "tv", "//evil.example", "/tv//x", "/tv//", "https://evil.example/tv", "/tv?x", "/tv#x", "/tv/../x", "/./tv",
        "/..", "/tv\r\nset-cookie: a=b", "/tv\n", "/\\evil", "/%2f", '/"><script>', "/tv, /other", "/tv x",
        "/" + "a" * 256, "/\xe4",
    ],
)  # fmt: skip
def test_what_is_no_plain_path_is_no_prefix(said: str) -> None:
    """It goes into Location and into the page: no host, no way up, no end of a line, no markup."""
    assert path_prefix(said) is None
    assert Proxies(["127.0.0.1"], "/set").prefix("127.0.0.1", said.encode("latin-1")) == "/set"
    with pytest.raises(ValidationError):
        HttpSettings(prefix=said)


@given(st.binary(max_size=300))
def test_any_header_of_a_prefix_is_a_path_below_our_host(said: bytes) -> None:
    """It is the network's word, though a trusted proxy's."""
    prefix = Proxies(["127.0.0.1"]).prefix("127.0.0.1", said)
    assert not prefix or (prefix[0] == "/" and "//" not in prefix and prefix.isascii() and prefix.isprintable())


def test_nobody_but_a_proxy_of_ours_names_a_prefix() -> None:
    """A viewer could have the page's scripts come from elsewhere on the host."""
    assert Proxies(["127.0.0.1"]).prefix("192.0.2.1", b"/tv") == ""
