"""Counts what passes: plain integers that services add to and that figures are read from at scrape time.

Law: counting never costs a look at a clock, a lock, an allocation for each event, or a look-up by a stranger's words.
Nothing here grows with time: what is kept by app is kept for `max_apps` apps that somebody has published to, the rest
shares `OTHER`; what is kept by stream goes with the stream (`Stats.forget`). Units are bytes, seconds and events.

A service counts like this: `stats.app(app).auth["sign", "denied"] += 1`, `stats.notify.events["donePlay", "ok"] += 1`,
`stats.notify.duration["queued"].observe(seconds)`. Keys are closed enumerations, never what a client wrote.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from hlsd.base.faults import Faults
from hlsd.base.figures import Histogram

OTHER: Final = "_other"
"""The label value under which everything beyond a bound is counted together; no name of ours begins with `_`."""
PROTOCOLS: Final = ("hls", "flv", "wsflv", "rtmp", "srt", "rtsp", "whep", "vod")
"""By what a stream may be watched (`hlsd.ports.PlayRequest.protocol`)."""
MAX_APPS: Final = 20
"""Apps that have figures of their own, unless settings say otherwise."""

LATENCY: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bounds for what a client waits for, seconds."""
WAIT: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Bounds for held requests: around the part targets in use, and up to the longest hold."""
LAG: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Bounds for how late the event loop is."""
MEDIA: Final = (0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 4.0, 6.0, 10.0)
"""Bounds for lengths of parts and segments."""
DELAY: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 6.0)
"""Bounds for how late parts and segments are listed."""
STAY: Final = (10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0)
"""Bounds for how long viewers stay."""
BUFFER: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Bounds for what players have buffered, seconds of media."""
THROUGHPUT: Final = (1e5, 2.5e5, 5e5, 1e6, 4e6)
"""Bounds for what players measure on the way to us, bytes per second."""


@dataclass(slots=True)
class StreamStats:
    """One stream's figures since it came to be. Bytes, frames, seconds since the epoch, bits per second."""

    received_bytes: int = 0
    video_frames: int = 0
    audio_frames: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Timed metadata, by who said it (`publisher`, `api`) and what became of it (`ok`, or why it was dropped)."""
    last_unit: float = 0.0
    bitrate: float = 0.0
    """Smoothed over a few seconds."""
    publishes: int = 0
    keyframe_interval: float = 0.0
    """Seconds of media between the last two key pictures; 0 until there were two."""
    last_key: int = -1
    """DTS of the last key picture, ticks; -1 for none."""


class Cell:
    """A count that many hands add to: looked up once, then an attribute to increment."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class HttpStats:
    """Requests answered by HTTP, by every transport and port. `kind` is one of `KINDS`."""

    KINDS: Final = (
        "multivariant",
        "playlist",
        "part",
        "segment",
        "init",
        "key",
        "flv",
        "snapshot",
        "page",
        "api",
        "metrics",
        "other",
    )
    """What a URL asks for: closed, so that a stranger's URL makes no series."""

    def __init__(self) -> None:
        self.ready: dict[tuple[str, int], Cell] = {}
        """Answered from ready bytes in the turn of the event loop that read the request, by kind and status."""
        self.held: dict[tuple[str, int], Cell] = {}
        """Answered from ready bytes after they were held."""
        self.slow: Counter[tuple[str, int]] = Counter()
        """Answered by ASGI, by kind and status."""
        self.duration: dict[str, Histogram] = {kind: Histogram(LATENCY) for kind in self.KINDS}
        """Of what ASGI answered without holding it, from the head to the last byte handed over, seconds."""

    def ready_cell(self, kind: str, code: int) -> Cell:
        """Where an answer from ready bytes is counted."""
        return self.ready.setdefault((kind, code), Cell())

    def held_cell(self, kind: str, code: int) -> Cell:
        """Where the answer to a held request is counted."""
        return self.held.setdefault((kind, code), Cell())


class AppStats:
    """What is counted by app. The second part of a key, where there is one, is a closed enumeration."""

    def __init__(self) -> None:
        self.publishes: Counter[str] = Counter()
        """By result: `ok`, or the code of the refusal (`hlsd.ports.RefuseCode`)."""
        self.takeovers: Counter[str] = Counter()
        """Publishers that replaced another one, by policy."""
        self.auth: Counter[tuple[str, str]] = Counter()
        """Decisions about viewers and publishers, by (method, result): ("sign", "ok"). Methods are those of grants, and
        "list"; results "ok", "denied", "expired", "limited" (refused unheard)."""
        self.ip_changes: Counter[str] = Counter()
        """Sessions that came from another address, by what was done about it."""
        self.opened: Counter[str] = Counter()
        """Sessions let in, by protocol."""
        self.started: Counter[str] = Counter()
        """Sessions that got their first media, by protocol: plays."""
        self.refused: Counter[str] = Counter()
        """Viewers that were not let in, by reason (`hlsd.ports.Denial`), whatever their protocol."""
        self.closed: Counter[tuple[str, str]] = Counter()
        """Sessions that ended, by (protocol, reason)."""
        self.session_duration: dict[str, Histogram] = defaultdict(lambda: Histogram(STAY))
        """Seconds that sessions lasted which ended, by protocol: their sum is the time watched."""
        self.segment_duration: dict[str, Histogram] = defaultdict(lambda: Histogram(MEDIA))
        """Seconds of media, by kind: `ts`, `fmp4`, `part`."""
        self.segment_delay: dict[str, Histogram] = defaultdict(lambda: Histogram(DELAY))
        """Seconds from the end of the media to when it was listed, by kind."""
        self.blocking_wait = Histogram(WAIT)
        """Seconds that requests were held and then answered with what they asked for, or not."""

    @property
    def seen(self) -> bool:
        """Whether anybody has come to it, let in or not."""
        return bool(self.publishes or self.opened or self.refused or self.auth)


class Tally:
    """The sessions of one stream and protocol: those of this instant, and all bytes they and earlier ones were sent.

    A session holds the one it belongs to, so that counting is an increment and a scrape need not look at sessions.
    """

    __slots__ = ("media_bytes", "playlist_bytes", "sessions")

    def __init__(self) -> None:
        self.sessions = 0
        """Open at this instant."""
        self.playlist_bytes = 0
        self.media_bytes = 0


UNCOUNTED: Final = Tally()
"""Of sessions that no registry has taken in."""


class NotifyStats:
    """Webhooks. `phase` is one of `sync` (pre*, somebody waits) and `queued`."""

    def __init__(self) -> None:
        self.events: Counter[tuple[str, str]] = Counter()
        """By (action, result): result `ok`, `denied`, `failed`, `dropped`, `retried`."""
        self.commands: Counter[str] = Counter()
        """Runs of programs (`notify.exec`), by result: `ok`, `failed`, `timeout`, `dropped`."""
        self.queue_length = 0
        """Events not delivered yet."""
        self.oldest = 0.0
        """When the oldest of them came about, seconds since the epoch; 0 if there is none."""
        self.duration: dict[str, Histogram] = {phase: Histogram(LATENCY) for phase in ("sync", "queued")}


class RelayStats:
    """One relay rule, of the configuration or of the API."""

    __slots__ = ("received_bytes", "sent_bytes", "starts", "up")

    def __init__(self) -> None:
        self.up = 0
        """Connections that carry media at this instant."""
        self.starts: Counter[str] = Counter()
        """Attempts, by result: `ok`, `refused`, `timeout`, `error`."""
        self.received_bytes = 0
        self.sent_bytes = 0


class QualityStats:
    """What players of one stream report (CTA-5004 Common Media Client Data)."""

    __slots__ = ("buffer", "reports", "stalls", "throughput")

    def __init__(self) -> None:
        self.reports = 0
        """Requests that carried a report."""
        self.stalls = 0
        """Reports that say the buffer ran dry since the one before (`bs`)."""
        self.buffer = Histogram(BUFFER)
        """`bl`, seconds."""
        self.throughput = Histogram(THROUGHPUT)
        """`mtp`, bytes per second."""


class Stats:
    """All figures of one server; `app` makes one and hands it to whoever counts."""

    def __init__(self, max_apps: int = MAX_APPS) -> None:
        self.faults = Faults()
        """What went wrong inside, and where it is told."""
        self.http = HttpStats()
        self.rtmp_ended: Counter[str] = Counter(refused=0, displaced=0, no_files=0)
        """RTMP connections that the bounds of their ports turned away, by reason."""
        self.notify = NotifyStats()
        self.relays: dict[tuple[str, str], RelayStats] = {}
        """By (rule, mode): names of the configuration; whoever takes a rule away takes its entry away."""
        self.loop_lag = Histogram(LAG)
        """How late the event loop was, seconds, measured a few times a second."""
        self.series_dropped = 0
        """Samples that a scrape left out because of a bound."""
        self.apps: dict[str, AppStats] = {OTHER: AppStats()}
        self.tallies: dict[tuple[str, str, str], Tally] = {}
        """By (app, stream, protocol); see `tally`."""
        self.quality: dict[tuple[str, str], QualityStats] = {}
        """By (app, stream); see `quality_of`."""
        self._max_apps = max_apps

    def app(self, app: str) -> AppStats:
        """The figures of `app`: its own if somebody has published to it, else those of all others together."""
        return self.apps.get(app) or self.apps[OTHER]

    def label(self, app: str) -> str:
        """What `app` is called in figures."""
        return app if app in self.apps else OTHER

    def shown(self) -> Iterator[tuple[str, AppStats]]:
        """The apps that have something to show, by label."""
        return ((app, figures) for app, figures in self.apps.items() if app != OTHER or figures.seen)

    def admit(self, app: str) -> AppStats:
        """As `app`, for an app that somebody publishes to now: it gets figures of its own while there is room."""
        found = self.apps.get(app)
        if found is None:
            if len(self.apps) > self._max_apps:
                return self.apps[OTHER]
            found = self.apps[app] = AppStats()
        return found

    def relay(self, rule: str, mode: str) -> RelayStats:
        """The figures of a relay rule."""
        return self.relays.setdefault((rule, mode), RelayStats())

    def quality_of(self, app: str, name: str) -> QualityStats:
        """What players report of a stream that there is."""
        found = self.quality.get((app, name))
        if found is None:
            found = self.quality[app, name] = QualityStats()
        return found

    def tally(self, app: str, name: str, protocol: str) -> Tally:
        """Where sessions of that stream and protocol are counted."""
        found = self.tallies.get((app, name, protocol))
        if found is None:
            found = self.tallies[app, name, protocol] = Tally()
        return found

    def tallies_of(self, app: str, name: str) -> Iterator[tuple[str, Tally]]:
        """By protocol, how each stream is or was watched."""
        tallies = self.tallies
        return ((one, tallies[app, name, one]) for one in PROTOCOLS if (app, name, one) in tallies)

    def forget(self, known: Callable[[str, str], bool]) -> None:
        """Drops what belongs to streams that are no longer `known`; once a second.

        A tally stays for its last session.
        """
        for key in [key for key, tally in self.tallies.items() if not tally.sessions and not known(key[0], key[1])]:
            del self.tallies[key]
        for stream in [stream for stream in self.quality if not known(*stream)]:
            del self.quality[stream]
