"""Is one publication's conversion of pictures to H.264 (`hlsd.ports.converted_pictures`): by a child as renditions are.

Law: it costs the loop no more than handing on. What the child is too slow for is left out up to the next key picture; a
child that dies is begun again, one that dies again and again is not: then its publisher hears that its codec is not
taken. Key pictures come out where they went in, and where there was none for `KEY_EVERY`, for segments end at them and
recorders of browsers make one in eight seconds.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from hlsd.base.errors import ProtocolError, UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.media.unit import TICKS
from hlsd.ports.converted_pictures import CONVERTIBLE
from hlsd.transcode import wire
from hlsd.transcode.figures import CONVERTED
from hlsd.transcode.pace import EncoderPace, PaceVerdict
from hlsd.transcode.transcoding import EARLY, TRIES
from hlsd.transcode.wire import Order, OutputForm, OutputLoad

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.ports.converted_pictures import ConversionTeller, ConvertedPictures, Convertible
    from hlsd.transcode.figures import TranscodeStats
    from hlsd.transcode.transcoding import Child

KEY_EVERY: Final = 2 * TICKS
"""Between two key pictures at most."""
EARLY_BYTES: Final = 8 << 20
"""Of what waits for the child to begin."""
LONGEST: Final = 10 * TICKS
"""From one picture to the next, as the child is told."""
_PER_MS: Final = TICKS // 1000


class _Early(NamedTuple):
    at: int
    timestamp: int
    key: bool
    picture: bytes


class _UnderWay(NamedTuple):
    at: int
    timestamp: int
    since: float


class ConversionDesk(Protocol):
    """Whom it asks for a child (`hlsd.transcode.service.TranscodeService`)."""

    stats: TranscodeStats
    threads: int
    converted: OutputForm
    clock: Clock

    def hire(self, listener: PictureConversion) -> Child | None:
        """A child; None if there is no room for one more."""
        ...

    def dismiss(self, listener: PictureConversion) -> None:
        """It is not needed any more."""
        ...


class PictureConversion:
    """One publication's. Nothing runs before the first picture."""

    def __init__(self, sink: ConvertedPictures, teller: ConversionTeller, desk: ConversionDesk) -> None:
        self._sink = sink
        self._desk = desk
        self._remarks = Remarks(teller.remark)
        self._codec: Convertible | None = None
        self._child: Child | None = None
        self._failed = self._closed = False
        self._pace = EncoderPace(desk.clock.monotonic())
        self._ms: int | None = None  # of the last picture, as it was stamped
        self._at = 0  # its decode time for the child, ticks
        self._key_at = -KEY_EVERY
        self._needs_key = True
        self._early: deque[_Early] = deque()
        self._early_bytes = 0
        self._under_way: deque[_UnderWay] = deque()
        self._cpu = 0
        self._load = OutputLoad(0, 0, 0)

    # As a way in sees it.

    @property
    def held(self) -> int:
        """As `hlsd.ports.converted_pictures.PictureConverter`."""
        return self._early_bytes

    def take(self, codec: Convertible, timestamp: int, picture: bytes, key: bool, now: float) -> bool:
        """As `hlsd.ports.converted_pictures.PictureConverter`."""
        if self._closed:
            return False
        child = self._child or self._begin(codec)
        if codec != self._codec:
            self._change(codec, child)
        self._stamp(timestamp)
        if not picture or len(picture) > wire.UNIT_LIMIT or (self._needs_key and not key):
            return self._leave_out()
        if not child.up:
            return self._keep(_Early(self._at, timestamp, key, picture))
        lag = now - self._under_way[0].since if self._under_way else 0.0
        self._desk.stats.lags[self] = lag
        if self._pace.judge(now, lag, key=key) is not PaceVerdict.TAKE:
            self._remarks.note("pictures left out: H.264 is not made of them in time", now, lag=round(lag, 1))
            return self._leave_out()
        return self._hand_over(child, _Early(self._at, timestamp, key, picture), now)

    def close(self) -> None:
        """As `hlsd.ports.converted_pictures.PictureConverter`."""
        self._closed = True
        child, self._child = self._child, None
        self._forget()
        if child is not None:
            self._desk.stats.lags.pop(self, None)
            self._desk.dismiss(self)
            child.finish()

    # As its child sees it.

    def ready(self) -> None:
        """The child has begun."""
        child = self._child
        if child is None or self._codec is None:
            return
        now = self._desk.clock.monotonic()
        self._pace = EncoderPace(now)
        self._cpu, self._load = 0, OutputLoad(0, 0, 0)
        child.write(self._opening(self._codec))
        early = list(self._early)
        self._early.clear()
        self._early_bytes = 0
        for one in early:
            if not self._needs_key or one.key:
                self._hand_over(child, one, now)

    def said(self, kind: int, output: int, body: bytes) -> None:
        """A message of the child's. Raises HlsdError if it is none."""
        if self._closed:
            return
        if kind == wire.SETTLED:
            self._settle(wire.read_settled(body))
            return
        clock = self._desk.clock
        if output == 0 and kind == wire.TRACK:
            self._sink.video_config("h264", body, clock.monotonic())
        elif output == 0 and kind == wire.PICTURE:
            at, _, key, octets = wire.read_unit(body)
            ms = next((one.timestamp for one in self._under_way if one.at == at), None)
            if ms is None:
                raise ProtocolError("a picture that did not go in")
            self._sink.video("h264", ms, 0, octets, key, clock.monotonic(), clock.wall())
        else:
            raise ProtocolError(f"an unasked message of kind {kind}")

    def gone(self, failures: int) -> None:
        """The child has ended, and will be begun again."""
        self._forget()
        if failures >= TRIES and self._child is not None:
            child, self._child, self._failed = self._child, None, True
            self._desk.stats.lags.pop(self, None)
            self._desk.dismiss(self)
            child.finish()

    # How.

    def _begin(self, codec: Convertible) -> Child:
        name = CONVERTIBLE[codec]
        if self._failed:
            raise UnsupportedCodec(f"{name} (its conversion to H.264 ends again and again)")
        child = self._desk.hire(self)
        if child is None:
            self._desk.stats.refused["full"] += 1
            raise UnsupportedCodec(f"{name} (as many streams are encoded as transcode.max allows)")
        self._child, self._codec = child, codec
        child.start()
        return child

    def _change(self, codec: Convertible, child: Child) -> None:
        self._codec = codec
        self._early.clear()
        self._early_bytes = 0
        self._needs_key = True
        if child.up:
            child.write(self._opening(codec))

    def _opening(self, codec: Convertible) -> bytes:
        return wire.order(Order(codec, b"", self._desk.threads, (self._desk.converted,)))

    def _stamp(self, timestamp: int) -> None:
        """A decode time of its own, later than the one before: by it the child knows a picture.

        A clock that leaps is the `Normaliser`'s to mend; for the child it is a step.
        """
        step = 1 if self._ms is None else ((timestamp - self._ms + 0x80000000 & 0xFFFFFFFF) - 0x80000000) * _PER_MS
        self._ms = timestamp
        self._at += min(max(step, 1), LONGEST)

    def _keep(self, one: _Early) -> bool:
        """Keeps a picture for the child that is to come: from a key picture on, and not for long."""
        early = self._early
        if early and (one.at - early[0].at > EARLY or self._early_bytes + len(one.picture) > EARLY_BYTES):
            early.clear()
            self._early_bytes = 0
            if not one.key:
                return self._leave_out()
        self._needs_key = False
        early.append(one)
        self._early_bytes += len(one.picture)
        return True

    def _hand_over(self, child: Child, one: _Early, now: float) -> bool:
        wanted = one.key or one.at - self._key_at >= KEY_EVERY
        if not child.write(wire.unit(wire.UNIT, 0, one.at, one.at, key=wanted, payload=one.picture)):
            return self._leave_out()
        self._needs_key = False
        if wanted:
            self._key_at = one.at
        self._under_way.append(_UnderWay(one.at, one.timestamp, now))
        return True

    def _leave_out(self) -> bool:
        self._needs_key = True
        self._desk.stats.dropped += 1
        return False

    def _forget(self) -> None:
        self._under_way.clear()
        self._early.clear()
        self._early_bytes = 0
        self._needs_key = True

    def _settle(self, told: wire.Settled) -> None:
        under_way, stats = self._under_way, self._desk.stats
        while under_way and under_way[0].at <= told.dts:
            under_way.popleft()
        stats.cpu += max(0, told.cpu - self._cpu)
        self._cpu = told.cpu
        if told.loads:
            before, self._load = self._load, told.loads[0]
            stats.pictures[CONVERTED] += max(0, self._load.encoded - before.encoded)
            stats.encode[CONVERTED] += max(0, self._load.cpu - before.cpu)
