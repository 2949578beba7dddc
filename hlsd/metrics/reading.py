"""Reads every figure of the server as it stands, in slices: the families of one scrape.

Law: it looks at live objects only while it is asked, so a stream's series end with the stream; it never looks at
sessions one by one. Streams get series of their own in the order in which they came, up to `max_streams` and until
they end; what the others do is counted under `_other`, from one scrape to the next, so that these counters only rise.
Whatever would go beyond the bound (`hlsd.metrics.names.bound`) is left out and counted.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

from hlsd import __version__
from hlsd.media.codecs import codecs_attribute
from hlsd.metrics import names
from hlsd.metrics.exposition import Counts, Family, Row
from hlsd.metrics.names import Spec
from hlsd.metrics.sources import Account, Holder, ListenerSource, Segmenting, Streaming, StreamSource
from hlsd.stats import OTHER, AppStats, Histogram, Stats

STREAMS_A_SLICE = 20
"""Streams that are read before others have their turn: about a millisecond."""

Extra = tuple[str, ...]
"""Values of a stream's labels besides app and stream, in the family's order."""
Sample = float | Counts
Pairs = Sequence[tuple[Streaming, Segmenting]]


class Reader:
    """Reads the figures of one server, scrape after scrape.

    `holder`, `listener` and `account` may come later than the rest, or never; `memory_limit` in bytes.
    """

    def __init__(self, streams: StreamSource, stats: Stats, *, max_streams: int, memory_limit: int = 0) -> None:
        self._streams = streams
        self._stats = stats
        self._max = max_streams
        self._memory_limit = memory_limit
        self.holder: Holder | None = None
        self.listener: Callable[[], ListenerSource | None] = lambda: None
        self.account: Account | None = None
        self.scrape_seconds = 0.0
        self._named: dict[tuple[str, str], Streaming] = {}
        self._rest: dict[tuple[str, str, Extra], Sample] = {}
        """Counters of unnamed streams: (app, family, extra labels)."""
        self._seen: dict[tuple[str, str], dict[tuple[str, Extra], Sample]] = {}
        """What unnamed streams had at the last scrape."""
        self._build = (
            version("av"),
            platform.python_version(),
            __version__,
        )

    def families(self, now: float) -> tuple[list[Family], Iterator[None]]:
        """The families of this instant (`now`: wall clock), and the work of filling them, one step a slice."""
        found = {spec.name: Family(spec) for spec in names.FAMILIES}
        return list(found.values()), self._fill(found, now)

    # -- slices

    def _fill(self, found: dict[str, Family], now: float) -> Iterator[None]:
        streams = self._streams.figures()
        self._name(streams)
        room = _Room(self._max, found, len({self._app(stream.app) for stream, _ in streams} | {*self._stats.apps}))
        self._node(room, now)
        yield
        self._apps(room, streams)
        yield
        protocols = self._protocols()
        rest: dict[tuple[str, str, Extra], float] = {}
        for number, (stream, output) in enumerate(streams, 1):
            key = stream.app, stream.name
            samples = self._of_stream(stream, output, protocols.get(key, ()))
            if self._named.get(key) is stream:
                for spec, extra, sample in samples:
                    room.add(spec, _labels(spec, *key, extra), sample)
            else:
                self._put_by(key, samples, rest)
            if not number % STREAMS_A_SLICE:
                yield
        for (app, family, extra), sample in [*self._rest.items(), *rest.items()]:
            spec = found[family].spec
            room.add(spec, _labels(spec, app, OTHER, extra), sample)
        self._stats.series_dropped += room.dropped
        room.add(names.DROPPED, (), self._stats.series_dropped)

    def _name(self, streams: Pairs) -> None:
        there = {(stream.app, stream.name): stream for stream, _ in streams}
        for key, stream in list(self._named.items()):
            if there.get(key) is not stream:
                del self._named[key]
        for key in list(self._seen):
            if key not in there:
                del self._seen[key]
        for key, stream in there.items():
            if len(self._named) >= self._max:
                break
            if key not in self._seen and key[0] in self._stats.apps:
                self._named[key] = stream

    def _app(self, app: str) -> str:
        return app if app in self._stats.apps else OTHER

    def _put_by(
        self,
        key: tuple[str, str],
        samples: Iterator[tuple[Spec, Extra, Sample]],
        rest: dict[tuple[str, str, Extra], float],
    ) -> None:
        """Adds an unnamed stream to `_other`: what it has, or what it did since the last scrape."""
        app = self._app(key[0])
        seen = self._seen.setdefault(key, {})
        for spec, extra, sample in samples:
            if spec.kind == "gauge":
                if spec in (names.SESSIONS, names.SEGMENT_MEMORY):  # of the others a sum says nothing
                    assert not isinstance(sample, Counts)
                    rest[app, spec.name, extra] = rest.get((app, spec.name, extra), 0) + sample
                continue
            whole = (app, spec.name, extra)
            self._rest[whole] = _plus(self._rest.get(whole), sample, seen.get((spec.name, extra)))
            seen[spec.name, extra] = sample

    # -- what there is

    def _node(self, room: _Room, now: float) -> None:
        stats = self._stats
        add = room.add
        add(names.BUILD, self._build, 1)
        add(names.MEMORY, (), self._streams.media_bytes())
        add(names.MEMORY_LIMIT, (), self._memory_limit)
        if self.account is not None:
            add(names.SENT_ALL, ("session",), self.account.total - self.account.unattributed)
            add(names.SENT_ALL, ("none",), self.account.unattributed)
        self._http(room)
        notify = stats.notify
        for (action, result), count in sorted(notify.events.items()):
            add(names.NOTIFY, (action, result), count)
        add(names.NOTIFY_QUEUE, (), notify.queue_length)
        add(names.NOTIFY_AGE, (), max(0.0, now - notify.oldest) if notify.oldest else 0.0)
        for phase, histogram in notify.duration.items():
            add(names.NOTIFY_DURATION, (phase,), Counts.of(histogram))
        directions: dict[tuple[str, str], int] = {}
        starts: dict[tuple[str, str], int] = {}
        for (rule, mode), relay in sorted(stats.relays.items()):
            add(names.RELAY_UP, (mode, rule), relay.up)
            for result, count in relay.starts.items():
                starts[result, rule] = starts.get((result, rule), 0) + count
            for direction, size in (("in", relay.received_bytes), ("out", relay.sent_bytes)):
                directions[direction, rule] = directions.get((direction, rule), 0) + size
        for labels, count in starts.items():
            add(names.RELAY_STARTS, labels, count)
        for labels, count in directions.items():
            add(names.RELAY_BYTES, labels, count)
        add(names.LAG, (), Counts.of(stats.loop_lag))
        self._faults(room)
        add(names.SCRAPE, (), self.scrape_seconds)

    def _faults(self, room: _Room) -> None:
        faults = self._stats.faults
        for spec, counter in (
            (names.OUTPUT_FAULTS, faults.outputs),
            (names.OUTPUTS_OFF, faults.off),
            (names.TASK_FAULTS, faults.tasks),
        ):
            for part, count in sorted(counter.items()):
                room.add(spec, (part,), count)

    def _http(self, room: _Room) -> None:
        http = self._stats.http
        requests: dict[tuple[str, str], int] = {}
        at_once: dict[str, int] = {}
        for (kind, code), cell in http.ready.items():
            requests[str(code), kind] = cell.count
            at_once[kind] = at_once.get(kind, 0) + cell.count
        for (kind, code), count in (
            *((key, cell.count) for key, cell in http.held.items()),
            *http.slow.items(),
        ):
            requests[str(code), kind] = requests.get((str(code), kind), 0) + count
        for labels, count in sorted(requests.items()):
            if count:
                room.add(names.REQUESTS, labels, count)
        for kind, histogram in http.duration.items():
            more = at_once.get(kind, 0)
            if more or histogram.count:
                # Answered in the turn of the loop that read them, from ready bytes: microseconds, and not measured.
                room.add(names.DURATION, (kind,), Counts.of(histogram, more))
        if self.holder is not None:
            room.add(names.UNHELD, (), self.holder.refused)
        listener = self.listener()
        if listener is not None:
            room.add(names.CONNECTIONS, (), listener.open)
            room.add(names.TURNED_AWAY, ("refused",), listener.refused)
            room.add(names.TURNED_AWAY, ("timed_out",), listener.timed_out)
            room.add(names.TURNED_AWAY, ("slow",), listener.slow)

    def _apps(self, room: _Room, streams: Pairs) -> None:
        publishing = dict.fromkeys(self._stats.apps, 0)
        blocked = dict.fromkeys(self._stats.apps, 0)
        for stream, output in streams:
            app = self._app(stream.app)
            publishing[app] += stream.claim is not None
            if self.holder is not None:
                blocked[app] += self.holder.held(output.live)
        for app, figures in self._stats.apps.items():
            if app == OTHER and not publishing[app] and not figures.seen:
                continue
            room.add(names.STREAMS, (app,), publishing[app])
            room.add(names.BLOCKED, (app,), blocked[app])
            self._app_figures(room, app, figures)

    @staticmethod
    def _app_figures(room: _Room, app: str, figures: AppStats) -> None:
        """What is counted by app."""
        for spec, counter in (
            (names.PUBLISHES, figures.publishes),
            (names.TAKEOVERS, figures.takeovers),
            (names.OPENED, figures.opened),
            (names.STARTED, figures.started),
            (names.REFUSED, figures.refused),
            (names.IP_CHANGES, figures.ip_changes),
        ):
            for one, count in counter.items():
                room.add(spec, (app, one), count)
        for spec, pairs in ((names.CLOSED, figures.closed), (names.AUTH, figures.auth)):
            for (one, two), count in pairs.items():
                room.add(spec, (app, one, two), count)
        for spec, histograms in (
            (names.SEGMENT_DURATION, figures.segment_duration),
            (names.SEGMENT_DELAY, figures.segment_delay),
            (names.STAY, figures.session_duration),
        ):
            for one, histogram in histograms.items():
                room.add(spec, (app, one), Counts.of(histogram))
        room.add(names.WAIT, (app,), Counts.of(figures.blocking_wait))

    def _protocols(self) -> dict[tuple[str, str], list[str]]:
        """The protocols in which each stream is or was watched."""
        protocols: dict[tuple[str, str], list[str]] = {}
        for app, name, protocol in self._stats.tallies:
            protocols.setdefault((app, name), []).append(protocol)
        return protocols

    def _of_stream(
        self, stream: Streaming, output: Segmenting, protocols: list[str] | tuple[()]
    ) -> Iterator[tuple[Spec, Extra, Sample]]:
        """One stream's samples; those that may be left out come last."""
        stats, tracks, claim = stream.stats, stream.tracks, stream.claim
        yield names.UP, (), int(claim is not None)
        yield names.LAST_MEDIA, (), stats.last_unit
        yield names.INGEST_BYTES, (), stats.received_bytes
        if tracks is not None:
            if tracks.video is not None:
                yield names.FRAMES, ("video",), stats.video_frames
                yield names.KEYFRAMES, (), stats.keyframe_interval
            if tracks.audio is not None:
                yield names.FRAMES, ("audio",), stats.audio_frames
            container = "fmp4" if output.counts.get("fmp4") else "ts"
            way = claim.request.protocol if claim is not None else ""
            yield names.INFO, (codecs_attribute(tracks), container, way), 1
            yield names.FRAME_RATE, (), round(output.frame_rate, 3)
        yield names.FORCED, (), output.forced_cuts
        for kind, count in output.counts.items():
            if count:
                yield names.SEGMENTS, (kind,), count
        yield names.SEGMENT_MEMORY, (), output.bytes
        for protocol in protocols:
            tally = self._stats.tallies.get((stream.app, stream.name, protocol))
            if tally is not None:
                yield names.SESSIONS, (protocol,), tally.sessions
                yield names.SENT, (protocol,), tally.playlist_bytes + tally.media_bytes
        for kind, count in stats.repairs.items():
            yield names.REPAIRS, (kind,), count
        quality = self._stats.quality.get((stream.app, stream.name))
        if quality is not None:
            yield names.REPORTS, (), quality.reports
            yield names.STALLS, (), quality.stalls
            yield from _known(names.BUFFER, quality.buffer)
            yield from _known(names.THROUGHPUT, quality.throughput)


class _Room:
    """Where samples go while there is room: the bound of each scope."""

    def __init__(self, streams: int, found: dict[str, Family], apps: int) -> None:
        self._found = found
        self._left = {
            "node": names.NODE_SERIES - _FOREIGN,
            "app": apps * names.APP_SERIES,
            "stream": streams * names.STREAM_SERIES,
        }
        self.dropped = 0

    def add(self, spec: Spec, labels: tuple[str, ...], sample: Sample) -> None:
        """Takes the sample in, or counts what is left out."""
        size = len(sample.counts) + 2 if isinstance(sample, Counts) else 1
        if self._left[spec.scope] < size:
            self.dropped += size
            return
        self._left[spec.scope] -= size
        row: Row = labels, sample
        self._found[spec.name].rows.append(row)


_FOREIGN = 40
"""Room for process_*, python_gc_* and python_info, which are not ours."""


def _labels(spec: Spec, app: str, name: str, extra: Extra) -> tuple[str, ...]:
    """The values of a stream's labels in the family's order, where `extra` has those besides app and stream."""
    if not extra:
        return app, name
    others = iter(extra)
    return tuple([app if label == "app" else name if label == "stream" else next(others) for label in spec.labels])


def _known(spec: Spec, histogram: Histogram) -> Iterator[tuple[Spec, Extra, Sample]]:
    if any(histogram.counts):
        yield spec, (), Counts.of(histogram)


def _plus(whole: Sample | None, now: Sample, before: Sample | None) -> Sample:
    """`whole` and what has come since `before`."""
    if isinstance(now, Counts):
        none = Counts(now.bounds, (0,) * len(now.counts), 0.0)
        one = whole if isinstance(whole, Counts) else none
        old = before if isinstance(before, Counts) else none
        counts = tuple([a + b - c for a, b, c in zip(one.counts, now.counts, old.counts, strict=True)])
        return Counts(now.bounds, counts, one.total + now.total - old.total)
    assert not isinstance(whole, Counts)
    assert not isinstance(before, Counts)
    return (whole or 0) + now - (before or 0)
