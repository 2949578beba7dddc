"""Makes a node one of several that share sessions: its line to Redis, the store behind it, the drain of events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from hlsd.base.clock import Clock
from hlsd.base.errors import ConfigError
from hlsd.base.faults import Faults
from hlsd.base.figures import Reporter
from hlsd.cluster.event_drain import EventDrain
from hlsd.cluster.figures import ClusterFigures
from hlsd.cluster.redis_line import RedisLine
from hlsd.cluster.redis_store import RedisStore
from hlsd.cluster.settings import ClusterSettings
from hlsd.events import Bus
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.shared_directory import SharedDirectory


class Membership:
    """Of one node. `safe()` returns when what was told is kept; `send_away(id, reason)` ends a session.

    Raises:
        ConfigError: the client library is not there, the address is none, or the nodes would not know each other's ids.
    """

    def __init__(  # noqa: PLR0913 - what a node has
        self,
        settings: ClusterSettings,
        sessions: SessionSettings,
        clock: Clock,
        bus: Bus,
        faults: Faults,
        *,
        safe: Callable[[], Awaitable[None]],
        send_away: Callable[[str, str], None],
    ) -> None:
        assert settings.redis is not None
        if sessions.secret is None:
            raise ConfigError(
                "cluster.redis needs sessions.secret, the same on every node: they sign and read one another's ids"
            )
        self.closed = settings.closed
        self._line = RedisLine(settings.redis.get_secret_value())
        self.store = RedisStore(self._line, sessions, clock, faults, prefix=settings.prefix)
        self.drain = EventDrain(self.store, bus, faults, safe=safe, send_away=send_away)

    def figures(self, common: SharedDirectory) -> Sequence[Reporter]:
        """Who reports how it stands to the others."""
        return (ClusterFigures(self._line, common, self.drain),)
