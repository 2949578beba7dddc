"""The way out: what is asked of the resolver, and what is not."""

from __future__ import annotations

import asyncio

import pytest

from hlsd.relay.address import read_address
from hlsd.relay.dial import Dial, SourceError
from hlsd.relay.guard import HostList


async def test_an_address_in_plain_writing_is_not_asked_of_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's few threads may be busy for seconds, and a relay by HLS connects for each segment."""

    def busy(_: str) -> list[str]:
        raise OSError("no thread is free")

    monkeypatch.setattr("hlsd.net.names._by_the_system", busy)
    assert await Dial(tuple).resolve(read_address("http://93.184.216.34/x")) == "93.184.216.34"
    assert await Dial(tuple).resolve(read_address("http://[2606:2800:220:1::1]/x")) == "2606:2800:220:1::1"
    with pytest.raises(SourceError, match="no thread"):
        await Dial(tuple).resolve(read_address("http://127.1/x"))  # what that is, is the system's to say
    with pytest.raises(SourceError, match="not public"):
        await Dial(tuple, HostList(["10.0.0.*"])).resolve(read_address("http://10.0.0.5/x"))


async def test_where_nobody_listens_at_the_first_address_the_next_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's localhost is ::1 first, and most servers of a machine listen on IPv4."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    monkeypatch.setattr("hlsd.net.names._by_the_system", lambda _: ["::1", "127.0.0.2", "127.0.0.1"])
    address = read_address(f"http://both.test:{port}/x")
    async with server:
        dialed = await Dial(tuple).open(address)
        dialed.writer.close()
        assert dialed.ip == "127.0.0.1"
        with pytest.raises(SourceError, match="must not feed itself"):
            await Dial(lambda: [port]).open(address)
    with pytest.raises(SourceError, match="cannot be reached"):
        await Dial(tuple).open(address)
