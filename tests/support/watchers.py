"""A stream's FLV side without sockets: a feed to push units into, viewers whose sockets take what they are told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from hlsd.delivery.flv.output import FlvOutput
from hlsd.delivery.flv.settings import FlvSettings
from hlsd.delivery.flv.viewer import FlvViewer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hlsd.audience import Wrapping
    from hlsd.media.unit import AccessUnit, Tracks
    from hlsd.ports import Output, ViewerSession


class Feed:
    """A stream that an output may be attached to (`hlsd.audience.Feed`)."""

    def __init__(self, app: str = "live", name: str = "cam") -> None:
        self.app = app
        self.name = name
        self.outputs: dict[str, Output] = {}
        self.known: Tracks | None = None

    def attach(self, room: str, output: Output) -> None:
        self.outputs[room] = output
        if self.known is not None:
            output.tracks(self.known)

    def detach(self, room: str) -> None:
        self.outputs.pop(room, None)

    def tracks(self, tracks: Tracks) -> None:
        self.known = tracks
        for output in list(self.outputs.values()):
            output.tracks(tracks)

    def push(self, units: Iterable[AccessUnit]) -> None:
        for unit in units:
            for output in list(self.outputs.values()):
                output.unit(unit)


class Watcher:
    """A viewer with a transport of its own: `room` bytes fit into its socket, None for any number."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.sent = bytearray()
        self.waiting = bytearray()
        self.reasons: list[str] = []
        self.left: list[str] = []
        self.charged = 0
        self.writes = 0
        self.viewer: FlvViewer | None = None

    # as a transport

    def write(self, data: bytes | memoryview) -> None:
        self.writes += 1
        fits = len(data) if self.room is None else min(self.room, len(data))
        self.sent += data[:fits]
        self.waiting += data[fits:]
        if self.room is not None:
            self.room -= fits
        if self.waiting and self.viewer is not None:
            self.viewer.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def is_closing(self) -> bool:
        return False

    # as a client

    def read(self, room: int | None = None) -> None:
        """Takes what waits, and has room again: for `room` bytes, or for any number."""
        self.sent += self.waiting
        self.waiting.clear()
        self.room = room
        assert self.viewer is not None
        self.viewer.resume_writing()

    def watch(self, output: FlvOutput, wrapping: Wrapping) -> Watcher:
        """Begins to watch."""
        variant = output.variant(wrapping)
        self.viewer = FlvViewer(
            variant,
            cast("asyncio.Transport", self),
            -1,
            session=cast("ViewerSession", None),
            charge=self._charge,
            over=self.reasons.append,
            left=self.left.append,
        )
        variant.enter(self.viewer)
        return self

    def _charge(self, session: ViewerSession | None, size: int, media: int) -> None:
        self.charged += size


def output_of(feed: Feed, **settings: object) -> FlvOutput:
    """The FLV output of a feed; tags go out at once unless `gather` says otherwise."""
    return FlvOutput(feed, FlvSettings.model_validate({"gather": 0, **settings}))


async def turns(count: int = 8) -> None:
    """Lets the event loop do what is due now."""
    for _ in range(count):
        await asyncio.sleep(0)
