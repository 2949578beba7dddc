"""/readyz: whether a load balancer should send viewers here."""

from __future__ import annotations

import httpx
from starlette.applications import Starlette

from hlsd.api.readiness import ready_route
from hlsd.app import MAX_LATE, Server
from hlsd.config import Settings
from hlsd.services import FRONTS, SERVICES


async def test_reasons_make_it_503() -> None:
    """And their words are in the answer, for whoever looks why."""
    reasons: list[str] = []
    transport = httpx.ASGITransport(Starlette(routes=[ready_route(lambda: reasons)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.get("/readyz")).status_code == 200
        reasons += ["draining", "overloaded"]
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready: draining, overloaded\n")
    assert answer.headers["cache-control"] == "no-store"


async def test_a_server_is_ready_between_its_start_and_its_drain_unless_the_loop_is_late(tmp_path: object) -> None:
    """One late turn is a hiccup, three in a row are overload; a drain shows before anything closes."""
    settings = Settings.model_validate(
        {
            "server": {"state_dir": str(tmp_path)},
            "rtmp": {"bind": "127.0.0.1", "port": 0},
            "http": {"bind": "127.0.0.1", "port": 0},
        }
    )
    server = Server(settings)
    assert server.unready() == ["starting"]
    await server.start()
    try:
        assert len(server.services) == len(SERVICES + FRONTS)
        assert server.unready() == []
        server._late.extend([0.0, MAX_LATE * 2, MAX_LATE * 2])
        assert server.unready() == []
        server._late.append(MAX_LATE * 2)
        assert server.unready() == ["overloaded"]
        server._late.extend([0.0] * 3)
        server.hub.drain()
        assert server.unready() == ["draining"]
    finally:
        await server.stop(2)
