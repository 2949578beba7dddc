"""The hot path of HTTP/2 and the rules give the same answers and the same accounts for whatever is asked.

300 conversations (HLSD_LONG: 1,200) over two connections to two houses that are alike: on one of them the hot path is
switched off. Paths, lines and windows are drawn, the stream goes on meanwhile, and what a client of another
implementation reads must be equal, stream by stream, as must what the sessions were charged.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from hlsd.delivery.settings import HttpSettings
from hlsd.sessions.registry import Registry
from tests.property.test_fastpath_differential import _ODD_TARGETS, _TARGETS, SID, go_on, streams
from tests.support import gears
from tests.support.http2_pipe import Http2Pair
from tests.support.playable import MemoryDirectory
from tests.support.seeds import rng
from tests.support.transports import _IdsInOrder
from tests.support.viewers import viewers
from tests.support.web import web_app

TALKS = gears.CONVERSATIONS.drawn() * 3 // 10
_LINES: list[tuple[bytes, bytes]] = [
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"accept-encoding", b"identity"),
    (b"origin", b"https://a.example"),
    (b"origin", b"https://b.example"),
    (b"user-agent", b"player/1"),
    (b"accept", b"*/*"),
    (b"cookie", b"a=b"),
    (b"referer", b"https://h/"),
    (b"priority", b"u=1, i"),
    (b"x-forwarded-for", b"192.0.2.1"),
]
_ODD_LINES: list[tuple[bytes, bytes]] = [
    (b"range", b"bytes=0-3"),
    (b"range", b"bytes=99999999-"),
    (b"if-none-match", b"*"),
    (b"if-range", b'"x"'),
    (b"accept", b"text/html"),
    (b"content-length", b"0"),
    (b"cmcd-object", b"br=1000"),
    (b"te", b"trailers"),
    (b"x-long", b"z" * 3000),
]


class House:
    """Streams, sessions and one connection."""

    def __init__(self, settings: HttpSettings, *, hot: bool) -> None:
        self.directory: MemoryDirectory = streams()
        self.sessions: Registry = viewers(signer=_IdsInOrder())
        self.app = web_app(self.directory, self.sessions, settings)
        for name in ("cam", "ll"):
            self.sessions.admit(SID, "live", name, "192.0.2.1", "")
            self.sessions.admit(SID[:-1] + name[0], "live", name, "192.0.2.1", "")
        self.pair = Http2Pair(self.app, hot=hot)
        self.served = 0
        if hot:
            self._count()

    def _count(self) -> None:
        requests: Any = self.pair.core.hot
        served = type(requests)._answer

        class Counted(type(requests)):  # type: ignore[misc]
            __slots__ = ()

            def _answer(own, *what: Any) -> bool:
                done: bool = served(own, *what)
                self.served += done
                return done

        requests.__class__ = Counted

    async def finish(self) -> None:
        """The stream goes on, and the client reads all that it asked for."""
        for _ in range(2):
            go_on(self.directory)
            await self.pair.settle()
        for stream in [one for one, got in self.pair.got.items() if not got.ended and got.reset is None]:
            self.pair.client.increment_flow_control_window(1 << 20, stream)
        self.pair.feed()
        await self.pair.settle()

    def account(self) -> list[tuple[int, int, int, int]]:
        return [(one.requests, one.in_bytes, one.playlist_bytes, one.media_bytes) for one in self.sessions]


def path(rnd: random.Random) -> bytes:
    found = rnd.choice(_TARGETS if rnd.random() < 0.8 else _ODD_TARGETS)
    if rnd.random() < 0.1:
        found += ("&" if "?" in found else "?") + "CMCD=bl%3D1000"
    return found.replace(" ", "%20").encode("latin-1")


async def talk(rnd: random.Random, settings: HttpSettings) -> tuple[int, int]:
    """One conversation; how many requests there were, and how many of them the hot path answered."""
    houses = [House(settings, hot=hot) for hot in (True, False)]
    if rnd.random() < 0.3:
        window = rnd.choice((0, 1000, 1 << 20))
        for house in houses:
            house.pair.client.update_settings({4: window})
            house.pair.feed()
    kinds = [rnd.sample(_LINES, rnd.randint(0, 5)) for _ in range(2)]
    asked = rnd.randint(3, 12)
    for _ in range(asked):
        lines = list(rnd.choice(kinds))
        if rnd.random() < 0.15:
            lines += rnd.sample(_ODD_LINES, rnd.randint(1, 2))
        target, method = path(rnd), b"GET" if rnd.random() < 0.9 else rnd.choice((b"HEAD", b"OPTIONS", b"DELETE"))
        numbers = {house.pair.ask(target, *lines, method=method) for house in houses}
        assert len(numbers) == 1
        fate = rnd.random()
        for house in houses:
            if fate < 0.2:
                go_on(house.directory)
            if fate < 0.6:
                await house.pair.settle(open_windows=fate > 0.1)
            elif fate > 0.95 and (got := house.pair.got[max(numbers)]) and not got.ended:
                await house.pair.settle(open_windows=False)
                if not got.ended and got.reset is None:
                    house.pair.client.reset_stream(max(numbers))
                    got.reset = 8
                    house.pair.feed()
    for house in houses:
        await house.finish()
    one, other = ({n: (got.status, got.headers, got.body, got.ended) for n, got in h.pair.got.items()} for h in houses)
    assert one == other
    assert houses[0].account() == houses[1].account()
    for house in houses:
        house.pair.connection.connection_lost(None)
        assert house.app.blocked.waiting == 0
        assert all(session.held == session.flows == 0 for session in house.sessions)
    return asked, houses[0].served


@pytest.mark.timeout(400)
@pytest.mark.parametrize("origins", [["*"], ["https://a.example"]], ids=["any origin", "listed origins"])
async def test_the_hot_path_says_what_the_rules_say(origins: list[str]) -> None:
    """Whoever could tell one from the other could be fooled by one of them."""
    rnd = rng(f"http2 {origins}")
    settings = HttpSettings(max_requests=0, allow_origin=origins, max_waiters_per_session=100)
    asked = served = 0
    for _ in range(TALKS // 2):
        more, hot = await talk(rnd, settings)
        asked, served = asked + more, served + hot
    assert served > asked // 6, "the generator must reach the hot path"
