"""Says what the exporter reads, and how little of it: the hub, its streams and their outputs as they stand.

These are the shapes of `hlsd.streams.hub.Hub`, `hlsd.streams.stream.Stream` and `hlsd.segmenter.run.Run`, which
stand above or beside this room; `rooms` hands them in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hlsd.media.unit import Tracks
from hlsd.ports import Playable, PublishRequest
from hlsd.stats import StreamStats


class Claiming(Protocol):
    """A publisher's claim to a stream."""

    @property
    def request(self) -> PublishRequest:
        """Who it is."""
        ...


class Streaming(Protocol):
    """One stream."""

    @property
    def app(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def since(self) -> float:
        """Wall clock of the first publication."""
        ...

    @property
    def claim(self) -> Claiming | None:
        """Its publisher."""
        ...

    @property
    def tracks(self) -> Tracks | None:  # noqa: D102
        ...

    @property
    def stats(self) -> StreamStats:  # noqa: D102
        ...


class Segmenting(Protocol):
    """A stream's HLS output."""

    @property
    def live(self) -> Playable:  # noqa: D102
        ...

    @property
    def bytes(self) -> int:
        """Of media held."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Listed so far, by kind."""
        ...

    @property
    def forced_cuts(self) -> int:  # noqa: D102
        ...

    @property
    def frame_rate(self) -> float:  # noqa: D102
        ...


class StreamSource(Protocol):
    """The hub."""

    def figures(self) -> Sequence[tuple[Streaming, Segmenting]]:
        """Every stream with its output, oldest first."""
        ...

    def media_bytes(self) -> int:
        """In all windows, of ended streams too."""
        ...


class Holder(Protocol):
    """Who holds requests (`hlsd.delivery.blocked_requests.BlockedRequests`)."""

    @property
    def refused(self) -> int:
        """Not held, for a bound."""
        ...

    def held(self, playable: Playable) -> int:
        """For that stream, now."""
        ...


class ListenerSource(Protocol):
    """A listener's connections (`hlsd.delivery.http1.connections.Connections`)."""

    open: int
    refused: int
    timed_out: int
    slow: int


class Account(Protocol):
    """What was sent, and on whose account (`hlsd.sessions.accounting.Ledger`)."""

    total: int
    unattributed: int
