"""Is the transcoding of a run (`hlsd.ports.Output`): pictures go to its child, renditions get what comes back.

Law: it costs the publisher and `main` nothing. What the child is too slow for is left out up to the next key picture,
then renditions are given up, the largest first; a child that dies is begun again, and its renditions have gaps
meanwhile; one that dies again and again is left alone for the rest of the run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from hlsd.base.errors import ProtocolError
from hlsd.media import h264, nal
from hlsd.media.codecs import read_video_record
from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks, VideoTrack
from hlsd.transcode import wire
from hlsd.transcode.child import WAITING
from hlsd.transcode.figures import TranscodeStats
from hlsd.transcode.pace import EncoderPace, PaceVerdict
from hlsd.transcode.wire import Order, OutputForm, OutputLoad

if TYPE_CHECKING:
    from hlsd.ports import Ladder, RenditionFeed
    from hlsd.transcode.settings import TranscodeProfile

LARGEST: Final = 4096 * 2304
"""Pixels of pictures that are decoded."""
EARLY: Final = 4 * TICKS
"""Of what comes before the child is there so much is kept."""
TRIES: Final = 5
"""Children in a row that end before they are stable, after which there is no other one in this run."""


class Child(Protocol):
    """What it asks of its child (`hlsd.transcode.child.TranscodeChild`)."""

    up: bool

    def start(self) -> None:
        """Begins it."""
        ...

    def write(self, octets: bytes) -> bool:
        """Hands on; False if there is no room for it."""
        ...

    def finish(self) -> None:
        """Nothing more comes."""
        ...


class Desk(Protocol):
    """Whom it asks for a child (`hlsd.transcode.service.TranscodeService`)."""

    stats: TranscodeStats
    threads: int

    def hire(self, transcoding: Transcoding) -> Child | None:
        """A child; None if there is no room for one more."""
        ...

    def dismiss(self, transcoding: Transcoding) -> None:
        """It is not needed any more."""
        ...

    def refused(self, transcoding: Transcoding, reason: str, detail: str) -> None:
        """The stream is offered as it came."""
        ...

    def shed(self, transcoding: Transcoding, rendition: str, reason: str) -> None:
        """A rendition was given up."""
        ...


class _Output(NamedTuple):
    name: str
    form: OutputForm
    feed: RenditionFeed


class Transcoding:
    """Of one run. `profiles` by name; the renditions are those that are smaller than the source."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        app: str,
        name: str,
        stream_id: str,
        ladder: Ladder,
        profiles: Sequence[tuple[str, TranscodeProfile]],
        desk: Desk,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.app = app
        self.name = name
        self.stream_id = stream_id
        self._ladder = ladder
        self._profiles = profiles
        self._desk = desk
        self._stats = desk.stats
        self._clock = clock
        self._video: VideoTrack | None = None
        self._outputs: list[_Output] = []
        self._tracks: dict[int, VideoTrack] = {}
        self._child: Child | None = None
        self._over = False  # decided for this run
        self._pace = EncoderPace(clock())
        self._early: deque[AccessUnit] = deque()
        self._early_bytes = 0
        self._needs_key = True
        self._under_way: deque[tuple[int, float]] = deque()
        self._cpu = 0
        self._loads: dict[int, OutputLoad] = {}

    # As the stream sees it.

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows."""
        video = tracks.video
        if video is None or self._over:
            return
        self._video = video
        self._early.clear()
        self._early_bytes = 0
        self._needs_key = True
        if self._child is None:
            self._begin(video)
        elif self._child.up:
            self._child.write(self._opening(video))

    def unit(self, unit: AccessUnit) -> None:
        """The next access unit: pictures are of interest."""
        child = self._child
        if unit.kind is not Kind.VIDEO or child is None:
            return
        self._ladder.source(unit)
        if self._needs_key and not unit.key:
            self._stats.dropped += 1
            return
        if not child.up:
            self._needs_key = False
            self._keep(unit)
            return
        now = self._clock()
        lag = now - self._under_way[0][1] if self._under_way else 0.0
        self._stats.lags[self] = lag
        verdict = self._pace.judge(now, lag, key=unit.key)
        if verdict is PaceVerdict.SHED:
            self._shed("pace")
        if verdict is PaceVerdict.TAKE:
            self._hand_over(child, unit, now)
        else:
            self._stats.dropped += 1

    def jump(self) -> None:
        """Ticks go on over it, so for the child there is none."""

    def pause(self) -> None:
        """The publisher has left: what the decoder holds back is its last."""
        self._needs_key = True
        if self._child is not None and self._child.up:
            self._child.write(wire.message(wire.FLUSH))

    def end(self) -> None:
        """The run is over."""
        self.pause()
        child = self._child
        self._give_up()
        if child is not None:
            if not child.up:
                self._away()
            child.finish()

    # As its child sees it.

    def ready(self) -> None:
        """The child has begun."""
        child, video = self._child, self._video
        if child is None or video is None:
            return
        now = self._clock()
        self._pace = EncoderPace(now)
        self._tracks.clear()
        self._under_way.clear()
        self._loads.clear()
        self._cpu = 0
        child.write(self._opening(video))
        for number, output in enumerate(self._outputs):
            if output.feed.dropped:
                child.write(wire.message(wire.SHED, number))
        for unit in self._early:
            self._hand_over(child, unit, now)
        self._early.clear()
        self._early_bytes = 0

    def said(self, kind: int, output: int, body: bytes) -> None:
        """A message of the child's. Raises HlsdError if it is none."""
        if kind == wire.SETTLED:
            self._settle(wire.read_settled(body))
            return
        if output >= len(self._outputs):
            raise ProtocolError(f"there is no rendition {output}")
        if kind == wire.TRACK:
            self._tracks[output], _ = read_video_record("h264", body)
        elif kind == wire.PICTURE:
            self._picture(output, body)
        else:
            raise ProtocolError(f"an unasked message of kind {kind}")

    def gone(self, failures: int) -> None:
        """The child has ended, and will be begun again."""
        self._under_way.clear()
        self._needs_key = True
        self._away()
        if failures >= TRIES and self._child is not None:
            while self._child is not None:
                self._shed("failed")

    # How.

    @property
    def held(self) -> int:
        """Bytes that wait for the child to begin (`hlsd.streams.outlet.Hoarder`)."""
        return self._early_bytes

    @property
    def renditions(self) -> list[str]:
        """The names of those that it makes."""
        return [output.name for output in self._outputs if not output.feed.dropped]

    def _begin(self, video: VideoTrack) -> None:
        chosen = [(name, profile) for name, profile in self._profiles if profile.height < video.height]
        if not chosen:
            return
        reason = ""
        if video.video_range != "SDR":
            reason = f"its pictures are {video.video_range}, and would have to be mapped to what ordinary screens show"
        elif video.width * video.height > LARGEST:
            reason = f"its pictures have {video.width}x{video.height}"
        if reason:
            self._over = True
            self._desk.refused(self, "source", reason)
            return
        child = self._desk.hire(self)
        if child is None:
            self._over = True
            self._desk.refused(self, "full", "as many streams are encoded as transcode.max allows")
            return
        self._over = True  # one way or the other: who has seen a multivariant playlist sees no other one (MV14)
        for name, profile in sorted(chosen, key=lambda one: -one[1].height):
            feed = self._ladder.add(name, profile.bitrate)
            if feed is not None:
                form = OutputForm(profile.height, profile.bitrate, profile.preset, profile.fps)
                self._outputs.append(_Output(name, form, feed))
        if not self._outputs:
            self._desk.dismiss(self)
            return
        self._over = False
        self._child = child
        child.start()

    def _opening(self, video: VideoTrack) -> bytes:
        forms = tuple([output.form for output in self._outputs])
        return wire.order(Order(video.codec, video.record, self._desk.threads, forms))

    def _keep(self, unit: AccessUnit) -> None:
        """Keeps a picture for the child that is to come: from a key picture on, and not for long."""
        early = self._early
        early.append(unit)
        self._early_bytes += len(unit.payload)
        if unit.dts - early[0].dts <= EARLY and self._early_bytes <= WAITING // 2:
            return
        keys = [at for at, one in enumerate(early) if one.key and at]
        for _ in range(keys[0] if keys else len(early)):  # it begins a group of pictures later, or with the next one
            self._early_bytes -= len(early.popleft().payload)
            self._stats.dropped += 1
        self._needs_key = not early

    def _hand_over(self, child: Child, unit: AccessUnit, now: float) -> None:
        payload = unit.payload
        if len(payload) <= wire.UNIT_LIMIT and child.write(
            wire.unit(wire.UNIT, 0, unit.dts, unit.pts, key=unit.key, payload=payload)
        ):
            self._needs_key = False
            self._under_way.append((unit.dts, now))
        else:
            self._needs_key = True
            self._stats.dropped += 1

    def _picture(self, number: int, body: bytes) -> None:
        dts, pts, _, octets = wire.read_unit(body)
        output, track = self._outputs[number], self._tracks.get(number)
        if track is None:
            raise ProtocolError("a picture before what it is of")
        payload, found, _ = h264.normalise(octets, 4)
        key = bool(found & nal.KEY)
        output.feed.picture(AccessUnit(Kind.VIDEO, dts, pts, key, key, payload, 0.0), track)

    def _settle(self, told: wire.Settled) -> None:
        under_way, stats = self._under_way, self._stats
        while under_way and under_way[0][0] <= told.dts:
            under_way.popleft()
        for output in self._outputs:
            output.feed.settled(told.dts)
        stats.cpu += max(0, told.cpu - self._cpu)
        self._cpu = told.cpu
        for number, (output, load) in enumerate(zip(self._outputs, told.loads, strict=False)):
            before = self._loads.get(number, OutputLoad(0, 0, 0))
            stats.pictures[output.name] += max(0, load.encoded - before.encoded)
            stats.encode[output.name] += max(0, load.cpu - before.cpu)
            self._loads[number] = load

    def _away(self) -> None:
        for output in self._outputs:
            output.feed.away()

    def _shed(self, reason: str) -> None:
        """Gives up the largest rendition that is left; without one there is nothing to be done any more."""
        for number, output in enumerate(self._outputs):
            if not output.feed.dropped:
                output.feed.drop()
                self._desk.shed(self, output.name, reason)
                if self._child is not None:
                    self._child.write(wire.message(wire.SHED, number))
                break
        if not self.renditions:
            child = self._child
            self._give_up()
            if child is not None:
                child.finish()

    def _give_up(self) -> None:
        self._child, self._over = None, True
        self._early.clear()
        self._early_bytes = 0
        self._under_way.clear()
        self._stats.lags.pop(self, None)
        self._desk.dismiss(self)
