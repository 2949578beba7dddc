"""Is a publisher's claim to a stream: what it hands over goes to the stream's outputs, until it is revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

import structlog

from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger

    from hlsd.base.faults import Faults
    from hlsd.media.sounds import SoundFormat
    from hlsd.media.timed_event import TimedEvent
    from hlsd.ports import AsSentTaker, Output, PublishRequest
    from hlsd.stats import StreamStats

_VIDEO: Final = Kind.VIDEO


class ClaimedStream(Protocol):
    """A stream as who publishes it sees it (`hlsd.streams.stream.Stream`)."""

    app: str
    name: str
    stats: StreamStats
    tracks: Tracks | None
    newest_key: AccessUnit | None
    dropped: tuple[str, ...]
    converted: tuple[str, ...]
    fed: tuple[Output, ...]
    hearing: tuple[AsSentTaker, ...]
    faults: Faults

    def announce(self) -> None:
        """The first tracks are known."""
        ...

    def failed(self, output: Output, error: Exception) -> None:
        """One of those that are fed has raised."""
        ...

    def tell(self, say: Callable[[Output], None]) -> None:
        """Says something to every output."""
        ...

    def event(self, event: TimedEvent, source: str) -> None:
        """Tells those outputs that carry such."""
        ...


class Claim:
    """A publisher's claim to a stream (`hlsd.ports.Publication`); calls do nothing once it is revoked."""

    def __init__(
        self,
        stream: ClaimedStream,
        request: PublishRequest,
        origin: int,
        now: float,
        ended: Callable[[str], None],
    ) -> None:
        self.stream: ClaimedStream | None = stream
        self.request = request
        self.since = now
        self.last_heard = now
        """Monotonic time of the last byte, as of the hub's last look."""
        self.last_dts = origin
        self.other_tracks: tuple[str, ...] = ()
        """What the publisher sends beyond the first track of a kind."""
        self._origin = origin
        self._ended = ended
        self._heard_bytes = 0

    @property
    def name(self) -> str:
        """The stream's public name."""
        return self.request.name

    @property
    def origin(self) -> int:
        """The tick at which this publication's timeline begins."""
        return self._origin

    def tracks(self, tracks: Tracks) -> None:
        """Announces the tracks of what follows."""
        stream = self.stream
        if stream is None:
            return
        first = stream.tracks is None
        if stream.tracks is None or stream.tracks.video != tracks.video:
            stream.newest_key = None
        stream.tracks = tracks
        stream.tell(lambda output: output.tracks(tracks))
        if first:
            with stream.faults.guard("announced"):
                stream.announce()

    def unit(self, unit: AccessUnit) -> None:
        """Hands the unit to every output."""
        stream = self.stream
        if stream is None:
            return
        kind, dts, _, key, _, _, arrived = unit
        stats = stream.stats
        if kind is _VIDEO:
            stats.video_frames += 1
            if key:
                if stats.last_key >= 0 and dts > stats.last_key:
                    stats.keyframe_interval = (dts - stats.last_key) / TICKS
                stats.last_key = dts
                stream.newest_key = unit
        else:
            stats.audio_frames += 1
        stats.last_unit = arrived
        if dts > self.last_dts:  # noqa: PLR1730 - max() is a call
            self.last_dts = dts
        rest = iter(stream.fed)
        while True:
            try:
                for output in rest:
                    output.unit(unit)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this output's
                stream.failed(output, error)
            else:
                return

    def event(self, event: TimedEvent) -> None:
        """The publisher has something to say at an instant."""
        if self.stream is not None:
            self.stream.event(event, "publisher")

    def as_sent(self, form: SoundFormat, ticks: int, packet: bytes) -> None:
        """Hands sound as it came to those outputs that take such."""
        stream = self.stream
        for output in stream.hearing if stream is not None else ():
            try:
                output.as_sent(form, ticks, packet)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this output's
                assert stream is not None
                stream.failed(cast("Output", output), error)

    def event_lost(self, reason: str) -> None:
        """Something that it said was dropped."""
        if self.stream is not None:
            self.stream.stats.events["publisher", reason] += 1

    def jump(self) -> None:
        """What follows is a discontinuity."""
        if self.stream is not None:
            self.stream.tell(lambda output: output.jump())

    def received(self, size: int) -> None:
        """Counts bytes from the publisher's connection."""
        self._heard_bytes += size
        if self.stream is not None:
            self.stream.stats.received_bytes += size

    def repaired(self, kind: str) -> None:
        """Counts a repair of the source's timestamps or tags."""
        if self.stream is not None:
            self.stream.stats.repairs[kind] += 1

    def left_out(self, codecs: tuple[str, ...]) -> None:
        """What of the publisher's is not carried, by name: for the log, events and the API."""
        stream = self.stream
        if stream is None or codecs == stream.dropped:
            return
        stream.dropped = codecs
        if codecs:
            self.remark("track left out: its codec is not carried", {"codec": ", ".join(codecs)})

    def tracks_left_out(self, names: tuple[str, ...]) -> None:
        """Which tracks beyond the first of a kind are not carried: for the API, and the first ones for the log."""
        if not self.other_tracks:
            self.remark("track left out: one picture and one sound are carried", {"track": ", ".join(names[:8])})
        self.other_tracks = names

    def converted(self, codecs: tuple[str, ...]) -> None:
        """What of the publisher's is turned into what is carried, by name: for events and the API."""
        if self.stream is not None:
            self.stream.converted = codecs

    def remark(self, event: str, facts: Mapping[str, object]) -> None:
        """Says in the log what was dropped or bounded."""
        if self.stream is not None:
            log: FilteringBoundLogger = structlog.get_logger()
            log.warning(event, app=self.stream.app, name=self.stream.name, ip=self.request.ip, **facts)

    def end(self, reason: str) -> None:
        """The publisher left by itself."""
        if self.stream is not None:
            self._ended(reason)

    def listen(self, now: float) -> None:
        """Notes whether anything was heard since the last call."""
        if self._heard_bytes:
            self._heard_bytes = 0
            self.last_heard = now

    def revoke(self) -> None:
        """Cuts the publisher off from the stream."""
        self.stream = None
