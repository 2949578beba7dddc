"""Is one stream as viewers by WebRTC get it: its picture cut into packets once, its sound as Opus.

Opus of the publisher's goes to them as it came; where it sends anything else, its AAC is made Opus once for all.

Law: while nobody watches, nothing of it is attached to the stream and nothing is kept. What one viewer raises ends that
viewer. RTP has no decoding times and browsers put no pictures in order: of a stream with B-frames Chromium showed two
pictures a second, with those left out that no other needs as well. So such a stream is not sent, as MediaMTX does not;
SRS leaves out B-frames, which breaks those of x264 of which others are made.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from hlsd.base.remarks import Remarks
from hlsd.delivery.whep.packetiser import Packetiser, nal_units, packetiser
from hlsd.delivery.whep.packets import PacketLog
from hlsd.delivery.whep.sent_sound import SentSound
from hlsd.media.sounds import SoundFormat
from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.delivery.whep.viewer import WhepViewer
    from hlsd.media.unit import VideoTrack
    from hlsd.ports import LiveStream, OpusDesk, OpusMaker

NAME: Final = "whep"
"""Under this name it is attached to a stream."""
KEPT: Final = 4 << 20
"""Bytes of packets kept for a stream's viewers: more than three seconds of 8 Mbit/s."""
DRIFT: Final = 0.001
"""By what share the clock of reports follows a source that comes ever later."""
B_FRAMES: Final = "the stream has B-frames, which WebRTC has not: its encoder must make none (x264: bframes=0)"
ASKING: Final = 2.0
"""Seconds between two requests to a publisher for a key picture."""


class WhepOutput:
    """One stream's (`hlsd.ports.Output`, `hlsd.delivery.whep.viewer_peer.ViewedStream`).

    `gop()`: its units from the newest key picture on, if somebody keeps them. `desk`: who makes Opus, if somebody does.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        feed: LiveStream,
        desk: OpusDesk | None,
        gop: Callable[[], Sequence[AccessUnit]],
        clock: Clock,
        faults: Faults,
        log: Log,
    ) -> None:
        self.feed = feed
        self.ended = False
        """The stream has ended."""
        self.off = False
        """It failed too often: nobody is let in until the next publication."""
        self.packets = PacketLog(KEPT)
        self.viewers: dict[WhepViewer, None] = {}
        self.known: Tracks | None = None
        """The stream's tracks, while anybody watches or is about to."""
        self._reordered: VideoTrack | None = None  # the track that was seen to have B-frames
        self._desk = desk
        self._gop = gop
        self._clock = clock
        self._faults = faults
        self._log = log
        self._remarks = Remarks(self._remark)
        self._packetiser: Packetiser | None = None
        self._opus: OpusMaker | None = None
        self._form = SoundFormat("aac")
        self._sent = SentSound()
        self._passing = False  # what viewers hear is as it was sent
        self._users = 0
        self._told = asyncio.Event()
        self._shift = 0  # what is added to the stream's ticks, so that they go on with the clock over an outage
        self._leapt = False
        self._newest: tuple[float, int] | None = None  # when the newest unit came, and its ticks
        self._shown = -1  # the latest picture that went, ticks
        self._base = 0.0  # when tick 0 would have come (seconds since 1970), by the unit that came soonest
        self._asked = 0.0
        self._answers = False  # whether its publisher could be asked then

    # -- as viewers see it

    @property
    def held(self) -> int:
        """Bytes of media kept."""
        return self.packets.bytes

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Somebody is about to watch: tracks are told meanwhile."""
        self._attach()
        try:
            yield
        finally:
            self._detach()

    @property
    def has_b_frames(self) -> bool:
        """Whether its pictures are not shown in the order in which they come."""
        video = self.known.video if self.known is not None else None
        if video is not None and video != self._reordered:
            shown = -1
            for unit in self._gop():
                if unit.kind is Kind.VIDEO:
                    if unit.pts < shown:
                        self._reordered = video
                        break
                    shown = unit.pts
        return video is not None and video == self._reordered

    async def tracks_within(self, seconds: float) -> Tracks | None:
        """The stream's tracks, as soon as they are known; None if that takes longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._told.wait()
        return self.known

    def enter(self, viewer: WhepViewer) -> None:
        """The viewer is let in; it is served from when it is connected."""
        self._attach()
        if not self.viewers and self._packetiser is not None:
            for unit in self._gop():
                if unit.kind is Kind.VIDEO:
                    self._newest = self._clock.monotonic() - (self._clock.wall() - unit.arrived), unit.dts
                    self._cut(unit, self._packetiser)
        self.viewers[viewer] = None

    def begin(self, viewer: WhepViewer) -> None:
        """The viewer is connected."""
        if viewer.hears and self._opus is None:
            self._listen()

    def leave(self, viewer: WhepViewer) -> None:
        """It is over."""
        if viewer in self.viewers:
            del self.viewers[viewer]
            if not self.viewers:
                self.packets = PacketLog(KEPT)
            if not any(one.hears for one in self.viewers):
                self._hush()
            self._detach()

    def instant(self, wall: float) -> float | None:
        """As `ViewedStream`."""
        return (wall - self._base) * TICKS if self._base else None

    def want_key(self, now: float) -> bool:
        """As `ViewedStream`."""
        if now - self._asked >= ASKING:
            self._asked, self._answers = now, self.feed.refresh()
        return self._answers

    def _attach(self) -> None:
        self._users += 1
        if self._users > 1 or self.ended:
            return
        self.feed.attach(NAME, self)

    def _detach(self) -> None:
        self._users -= 1
        if self._users:
            return
        self.feed.detach(NAME)
        self._hush()
        self._forget()
        self.known, self._packetiser = None, None
        self._sent, self._passing = SentSound(), False
        self._told.clear()

    # -- as the stream sees it

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows."""
        self.off = False
        known, self.known = self.known, tracks
        self._told.set()
        video, audio = tracks.video, tracks.audio
        if known is None or video != known.video:
            self.packets.forget_key()
            self._packetiser = packetiser(video.codec) if video is not None else None
        if audio is None:
            self._hush()
        elif known is None or audio != known.audio:
            self._form = SoundFormat("aac", audio.record, audio.sample_rate, audio.channels)
            if self._opus is None:
                self._listen()
        if video is not None:
            for viewer in list(self.viewers):
                if viewer.codec not in ("", video.codec):  # it agreed to another one, and there is no asking it again
                    viewer.end("stream_end", "the stream's picture is coded otherwise now")

    def unit(self, unit: AccessUnit) -> None:
        """The next access unit."""
        now = self._clock.monotonic()
        ticks = unit.dts + self._shift
        if self._leapt and self._newest is not None:
            self._leapt = False
            since, before = self._newest
            self._shift += before + round((now - since) * TICKS) - ticks
            ticks = unit.dts + self._shift
            self._base = 0.0
        self._newest = now, ticks
        base = unit.arrived - ticks / TICKS
        self._base = base if not self._base or base < self._base else self._base + DRIFT * (base - self._base)
        if unit.kind is Kind.AUDIO:
            if self._opus is not None:
                self._opus.take(self._form, ticks // 90, unit.payload)
            elif self._passing and not self._sent.flows(now):
                self._passing = False  # it sends otherwise now
                self._listen()
        elif self._packetiser is not None and self.viewers:
            self._cut(unit, self._packetiser)
            for viewer in list(self.viewers):
                viewer.serve(now)

    def as_sent(self, form: SoundFormat, ticks: int, packet: bytes) -> None:
        """As `hlsd.ports.AsSentTaker`."""
        if form.codec != "opus" or self._leapt:
            return
        at = self._sent.place(ticks + self._shift, packet, self._clock.monotonic())
        if not self._passing:
            self._passing = True
            self._hush()
        for viewer in list(self.viewers):
            viewer.hear(packet, at)

    def jump(self) -> None:
        """What follows is not what came before: nobody begins with that."""
        self.packets.forget_key()
        self._leapt = True
        self._shown = -1

    def pause(self) -> None:
        """The publisher has left."""
        self.jump()

    def end(self) -> None:
        """The stream is over."""
        self.ended = True
        self._told.set()
        self.dismiss("stream_end")

    def reset(self) -> None:
        """Something here has raised (`Mendable`): viewers go on at the next key picture."""
        self._forget()
        self.packets.forget_key()
        for viewer in self.viewers:
            viewer.restart()

    def halt(self) -> None:
        """It stays off (`Mendable`): viewers go, and may try again by another way."""
        self.off = True
        self.dismiss("error:output")

    def dismiss(self, reason: str) -> None:
        """Ends every viewer."""
        for viewer in list(self.viewers):
            viewer.end(reason)

    # -- how

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self._log.warning(event, app=self.feed.app, name=self.feed.name, protocol="whep", **facts)

    def _forget(self) -> None:
        self._newest, self._leapt, self._shift, self._shown, self._base = None, False, 0, -1, 0.0

    def _cut(self, unit: AccessUnit, cutter: Packetiser) -> None:
        units: list[bytes | memoryview] = list(nal_units(unit.payload))
        ticks = unit.pts + self._shift
        if ticks < self._shown:
            self._refuse()
            return
        self._shown = ticks
        if unit.key:
            video = self.known.video if self.known is not None else None
            units[:0] = video.parameter_sets if video is not None else ()
        self.packets.add(cutter.payloads(units), ticks, key=unit.key)

    def _refuse(self) -> None:
        """There are B-frames after all: who watches goes, and hears why when it comes again."""
        self._reordered = self.known.video if self.known is not None else None
        self._remarks.note("stream has B-frames: it cannot be watched by WebRTC", self._clock.monotonic())
        for viewer in list(self.viewers):
            viewer.end("error:codec", B_FRAMES)

    def _listen(self) -> None:
        """Has Opus made, for those who hear."""
        if self._passing or not any(viewer.hears for viewer in self.viewers):
            return
        if self._desk is not None and self.known is not None and self.known.audio is not None:
            self._opus = self._desk.opus(self._hear)
            if self._opus is None:
                self._remarks.note("no place left where sound is made Opus: viewers by WebRTC hear nothing",
                                   self._clock.monotonic())  # fmt: skip

    def _hush(self) -> None:
        opus, self._opus = self._opus, None
        if opus is not None:
            opus.close()

    def _hear(self, at: int, packet: bytes) -> None:
        for viewer in list(self.viewers):
            viewer.hear(packet, at)
