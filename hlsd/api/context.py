"""Says what the API is about, and whom it asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.sessions.registry import Registry
    from hlsd.streams.hub import Hub


class Ring(Protocol):
    """The last events (`hlsd.notify.event_ring.EventRing`)."""

    def after(self, cursor: int, limit: int) -> tuple[list[dict[str, object]], int]:
        """At most `limit` events above the number `cursor`, and the cursor for the next call."""
        ...


class Reread(Protocol):
    """What became of a configuration that was read again, by dotted keys."""

    @property
    def changed(self) -> Sequence[str]:
        """In force now."""
        ...

    @property
    def restart(self) -> Sequence[str]:
        """What a restart is needed for."""
        ...


class Hooks(Protocol):
    """The webhooks (`hlsd.notify.webhooks.Webhooks`)."""

    async def queues(self) -> Sequence[Any]:
        """The receivers with what waits for them."""
        ...

    async def test(self) -> Sequence[Any]:
        """Sends each of them an event that says it is a test."""
        ...


@dataclass(slots=True)
class ApiContext:
    """What the API is about; `config()` is what may be shown of the configuration, by section."""

    hub: Hub
    sessions: Registry
    ring: Ring
    clock: Clock
    config: Callable[[], Mapping[str, Mapping[str, Any]]]
    server_id: str
    congestion: Callable[[], Mapping[str, str]] = dict
    """By service; only those that have one."""
    reread: Callable[[], Awaitable[Reread]] | None = None
    """Reads the configuration again."""
    webhooks: Hooks | None = None
    snapshots: bool = False
    """Whether there are pictures of streams on demand."""
    since: float = field(init=False)
    """When the server began, by the wall clock."""
    begun: float = field(init=False)
    """The same by the monotonic one."""

    def __post_init__(self) -> None:
        self.since, self.begun = self.clock.wall(), self.clock.monotonic()
