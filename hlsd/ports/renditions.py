"""What a run's further renditions are made through: pictures of another encoder in the places of the source's.

Law: renditions are the run's, and are cut where its `main` is cut; whoever encodes hands over pictures and never
learns of segments. Each picture of the source's is one place, named by its own decode tick; what an encoder makes
stands in one of these places, or the place stays empty. Sound is the source's.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from hlsd.media.unit import AccessUnit, Tracks, VideoTrack


class OfferedRendition(NamedTuple):
    """A rendition as viewers are offered it; rates in bits per second, as the multivariant playlist says them."""

    name: str
    tracks: Tracks
    frame_rate: float
    bandwidth: int
    average_bandwidth: int


class RenditionFeed(Protocol):
    """One rendition as its encoder sees it. Calls come from the event loop, and must not be in the past of each other.

    `dropped`: the rendition has been given up for the rest of the run.
    """

    dropped: bool

    def picture(self, unit: AccessUnit, track: VideoTrack) -> None:
        """A picture for the place `unit.dts`; `track` is what it belongs to. A key picture stands where one did."""
        ...

    def settled(self, dts: int) -> None:
        """Of the places up to that tick every picture has come that will."""
        ...

    def away(self) -> None:
        """No picture will come for the places under way; it goes on with the next one that is handed over."""
        ...

    def drop(self) -> None:
        """No picture will come any more: viewers are led elsewhere."""
        ...


class Ladder(Protocol):
    """The renditions of a run beside `main`."""

    def add(self, name: str, bitrate: int) -> RenditionFeed | None:
        """Another one, of at most `bitrate` bits per second; None once the run has shown something (MV14).

        `name` stands in URLs.
        """
        ...

    def source(self, unit: AccessUnit) -> None:
        """A picture of the source's, in order: the place for others."""
        ...
