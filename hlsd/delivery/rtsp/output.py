"""Is one stream as viewers by RTSP get it: its pictures and sound cut into payloads once, for all of them.

Law: while nobody watches, nothing of it is attached to the stream and nothing is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from hlsd.delivery.rtsp.aac_payload import aac_payloads
from hlsd.delivery.whep.packetiser import Packetiser, nal_units, packetiser
from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hlsd.base.faults import Faults
    from hlsd.ports import LiveStream
    from hlsd.ports.rtsp_play import RtspPlayer

NAME: Final = "rtsp"
"""Under this name it is attached to a stream."""
DRIFT: Final = 0.001
"""By what share the clock of reports follows a source that comes ever later."""


class RtspOutput:
    """One stream's (`hlsd.ports.Output`). `gop()`: its units from the newest key picture on, if somebody keeps them."""

    def __init__(self, feed: LiveStream, gop: Callable[[], Sequence[AccessUnit]], faults: Faults) -> None:
        self.feed = feed
        self.ended = False
        self.off = False
        """It failed too often: nobody is let in until the next publication."""
        self.players: dict[RtspPlayer, bool] = {}
        """Who is fed, and whether it has begun: it begins with a key picture."""
        self.known: Tracks | None = None
        """The stream's tracks, while anybody watches or is about to."""
        self._gop = gop
        self._faults = faults
        self._cutter: Packetiser | None = None
        self._users = 0
        self._told = asyncio.Event()
        self._base = 0.0  # when tick 0 would have come (seconds since 1970), by the unit that came soonest

    # -- as viewers see it

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Somebody is about to watch: tracks are told meanwhile."""
        self.attach()
        try:
            yield
        finally:
            self.detach()

    async def tracks_within(self, seconds: float) -> Tracks | None:
        """The stream's tracks, as soon as they are known; None if that takes longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._told.wait()
        return self.known

    def attach(self) -> None:
        """One more looks at it."""
        self._users += 1
        if self._users == 1 and not self.ended:
            self.feed.attach(NAME, self)

    def detach(self) -> None:
        """One does no more."""
        self._users -= 1
        if not self._users:
            self.feed.detach(NAME)
            self.known, self._cutter, self._base = None, None, 0.0
            self._told.clear()

    def enter(self, player: RtspPlayer, *, burst: bool) -> None:
        """Feeds it from now on."""
        self.players[player] = False
        if not burst:
            return
        units = self._gop()
        video = self.known.video if self.known is not None else None
        if units and (video is None or (units[0].key and units[0].kind is Kind.VIDEO)):
            self.players[player] = True
            for unit in units:
                self._look(unit)
                self._give(unit, [player])

    def leave(self, player: RtspPlayer) -> None:
        """It has gone."""
        self.players.pop(player, None)

    def wall(self, ticks: int) -> float:
        """When that instant came, seconds since 1970."""
        return self._base + ticks / TICKS

    def dismiss(self, reason: str) -> None:
        """Ends every viewer."""
        guard = self._faults.guard("rtsp_end")
        for player in list(self.players):
            with guard:
                player.over(reason)

    # -- as the stream sees it

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows: who agreed to others cannot be asked again, and comes anew."""
        self.off = False
        known, self.known = self.known, tracks
        self._told.set()
        video = tracks.video
        self._cutter = packetiser(video.codec) if video is not None else None
        if known is None or known == tracks:
            return
        same_sound = known.audio == tracks.audio
        same_codec = (known.video and known.video.codec) == (video and video.codec)
        if not (same_sound and same_codec):
            self.dismiss("stream_end")

    def unit(self, unit: AccessUnit) -> None:
        """The next access unit."""
        self._look(unit)
        if not self.players:
            return
        begins = unit.key and (unit.kind is Kind.VIDEO or self.known is None or self.known.video is None)
        if begins:
            for player in self.players:
                self.players[player] = True
        self._give(unit, [player for player, begun in self.players.items() if begun])

    def jump(self) -> None:
        """What follows is not what came before: nobody begins with that."""
        self._base = 0.0
        for player in self.players:
            self.players[player] = False

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
        self.jump()

    def halt(self) -> None:
        """It stays off (`Mendable`)."""
        self.off = True
        self.dismiss("error:output")

    # -- how

    def _look(self, unit: AccessUnit) -> None:
        base = unit.arrived - unit.dts / TICKS
        self._base = base if not self._base or base < self._base else self._base + DRIFT * (base - self._base)

    def _give(self, unit: AccessUnit, players: list[RtspPlayer]) -> None:
        if not players:
            return
        if unit.kind is Kind.AUDIO:
            payloads = aac_payloads(unit.payload)
        elif self._cutter is not None:
            units: list[bytes | memoryview] = list(nal_units(unit.payload))
            video = self.known.video if self.known is not None else None
            if unit.key and video is not None:
                units[:0] = video.parameter_sets
            payloads = self._cutter.payloads(units)
        else:
            return
        guard = self._faults.guard("rtsp_player")
        for player in players:
            with guard:
                player.media(unit.kind, unit.pts, payloads, key=unit.key)
