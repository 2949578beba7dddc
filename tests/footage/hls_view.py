"""Follows one HLS output of a film as a player does, version by version, and reads what it lists."""

from __future__ import annotations

from collections.abc import Callable

from hlsd.media.unit import TICKS, Kind
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.settings import HlsSettings
from tests.footage.film import Film
from tests.footage.shown import IsoState, Shown, TsState, View, read_iso, read_ts
from tests.support import llcheck
from tests.support.playlistcheck import Snapshot, check_playlist

_IGNORED = {"MP08", "MP09", "MP22", "LL09", "MP16"}
"""Rules of advice that odd sources cannot keep, and those of wall clocks."""
_EVERY = 5
"""Each version is judged at first, then every fifth, and each that has a new segment behind a seam."""
_ASK = 17.0
"""Seconds after which somebody looks in on a stream that nobody watches."""


class HlsView:
    """One output and its follower. `watched`: somebody always waits for the next version."""

    def __init__(
        self, name: str, settings: HlsSettings, film: Film, *, watched: bool, clock: Callable[[], float]
    ) -> None:
        self.name = name
        self.view = View(name)
        self.segmenter = Segmenter(settings, run="run", first_msn=1)
        self.low_latency = settings.low_latency
        self._live = self.segmenter.live
        self._film = film
        self._clock = clock
        self._watched = watched
        self._parts: dict[str, bytes] = {}
        self._segments: set[str] = set()
        self._snapshot: Snapshot | None = None
        self._before: llcheck.Playlist | None = None
        self._judged = llcheck.Watch()
        self._versions = 0
        self._ts = TsState()
        self._iso: dict[str, IsoState] = {}
        self._run = 0
        self._init = ""
        self._last_msn = 0
        self._asked = 0.0
        self._start: int | None = None  # of this run's media, ticks
        self._said = 0.0  # seconds of segments listed since
        self._firsts: dict[str, int] = {}
        self._lead = Kind.AUDIO if film.sound_alone else Kind.VIDEO
        if watched:
            self._live.watch(self.look)

    def look(self, *, force: bool = False) -> None:
        """Takes the playlist of this instant and all that is new in it."""
        now = self._clock()
        if not self._watched and not force and now - self._asked < _ASK:
            return
        self._asked = now
        rendering = self._live.playlist()
        if rendering is None:
            return
        if self.view.first is None:
            self.view.first = now
        if not self._watched:
            self._begin_anew()
        text = rendering.body.decode()
        if self._snapshot is not None and text == self._snapshot.text:
            return
        playlist = llcheck.parse(text, now)
        self._judge(text, playlist, now)
        self._fetch(playlist, now)

    def close(self) -> None:
        """Nothing more will come: says what was wrong with the playlists."""
        for violation in self._judged.violations:
            if violation.rule not in _IGNORED:
                self.view.fault(violation.rule, violation.text)

    def _begin_anew(self) -> None:
        """Who looks in now and then begins anew each time, at what is listed."""
        self._ts = TsState()
        self._iso.clear()
        self._start = None

    def _judge(self, text: str, playlist: llcheck.Playlist, now: float) -> None:
        self._versions += 1
        seam = "#EXT-X-DISCONTINUITY\n" in text
        if self._versions > 40 and self._versions % _EVERY and not (seam and self._versions % 2) and self._watched:
            return
        history = [self._snapshot] if self._snapshot is not None and self._watched else []
        for violation in check_playlist(text, history):
            if violation.rule not in _IGNORED:
                self.view.fault(violation.rule, f"{violation.text} (at {now:.2f} s)")
        if self.low_latency and playlist.segments:
            # The hint of the version before holds for the next one only.
            before = self._before if self._watched else None
            if before is not None and self._versions > 40:
                before.hints.clear()
            llcheck.judge(self._judged, playlist, before)
        self._snapshot = Snapshot(now, text)
        self._before = playlist

    def _fetch(self, playlist: llcheck.Playlist, now: float) -> None:
        for segment in playlist.segments:
            if segment.uri is not None and segment.uri in self._segments:
                continue
            fresh = segment.msn > self._last_msn
            for line in segment.lines:
                if line.startswith("#EXT-X-MAP"):
                    self._init = line.split('"')[1]
            if fresh:
                self._last_msn = segment.msn
                if "EXT-X-DISCONTINUITY" in segment.tags:
                    self._run += 1
                    self.view.seams += 1
                    self._begin_anew()
                elif not self._watched and self._start is None:
                    self._run += 1  # a new beginning of who looks in: nothing runs on
            for part in segment.parts:
                self._part(part, now)
            if segment.uri is not None:
                self._segments.add(segment.uri)
                self._segment(segment, now)

    def _get(self, uri: str, now: float) -> bytes | None:
        media = self._live.media(*uri.rsplit("/", 1))
        if media is None:
            self.view.fault("MP11", f"{uri} is listed and not there (at {now:.2f} s)")
            return None
        body = bytes(media.body)
        self.view.size += len(body)
        if not body:
            self.view.fault("MP11", f"{uri} is listed and empty (at {now:.2f} s)")
            return None
        return body

    def _part(self, part: llcheck.Part, now: float) -> None:
        if part.uri in self._parts:
            return
        if part.gap:
            self.view.gaps += 1
            self._parts[part.uri] = b""
            return
        body = self._get(part.uri, now)
        self._parts[part.uri] = body or b""
        if body is None:
            return
        shown = self._read(body, part.uri, now)
        pictures = [one for one in shown if one.kind is Kind.VIDEO]
        if part.independent and pictures and not pictures[0].key:
            self.view.fault("LL13", f"{part.uri} is said to be independent and is not")

    def _segment(self, segment: llcheck.Segment, now: float) -> None:
        assert segment.uri is not None
        assert segment.duration is not None
        if "EXT-X-GAP" in segment.tags:
            if not segment.parts:
                self.view.gaps += 1
            return
        body = self._get(segment.uri, now)
        if body is None:
            return
        if segment.parts and all(part.uri in self._parts for part in segment.parts):
            joined = b"".join(self._parts[part.uri] for part in segment.parts)
            if joined != body:
                self.view.fault("LL12", f"{segment.uri}: {len(body)} bytes, its parts have {len(joined)}")
            for part in segment.parts:
                self._parts[part.uri] = b""
        else:
            self._read(body, segment.uri, now)
        self._spans(segment)

    def _read(self, body: bytes, uri: str, now: float) -> list[Shown]:
        if uri.endswith(".ts"):
            shown = read_ts(body, self._ts, self.view, self._run, now)
        else:
            state = self._iso.get(self._init)
            if state is None:
                init = self._get(self._init, now)
                if init is None:
                    return []
                state = self._iso[self._init] = IsoState(init)
            shown = read_iso(body, state, self.view, self._run, now)
        self.view.shown += shown
        first = next((one.dts for one in shown if one.kind is self._lead), None)
        if first is not None:
            self._firsts[uri] = first
        return shown

    def _spans(self, segment: llcheck.Segment) -> None:
        """MP13: what is said of lengths adds up to the media, within a picture."""
        assert segment.duration is not None
        firsts = [self._firsts.get(uri) for uri in (*(part.uri for part in segment.parts), segment.uri)]
        first = next((time for time in firsts if time is not None), None)
        if first is not None:
            if self._start is None:
                self._start, self._said = first, 0.0
            said = (first - self._start) / TICKS - self._said
            if abs(said) > max(self._film.still, 0.1) + 0.003:
                text = f"{segment.uri}: EXTINF add up to {self._said:.3f} s, the media is {said:+.3f} s off"
                self.view.fault("MP13", text)
        if self._start is not None:
            self._said += segment.duration
