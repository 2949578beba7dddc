"""Makes the playlists of the past: one for each form and instant, whoever asks; kept until others are newer.

Large ones are made by a thread. Bounded: `MOST` texts and `BYTES` of them.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Final, NamedTuple

from hlsd.base.clock import Clock
from hlsd.media.key_vault import KeyVault
from hlsd.media.segment_keys import SegmentKeys
from hlsd.ports import Rendering
from hlsd.record.open_recordings import OpenRecordings, Unreadable
from hlsd.record.sealed_playlist import sealed_text
from hlsd.timeshift.forms import Form
from hlsd.timeshift.listing import Edge, ShiftListing, Trimmed, choose, render, variant
from hlsd.timeshift.tape import TapeFile, spoken, stretches
from hlsd.timeshift.tapes import MOST as TAPES
from hlsd.timeshift.tapes import Tape, Tapes
from hlsd.timeshift.trim import trimmed

MOST: Final = 256
BYTES: Final = 64 << 20
MAKING: Final = 64
"""Playlists that are being made at once; more are refused."""
LARGE: Final = 200
"""Segments from which on a playlist is made by a thread."""
RANGES: Final = 1000
"""Stretches of time that are told of a tape, the latest ones."""
AHEAD: Final = 60.0
"""Seconds by which a moment may be yet to come: a viewer's clock is not ours."""


class Shifted(NamedTuple):
    """What a form is now: what is listed, of which files of the tape."""

    files: Sequence[TapeFile]
    chosen: ShiftListing
    of: int
    """Tells one list of files from others: where one between two was deleted, the same numbers are listed otherwise."""


class _Windows(NamedTuple):
    """What was found of a tape at one look at it, by form and whether the stream is on air."""

    tape: Tape
    looks: int
    found: dict[tuple[Form, bool], Shifted]


class NotYet(Exception):
    """There is nothing so far, but there will be."""


class ShiftedPlaylists:
    """Those of one server. `on_air(app, name)`: whether more may come; `most`: seconds of the longest.

    `vault` says whose segments are encrypted.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        tapes: Tapes,
        open_recordings: OpenRecordings,
        clock: Clock,
        most: float,
        on_air: Callable[[str, str], bool],
        vault: KeyVault | None = None,
    ) -> None:
        self._vault = vault
        self.most = most
        self._tapes = tapes
        self._open_recordings = open_recordings
        self._clock = clock
        self._on_air = on_air
        self._texts: OrderedDict[Hashable, Rendering] = OrderedDict()
        self._size = 0
        self._windows: OrderedDict[tuple[str, str], _Windows] = OrderedDict()
        self._making: dict[Hashable, asyncio.Future[Rendering]] = {}

    async def find(self, app: str, name: str, form: Form) -> Shifted | None:
        """What is listed of a form now; None if there is nothing. Raises NotYet, StoreFault."""
        tape = await self._tapes.get(app, name)
        if tape is None:
            return None
        wall = self._clock.wall()
        edge = Edge(int(wall * 1000), tape.writing or self._on_air(app, name))
        form = form.at(wall)
        windows = self._windows_of(app, name, tape)
        kept = windows.get((form, edge.growing))
        if kept is not None:
            return kept
        files = await self._files(tape, form, edge.now_ms)
        chosen = choose(form, files, edge, self.most)
        if chosen is None:
            if tape.behind or (edge.growing and self._may_come(tape, form, wall)):
                raise NotYet
            return None
        if form.kind == "archive":
            chosen = await self._trimmed(tape, form, files, chosen)
        elif form.kind == "since":
            chosen = await self._trimmed(tape, form._replace(span=1 << 40), files, chosen)
        found = Shifted(files, chosen, _mark(files, chosen))
        if form.kind == "window" and len(windows) < MOST:
            windows[form, edge.growing] = found
        return found

    async def playlist(self, app: str, name: str, found: Shifted, *, skip: bool) -> Rendering:
        """Its text, made once. Raises NotYet if many others are being made."""
        chosen, files = found.chosen, found.of
        key = (app, name, chosen, files, skip)
        kept = self._texts.get(key)
        if kept is not None:
            self._texts.move_to_end(key)
            return kept
        making = self._making.get(key)
        if making is None:
            if len(self._making) >= MAKING:
                raise NotYet
            making = self._making[key] = asyncio.ensure_future(
                self._make(key, (app, name), found, f"{chosen.tag}-{files:x}", skip=skip)
            )
            making.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(making)

    def variant(self, app: str, name: str, found: Shifted, uri: str) -> bytes:
        """The multivariant playlist whose variant is at `uri`: what stands before that is made once for all."""
        key = (app, name, found.chosen, found.of, "variant")
        head = self._texts.get(key)
        if head is None:
            head = Rendering(variant(found.files, found.chosen).encode(), b"", "")
            self._keep(key, head)
        return head.body + uri.encode() + b"\n"

    async def kept(self, app: str, name: str) -> bytes:
        """Which times there are, of the last `most` seconds: JSON, times in ms of the epoch."""
        tape = await self._tapes.get(app, name)
        files = tape.files if tape is not None else []
        until = files[-1].ended_ms if files else 0
        key = (app, name, "kept", files[0].id if files else "", files[-1].next if files else 0)
        ranges = self._texts.get(key)
        if ranges is None:
            found = spoken(files, until - int(self.most * 1000), until + 1)[-RANGES:]
            ranges = Rendering(json.dumps(found, separators=(",", ":")).encode(), b"", "")
            self._keep(key, ranges)
        now = int(self._clock.wall() * 1000)
        return b'{"now":%d,"max":%d,"ranges":%s}' % (now, int(self.most), ranges.body)

    # -- how

    def _windows_of(self, app: str, name: str, tape: Tape) -> dict[tuple[Form, bool], Shifted]:
        """What was found since the last look at a tape: windows alone, since all else depends on the clock too."""
        kept = self._windows.get((app, name))
        if kept is None or kept.tape is not tape or kept.looks != tape.looks:
            kept = self._windows[app, name] = _Windows(tape, tape.looks, {})
        self._windows.move_to_end((app, name))
        while len(self._windows) > TAPES:
            self._windows.popitem(last=False)
        return kept.found

    async def _files(self, tape: Tape, form: Form, now_ms: int) -> Sequence[TapeFile]:
        match form.kind:
            case "window":
                return tape.files
            case "delayed":
                return await self._tapes.before(tape, now_ms - form.start * 1000)
            case _:
                since = form.start * 1000
                span = self.most if form.kind == "since" else min(form.span, self.most)
                return await self._tapes.between(tape, since, since + int(span * 1000))

    @staticmethod
    def _may_come(tape: Tape, form: Form, wall: float) -> bool:
        """Whether what a stream on air will have recorded may be what is asked for."""
        if form.kind == "window":
            return True
        if form.kind == "delayed":
            return not tape.files and form.start < AHEAD
        last = tape.files[-1].ended_ms / 1000 if tape.files else 0.0
        ends = form.start + form.span if form.kind == "archive" else wall + AHEAD
        return form.start <= wall + AHEAD and ends > max(last, wall - AHEAD)

    async def _trimmed(self, tape: Tape, form: Form, files: Sequence[TapeFile], chosen: ShiftListing) -> ShiftListing:
        """The same with its ends at the key pictures nearest to what is asked for."""
        since, until = form.start * 1000, (form.start + form.span) * 1000
        front = await self._part(tape, files, chosen.low, since, until if chosen.high - chosen.low == 1 else 1 << 62)
        back = None
        if chosen.kind == "vod" and chosen.high - chosen.low > 1:
            back = await self._part(tape, files, chosen.high - 1, 0, until)
        return chosen._replace(front=front, back=back)

    async def _part(
        self, tape: Tape, files: Sequence[TapeFile], number: int, since_ms: int, until_ms: int
    ) -> Trimmed | None:
        file, at, _ = next(stretches(files, number, number + 1))
        one = file.segments[at]
        if one.began_ms >= since_ms and one.ended_ms <= until_ms:
            return None
        try:
            recording = await self._open_recordings.get(file.id, tape.app, tape.name)
        except Unreadable:
            recording = None
        if recording is None:
            return None
        try:
            layout, spans = recording.layout, recording.spans
            if layout is None or file.skip + at >= len(spans):
                return None
            span = spans[file.skip + at]
            return trimmed(file.id, layout.fragments, span, one.began_ms, since_ms, until_ms)
        finally:
            self._open_recordings.put_back(recording)

    async def _make(self, key: Hashable, of: tuple[str, str], found: Shifted, tag: str, *, skip: bool) -> Rendering:
        chosen, sealed = found.chosen, self._keys_of(*of)

        def made() -> Rendering:
            text = render(found.files, chosen, skip=skip)
            if sealed is not None:
                text = sealed_text(text, sealed, explicit=True)
            return packed(text.encode())

        def packed(text: bytes) -> Rendering:
            return Rendering(text, gzip.compress(text, 1, mtime=0), f'"{tag}{"-d" * skip}"')

        rendering = await self._open_recordings.do(made) if chosen.high - chosen.low > LARGE else made()
        self._keep(key, rendering)
        return rendering

    def _keys_of(self, app: str, name: str) -> Callable[[str], SegmentKeys | None] | None:
        """The keys of a stream's recordings, by their ids; None if it has none."""
        vault = self._vault
        if vault is None or not vault.seals(app, name):
            return None
        return lambda ident: vault.recording(app, name, ident)

    def _keep(self, key: Hashable, rendering: Rendering) -> None:
        self._texts[key] = rendering
        self._size += len(rendering.body) + len(rendering.gzip)
        while len(self._texts) > MOST or self._size > BYTES:
            _, old = self._texts.popitem(last=False)
            self._size -= len(old.body) + len(old.gzip)


def _mark(files: Sequence[TapeFile], chosen: ShiftListing) -> int:
    """`Shifted.of`."""
    return zlib.crc32("".join([one.source.id for one in stretches(files, chosen.low, chosen.high)]).encode())
