"""Whose request it is, by what the proxies do that people put in front: set the header, add to it, or hand it on."""

from __future__ import annotations

import pytest

from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.web import read_request
from hlsd.net.proxies import Proxies
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.transports import MemoryListener, settle

CLIENT = "203.0.113.7"
LIE = "198.51.100.66"
"""What the client writes into the header itself."""
HERE = "127.0.0.1"

SHAPES = {
    "none": ([], HERE),
    "set, as our nginx.conf and Caddy do": ([f"X-Forwarded-For: {CLIENT}"], CLIENT),
    "added in one line, as nginx's proxy_add_x_forwarded_for": ([f"X-Forwarded-For: {LIE}, {CLIENT}"], CLIENT),
    "added in a line of its own, as HAProxy's forwardfor": (
        [f"X-Forwarded-For: {LIE}", f"X-Forwarded-For: {CLIENT}"],
        CLIENT,
    ),
    "several lines of lies before it": (
        [f"X-Forwarded-For: {LIE}, 127.0.0.1", "X-Forwarded-For: ::1", f"x-forwarded-for: {CLIENT}"],
        CLIENT,
    ),
    "another proxy of ours behind it": ([f"X-Forwarded-For: {LIE}, {CLIENT}, ::1"], CLIENT),
    "with a port": ([f"X-Forwarded-For: {LIE}, {CLIENT}:50123"], CLIENT),
    "IPv6": ([f"X-Forwarded-For: {LIE}, 2001:db8::0:7"], "2001:db8::7"),
    "IPv6 with a port": ([f"X-Forwarded-For: {LIE}, [2001:db8::7]:50123"], "2001:db8::7"),
    "unknown, as a proxy of Unix sockets says": ([f"X-Forwarded-For: {LIE}, unknown"], HERE),
    "Forwarded, which we do not read": ([f"Forwarded: for={LIE}"], HERE),
    "X-Real-IP, which we do not read": ([f"X-Real-IP: {LIE}"], HERE),
}
"""Lines as they come from a proxy on this machine, and whose request that is."""


async def viewer(peer: str, lines: list[str]) -> str:
    """The address of the session that a first playlist over HTTP/1.1 opens."""
    listener = MemoryListener(MemoryDirectory(cam=MemoryPlayable()), HttpSettings())
    client = listener.connect(peer)
    client.feed("\r\n".join(["GET /live/cam.m3u8 HTTP/1.1", "Host: x", *lines, "", ""]).encode())
    await settle(client)
    (session,) = listener.sessions
    return session.ip


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_client_is_who_the_nearest_proxy_says(shape: str) -> None:
    """And never who the client itself says to be: bans, bounds and tokens of one address go by it."""
    lines, ip = SHAPES[shape]
    assert await viewer(HERE, lines) == ip


@pytest.mark.parametrize("shape", SHAPES)
def test_mounted_in_another_application_it_is_the_same(shape: str) -> None:
    """An ASGI server hands on the lines as they are; one with addresses of its own has been there before us."""
    lines, ip = SHAPES[shape]
    pairs = [line.partition(": ") for line in lines]
    headers = [(name.lower().encode(), value.encode()) for name, _, value in pairs]
    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "client": (HERE, 1)}
    request = read_request({**scope, "headers": headers})
    assert Proxies([HERE, "::1"]).viewer(request.peer, request.headers.get(b"x-forwarded-for", b"")) == ip


async def test_a_stranger_is_who_its_connection_says() -> None:
    """Without a proxy of ours the header is the client's."""
    assert await viewer(CLIENT, [f"X-Forwarded-For: {LIE}"]) == CLIENT


async def test_a_proxy_that_hands_the_header_on_lets_the_client_choose() -> None:
    """A bare `proxy_pass` of nginx, HAProxy without `forwardfor`: these bytes are those of one that sets it.

    No server can tell the two apart, so docs/proxies.md and the setting say it; and who trusts nobody is safe.
    """
    said = [f"X-Forwarded-For: {LIE}"]
    assert await viewer(HERE, said) == LIE
    listener = MemoryListener(MemoryDirectory(cam=MemoryPlayable()), HttpSettings(trusted_proxies=[]))
    client = listener.connect(HERE)
    client.feed("\r\n".join(["GET /live/cam.m3u8 HTTP/1.1", "Host: x", *said, "", ""]).encode())
    await settle(client)
    assert [session.ip for session in listener.sessions] == [HERE]
