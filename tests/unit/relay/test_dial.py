"""The way out: what is asked of the resolver, and what is not."""

from __future__ import annotations

import asyncio

import pytest

from hlsd.relay.address import read_address
from hlsd.relay.dial import Dial, SourceError
from hlsd.relay.guard import HostList


async def test_an_address_in_plain_writing_is_not_asked_of_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's few threads may be busy for seconds, and a relay by HLS connects for each segment."""

    async def busy(*_: object, **__: object) -> None:
        raise OSError("no thread is free")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", busy)
    assert await Dial(tuple).resolve(read_address("http://93.184.216.34/x")) == "93.184.216.34"
    assert await Dial(tuple).resolve(read_address("http://[2606:2800:220:1::1]/x")) == "2606:2800:220:1::1"
    with pytest.raises(SourceError, match="no thread"):
        await Dial(tuple).resolve(read_address("http://127.1/x"))  # what that is, is the system's to say
    with pytest.raises(SourceError, match="not public"):
        await Dial(tuple, HostList(["10.0.0.*"])).resolve(read_address("http://10.0.0.5/x"))
