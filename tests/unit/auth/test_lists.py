"""Addresses, pages, failures and stream keys: the small lists of the gate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.auth.addresses import Networks, block
from hlsd.auth.failures import Failures
from hlsd.auth.keys import StreamKeys
from hlsd.auth.pages import AllowedPages, read_host, read_origin
from hlsd.auth.verdict import Fault, Pass


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.1", True),
        ("192.0.3.1", False),
        ("::ffff:192.0.2.9", True),  # IPv4 in IPv6's clothes must not walk round a list
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("unix", False),
    ],
)
def test_an_address_is_in_a_network_or_not(address: str, inside: bool) -> None:
    assert Networks(["192.0.2.0/24", "2001:db8::/32"]).hold(address) is inside


@pytest.mark.parametrize("text", ["192.0.2.1/24", "host", "192.0.2.0/33", ""])
def test_what_is_no_network_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Networks([text])


@pytest.mark.parametrize(
    ("referer", "origin", "welcome"),
    [
        ("https://example.org/page", "https://example.org", True),
        ("https://www.example.org:8443/x?y", "https://example.org", True),
        ("https://EXAMPLE.org/", "HTTPS://example.org", True),
        ("https://example.org.evil.test/", "https://example.org", False),
        ("https://evil.test/?https://example.org/", "https://example.org", False),
        ("https://example.org@evil.test/", "https://example.org", False),
        ("https://notexample.org/", "https://example.org", False),
        ("https://example.org/", "https://evil.test", False),
        ("https://example.org/", "null", False),
        ("https://example.org/", "", False),
        ("", "https://example.org", False),
        ("http://[::1", "https://example.org", False),
        ("none", "https://example.org", False),
    ],
)
def test_pages_are_known_by_host_and_origin(referer: str, origin: str, welcome: bool) -> None:
    pages = AllowedPages(["example.org", "*.example.org"], ["https://example.org"])
    assert pages.welcome(referer, origin) is welcome


def test_players_without_headers_come_in_by_none() -> None:
    """VLC and televisions send neither Referer nor Origin."""
    pages = AllowedPages(["example.org", "none"], ["https://example.org", "none"])
    assert pages.welcome("", "")
    assert not pages.welcome("https://none/", "")
    assert not pages.welcome("https://evil.test/", "")
    assert AllowedPages([], []).welcome("https://any.test/", "null")


@pytest.mark.parametrize("text", ["https://example.org", "*", "a b", "", "*.*.org"])
def test_what_is_no_host_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="should be a host"):
        read_host(text)


@pytest.mark.parametrize("text", ["example.org", "https://", "https://a/b", "https://u@a", "*"])
def test_what_is_no_origin_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="should be an origin"):
        read_origin(text)


def test_an_address_is_barred_at_the_limit_until_its_window_ends() -> None:
    failures = Failures(3, 60.0)
    assert [failures.note("192.0.2.1", 10.0) for _ in range(4)] == [False, False, True, False]
    assert failures.barred("192.0.2.1", 69.9)
    assert not failures.barred("192.0.2.2", 69.9)
    assert not failures.barred("192.0.2.1", 70.0)
    assert len(failures) == 0


def test_one_ipv6_customer_is_one_address() -> None:
    """A /64 has 2^64 addresses: each with its own count would be no bound."""
    assert block("2001:db8::1") == block("2001:db8::ffff:1") != block("2001:db8:0:1::1")
    failures = Failures(2, 60.0)
    failures.note("2001:db8::1", 0.0)
    failures.note("2001:db8::2", 0.0)
    assert failures.barred("2001:db8::3", 1.0)


def test_the_table_of_failures_is_bounded() -> None:
    failures = Failures(2, 60.0, most=50)
    for number in range(500):
        failures.note(f"10.0.{number // 250}.{number % 250}", float(number) / 100)
    assert len(failures) == 50


def test_no_limit_is_no_limit() -> None:
    failures = Failures(0, 60.0)
    assert not any(failures.note("192.0.2.1", 1.0) for _ in range(100))
    assert not failures.barred("192.0.2.1", 1.0)


KEYS = StreamKeys({"cam": "k-for-cam", "live/door": "k-for-door"})


def test_a_key_is_the_stream_name_or_an_argument_and_stands_for_a_public_name() -> None:
    found = KEYS.check("live", "k-for-cam", {})
    assert isinstance(found, Pass)
    assert found.name == "cam"
    assert isinstance(KEYS.check("any", "cam", {"key": "k-for-cam"}), Pass)
    assert isinstance(KEYS.check("live", "k-for-door", {}), Pass)


@pytest.mark.parametrize(
    ("app", "name", "query"),
    [
        ("live", "cam", {}),  # the public name opens nothing
        ("live", "door", {}),
        ("other", "k-for-door", {}),
        ("live", "other", {"key": "k-for-cam"}),
        ("live", "cam", {"key": "K-for-cam"}),
        ("live", "cam", {"key": ""}),
        ("live", "k-for-cam", {"key": "wrong"}),
        ("live", "", {}),
    ],
)
def test_without_its_key_no_stream_is_opened(app: str, name: str, query: dict[str, str]) -> None:
    assert isinstance(KEYS.check(app, name, query), Fault)


@given(st.text(max_size=300))
def test_no_other_text_is_a_key(text: str) -> None:
    if text not in {"k-for-cam", "k-for-door"}:
        assert isinstance(KEYS.check("live", text, {}), Fault)
        assert not KEYS.is_key(text)
