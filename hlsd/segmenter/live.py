"""Serves the live window to whoever asks: renders each version once and tells those who watch of the next.

Law: a version is rendered and gzipped at most once however many viewers ask. Who is kept waiting, and for how long, is
delivery's business (`hlsd.delivery.blocked_requests`): here a request is judged early, late or ready, and nobody is
held. The order of decisions on delivery directives is hls-rules §5 (DD01-DD08).
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from hlsd.base.faults import Faults
from hlsd.media.key_vault import of_rendition
from hlsd.ports import MAIN, Lateness, Media, Rendering
from hlsd.segmenter.facts import LowLatency, Rates, RenditionFacts, TrackFacts
from hlsd.segmenter.key_resource import served_key
from hlsd.segmenter.playlist import RenditionReport, Variant, media_playlist, multivariant_playlist
from hlsd.segmenter.rates import measured
from hlsd.segmenter.window import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hlsd.media.segment_keys import SegmentKeys
    from hlsd.media.unit import Tracks
    from hlsd.ports import Playable
    from hlsd.segmenter.window import Window


class LiveGroup:
    """The renditions of one run as they are served, in the order in which multivariant playlists name them."""

    __slots__ = ("keys", "lives")

    def __init__(self, keys: SegmentKeys | None = None) -> None:
        self.keys = keys
        self.lives: list[Live] = []


class Live:
    """One rendition of a stream's HLS (`hlsd.ports.Playable`): one run, from its first segment to its removal.

    `wanted` is called before the first answer since `asked` was taken back: what was put off for want of viewers is
    done then.
    """

    def __init__(
        self,
        window: Window,
        faults: Faults | None = None,
        name: str = MAIN,
        group: LiveGroup | None = None,
        *,
        wanted: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        """Of the rendition, in URLs."""
        self._group = group or LiveGroup()
        self._group.lives.append(self)
        self.version = 0
        """Rises whenever an answer of any rendition of the run may have become another one."""
        self._window = window
        self._faults = faults or Faults()
        self.facts = RenditionFacts(keys=of_rendition(self._group.keys, name))
        """What its playlists are rendered from beside the window."""
        self._rendered: dict[bool, tuple[int, Rendering | None]] = {}
        self._tracks: Tracks | None = None
        self._frame_rate: Callable[[], float] = float
        self._watchers: dict[Callable[[], None], None] = {}
        self.asked = False
        """Whether anybody has asked for anything; the segmenter takes it back to learn whether anybody still does."""
        self._wanted = wanted
        self.previous: Playable | None = None
        """See `follow`."""
        self.bitrate = 0
        """What its pictures have at most, bits per second, where we encode them; 0: that is not ours to say."""
        self.awaited = False
        """It is about to begin: who asks for the renditions waits for it."""
        self.withdrawn = False
        """It has been given up: nobody is led to it any more."""
        self.gone = False
        """The stream was removed: nothing will be answered any more."""

    # What the segmenter does to it.

    def describe(self, tracks: Tracks, version: int, content_type: str, frame_rate: Callable[[], float]) -> None:
        """The tracks, playlist version and media type of what follows; `frame_rate` tells the measured one."""
        self._rise()
        facts = self.facts
        if tracks != self._tracks:
            facts.rates = None  # MV14: "the same answer for the run; a changed codec is a new discontinuity"
            facts.tracks = TrackFacts.of(tracks)
        self._tracks = tracks
        facts.playlist_version = version
        facts.content_type = content_type
        self._frame_rate = frame_rate

    def promise(self, low_latency: LowLatency | None) -> None:
        """Fixes what SERVER-CONTROL and PART-INF say, before the first answer and for ever (LL07)."""
        self.facts.promises = low_latency

    def dependent(self) -> None:
        """A segment begins without an IDR: later answers make no promise of independent segments (MV10)."""
        self.facts.independent = False

    def changed(self) -> None:
        """The window has a new version: tells whoever watches."""
        self._rise()
        self._tell()

    def back(self) -> None:
        """What a publisher sends is listed again."""
        self.facts.away = False

    def halted(self, off: bool) -> None:
        """It failed too often (`off`), or there is another publication."""
        self.facts.off = off

    def left(self) -> None:
        """The publisher has left: what is held from now on ends in another way."""
        self.facts.away = True
        self.changed()

    def mirror(self, window: Window, facts: RenditionFacts) -> None:
        """Another process says all there is to say of this instant (`hlsd.segmenter.feed`)."""
        self._window = window
        self.facts = facts
        for live in self._group.lives:
            live.version += 1
        self._tell()

    def follow(self, previous: Playable | None) -> None:
        """Answers for the same of the name's ended run too, whose media somebody may still read (EN04)."""
        self.previous = previous

    def remove(self) -> None:
        """The stream is gone from the server: every held request ends with nothing."""
        self.gone = True
        self.previous = None
        self._tell()

    # What delivery asks of it.

    @property
    def target_duration(self) -> int:
        """EXT-X-TARGETDURATION in seconds; 0 while no playlist exists."""
        return 0 if self._silent else self._window.target_duration

    @property
    def part_target(self) -> float:
        """EXT-X-PART-INF's PART-TARGET in seconds; 0 without low latency."""
        promises = self.facts.promises
        return promises.part_target if promises else 0.0

    @property
    def low_latency(self) -> bool:
        """Whether parts are listed and reloads may block."""
        return self.facts.promises is not None

    @property
    def away(self) -> bool:
        """The publisher has left and may be back."""
        return self.facts.away

    @property
    def ended(self) -> bool:
        """Whether EXT-X-ENDLIST stands in the playlist."""
        return self._window.ended

    @property
    def about(self) -> tuple[str, str]:
        """The run's id, and the codecs as a multivariant playlist says them: what events tell of the stream."""
        tracks = self.facts.tracks
        return self._window.run, tracks.codecs if tracks is not None else ""

    @property
    def window(self) -> Window:
        """What is listed and served of the run."""
        return self._window

    def rendition(self, name: str) -> Live | None:
        """Another rendition of the run, or this one; None if it has none of that name. Empty: this one."""
        if not name or name == self.name:
            return self
        return next((live for live in self._group.lives if live.name == name), None)

    def watch(self, changed: Callable[[], None]) -> None:
        """Calls `changed()` after each rise of `version` and once when the stream is gone."""
        self._watchers[changed] = None

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Ends `watch`."""
        self._watchers.pop(changed, None)

    @property
    def watched(self) -> bool:
        """Whether the next version is waited for at this instant: only those watch who hold requests for it."""
        return bool(self._watchers)

    def playlist(self, *, skip: bool = False) -> Rendering | None:
        """The media playlist of this instant (`skip`: as delta update), or None while there is none."""
        if not self.target_duration:
            return None
        self.ask()
        cached = self._rendered.get(skip)
        if cached is not None and cached[0] == self.facts.version:
            return cached[1]
        rendering: Rendering | None
        try:
            rendering = self._render(skip, self._reports())
        except Exception as error:  # noqa: BLE001 - it is ours, and no reason to fail who asks: the last one is lawful
            self._faults.output("hls", error, run=self._window.run)
            rendering = self._last(skip)
        self._rendered[skip] = (self.facts.version, rendering)
        return rendering

    def rendered(self, reports: Sequence[RenditionReport], *, skip: bool = False) -> Rendering | None:
        """As `playlist`, with these reports instead of the run's: for who offers it among others. Nothing is kept."""
        if not self.target_duration:
            return None
        self.ask()
        try:
            return self._render(skip, reports)
        except Exception as error:  # noqa: BLE001 - as in `playlist`
            self._faults.output("hls", error, run=self._window.run)
            return self._last(skip)

    def _reports(self) -> list[RenditionReport]:
        others = [live for live in self._group.lives if live is not self] if self.facts.promises is not None else ()
        return [report for live in others if (report := live.report()) is not None]

    def _render(self, skip: bool, reports: Sequence[RenditionReport]) -> Rendering:
        facts = self.facts
        how = facts.playlist_version, facts.promises
        body = media_playlist(self._window, *how, skip=skip, reports=reports, keys=facts.keys).encode()
        return Rendering(
            body=body,
            gzip=gzip.compress(body, compresslevel=5, mtime=0),
            etag=f'"{self._window.run}-{facts.version}{"d" if skip else ""}"',
        )

    def _last(self, skip: bool) -> Rendering | None:
        """The newest rendering that there is; a delta update can always be a whole playlist (§6.2.5.1)."""
        return (self._rendered.get(skip) or self._rendered.get(False) or (0, None))[1]

    def report(self) -> RenditionReport | None:
        """What the playlists of other renditions say of this one (LL21); None where it may not be played."""
        window = self._window
        newest = window.open or (window.segments[-1] if window.segments else None)
        if not self.target_duration or self.withdrawn or self.facts.promises is None or newest is None:
            return None
        return RenditionReport(f"../{self.name}/index.m3u8", newest.msn, len(newest.parts) - 1)

    @property
    def whole(self) -> bool:
        """Whether every rendition that the run will have is there, or nobody waits for it any more."""
        return not any(live.awaited for live in self._group.lives)

    def multivariant(self, base: str, only: str = "") -> bytes | None:
        """The multivariant playlist, whose renditions are `{base}{rendition}/index.m3u8`; None while there is none.

        `only`: of the rendition of that name alone.
        """
        if self.variant(base) is None or not self.whole:
            return None
        lives = [live for live in self._group.lives if not live.withdrawn and only in ("", live.name)]
        variants = [variant for live in lives if (variant := live.variant(base)) is not None]
        variants.sort(key=lambda one: not one.tracks.video)  # sound alone is what nobody should begin with
        version = 9 if self.facts.promises else self.facts.playlist_version
        independent = all(live.facts.independent for live in lives)
        return multivariant_playlist(variants, version=version, independent=independent).encode() if variants else None

    def variant(self, base: str) -> Variant | None:
        """What is said of this one; None while it has no media playlist.

        Rates are measured up to the first answer and stay (MV08, MV14).
        """
        facts = self.facts
        if not self.target_duration or facts.tracks is None:
            return None
        self.ask()
        if facts.rates is None:
            facts.rates = measured(self._window.segments, self.target_duration, self.bitrate, self._frame_rate())
        return Variant(f"{base}{self.name}/index.m3u8", facts.tracks, facts.rates)

    @property
    def offer(self) -> tuple[Tracks, Rates] | None:
        """What `variant` says, for who does not watch; None too while it has not been asked for, or is not offered."""
        facts = self.facts
        if facts.rates is None or self._tracks is None or self.withdrawn or self._silent:
            return None
        return self._tracks, facts.rates

    def media(self, run: str, name: str) -> Media | None:
        """The segment, part or initialisation section `{run}/{name}`; None if it is not there (any more)."""
        window = self._window
        if run != window.run:
            return self.previous.media(run, name) if self.previous is not None else None
        self.ask()
        etag = f'"{run}-{name}"'
        init = window.inits.get(name)
        if init is not None:
            return Media(init, self.facts.init_type, etag, init=True, rendition=self.name)
        found, keys = window.find(name), self.facts.keys
        if found is None or (keys is not None and not isinstance(found, Segment)):  # no part, which is in the clear
            return served_key(window, keys, name)
        # A run that began as MPEG-TS may have gone on as fMP4: what it holds is known by whether it needs a MAP.
        mapped = found.init is not None if isinstance(found, Segment) else found.mapped
        content_type = self.facts.content_type if mapped else "video/mp2t"
        body = found.body
        if found.gap or body is None:  # without a body only a segment that is being written
            return None
        if keys is not None and isinstance(found, Segment):
            body = window.seal(found, keys)
        return Media(body, content_type, etag, rendition=self.name)

    def expects(self, run: str, name: str) -> bool:
        """Whether `{run}/{name}` is the hinted next part, or about to come."""
        window = self._window
        if window.ended or self.facts.off or run != window.run:
            return False
        return window.nears(name, parts=self.low_latency)

    def lateness(self, msn: int, part: int | None) -> Lateness:
        """Judges `_HLS_msn=msn[&_HLS_part=part]` against the window (DD01-DD04, DD07, DD08)."""
        window = self._window
        if window.ended or self.facts.off or msn < window.media_sequence:
            return Lateness.READY
        if msn > window.last_msn + 2:
            return Lateness.TOO_FAR
        wanted = part or 0
        newest = window.segments[-1].msn if window.segments else -1
        if msn <= newest:
            if msn < newest or wanted < max(1, len(window.segments[-1].parts)):
                return Lateness.READY
            # DD03: "N ≥ number of parts of finished segment M → treat as (M+1, 0)".
            msn, wanted = msn + 1, 0
        there = 0
        if window.open is not None:
            if msn < window.open.msn:
                return Lateness.READY
            if msn == window.open.msn:
                there = len(window.open.parts)
        if wanted < there:
            return Lateness.READY
        if wanted > there - 1 + self._advance_part_limit():
            return Lateness.TOO_FAR
        return Lateness.WAIT

    @property
    def _silent(self) -> bool:
        """Whether there is no playlist though there was one; the end of a stream is told all the same."""
        return self.facts.off and not self._window.ended

    def _rise(self) -> None:
        """There is another version: of what was built for the run nothing is good any more."""
        self.facts.version += 1
        for live in self._group.lives:
            live.version += 1

    def _tell(self) -> None:
        rest = iter(tuple(self._watchers))
        while True:
            try:
                for changed in rest:
                    changed()
            except Exception as error:  # noqa: BLE001 - who watches is no reason to fail the stream, or who watches too
                self._faults.output("watcher", error, run=self._window.run)
            else:
                return

    def ask(self) -> None:
        """Somebody asks for something of it."""
        if not self.asked:
            self.asked = True
            try:
                self._wanted()
            except Exception as error:  # noqa: BLE001 - what was put off wrongly is not who asks to pay for
                self._faults.output("hls", error, run=self._window.run)

    def _advance_part_limit(self) -> int:
        """How many parts ahead may be asked for: "3/PT if PT < 1 s, else 3" (DD08)."""
        target = self.part_target
        return round(3 / target) if 0 < target < 1 else 3
