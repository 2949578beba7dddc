"""Follows one HLS output of a film as a player does, version by version, and reads what it lists."""

from __future__ import annotations

from collections.abc import Callable

from hlsd.media.unit import TICKS, Kind
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.settings import HlsSettings
from tests.footage.film import Film
from tests.footage.iso import IsoState, read_iso
from tests.footage.shown import Shown, View
from tests.footage.transport import TsState, read_ts
from tests.support import llcheck
from tests.support.playlistcheck import Snapshot, check_playlist, parse_attributes

_IGNORED = {"MP08", "MP09", "MP22", "LL09", "MP16"}
"""Rules of advice that odd sources cannot keep, and those of wall clocks."""
_ALL = 12
"""Versions that are judged as whole playlists, each of them; of those after it every `_EVERY`th and each with news of a
seam. What is new in it is read in each."""
_EVERY = 9
_ASK = 17.0
"""Seconds after which somebody looks in on a stream that nobody watches."""


class HlsView:
    """One output and its follower. `watched`: somebody always waits for the next version."""

    def __init__(
        self,
        name: str,
        settings: HlsSettings,
        film: Film,
        *,
        watched: bool,
        clock: Callable[[], float],
        every: int = _EVERY,
    ) -> None:
        self.name = name
        self.view = View(name)
        self.segmenter = Segmenter(Run("run", settings, first_msn=1))
        self.low_latency = settings.low_latency
        self._live = self.segmenter.live
        self._clock = clock
        self._watched = watched
        self._every = every
        self._still = film.still
        self._lead = Kind.AUDIO if film.sound_alone else Kind.VIDEO
        self._parts: dict[str, bytes] = {}
        self._open: list[str] = []  # parts of the segment under way
        self._segments: set[str] = set()
        self._place = ""  # the last line of the playlist that was read
        self._text = ""
        self._before: tuple[Snapshot, llcheck.Playlist] | None = None
        self._judged = llcheck.Watch()
        self._versions = 0
        self._ts = TsState()
        self._iso: dict[str, IsoState] = {}
        self._run = 0
        self._init = ""
        self._asked = 0.0
        self._start: int | None = None  # of this run's media, ticks
        self._said = 0.0  # seconds of segments listed since
        self._firsts: dict[str, int] = {}
        self._seam = False  # a discontinuity stands before what comes next
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
        text = rendering.body.decode()
        if text == self._text:
            return
        self._text = text
        self._versions += 1
        at = text.rfind(self._place) if self._place else -1
        news = text[at + len(self._place) :] if at >= 0 else text
        if not self._watched:
            self._begin()
            self._open = []
        sampled = self.low_latency and self._versions > _ALL and self._versions % self._every
        if not sampled or "#EXT-X-DISCONTINUITY\n" in news:
            self._judge(text, now)
        self._read_lines(news, now)

    def close(self) -> None:
        """Nothing more will come: says what was wrong with the playlists."""
        for violation in self._judged.violations:
            if violation.rule not in _IGNORED:
                self.view.fault(violation.rule, violation.text)

    def _begin(self) -> None:
        """What is read from here on stands alone."""
        self._run += 1
        self._ts = TsState()
        self._iso.clear()
        self._start = None

    def _judge(self, text: str, now: float) -> None:
        playlist = llcheck.parse(text, now)
        before = self._before if self._watched else None
        for violation in check_playlist(text, [before[0]] if before else []):
            if violation.rule not in _IGNORED:
                self.view.fault(violation.rule, f"{violation.text} (at {now:.2f} s)")
        if self.low_latency and playlist.segments and playlist.part_target:  # not for pictures seconds apart
            earlier = before[1] if before else None
            if earlier is not None and self._versions > _ALL:
                earlier.hints.clear()  # a hint holds for the next version
            llcheck.judge(self._judged, playlist, earlier)
        self._before = Snapshot(now, text), playlist

    def _read_lines(self, news: str, now: float) -> None:
        duration, gap = 0.0, False
        for line in news.split("\n"):
            if line.startswith("#EXTINF"):
                duration = float(line[8:].rstrip(","))
            elif line.startswith("#EXT-X-PART:"):
                self._part(line, now)
            elif line == "#EXT-X-DISCONTINUITY":
                self._seam = True
            elif line.startswith("#EXT-X-MAP"):
                self._init = line.split('"')[1]
            elif line == "#EXT-X-GAP":
                gap = True
            elif line and line[0] != "#":
                if line not in self._segments:
                    self._segment(line, duration, gap, now)
                self._place = line + "\n"
                self._seam = gap = False
                self._open = []

    def _cross(self) -> None:
        """Goes over a discontinuity, if there is one here."""
        if self._seam:
            self._seam = False
            self.view.seams += 1
            self._begin()

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

    def _part(self, line: str, now: float) -> None:
        given = parse_attributes(line.partition(":")[2])
        uri = given["URI"].strip('"')
        self._open.append(uri)
        if uri in self._parts:
            return
        if "GAP" in given:
            self._cross()
            self.view.gaps += 1
            self._parts[uri] = b""
            self._place = line + "\n"
            return
        body = self._get(uri, now) or b""
        self._parts[uri] = body
        if not self._watched:
            return  # a later look may find the segment without its parts: it is read as a whole
        self._place = line + "\n"
        self._cross()
        if body:
            shown = self._read(body, uri, now)
            picture = next((one for one in shown if one.kind is Kind.VIDEO), None)
            if "INDEPENDENT" in given and picture is not None and not picture.key:
                self.view.fault("LL13", f"{uri} is said to be independent and is not")

    def _segment(self, uri: str, duration: float, gap: bool, now: float) -> None:
        self._segments.add(uri)
        parts = [self._parts.get(part) for part in self._open]
        if gap:
            self._cross()
            self.view.gaps += not parts
        elif (body := self._get(uri, now)) is not None:
            if parts and b"".join(part for part in parts if part) != body:
                self.view.fault("LL12", f"{uri}: {len(body)} bytes, its {len(parts)} parts have others")
            if not parts or not self._watched:
                self._cross()
                self._read(body, uri, now)
            self._spans(uri, duration)
        for part in self._open:
            self._parts[part] = b""

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
        if self.view.kept is not None:
            opening = b"" if uri.endswith(".ts") else self._iso[self._init].init
            self.view.kept.setdefault(self._run, bytearray(opening)).extend(body)
        first = next((one.dts for one in shown if one.kind is self._lead), None)
        if first is not None:
            self._firsts[uri] = first
        return shown

    def _spans(self, uri: str, duration: float) -> None:
        """MP13: what is said of lengths adds up to the media, within a picture."""
        firsts = [self._firsts.get(part) for part in (*self._open, uri)]
        first = next((time for time in firsts if time is not None), None)
        if first is not None:
            if self._start is None:
                self._start, self._said = first, 0.0
            off = (first - self._start) / TICKS - self._said
            if abs(off) > max(self._still, 0.1) + 0.003:
                text = f"{uri}: EXTINF add up to {self._said:.3f} s, the media is {off:+.3f} s off"
                self.view.fault("MP13", text)
        if self._start is not None:
            self._said += duration
