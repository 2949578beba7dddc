"""The API over a real hub, real sessions and a real ring, without sockets: requests come from wherever a test says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import structlog
from starlette.applications import Starlette
from starlette.routing import Route

from hlsd.api.access import Access
from hlsd.api.context import ApiContext
from hlsd.api.middleware import ApiRoute, create_api
from hlsd.api.settings import ApiSettings
from hlsd.base.clock import SystemClock
from hlsd.events import Bus
from hlsd.ingest.settings import PublishSettings
from hlsd.notify.event_ring import EventRing
from hlsd.ports import Grant, PlayRequest, Publication, PublishRequest, Refuse
from hlsd.segmenter.journal import SequenceJournal
from hlsd.segmenter.outputs import HlsOutputs
from hlsd.sessions.registry import Registry
from hlsd.sessions.session import Session
from hlsd.sessions.signing import Key, Signer
from hlsd.stats import Stats
from hlsd.streams.hub import Hub
from tests.support.frames import BOTH
from tests.support.runs import settings

TOKEN = "a token for tests only"
READER = "a token that may only read"
API = ApiSettings.model_validate(
    {"token": TOKEN, "tokens": [{"name": "reader", "token": READER}], "allow_origin": ["https://desk.example"]}
)


class ApiServices:
    """A hub, its sessions, and the API over them."""

    def __init__(
        self,
        api: ApiSettings = API,
        *,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        env: Mapping[str, str] | None = None,
        more: Sequence[Route] = (),
    ) -> None:
        self.clock = SystemClock()
        self.bus = Bus()
        self.ring = EventRing(1000, server_id="here")
        self.bus.listen(self.ring.add)
        self.dropped: list[str] = []
        stats = Stats()
        hls = HlsOutputs(settings(), self.clock, SequenceJournal(None), stats)
        self.hub = Hub(
            PublishSettings(), self.clock, lambda: [hls], max_streams=1000, max_memory=10**9, bus=self.bus, stats=stats
        )
        self.sessions = Registry(
            Signer([Key(b"a key for tests only")], self.clock.wall),
            self.clock,
            lambda _app, _name: 60.0,
            max_sessions=200_000,
            bus=self.bus,
            stats=stats,
        )
        premises = ApiContext(self.hub, self.sessions, self.ring, self.clock, lambda: config or {}, "here")
        door = create_api(premises, Access(api, env or {}), structlog.get_logger(), more=more)
        assert isinstance(door, ApiRoute)
        self.door = door
        self.app = Starlette(routes=[door])

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = TOKEN,
        peer: str = "192.0.2.1",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str | float] | None = None,
        body: bytes | None = None,
        **more: float,
    ) -> httpx.Response:
        """One request, from an address elsewhere unless `peer` says otherwise."""
        bearer = {"authorization": f"Bearer {token}"} if token is not None else {}
        transport = httpx.ASGITransport(self.app, client=(peer, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(
                method,
                path,
                params={**(query or {}), **more} or None,
                headers={**bearer, **(headers or {})},
                content=body,
            )

    async def get(self, path: str, **query: str | float) -> Any:
        """What a GET below /api/v1 has for `data`; it must succeed."""
        answer = await self.ask("GET", f"/api/v1/{path}", query=query)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["success"], body["message"]) == (True, "")
        return body["data"]

    async def publish(self, name: str = "cam", app: str = "live", **query: str) -> Publication:
        """A publisher that is let in, and has said what it sends."""
        request = PublishRequest(app, name, "rtmp", "192.0.2.9", 40_000, self.dropped.append, query)
        held = await self.hub.publish(request)
        assert not isinstance(held, Refuse), held
        held.tracks(BOTH)
        return held

    async def view(self, name: str = "cam", app: str = "live", ip: str = "192.0.2.7", **more: Any) -> Session:
        """A viewer who is let in."""
        user = more.pop("user_id", "")
        request = PlayRequest(app, name, more.pop("protocol", "hls"), ip, 40_001, **more)
        found = await self.sessions.open(request, Grant(user_id=user))
        assert isinstance(found, Session), found
        return found
