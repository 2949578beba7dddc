"""Which Host lines are one, and which requests must be refused for theirs (RFC 9112 §3.2, RFC 9110 §7.2)."""

from __future__ import annotations

import pytest

from hlsd.net.host import host_of_target, is_host, misses_host, same_host


@pytest.mark.parametrize(
    ("value", "good"),
    [
        (b"example.org", True),
        (b"example.org:8000", True),
        (b"example.org:", True),
        (b"", True),
        (b"192.0.2.1:1", True),
        (b"[2001:db8::1]:8443", True),
        (b"[fe80::1%25eth0]", True),
        (b"a_b.local", True),
        (b"a%20b", True),
        (b"a, b", False),
        (b"a,b", False),
        (b"a b", False),
        (b"a/b", False),
        (b"user@a", False),
        (b"http://a", False),
        (b"a:b", False),
        (b"a:1:2", False),
        (b"[::1", False),
        (b"a?b", False),
        (b"a%2", False),
        (b"\xc3\xa4", False),
        (b"a" * 301, False),
    ],
)
def test_a_host_is_a_name_or_an_address_and_perhaps_a_port(value: bytes, good: bool) -> None:
    assert is_host(value) is good


@pytest.mark.parametrize(
    ("version", "values", "refused"),
    [
        ("1.1", [b"a"], False),
        ("1.1", [b""], False),
        ("1.1", [], True),
        ("1.0", [], False),
        ("1.1", [b"a", b"a"], True),
        ("1.0", [b"a", b"b"], True),
        ("1.1", [b"a b"], True),
        ("1.0", [b"a/b"], True),
    ],
)
def test_a_request_names_one_host(version: str, values: list[bytes], refused: bool) -> None:
    headers = [(b"accept", b"*/*"), *[(b"host", value) for value in values]]
    assert misses_host(version, headers) is refused


def test_the_target_outweighs_the_line() -> None:
    """§3.2.2; a target of origin form has no host."""
    assert host_of_target(b"http://a.example:81/x") == b"a.example:81"
    assert host_of_target(b"HTTPS://a.example?x") == b"a.example"
    assert host_of_target(b"/http://a.example/") is None
    assert host_of_target(b"http://user@a.example/") is None
    assert host_of_target(b"*") is None


def test_case_and_the_usual_port_make_no_difference() -> None:
    assert same_host(b"A.example", b"a.example:443")
    assert same_host(b"a.example:", b"a.example")
    assert same_host(b"[2001:DB8::1]:443", b"[2001:db8::1]")
    assert not same_host(b"a.example:444", b"a.example")
    assert not same_host(b"a.example", b"b.example")
