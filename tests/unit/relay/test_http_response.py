"""Reading an HTTP response that never ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.base.errors import ProtocolError
from hlsd.relay.address import read_address
from hlsd.relay.http_response import ResponseReader, request

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\n\r\n"
COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, worldJUNK"
OPEN = b"HTTP/1.0 200 OK\r\n\r\nhello, world"


@pytest.mark.parametrize(("wire", "done"), [(CHUNKED, True), (COUNTED, True), (OPEN, False)])
@given(sizes=st.lists(st.integers(1, 40), max_size=120))
def test_the_body_is_the_same_however_the_bytes_come(wire: bytes, done: bool, sizes: list[int]) -> None:
    """TCP cuts where it likes."""
    reader, body, at = ResponseReader(), b"", 0
    for size in [*sizes, len(wire)]:
        body += reader.feed(wire[at : at + size])
        at += size
    assert (reader.status, body, reader.done) == (200, b"hello, world", done)


def test_interim_answers_are_passed_over() -> None:
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n" + OPEN) == b"hello, world"
    assert reader.status == 200


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 8000,
    ],
)
def test_what_is_no_response_ends_it(wire: bytes) -> None:
    """And within bounds: an origin must not fill our memory with a head."""
    reader = ResponseReader()
    with pytest.raises(ProtocolError):
        reader.feed(wire)


@given(wire=st.binary(max_size=400))
def test_no_bytes_raise_anything_else(wire: bytes) -> None:
    reader = ResponseReader()
    try:
        reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
        ResponseReader().feed(wire)
    except ProtocolError:
        pass


def test_a_request_names_its_host_and_cannot_be_split() -> None:
    """No part of an address can bring a line of its own: the address reader lets no white space in."""
    octets = request(read_address("http://u%3A:p@h:81/a/b.flv?x=1"), "hlsd")
    assert octets.startswith(b"GET /a/b.flv?x=1 HTTP/1.1\r\nHost: h:81\r\n")
    assert b"Authorization: Basic dTo6cA==\r\n" in octets
    assert octets.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "identity, gzip", "x-gzip"])
def test_a_body_in_a_packing_that_was_not_asked_for_is_refused(coding: str) -> None:
    """Whoever unpacks what a stranger packed pays a thousandfold."""
    assert b"Accept-Encoding: identity\r\n" in request(read_address("http://h/x"), "x")
    with pytest.raises(ProtocolError, match="Content-Encoding"):
        ResponseReader().feed(f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\nx".encode())
    assert ResponseReader().feed(b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n\r\nx") == b"x"


def test_interim_answers_without_an_end_are_the_end() -> None:
    """Thousands of them in one read were a recursion as deep."""
    with pytest.raises(ProtocolError, match="interim"):
        ResponseReader().feed(b"HTTP/1.1 100 \r\n\r\n" * 4000)
    with pytest.raises(ProtocolError, match="32 kB"):
        ResponseReader().feed(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n")
