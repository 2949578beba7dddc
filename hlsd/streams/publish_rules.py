"""Says who may publish under which name: by the rules of names, bounds and takeover, the gate, and `prePublish`.

Law: what costs nothing is looked at first, and again after each wait: another may have come meanwhile. The gate and
`prePublish` may rename; nobody need be asked about a name that cannot be had. A stream key is a secret until it has
been exchanged for the name that viewers know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hlsd.base import stream_name
from hlsd.events import Action, Bus
from hlsd.ports import Denial, Gate, Grant, PublishRequest, Refuse, RefuseCode
from hlsd.streams.memory import media_bytes

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.ingest.settings import PublishSettings
    from hlsd.streams.channel import Channel
    from hlsd.streams.claim import Claim
    from hlsd.streams.publisher import PublisherEntry

MAX_BANS: Final = 10_000
"""Kicked publishers that are remembered; beyond it the oldest may come back early."""
RELAY: Final = "relay"
"""The protocol of publishers that this server fetched itself: the operator's rule let them in."""


class PublishRules:
    """The rules for one hub's `channels`. `max_streams` and `max_memory` (bytes of media) bound what is let in."""

    def __init__(  # noqa: PLR0913 - what is asked
        self,
        settings: PublishSettings,
        clock: Clock,
        channels: Mapping[tuple[str, str], Channel],
        *,
        max_streams: int,
        max_memory: int,
        bus: Bus,
        gate: Gate | None = None,
    ) -> None:
        self.draining = False
        """The server is about to stop: nobody is let in."""
        self.max_memory = max_memory
        self._settings = settings
        self._clock = clock
        self._channels = channels
        self._max_streams = max_streams
        self._bus = bus
        self._gate = gate
        self._bans: dict[tuple[str, str, str], float] = {}
        """Until when (monotonic) an address may not publish under a name."""

    def bound(self, max_streams: int, max_memory: int) -> None:
        """Other bounds for who comes from now on."""
        self._max_streams, self.max_memory = max_streams, max_memory

    def hides(self, request: PublishRequest, asked: str) -> bool:
        """Whether the request's name may still be the secret that it came with as `asked`."""
        return self._gate is not None and self._gate.hides_names(request.app) and request.name == asked

    async def admit(self, request: PublishRequest, publisher: PublisherEntry) -> tuple[PublishRequest, Refuse | None]:
        """The request with the name that it may have, or why it may not."""
        refusal = self._refusal(request)
        if refusal is not None or request.protocol == RELAY:
            return request, refusal
        if self._gate is not None:
            granted = await self._gate.publish(request)
            if isinstance(granted, Denial):
                return request, _refused(granted)
            request = _granted(request, publisher, granted)
            if (refusal := self._refusal(request)) is not None:
                return request, refusal
        event = publisher.event(Action.PRE_PUBLISH, self._clock.wall())
        verdict = await self._bus.ask(event, publisher, publisher.denial)
        if isinstance(verdict, Denial):
            return request, _refused(verdict)
        if verdict is not None:
            request = _granted(request, publisher, verdict)
        return request, self._refusal(request)

    def ban(self, app: str, name: str, ip: str, until: float) -> None:
        """An address may not publish under the name until then (monotonic)."""
        key = (app, name, ip)
        self._bans.pop(key, None)
        self._bans[key] = until
        if len(self._bans) > MAX_BANS:
            del self._bans[next(iter(self._bans))]

    def sweep(self, now: float) -> None:
        """Forgets the bans that are over."""
        for ban in [ban for ban, until in self._bans.items() if until <= now]:
            del self._bans[ban]

    def _refusal(self, request: PublishRequest) -> Refuse | None:
        if self.draining:
            return Refuse(RefuseCode.DRAINING, "the server is shutting down")
        if words := stream_name.fault(request.app, request.name):
            return Refuse(RefuseCode.BAD_NAME, words)
        until = self._bans.get((request.app, request.name, request.ip), 0.0) if self._bans else 0.0
        if until > self._clock.monotonic():
            return Refuse(RefuseCode.DENIED, "not allowed")
        channel = self._channels.get((request.app, request.name))
        claim = channel.claim if channel is not None else None
        if claim is not None and not self._may_replace(claim):
            return Refuse(RefuseCode.BUSY, f"/{request.app}/{request.name} is already being published")
        if channel is None or channel.stream is None:
            if sum(one.stream is not None for one in self._channels.values()) >= self._max_streams:
                return Refuse(RefuseCode.LIMIT, f"the server carries its {self._max_streams} streams already")
            if media_bytes(self._channels.values()) >= self.max_memory:
                return Refuse(RefuseCode.LIMIT, "the server has no memory left for another stream")
        return None

    def _may_replace(self, claim: Claim) -> bool:
        """Whether a second publisher takes over: a dead peer must not lock the owner out."""
        if self._settings.takeover == "always" or claim.request.away():
            return True
        now = self._clock.monotonic()
        claim.listen(now)
        return self._settings.takeover == "stale" and now - claim.last_heard >= self._settings.stale_after


def _granted(request: PublishRequest, publisher: PublisherEntry, grant: Grant) -> PublishRequest:
    publisher.user_id = grant.user_id or publisher.user_id
    if grant.name:
        publisher.name = grant.name
        return replace(request, name=grant.name)
    return request


def _refused(denial: Denial) -> Refuse:
    return Refuse(RefuseCode.LIMIT if denial.reason == "limit" else RefuseCode.DENIED, denial.words)
