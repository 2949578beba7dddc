"""Plays a film through the house: intake, stream and every way out, without sockets and as fast as it goes.

Ways out: HLS in MPEG-TS and in fMP4, low latency and plain, watched all the time and asked for now and then (so that
muxing is put off), an HTTP-FLV viewer, an RTMP player and a relay's target. The film's arrivals are the only clock.
"""

from __future__ import annotations

import asyncio
import signal
import traceback
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from hlsd.base.errors import UnsupportedCodec
from hlsd.delivery.flv.output import FlvOutput
from hlsd.delivery.flv.settings import FlvSettings
from hlsd.delivery.flv.wrappings import FlvWrapping
from hlsd.ingest.intake import Intake
from hlsd.ingest.rtmp.chunk import Dechunker
from hlsd.ingest.rtmp.wrapping import ChunkWrapping
from hlsd.media import flv
from hlsd.ports import PublishRequest
from hlsd.relay.fan import Fan
from hlsd.relay.push import PushedTag
from hlsd.segmenter.settings import HlsSettings
from hlsd.streams.stream import Stream
from tests.footage.film import COME, LEAVE, Film
from tests.footage.hls_view import HlsView
from tests.footage.shown import View, read_tag
from tests.support.watchers import Watcher

WALL = 1_700_000_000.0
PAUSE = 0.5
"""Seconds of silence after which the house is told the time, as a server tells it to every connection."""


BUDGET = 30.0
"""Seconds of processor time that one film may cost: some hundred times what the dearest needs."""


class Spent(BaseException):
    """The film has cost more than it may."""


def _spent(*_: object) -> None:
    raise Spent


@dataclass(repr=False)
class Result:
    """What became of a film."""

    views: list[View]
    errors: list[str] = field(default_factory=list)
    """Exceptions, and log lines that say error."""
    refused: str = ""
    units: int = 0


class _Collector:
    """Takes what a way out of tags gives, tag by tag."""

    def __init__(self, name: str) -> None:
        self.view = View(name)
        self.now = 0.0
        self._last = 0

    def tag(self, kind: int, time: int, body: bytes) -> None:
        self.view.size += len(body)
        found = read_tag(kind, time, body, self._last, self.now)
        if found is None:
            return
        if self.view.first is None:
            self.view.first = self.now
        self._last = found.dts // 90
        self.view.shown.append(found)


class _Player(Watcher):
    """A viewer of tags whose socket takes everything."""

    def __init__(self, name: str, read: Callable[[bytes], Sequence[tuple[int, int, bytes]]]) -> None:
        super().__init__()
        self.collector = _Collector(name)
        self._read = read

    def write(self, data: bytes | memoryview) -> None:
        if self.collector.view.kept is not None:
            self.collector.view.kept.setdefault(0, bytearray()).extend(data)
        for tag in self._read(bytes(data)):
            self.collector.tag(*tag)


class _Target:
    """A relay's target that takes everything at once."""

    def __init__(self, collector: _Collector) -> None:
        self.collector = collector

    def opening(self, tags: list[PushedTag], **_: object) -> None:
        for tag in tags:
            self.collector.tag(tag.kind, tag.time, tag.body)

    def put(self, tag: PushedTag) -> None:
        self.collector.tag(tag.kind, tag.time, tag.body)

    def finish(self, reason: str) -> None:
        """The stream is over."""


def _flv_reader() -> Callable[[bytes], list[tuple[int, int, bytes]]]:
    reader = flv.FileReader()
    return lambda data: [(tag.type, tag.timestamp, tag.body) for tag in reader.feed(data)]


def _rtmp_reader() -> Callable[[bytes], list[tuple[int, int, bytes]]]:
    dechunker = Dechunker(max_message=1 << 24, max_pending=1 << 25, burst=1 << 30)
    dechunker.chunk_size = 60_000

    def read(data: bytes) -> list[tuple[int, int, bytes]]:
        messages = dechunker.feed(data)
        while dechunker.stopped:
            messages += dechunker.feed(b"")
        return [(message.type_id, message.timestamp, bytes(message.body)) for message in messages]

    return read


def play(film: Film, *, only: str = "", keep: bool = False) -> Result:
    """Plays the film; `only` names the one way out to be looked at; `keep`: what comes out is kept, to be decoded."""
    return asyncio.run(_play(film, only, keep))


async def _play(film: Film, only: str, keep: bool) -> Result:
    logged: list[MutableMapping[str, Any]] = []

    def note(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method in {"error", "critical", "exception"} or event["event"] in {"part lost", "muxer refused the tracks"}:
            logged.append(event)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[note], cache_logger_on_first_use=False)
    old = signal.signal(signal.SIGVTALRM, _spent)
    signal.setitimer(signal.ITIMER_VIRTUAL, BUDGET)
    try:
        house = _House(film, only)
        for view in house.result.views if keep else []:
            view.kept = {}
        house.run()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)
        structlog.configure(**before)
    result = house.result
    result.errors += [f"logged: {event}" for event in logged[:3]]
    return result


class _House:
    """One stream and its ways out."""

    def __init__(self, film: Film, only: str) -> None:
        self.film = film
        self.now = 0.0
        self.stream = Stream("live", "film", WALL)
        memory = 1 << 30
        huge = {"max_stream_bytes": memory, "max_segment_bytes": memory}
        kinds: list[tuple[str, dict[str, object], bool]] = [
            ("ll", {}, True),
            ("ll-fmp4", {"container": "fmp4"}, True),
            ("plain", {"low_latency": False}, True),
            ("unwatched", {}, False),
            ("unwatched-fmp4", {"container": "fmp4"}, False),
        ]
        self.hls = [
            HlsView(name, HlsSettings.model_validate({**huge, **settings}), film, watched=watched, clock=self.time)
            for name, settings, watched in kinds
            if only in {"", name}
        ]
        self.tags: list[_Collector] = []
        for view in self.hls:
            self.stream.attach(view.name, view.segmenter)
        self.cast: FlvOutput | None = None
        if only in {"", "flv", "rtmp"}:
            settings = FlvSettings.model_validate({"gather": 0, "queue_bytes": memory, "gop_bytes": memory})
            self.cast = FlvOutput(self.stream, settings)
            for player, wrapping in (
                (_Player("flv", _flv_reader()), FlvWrapping(legacy=False)),
                (_Player("rtmp", _rtmp_reader()), ChunkWrapping(60_000, 1, legacy=False)),
            ):
                player.watch(self.cast, wrapping)
                self.tags.append(player.collector)
        if only in {"", "relay"}:
            fan = Fan(None, lambda _: None)  # type: ignore[arg-type]
            target = _Collector("relay")
            fan.add(_Target(target))  # type: ignore[arg-type]
            self.stream.attach("relay", fan)
            self.tags.append(target)
        self.result = Result([view.view for view in self.hls] + [one.view for one in self.tags])
        self.intake: Intake | None = None

    def time(self) -> float:
        """Seconds of the film."""
        return self.now

    def run(self) -> None:
        """Plays all of it."""
        request = PublishRequest("live", "film", "rtmp", "192.0.2.1", 1, lambda _: None)
        ended: Callable[[Stream, str], None] = lambda stream, _: stream.release(self.now)  # noqa: E731
        step = "begin"
        try:
            self.intake = Intake(self.stream.publish(request, 0.0, ended), 0.0)
            for count, (at, kind, ms, body) in enumerate(self.film.sent):
                step = f"tag {count} (type {kind}, {ms} ms, {len(body)} bytes) at {at:.3f} s"
                self._pass(at)
                if kind == LEAVE:
                    self._leave()
                elif kind == COME:
                    self.intake = Intake(self.stream.publish(request, at, ended), at)
                elif self.intake is not None:
                    self.intake.tag(kind, ms, body, at, WALL + at)
                    self.intake.tick(at)
                if self.cast is not None:
                    self.cast._flush()
            step = "end"
            self._leave()
            for view in self.hls:
                view.look(force=True)
            self.stream.finish(self.now)
            for view in self.hls:
                view.look(force=True)
                view.close()
        except Spent:
            self.result.errors.append(f"work: more than {BUDGET:.0f} s of processor time, at {step}")
        except UnsupportedCodec as error:
            self.result.refused = str(error)
        except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
            lines = traceback.format_exc().strip().splitlines()
            self.result.errors.append(f"{lines[-1]} at {step}: {' / '.join(line.strip() for line in lines[-5:-1])}")
        self.result.units = len(self.film.units)

    def _leave(self) -> None:
        if self.intake is not None:
            self.intake.close()
            self.intake = None
            self.stream.release(self.now)
        if self.cast is not None:
            self.cast._flush()

    def _pass(self, until: float) -> None:
        """Lets time pass, as the sweeps of a server do."""
        while until - self.now > PAUSE:
            self.now += PAUSE
            self._tell()
        self.now = until
        for one in self.tags:
            one.now = until

    def _tell(self) -> None:
        for one in self.tags:
            one.now = self.now
        if self.intake is not None:
            self.intake.tick(self.now)
        for view in self.hls:
            view.look()
