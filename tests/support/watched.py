"""A whole server in this event loop, its events kept, with a film that never ends on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from hlsd.app import Server
from hlsd.events import Event
from hlsd.sessions.session import Session
from tests.support.encoders import ENCODERS, endless
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.services import running


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
        return f"http://127.0.0.1:{self.server.services['http'].port}/live/{name}.m3u8"

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
async def watched(
    folder: Path, films: Path, film: Film, settings: Mapping[str, object], *, once: bool = False
) -> AsyncIterator[Watched]:
    """A low-latency server with `film` on `/live/cam`, round and round or `once`, when it can be played."""
    path = film.make(films)
    async with running(folder / "state", {"hls.low_latency": True, **settings}) as server:
        here = Watched(server)
        url, log = f"rtmp://127.0.0.1:{server.services['rtmp'].port}/live/cam", folder / "enc.log"
        with ENCODERS["ffmpeg-current"].publish(film, path, url, log) if once else endless(path, url, log):
            async with httpx.AsyncClient() as client:

                async def playable() -> bool:
                    return (await client.head(here.url())).status_code == httpx.codes.OK

                await eventually(playable, what="the playlist")
            yield here
