"""A whole server in this event loop, its events kept, with a film that never ends on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from hlsd.app import Server
from hlsd.config import load
from hlsd.events import Event
from hlsd.sessions.session import Session
from tests.support.encoders import ENCODERS
from tests.support.footage import Film


class Watched:
    """The server, what it told, and the sessions it had."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.told: list[Event] = []
        self.sessions: dict[str, Session] = {}
        server.sessions.bus.listen(self._hear)

    def _hear(self, event: Event) -> None:
        self.told.append(event)
        for session in self.server.sessions:
            self.sessions[session.id] = session

    def url(self, name: str = "cam") -> str:
        """Where a player begins."""
        return f"http://127.0.0.1:{self.server.rooms['http'].port}/live/{name}.m3u8"

    def actions(self, session_id: str) -> list[str]:
        """What was told of one session."""
        return [event.action.value for event in self.told if event.id == session_id]

    def of_agent(self, word: str) -> list[str]:
        """Sessions of the players whose User-Agent holds `word`."""
        mine = [event.id for event in self.told if word in str(event.facts["user_agent"])]
        return list(dict.fromkeys(mine))

    def balanced(self) -> bool:
        """Whether the accounts add up: sum over sessions + unattributed = total."""
        ledger, sessions = self.server.sessions.ledger, self.server.sessions
        return ledger.closed + ledger.unattributed + sum(one.out_bytes for one in sessions) == ledger.total


@asynccontextmanager
async def watched(folder: Path, films: Path, film: Film, settings: Mapping[str, object]) -> AsyncIterator[Watched]:
    """A low-latency server with `film` on `/live/cam`, round and round, once it can be played."""
    server = Server(
        load(
            None,
            {},
            {
                "server.state_dir": str(folder / "state"),
                "rtmp.port": 0,
                "http.port": 0,
                "http.bind": "127.0.0.1",
                "hls.low_latency": True,
                **settings,
            },
        )
    )
    path = film.make(films)
    await server.start()
    here = Watched(server)
    try:
        encoder = ENCODERS["ffmpeg-current"]
        with encoder.publish(film, path, f"rtmp://127.0.0.1:{server.rooms['rtmp'].port}/live/cam", folder / "enc.log"):
            async with httpx.AsyncClient() as client:
                deadline = asyncio.get_running_loop().time() + 30
                while (await client.head(here.url())).status_code != httpx.codes.OK:
                    assert asyncio.get_running_loop().time() < deadline, "no playlist"
                    await asyncio.sleep(0.1)
            yield here
    finally:
        await server.stop(2.0)


async def until(what: str, ready: object, seconds: float = 30.0) -> None:
    """Waits until `ready()` is true; AssertionError naming `what`."""
    assert callable(ready)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not ready():
        assert loop.time() < deadline, f"{what}: not after {seconds} s"
        await asyncio.sleep(0.05)
