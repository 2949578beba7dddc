"""Is one publisher as events and handlers see it: who publishes what, since when, how much, and why it ended.

Law: `prePublish` is asked once the rules let it in; `postPublish` says that it holds the name, before its first
byte of media (its codec is not known then: `streamStart` has it); `donePublish` comes exactly once after `postPublish`
and never without it. It keeps figures, decides nothing and reads no clock: times are seconds of the epoch.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from hlsd.events import Action, Event
from hlsd.events.facts import address, publisher_facts
from hlsd.media.codecs import codecs_attribute
from hlsd.media.unit import Tracks
from hlsd.ports import REJECTED, Denial, PublishRequest

MAX_AGENT = 256
"""Characters of what a publisher calls itself that go into events."""


class PublisherEntry:
    """One publication (`hlsd.subjects.Publisher`): `id` as in events, and what it asked with."""

    __slots__ = (
        "_close",
        "_seq",
        "_since",
        "app",
        "codec",
        "converted",
        "dropped",
        "id",
        "ip",
        "name",
        "next_update",
        "on_air",
        "port",
        "protocol",
        "query",
        "received_before",
        "referer",
        "rejected",
        "stream_id",
        "user_agent",
        "user_id",
    )

    def __init__(self, request: PublishRequest, since: float) -> None:
        self.id = f"p_{secrets.token_hex(8)}"
        self.app = request.app
        self.name = request.name
        self.protocol = request.protocol
        self.ip = request.ip
        self.port = request.port
        self.query: Mapping[str, str] = request.query
        """The arguments it asked with, secrets included."""
        self.user_agent = request.user_agent[:MAX_AGENT]
        self.referer = request.referer[:MAX_AGENT]
        self.user_id = ""
        self.stream_id = ""
        """The run it publishes into; empty until it is let in."""
        self.codec = ""
        self.dropped: tuple[str, ...] = ()
        """What it sends that is not carried, by name of the codec."""
        self.converted: tuple[str, ...] = ()
        """What it sends that is turned into what is carried, likewise."""
        self.on_air = False
        self.rejected = False
        self.received_before = 0
        """What the stream had received when this publication began, bytes."""
        self.next_update = 0.0
        """Monotonic time of the next `updatePublish`."""
        self._since = since
        self._seq = 0
        self._close: Callable[[str], None] | None = None

    @property
    def since(self) -> float:
        """When it came, seconds since the epoch."""
        return self._since

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        return f"/{self.app}/{self.name}"

    def reject(self, reason: str = "kicked") -> None:
        """In a `prePublish` handler: not let in. Later: sent away."""
        self.rejected = True
        if self._close is not None:
            self._close(reason)

    def denial(self) -> Denial | None:
        """Whether a handler has rejected it before it was let in."""
        return REJECTED if self.rejected else None

    def admitted(self, close: Callable[[str], None]) -> None:
        """It holds the name; `close(reason)` sends it away."""
        self.on_air = True
        self._close = close

    def over(self) -> None:
        """It is gone: `reject` has nothing to end any more."""
        self.on_air = False
        self._close = None

    def describe(self, tracks: Tracks | None, dropped: tuple[str, ...], converted: tuple[str, ...] = ()) -> None:
        """What it sends: the tracks that are carried, what is not, and what of the former was something else."""
        self.codec = codecs_attribute(tracks)
        self.dropped = dropped
        self.converted = converted

    def event(self, action: Action, at: float, *, received: int = 0, reason: str = "", detail: str = "") -> Event:
        """The next event of this publication; `received` is what the stream has received by now, bytes."""
        self._seq += 1
        done = action is Action.DONE_PUBLISH
        facts = publisher_facts(
            ip=address(self.ip, self.port),
            app=self.app,
            name=self.name,
            protocol=self.protocol,
            stream_id=self.stream_id,
            since=self._since,
            at=at,
            over=done,
            received=max(0, received - self.received_before),
            codec=self.codec,
            dropped=self.dropped,
            converted=self.converted,
            user_id=self.user_id,
            user_agent=self.user_agent,
            referer=self.referer,
            reason=reason,
            detail=detail,
        )
        return Event(action, self.id, self._seq, at, facts, self.query)
