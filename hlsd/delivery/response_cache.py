"""Keeps what the judge said about a stream's URLs, as bytes, for as long as it holds: one version of the stream.

Law: nothing is decided here. The first plain request for a URL is put to the judge; the others of that version get the
same bytes. Only whole answers (200) and waits are kept; anything else is ASGI's. Two things about a viewer
may change an answer: whether gzip is taken, and, where origins are listed, the Origin: each has a table of its own.
"""

from __future__ import annotations

import re

from hlsd.delivery.answer import Enter, Fall, Reply
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.judge import Judge
from hlsd.delivery.kinds import kind_of
from hlsd.delivery.request import MAX_PATH, MAX_QUERY, Request
from hlsd.delivery.wait_queue import WaitQueue
from hlsd.ports import Directory, Playable, ViewerSession
from hlsd.stats import Stats

MAX_KEPT = 512
"""Answers in one table: a window of parts, and the directives of one instant. Further ones are judged each time."""

_PLAIN = re.compile(rb"([A-Za-z0-9._/-]+)(?:\?([A-Za-z0-9._=&-]*))?")
"""What a player asks for below its session. Nothing that two could read differently."""

Taste = tuple[bool, bytes | None]
"""Whether gzip is taken; the Origin, where it matters."""


class ResponseCache:
    """The answers of one version of one stream, by what stands behind the session in the URL."""

    __slots__ = ("origins", "plain", "playable", "version", "zipped")

    def __init__(self, playable: Playable) -> None:
        self.playable = playable
        self.version = playable.version
        self.plain: dict[bytes, ReadyBytes | WaitQueue] = {}
        self.zipped: dict[bytes, ReadyBytes | WaitQueue] = {}
        self.origins: dict[Taste, dict[bytes, ReadyBytes | WaitQueue]] = {}
        """Tables of viewers whose page has an origin of its own; empty unless origins are listed."""


class ResponseCaches:
    """What is ready for each stream of one server, by the stream's path."""

    def __init__(self, judge: Judge, stats: Stats) -> None:
        self._judge = judge
        self._stats = stats
        self.by_path: dict[str, ResponseCache] = {}

    def renew(self, path: str, playable: Playable) -> ResponseCache:
        """An empty cache for the present version of `playable`."""
        cache = self.by_path[path] = ResponseCache(playable)
        return cache

    def table(self, cache: ResponseCache, zipped: bool, origin: bytes | None) -> dict[bytes, ReadyBytes | WaitQueue]:
        """The answers for viewers of that taste."""
        if origin is None or not self._judge.replies.knows_origin(origin):
            return cache.zipped if zipped else cache.plain
        return cache.origins.setdefault((zipped, origin), {})

    def judge(
        self,
        table: dict[bytes, ReadyBytes | WaitQueue],
        session: ViewerSession,
        rest: bytes,
        zipped: bool,
        origin: bytes | None,
    ) -> ReadyBytes | WaitQueue | None:
        """Asks the judge for the plain GET of `session.prefix + rest`; None where ASGI must answer."""
        found = _PLAIN.fullmatch(rest)
        if found is None:
            return None
        path, query = session.prefix + found[1], found[2] or b""
        if len(path) > MAX_PATH or len(query) > MAX_QUERY:
            return None
        headers: dict[bytes, bytes] = {}
        if zipped:
            headers[b"accept-encoding"] = b"gzip"
        if origin is not None:
            headers[b"origin"] = origin
        request = Request("GET", path, query, headers)
        answer = self._judge.answer(request)
        if isinstance(answer, Fall | Enter) or request.session is not session:
            return None
        if isinstance(answer, Reply):
            if answer.status != 200:
                return None
            kept: ReadyBytes | WaitQueue = ReadyBytes(answer, self._stats.http.ready_cell(kind_of(path), answer.status))
        else:
            kept = WaitQueue(answer, kind_of(path), session.app, self._stats)
        if len(table) < MAX_KEPT:
            table[rest] = kept
        return kept

    def forget(self, directory: Directory) -> None:
        """Drops what was ready of streams that are gone; once a second."""
        for path, cache in list(self.by_path.items()):
            _, app, name = path.split("/", 2)
            if directory.find(app, name) is not cache.playable:
                del self.by_path[path]
