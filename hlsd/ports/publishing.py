"""What a way in asks of the hub: a publisher at the door, and its right to a name."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hlsd.media.sounds import SoundFormat
from hlsd.media.timed_event import TimedEvent
from hlsd.media.unit import AccessUnit, Tracks


class RefuseCode(enum.StrEnum):
    """Why a publisher is not let in; each protocol words it in its own way."""

    BAD_NAME = "bad_name"
    BUSY = "busy"
    DENIED = "denied"
    LIMIT = "limit"
    DRAINING = "draining"


class LineState(NamedTuple):
    """How a publisher's media comes through, where packets can be lost.

    `loss`: share of its packets, 0 to 1, since it began. `round_trip`: seconds; 0 where it is not known.
    """

    connected: bool
    loss: float
    round_trip: float


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """A publisher at the door. `query` (arguments of the key and of the URL) and `bearer` hold secrets: never log them.

    `drop(reason)` closes the publisher's connection; the hub calls it on takeover, kick and shutdown, and calls
    nothing of that publication afterwards.
    """

    app: str
    name: str
    protocol: str
    ip: str
    port: int
    drop: Callable[[str], None]
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_agent: str = ""
    referer: str = ""
    """The page it was started from (RTMP pageUrl)."""
    tell: Callable[[str], None] = lambda _: None
    """Takes words for the publisher's eyes; the hub says them before it drops it."""
    bearer: str = field(default="", repr=False)
    """The token of `Authorization: Bearer`, where the way in is HTTP."""
    held: Callable[[], int] = lambda: 0
    """Bytes of its media that are in memory and have not been handed over yet."""
    away: Callable[[], bool] = lambda: False
    """Whether its connection is lost and it may come back by another: until then the name is anybody's who may."""
    refresh: Callable[[], None] | None = None
    """Asks its encoder for a key picture, not more often than it likes; None where it cannot be asked."""
    line: Callable[[], LineState | None] = lambda: None
    """How its media comes through; None where TCP carries it."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Not let in, with words fit for the publisher's eyes."""

    code: RefuseCode
    reason: str


class Publication(Protocol):
    """A publisher's claim to a stream name, from admission until `end`.

    After the hub has dropped it every call is a no-op, so a late packet of a replaced publisher does no harm.
    """

    @property
    def name(self) -> str:
        """The stream's public name: what was asked for may have been its key."""
        ...

    @property
    def origin(self) -> int:
        """The tick at which this publication's timeline begins: later than anything the stream has carried."""
        ...

    def tracks(self, tracks: Tracks) -> None:
        """Announces the tracks: before the first unit, and again whenever a record or the set of tracks changes."""
        ...

    def unit(self, unit: AccessUnit) -> None:
        """Hands over the next access unit, in order of arrival; dts rises within each track."""
        ...

    def event(self, event: TimedEvent) -> None:
        """Hands over what the publisher says at an instant; in order of arrival, times may go back."""
        ...

    def as_sent(self, form: SoundFormat, ticks: int, packet: bytes) -> None:
        """Hands over sound as it came, to be heard at `ticks`; the AAC that becomes of it follows as units."""
        ...

    def event_lost(self, reason: str) -> None:
        """Counts such a thing that was dropped (`reason`: "early", "large", "often", "unreadable")."""
        ...

    def jump(self) -> None:
        """Says that the source's clock jumped before the next unit: what follows is a discontinuity."""
        ...

    def received(self, size: int) -> None:
        """Counts `size` bytes that came from the publisher's connection."""
        ...

    def repaired(self, kind: str) -> None:
        """Counts a timestamp repair (`kind`: "backward", "wrap", "jump", "audio")."""
        ...

    def left_out(self, codecs: tuple[str, ...]) -> None:
        """Says by name what the publisher sends that is not carried while the rest is; empty: all of it is."""
        ...

    def tracks_left_out(self, names: tuple[str, ...]) -> None:
        """Says which tracks beyond the first of a kind are sent and not carried, by kind, id and codec: all so far."""
        ...

    def converted(self, codecs: tuple[str, ...]) -> None:
        """Says by name what the publisher sends that is turned into what is carried; empty: all comes as it is."""
        ...

    def remark(self, event: str, facts: Mapping[str, object]) -> None:
        """Says in the log what was dropped or bounded; the caller sees to it that this is seldom."""
        ...

    def end(self, reason: str) -> None:
        """The publisher has left ("closed", "idle", "error:…"); the stream's grace begins."""
        ...


class Admission(Protocol):
    """The hub as a way in sees it."""

    async def publish(self, request: PublishRequest) -> Publication | Refuse:
        """Authorises and claims the name; never raises for what the publisher sent."""
        ...
