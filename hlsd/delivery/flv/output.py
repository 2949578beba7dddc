"""Is one stream as FLV viewers get it: an output of the stream, its GOP cache, and the variants that are watched.

Law: while nobody watches, an access unit costs one entry in a list (the GOP cache), and nothing at all with the cache
switched off: then this is not even attached to the stream. Tags are made once for each variant that somebody watches.
Times on the wire are the stream's own, in ms, so that all viewers of a variant share the bytes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from hlsd.base.faults import Faults
from hlsd.delivery.flv.backlog import Burst
from hlsd.delivery.flv.variant import FlvVariant
from hlsd.media import flv
from hlsd.media.codecs import SAMPLE_ENTRY
from hlsd.media.timed_event import TimedEvent
from hlsd.media.unit import AccessUnit, Kind, Tracks

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from hlsd.audience import Wrapping
    from hlsd.delivery.flv.settings import FlvSettings
    from hlsd.ports import Feed

NAME: Final = "flv"
"""Under this name it is attached to a stream."""
SOUND_WAITS: Final = 0.04
"""Seconds that sound waits for the next picture, to go out with it: half the writes, and they are played together."""
GOP_UNITS: Final = 8192
"""Access units kept for a stream's next viewer, as `flv.gop_bytes`: all are wrapped anew for the first of a form."""
EVENTS_MOST: Final = 64
"""Events that wait for the next unit, in each form."""
_TICKS_MS: Final = 90
_VIDEO_IDS: Final = {"h264": 7.0} | {
    codec: float(int.from_bytes(SAMPLE_ENTRY[codec].encode(), "big")) for codec in ("h265", "av1")
}
_LEGACY_H265: Final = 12.0
_Pending = AccessUnit | Tracks | TimedEvent


def tag_of(unit: AccessUnit, tracks: Tracks, *, legacy: bool) -> flv.OutTag:
    """The tag of an access unit; `legacy` marks H.265 by codec id 12."""
    time = unit.dts // _TICKS_MS
    if unit.kind is Kind.AUDIO:
        return flv.OutTag(flv.AUDIO, time & 0xFFFFFFFF, flv.AUDIO_HEAD, unit.payload)
    video = tracks.video
    assert video is not None
    head = flv.video_head(video.codec, unit.key, unit.pts // _TICKS_MS - time, legacy=legacy)
    return flv.OutTag(flv.VIDEO, time & 0xFFFFFFFF, head, unit.payload)


def config_tags(tracks: Tracks, time: int, *, legacy: bool) -> list[flv.OutTag]:
    """The sequence headers of the tracks, dated `time` ms."""
    tags = []
    if tracks.video is not None:
        body = flv.video_config(tracks.video.codec, tracks.video.record, legacy=legacy)
        tags.append(flv.OutTag(flv.VIDEO, time & 0xFFFFFFFF, body, b""))
    if tracks.audio is not None:
        tags.append(flv.OutTag(flv.AUDIO, time & 0xFFFFFFFF, flv.audio_config(tracks.audio.record), b""))
    return tags


def metadata_tag(tracks: Tracks, time: int, arrived: float, *, legacy: bool) -> flv.OutTag:
    """onMetaData: what players show, and by which clock our page tells the latency.

    `hlsdTime` in ms is a time of this stream, `hlsdArrived` in ms since the epoch when that media came in.
    """
    values: dict[str, float | bool | str] = {"hasVideo": tracks.video is not None, "hasAudio": tracks.audio is not None}
    if tracks.video is not None:
        video = tracks.video
        values |= {"width": float(video.width), "height": float(video.height)}
        values["videocodecid"] = _LEGACY_H265 if legacy and video.codec == "h265" else _VIDEO_IDS[video.codec]
        if video.frame_rate:
            values["framerate"] = float(video.frame_rate)
    if tracks.audio is not None:
        values["audiocodecid"] = 10.0
        values["audiosamplerate"] = float(tracks.audio.sample_rate)
        values["stereo"] = tracks.audio.channels == 2
    values |= {"hlsdTime": float(time), "hlsdArrived": round(arrived * 1000.0, 1), "encoder": "hlsd"}
    return flv.OutTag(flv.SCRIPT, time & 0xFFFFFFFF, flv.metadata(values), b"")


class FlvOutput:
    """One stream's FLV output (`hlsd.ports.Output`)."""

    def __init__(self, feed: Feed, settings: FlvSettings, faults: Faults | None = None) -> None:
        self.feed = feed
        self.ended = False
        """The stream has ended."""
        self.off = False
        """It failed too often: nobody is let in until the next publication."""
        self._faults = faults or Faults()
        self._settings = settings
        self._variants: dict[Hashable, FlvVariant] = {}
        self._tracks: Tracks | None = None
        self._gop: list[AccessUnit] = []
        self._gop_bytes = 0
        self._caching = False
        self._pending: list[_Pending] = []
        self._timer: asyncio.Handle | None = None
        self._patient = False
        """What is pending is sound, which waits for the next picture."""
        self._attached = False
        if settings.gop_cache:
            self._attach()

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return sum(len(variant.viewers) for variant in self._variants.values())

    @property
    def held(self) -> int:
        """Bytes of media kept: the GOP, and what viewers have still to get."""
        return self._gop_bytes + sum(variant.backlog.bytes for variant in self._variants.values())

    @property
    def gop(self) -> Sequence[AccessUnit]:
        """What came since the newest key picture, as far as it is kept."""
        return self._gop if self._caching else ()

    @property
    def ready(self) -> bool:
        """Whether the stream's tracks are known: a viewer would get something soon."""
        return self._tracks is not None

    # -- as viewers see it

    def variant(self, wrapping: Wrapping) -> FlvVariant:
        """The variant of that wrapping, made if nobody watches in it yet; enter it before the next turn of the loop."""
        variant = self._variants.get(wrapping.key)
        if variant is None:
            legacy = wrapping.legacy

            def opening(tracks: Tracks, burst: Burst) -> list[flv.OutTag]:
                described = metadata_tag(tracks, burst.time, burst.arrived, legacy=legacy)
                return [described, *config_tags(tracks, burst.time, legacy=legacy)]

            variant = self._variants[wrapping.key] = FlvVariant(
                wrapping, self._settings, opening, self._empty, self._faults
            )
            self._attach()
            self._flush()  # what is pending is in the GOP already
            variant.tracks = self._tracks
            if self._gop:
                try:
                    self._fill(variant, self._gop)
                    variant.serve()
                except Exception as error:  # noqa: BLE001 - who comes now begins with the next key frame then
                    variant.failed(error)
        return variant

    def _empty(self, variant: FlvVariant) -> None:
        if self._variants.get(variant.wrapping.key) is variant:
            del self._variants[variant.wrapping.key]
        if not self._variants:
            self._pending.clear()
            if not self._settings.gop_cache:
                self.feed.detach(NAME)
                self._attached = False

    def _attach(self) -> None:
        if not self._attached and not self.ended:
            self._attached = True
            self.feed.attach(NAME, self)

    # -- as the stream sees it

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows."""
        self.off = False
        if tracks == self._tracks:
            return
        self._tracks = tracks
        self._drop_gop()
        if self._variants:
            self._pending.append(tracks)

    def unit(self, unit: AccessUnit) -> None:
        """The next access unit."""
        if unit.kind is Kind.VIDEO and unit.key:
            self._gop = [unit]
            self._gop_bytes = len(unit.payload)
            self._caching = self._settings.gop_cache
        elif self._caching:
            self._gop.append(unit)
            self._gop_bytes += len(unit.payload) + 100
            if self._gop_bytes > self._settings.gop_bytes or len(self._gop) > GOP_UNITS:
                self._drop_gop()
        if self._variants:
            self._pending.append(unit)
            if self._timer is None or (self._patient and unit.kind is Kind.VIDEO):
                self._schedule(unit.kind)

    def event(self, event: TimedEvent) -> None:
        """Something is to be said at an instant (`hlsd.ports.EventTaker`): it goes out before the next unit.

        And has the time of that one: of FLV players none puts tags in order.
        """
        if self._variants and event.script and len(self._pending) < GOP_UNITS:
            self._pending.append(event)

    def jump(self) -> None:
        """What follows is not what came before: nobody begins with that."""
        self._drop_gop()
        self._flush()
        for variant in self._variants.values():
            variant.backlog.forget_key()

    def pause(self) -> None:
        """The publisher has left: its last frames go out, and nobody begins with them any more."""
        self.jump()

    def end(self) -> None:
        """The stream is over."""
        self._flush()
        self.ended = True
        self._drop_gop()
        self.dismiss("stream_end")

    def reset(self) -> None:
        """Something here has raised (`Mendable`): viewers keep what they have, and go on at a key frame."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._pending = []
        self._tracks = None  # what is told next may have been among what was pending
        self._drop_gop()
        for variant in list(self._variants.values()):
            variant.reset()

    def halt(self) -> None:
        """It stays off (`Mendable`): viewers go, and may try again by another way."""
        self.off = True
        self.dismiss("error:output")

    def dismiss(self, reason: str) -> None:
        """Ends every viewer."""
        for variant in list(self._variants.values()):
            variant.end(reason)

    def sweep(self, now: float) -> None:
        """Once a second."""
        for variant in list(self._variants.values()):
            variant.sweep(now)

    def _drop_gop(self) -> None:
        self._gop = []
        self._gop_bytes = 0
        self._caching = False

    # -- bursts

    def _schedule(self, kind: Kind) -> None:
        """Sets the time at which what is pending goes out."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        wait = max([variant.gather for variant in self._variants.values()], default=0.0)
        self._patient = kind is Kind.AUDIO and self._tracks is not None and self._tracks.video is not None
        if self._patient:
            wait += SOUND_WAITS
        wait = min(self._settings.gather, wait)
        self._timer = loop.call_later(wait, self._flush) if wait > 0.001 else loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Makes bursts of what is pending and sends them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, []
        if not pending:
            return
        rest = iter(list(self._variants.values()))
        while True:
            variant: FlvVariant | None = None
            try:
                for variant in rest:
                    end = variant.backlog.end
                    self._fill(variant, pending)
                    if variant.backlog.end > end:
                        variant.serve()
            except Exception as error:  # noqa: BLE001 - a variant that fails costs its own viewers a pause, others nothing
                assert variant is not None
                variant.tracks = self._tracks  # what it did not come to may have said so
                variant.failed(error)
            else:
                return

    def _fill(self, variant: FlvVariant, pending: Sequence[_Pending]) -> None:
        """Adds `pending` to a variant, in bursts that begin with key frames where there are any."""
        legacy = variant.wrapping.legacy
        if variant.broken:
            pending = _whole(variant, pending)
        tags: list[flv.OutTag] = []
        begins: Tracks | None = None
        arrived = 0.0
        tracks = variant.tracks
        for item in pending:
            if not isinstance(item, AccessUnit):
                _add_news(variant, item, tracks)
                tracks = variant.tracks
                continue
            if tracks is None or (item.kind is Kind.VIDEO and tracks.video is None):
                continue
            if item.key and (item.kind is Kind.VIDEO or (tracks.video is None and not tags)):
                if tags:
                    variant.add(Burst(variant.wrapping.wrap(tags), tags[0].time, begins, arrived))
                    tags = []
                begins, arrived = tracks, item.arrived
            tag = tag_of(item, tracks, legacy=legacy)
            if variant.news:
                tags += [news._replace(time=tag.time) for news in variant.news]
                variant.news = []
            tags.append(tag)
        if tags:
            variant.add(Burst(variant.wrapping.wrap(tags), tags[0].time, begins, arrived))


def _add_news(variant: FlvVariant, item: Tracks | TimedEvent, tracks: Tracks | None) -> None:
    """Something that is no unit: it goes out before the next one."""
    if isinstance(item, TimedEvent):
        if len(variant.news) < EVENTS_MOST:
            variant.news.append(flv.OutTag(flv.SCRIPT, 0, item.script, b""))
        return
    if tracks is not None:
        said = [one for one in variant.news if one.type == flv.SCRIPT]
        variant.news = said + config_tags(_changed(tracks, item), 0, legacy=variant.wrapping.legacy)
    variant.tracks = item


def _whole(variant: FlvVariant, pending: Sequence[_Pending]) -> Sequence[_Pending]:
    """What of `pending` a variant with a broken backlog can go on with: from a key frame on, behind all headers."""
    for number, item in enumerate(pending):
        if isinstance(item, Tracks):
            variant.tracks = item
        elif isinstance(item, TimedEvent):
            continue
        elif variant.tracks is not None and item.key and (item.kind is Kind.VIDEO or variant.tracks.video is None):
            variant.broken = False
            variant.news = config_tags(variant.tracks, 0, legacy=variant.wrapping.legacy)
            return pending[number:]
    return ()


def _changed(old: Tracks, new: Tracks) -> Tracks:
    """The tracks of `new` whose configuration is another one than in `old`."""
    return Tracks(
        new.video if old.video is None or new.video is None or new.video.record != old.video.record else None,
        new.audio if old.audio is None or new.audio is None or new.audio.record != old.audio.record else None,
    )
