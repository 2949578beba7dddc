"""Is one stream as a transport stream (`hlsd.ports.Output`): its packets are made while somebody plays it.

Law: while nobody does, a unit costs an entry in a list, so that who comes begins with the newest key picture.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from hlsd.base.errors import UnsupportedCodec
from hlsd.delivery.ts.backlog import TsBacklog
from hlsd.media.ts_writer import TsWriter
from hlsd.media.unit import TICKS, Kind

if TYPE_CHECKING:
    from hlsd.base.faults import Faults
    from hlsd.media.unit import AccessUnit, Tracks
    from hlsd.ports import Feed
    from hlsd.ports.ts_play import TsPlayer

NAME: Final = "ts"
"""Under this name it is attached to a stream."""
MOST_BYTES: Final = 8 << 20
"""Of a GOP that is kept for who comes next, and of what is kept for who is behind."""
GOP_UNITS: Final = 8192


class TsOutput:
    """That of one stream. `players`: who plays it now."""

    def __init__(self, feed: Feed, faults: Faults) -> None:
        self.feed = feed
        self.ended = False
        self.off = False
        """It failed too often: nobody is let in until the next publication."""
        self.players: dict[TsPlayer, None] = {}
        self.backlog = TsBacklog(MOST_BYTES)
        self.rate = 0.0
        """Bytes a second, smoothed, by the clock of the media."""
        self._faults = faults
        self._tracks: Tracks | None = None
        self._writer: TsWriter | None = None
        self._gop: list[AccessUnit] = []
        self._gop_bytes = 0
        self._begun = False  # a key picture has come since the last new beginning
        self._keeping = False  # and all since then is kept
        self._stale = False  # the writer is of other tracks
        self._since = 0
        self._counted = 0
        self._waking: asyncio.Handle | None = None

    @property
    def playable(self) -> bool:
        """Whether what there is can be carried; what is not known yet may be."""
        tracks = self._tracks
        return tracks is None or tracks.video is None or tracks.video.codec != "av1"

    # -- as viewers come and go

    def enter(self, player: TsPlayer) -> None:
        """One more plays it."""
        if not self.players:
            self._fill()
        self.players[player] = None
        self._wake_soon()

    def leave(self, player: TsPlayer) -> None:
        """One has gone."""
        self.players.pop(player, None)
        if not self.players:
            self._writer = None
            self.backlog = TsBacklog(MOST_BYTES)

    def dismiss(self, reason: str) -> None:
        """Ends every viewer."""
        guard = self._faults.guard("ts_end")
        for player in list(self.players):
            with guard:
                player.over(reason)

    # -- as the stream sees it

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows."""
        self.off = False
        if tracks == self._tracks:
            return
        same = self._tracks is not None and tracks.decodes_as(self._tracks)
        self._tracks = tracks
        self._stale = True
        if not same:
            self._start_over()
        if not self.playable:
            self.dismiss("error:codec")

    def unit(self, unit: AccessUnit) -> None:
        """The next access unit."""
        tracks = self._tracks
        if tracks is None:
            return
        begins = unit.key and (unit.kind is Kind.VIDEO or tracks.video is None)
        if begins:
            self._begun = self._keeping = True
            self._gop, self._gop_bytes = [], 0
        elif not self._begun:
            return
        if self._keeping:
            self._gop.append(unit)
            self._gop_bytes += len(unit.payload)
            if self._gop_bytes > MOST_BYTES or len(self._gop) > GOP_UNITS:
                self._gop, self._gop_bytes, self._keeping = [], 0, False
        if self.players:
            self._write(unit, tracks, begins=begins)
            self._wake_soon()

    def jump(self) -> None:
        """What follows is not what came before: nobody begins with that."""
        self._start_over()

    def pause(self) -> None:
        """The publisher has left, and may be back."""
        self._start_over()

    def end(self) -> None:
        """The stream is over."""
        self.ended = True
        self._wake()
        self.dismiss("stream_end")
        self._start_over()

    def reset(self) -> None:
        """Something here has raised (`Mendable`)."""
        self._tracks = None
        self._writer = None
        self._start_over()

    def halt(self) -> None:
        """It stays off (`Mendable`)."""
        self.off = True
        self.dismiss("error:output")

    # -- how

    def _start_over(self) -> None:
        self._gop, self._gop_bytes = [], 0
        self._begun = self._keeping = False
        self.backlog.forget_key()

    def _fill(self) -> None:
        """Somebody plays it from now on: what is kept goes before."""
        tracks = self._tracks
        if tracks is not None:
            for number, unit in enumerate(self._gop):
                self._write(unit, tracks, begins=number == 0)

    def _write(self, unit: AccessUnit, tracks: Tracks, *, begins: bool) -> None:
        writer, backlog = self._writer, self.backlog
        if writer is None or self._stale:
            try:
                writer = self._writer = TsWriter(tracks, writer)
            except UnsupportedCodec:
                return  # whoever is here has been told
            self._stale = False
            if not begins:
                backlog.add(writer.tables(), whole=False)
        if begins:
            backlog.mark()
            packets = writer.tables() + writer.unit(unit)
        else:
            packets = writer.unit(unit)
        # Sound waits for the next picture, to go out with it: it is a fifth of the datagrams less.
        backlog.add(packets, whole=unit.kind is Kind.VIDEO or tracks.video is None)
        self._counted += len(packets)
        lasted = unit.dts - self._since
        if lasted >= TICKS or lasted < 0:
            rate = self._counted * TICKS / lasted if 0 < lasted < 5 * TICKS else 0.0
            self.rate = max(rate, 0.75 * self.rate + 0.25 * rate)  # up at once, down by and by
            self._since, self._counted = unit.dts, 0

    def _wake_soon(self) -> None:
        """In a turn of its own: who feeds the stream does not wait for those who play it."""
        if self._waking is None:
            self._waking = asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        guard = self._faults.guard("ts_player")
        for player in list(self.players):
            with guard:
                player.more()
