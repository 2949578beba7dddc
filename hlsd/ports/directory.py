"""What is on air, and what can be made to come, as delivery sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hlsd.ports.admission import Denial, PlayRequest
from hlsd.ports.playable import Playable


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """A live stream as the front page lists it. Seconds, bits per second, pixels."""

    app: str
    name: str
    codecs: str
    width: int
    height: int
    frame_rate: float
    bitrate: float
    since: float
    publishing: bool


class Directory(Protocol):
    """The hub as delivery sees it."""

    def find(self, app: str, name: str) -> Playable | None:
        """The HLS output of a stream that is live, in its grace or still kept after its end; None if unknown."""
        ...

    def expected(self, app: str, name: str) -> Playable:
        """What stands for a stream that is not here until it comes: then it is `gone`."""
        ...

    def summaries(self) -> list[StreamSummary]:
        """The streams of this instant, by path."""
        ...

    def obtainable(self, app: str, name: str) -> bool:
        """Whether a stream that is not here can be made to come."""
        ...

    async def obtain(self, request: PlayRequest) -> Playable | Denial:
        """Makes an absent stream come (pull on demand); returns when it is there to be waited for, or will not come."""
        ...


class OnDemand(Protocol):
    """Who can make absent streams come: the relay's door for the hub."""

    def obtainable(self, app: str, name: str) -> bool:
        """Whether a rule matches the name."""
        ...

    async def obtain(self, request: PlayRequest) -> Denial | None:
        """One pull however many ask; None once somebody publishes the stream, else why not (404, 503)."""
        ...
