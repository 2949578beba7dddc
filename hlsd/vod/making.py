"""Makes the renditions of a film in one pass: each picture is decoded once, whoever wants it. In the media process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final

import av

from hlsd.base.errors import MediaError
from hlsd.media.aac import split_adts
from hlsd.record.repair import Finished
from hlsd.record.shape import About
from hlsd.vod.dating import dated
from hlsd.vod.film import Film, words
from hlsd.vod.hybrid import ORIGIN, HybridFile, finished, muxer
from hlsd.vod.orders import MediaOrder
from hlsd.vod.plan import FilmSound, PlannedRendition
from hlsd.vod.scaler import TICKS
from hlsd.vod.tracks import EncodedPictures, EncodedSound, KeyClock

_TAGS: Final = {"h264": "avc1", "hevc": "hvc1"}
"""Sample entries: parameter sets in the configuration, which is what players of HLS want."""
_BAD: Final = 500
"""Packets in a row that cannot be read, after which no more is tried."""
_TOLD: Final = 256
"""Packets of a film that is copied as a whole between two words on how far it is."""
_TICK: Final = Fraction(1, TICKS)


class RenditionWriter:
    """One rendition: its file, its muxer, its tracks."""

    def __init__(self, order: MediaOrder, at: int, made: PlannedRendition, film: Film, adts: dict[int, bytes]) -> None:
        about = About(f"{order.ident}{at}", order.app, order.ident, order.ident, int(order.ident[:13] or 0) / 1000)
        self.fd = order.outputs[at]
        self._file = HybridFile(self.fd, about)
        self._out = muxer(self._file)
        self.pictures: EncodedPictures | None = None
        self.sounds: dict[int, EncodedSound] = {}
        """By the number of their tracks in the source."""
        self.heard: dict[int, int] = {}
        """Packets of each further track of sound, likewise."""
        self._copied: dict[int, Any] = {}
        self._adts = adts
        if film.video is not None and made.width:
            if made.copy_video:
                self._copied[film.video.index] = self._copy(film.video)
            else:
                self.pictures = EncodedPictures(self._out, order, made, film)
        if film.audio is not None:
            self._add_sound(film.audio, copied=made.copy_audio)
        for one in made.further:
            self.heard[one.stream] = 0
            self._add_sound(film.container.streams[one.stream], copied=one.fits, further=one)
        streams = [stream for stream in (film.video, *film.heard) if stream is not None]
        self._shifts = {stream.index: round((ORIGIN - film.start) / stream.time_base) for stream in streams}
        self._waiting = bool(film.video is not None and made.copy_video)
        self._last: dict[int, int] = {}

    def _add_sound(self, source: Any, *, copied: bool, further: FilmSound | None = None) -> None:  # noqa: ANN401
        index = source.index
        if copied and (further is None or source.codec_context.extradata or index in self._adts):
            self._copied[index] = made = self._copy(source, self._adts.get(index, b""))
        else:
            self.sounds[index] = sound = EncodedSound(self._out, source)
            made = sound.stream
        if further is not None and further.language:
            made.metadata["language"] = further.language

    def _copy(self, source: Any, configuration: bytes = b"") -> Any:  # noqa: ANN401 - libav's
        stream = self._out.add_stream_from_template(source, opaque=True)
        name = source.codec_context.name
        stream.codec_context.codec_tag = _TAGS.get(name, "mp4a")
        if configuration:
            stream.codec_context.extradata = configuration
        return stream

    def take(self, packet: Any, *, alone: bool) -> None:  # noqa: ANN401 - libav's
        """A packet of the source, for tracks that are copied; `alone`: nobody else wants it, and it may be changed."""
        index, dts = packet.stream_index, packet.dts
        stream = self._copied.get(index)
        if stream is None or dts is None or not packet.size:
            return
        if self._waiting:
            if not (stream.type == "video" and packet.is_keyframe):
                return  # a film that does not begin with a key picture begins where there is one
            self._waiting = False
        if dts <= self._last.get(index, dts - 1):
            return  # it says that it is decoded before what came first: a damaged file
        self._last[index] = dts
        mine = packet
        if index in self._adts:
            found = split_adts(bytes(packet))
            if found is None:
                return
            mine = av.Packet(found[1])
        elif not alone:
            mine = av.Packet(bytes(packet))
        if mine is not packet:  # each of these is a turn of Python's, tens of thousands of times
            mine.is_keyframe, mine.duration, mine.time_base = packet.is_keyframe, packet.duration, packet.time_base
        later, pts = self._shifts[index], packet.pts
        mine.dts = dts = dts + later
        mine.pts = max(dts, pts + later) if pts is not None else dts
        mine.stream = stream
        self._out.mux_one(mine)
        if index in self.heard:
            self.heard[index] += 1

    def show(self, frame: Any, *, key: bool) -> None:  # noqa: ANN401 - libav's
        """A picture, for who encodes."""
        if self.pictures is not None:
            self._mux(self.pictures.packets(frame, key=key))

    def hear(self, track: int, frame: Any) -> None:  # noqa: ANN401 - libav's
        """Sound of a track, for who encodes; what it is given it may change."""
        if (sound := self.sounds.get(track)) is not None:
            self._mux(sound.packets(frame))
            if track in self.heard:
                self.heard[track] += 1

    def let_go(self, track: int) -> None:
        """Nothing more comes of a track of sound."""
        self._copied.pop(track, None)
        self.sounds.pop(track, None)

    def close(self) -> Finished:
        """Writes what is left, and the full moov. Raises MediaError."""
        if self.pictures is not None:
            self._mux(self.pictures.rest())
        for track, sound in self.sounds.items():
            try:
                self._mux(sound.rest())
            except (av.FFmpegError, ValueError):
                if track not in self.heard:
                    raise
        self._out.close()
        return finished(self.fd)

    def _mux(self, packets: Iterator[Any]) -> None:
        for packet in packets:
            self._out.mux(packet)


class Making:
    """The renditions of an order; `adts` is as of `Film.adts`. `told(seconds)` hears how far it is."""

    def __init__(self, order: MediaOrder, film: Film, adts: dict[int, bytes], told: Callable[[float], None]) -> None:
        self._film = film
        self._told = told
        self._start = film.start
        self._later = round((ORIGIN - film.start) * TICKS)
        made = list(order.renditions)
        self._writers = [RenditionWriter(order, at, one, film, adts) for at, one in enumerate(made)]
        self._keys = KeyClock(of_source=any(one.copy_video for one in made))
        self._sees = any(writer.pictures is not None for writer in self._writers)
        self._hears = {track for writer in self._writers for track in writer.sounds}
        self._further = {one.stream: 0 for rendition in made for one in rendition.further}
        """Packets in a row that could not be read of each further track of sound."""
        self.lost: dict[int, str] = {}
        """Further tracks of sound that are left out, and why: the film is none the worse for it."""
        lead = film.video if film.video is not None else film.audio
        self._tick = float(lead.time_base)
        self._alone = len(made) == 1 and not self._sees and not self._hears
        self.damaged = False
        self._count = 0
        self._bad = 0

    def run(self) -> list[Finished]:
        """Reads the film to its end. Raises MediaError."""
        film = self._film
        streams = [stream for stream in (film.video, film.audio) if stream is not None]
        streams += [film.container.streams[index] for index in self._further]
        packets = dated(film.container.demux(streams))
        one = self._copied if self._alone and not self._further else self._packet
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self.damaged = True  # what was read up to here is there
                break
            if packet is None:
                break
            one(packet)
        for track in self._further:
            if not any(writer.heard.get(track) for writer in self._writers):
                self.lost.setdefault(track, "nothing of it could be read")
        try:
            return [writer.close() for writer in self._writers]
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"it cannot be written: {words(error)}") from None

    def _copied(self, packet: Any) -> None:  # noqa: ANN401 - libav's
        """A packet of a film of which nothing is made anew: it costs as little as it can, since there are many."""
        self._count += 1
        at = packet.pts if not self._count % _TOLD else None
        if packet.is_corrupt:
            self.damaged = True
        base = packet.time_base if at is not None else 0
        try:
            self._writers[0].take(packet, alone=True)
        except av.error.InvalidDataError:
            self._is_bad()
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"it cannot be made: {words(error)}") from None
        if at is not None:
            self._told(float(at * base) - self._start)

    def _is_bad(self) -> None:
        self.damaged = True
        self._bad += 1
        if self._bad > _BAD:
            raise MediaError("too much of it cannot be decoded") from None

    def _packet(self, packet: Any) -> None:  # noqa: ANN401 - libav's
        if packet.stream_index in self._further:
            self._beside(packet, packet.stream_index)
            return
        picture = self._film.video is not None and packet.stream_index == self._film.video.index
        self.damaged |= bool(packet.is_corrupt)
        at = packet.pts if picture or self._film.video is None else None
        try:
            for writer in self._writers:
                writer.take(packet, alone=self._alone)
            if picture and self._sees:
                for frame in packet.decode():
                    self._frame(frame)
            elif not picture and packet.stream_index in self._hears:
                for frame in packet.decode():
                    self._heard(frame, packet.stream_index)
            self._bad = 0
        except av.error.InvalidDataError:
            self._is_bad()
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"it cannot be made: {words(error)}") from None
        if at is not None:
            self._told(at * self._tick - self._start)

    def _beside(self, packet: Any, track: int) -> None:  # noqa: ANN401 - libav's
        """A packet of a further track of sound, whose faults are its own."""
        if track in self.lost:
            return
        try:
            for writer in self._writers:
                writer.take(packet, alone=self._alone)
            if track in self._hears:
                for frame in packet.decode():
                    self._heard(frame, track)
            self._further[track] = 0
        except (av.FFmpegError, ValueError) as error:
            self._further[track] += 1
            if self._further[track] > _BAD or not isinstance(error, av.error.InvalidDataError):
                self.lost[track] = f"it cannot be made: {words(error)}"
                for writer in self._writers:
                    writer.let_go(track)

    def _frame(self, frame: Any) -> None:  # noqa: ANN401 - libav's
        if frame.pts is None:
            return
        at = _ticks(frame) + self._later
        key = self._keys.key(at, source=bool(frame.key_frame))
        frame.pts, frame.time_base = at, _TICK
        for writer in self._writers:
            writer.show(frame, key=key)

    def _heard(self, frame: Any, track: int) -> None:  # noqa: ANN401 - libav's
        if frame.pts is None:
            return
        at = _ticks(frame) + self._later
        for writer in self._writers:
            frame.pts, frame.time_base = at, _TICK
            writer.hear(track, frame)


def _ticks(frame: Any) -> int:  # noqa: ANN401 - libav's
    at: int = round(frame.pts * frame.time_base * TICKS)
    return at
