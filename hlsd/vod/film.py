"""Opens a film by libav and says what it is: in the media process, and nowhere else.

Law: libavformat is told the form, reads one file that is open already, and has no protocol to open another by.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final, cast

import av

from hlsd.base.errors import MediaError
from hlsd.media.aac import split_adts
from hlsd.vod.forms import DECODERS, MORE, OPTIONS, PICTURES, SOUND, TEXT
from hlsd.vod.plan import RANGES, SOUNDS, TEXTS, FilmSound, Probed, TextTrack, Unheard, copies_sound

BUFFER: Final = 256 << 10
"""Bytes that libavformat reads at a time: each time is a turn of Python's."""
_PACKETS: Final = 2000
"""That are read until there is a first picture."""
_COVER: Final = 0x400
"""AV_DISPOSITION_ATTACHED_PIC: a picture of what is heard."""
_DEFAULT: Final = 0x1
"""AV_DISPOSITION_DEFAULT."""
_LISTEN: Final = 400
"""Packets of sound that are read until each track has been heard; one that begins later is not judged."""


class Film:
    """A film that is open: its first pictures and its first sound that can be read."""

    def __init__(self, file: BinaryIO, form: str) -> None:
        """Raises MediaError where it cannot be read."""
        options = OPTIONS | MORE.get(form, {}) | {"codec_whitelist": DECODERS, "format_whitelist": form_names(form)}
        try:
            # Its stubs differ by what is opened
            self.container: Any = av.open(cast(Any, file), format=form, options=options, buffer_size=BUFFER)
        except (av.FFmpegError, ValueError, OSError) as error:
            raise MediaError(f"it cannot be read: {words(error)}") from None
        self.form = form
        self.video: Any = next(self._readable("video", PICTURES), None)
        heard = sorted(self._readable("audio", SOUND), key=lambda one: not int(one.disposition) & _DEFAULT)
        self.heard: list[Any] = heard[:SOUNDS]
        """Its tracks of sound that can be read, the one first that is heard by who does not choose."""
        self.audio: Any = heard[0] if heard else None
        for stream in (self.video, *self.heard):
            if stream is not None:
                stream.codec_context.thread_count = 1

    def _readable(self, kind: str, known: frozenset[str]) -> Iterator[Any]:
        for stream in self.container.streams:
            context = getattr(stream, "codec_context", None)
            if stream.type == kind and context is not None and not int(stream.disposition) & _COVER:
                name = plain_codec(context.name)
                if name in known and (kind == "audio" or (context.width and context.height)):
                    yield stream

    def close(self) -> None:
        """Lets go of it."""
        self.container.close()

    @property
    def start(self) -> float:
        """Seconds at which its clock begins."""
        return (self.container.start_time or 0) / av.time_base

    def adts(self) -> dict[int, bytes]:
        """The configurations of AAC that has none in front, by stream: MPEG-TS has a header before each frame (ADTS).

        Reads the film's beginning, where there are such.
        """
        bare = [one for one in self.heard if one.codec_context.name == "aac" and not one.codec_context.extradata]
        told: dict[int, bytes] = {}
        if not bare:
            return told
        for packet, _ in zip(self.container.demux(bare), range(_PACKETS), strict=False):
            found = split_adts(bytes(packet)) if packet.stream_index not in told else None
            if found is not None:
                told[packet.stream_index] = found[0]
                if len(told) == len(bare):
                    break
        return told

    def probe(self) -> Probed:
        """What it is; decodes its first picture, which says more than its head. Raises MediaError."""
        video, audio = self.video, self.audio
        frame = self._picture() if video is not None else None
        if video is not None and frame is None:
            raise MediaError("no picture of it can be decoded")
        context = video.codec_context if video is not None else None
        heard = audio.codec_context if audio is not None else None
        sounds, unheard = self._sounds()
        return Probed(
            form=self.form,
            duration=self._duration(),
            video=plain_codec(context.name) if context is not None else "",
            profile=_profile(context) if context is not None else 0,
            level=_level(context) if context is not None else 0,
            pixels=(frame.format.name if frame is not None else "") or "",
            width=frame.width if frame is not None else 0,
            height=frame.height if frame is not None else 0,
            frame_rate=float(video.guessed_rate or video.average_rate or 0) if video is not None else 0.0,
            rotation=int(frame.rotation) if frame is not None else 0,
            hdr=frame is not None and int(frame.color_trc) in RANGES,
            interlaced=frame is not None and bool(frame.interlaced_frame),
            audio=plain_codec(heard.name) if heard is not None else "",
            audio_profile=_aac_profile(heard) if heard is not None else 0,
            audio_rate=heard.sample_rate if heard is not None else 0,
            channels=heard.layout.nb_channels if heard is not None else 0,
            transfer=int(frame.color_trc) if frame is not None else 0,
            texts=self.texts(),
            sounds=sounds,
            unheard=unheard,
        )

    def _sounds(self) -> tuple[list[FilmSound], list[Unheard]]:
        """Its tracks of sound, and those that are left out; where there are several each is listened to."""
        every = [one for one in self.container.streams if one.type == "audio"]
        faults = self._listened() if len(self.heard) > 1 else {}
        sounds, unheard = list[FilmSound](), list[Unheard]()
        for stream in (*self.heard, *(one for one in every if one not in self.heard)):
            context, said = getattr(stream, "codec_context", None), _told(stream)
            name = plain_codec(context.name) if context is not None else "a codec that is not known"
            if context is None or name not in SOUND:
                unheard.append(Unheard(stream.index, *said, f"sound of {name} is not read"))
            elif stream not in self.heard:
                unheard.append(Unheard(stream.index, *said, f"{SOUNDS} tracks are the most"))
            elif (fault := faults.get(stream.index)) is not None and stream is not self.audio:
                unheard.append(Unheard(stream.index, *said, fault))
            else:
                channels = context.layout.nb_channels
                fits = copies_sound(name, _aac_profile(context), channels)
                sounds.append(FilmSound(stream.index, *said, fits, channels if fits else min(2, channels)))
        return sounds, unheard[:SOUNDS]

    def _listened(self) -> dict[int, str]:
        """What is wrong with tracks of sound of which nothing can be decoded at the beginning, by stream."""
        faults: dict[int, str] = {}
        waiting = {one.index for one in self.heard}
        try:
            self.container.seek(0)
            packets = self.container.demux(self.heard)
            for packet, _ in zip(packets, range(_LISTEN * len(self.heard)), strict=False):
                if packet.stream_index not in waiting or not packet.size:
                    continue
                try:
                    if packet.decode():
                        waiting.discard(packet.stream_index)
                        faults.pop(packet.stream_index, None)
                except (av.FFmpegError, ValueError) as error:
                    faults[packet.stream_index] = f"it cannot be decoded: {words(error)}"
                if not waiting:
                    break
        except (av.FFmpegError, OSError):
            pass  # what was heard up to here is known
        return faults

    def texts(self) -> list[TextTrack]:
        """Its tracks of text that can be read, the first ones."""
        found = []
        for stream in self.container.streams:
            context = getattr(stream, "codec_context", None)
            if stream.type == "subtitle" and context is not None and context.name in TEXT:
                found.append(TextTrack(stream.index, *_told(stream)))
        return found[:TEXTS]

    def _picture(self) -> Any:  # noqa: ANN401 - as the container
        try:
            for count, packet in enumerate(self.container.demux(self.video)):
                try:
                    found = packet.decode()
                except av.FFmpegError:
                    found = []
                if found:
                    return found[0]
                if count > _PACKETS:
                    return None
        except (av.FFmpegError, OSError):
            return None
        return None

    def _duration(self) -> float:
        """Seconds; 0.0 where the file does not say."""
        if self.container.duration and self.container.duration > 0:
            return float(self.container.duration / av.time_base)
        said = [s.duration * s.time_base for s in (self.video, self.audio) if s is not None and s.duration]
        return float(max(said, default=0))


def _told(stream: Any) -> tuple[str, str]:  # noqa: ANN401 - as the container
    """What a track says of its language and its name."""
    said = {key.lower(): str(value) for key, value in stream.metadata.items()}
    return said.get("language", "")[:16], said.get("title", "")[:64]


def form_names(form: str) -> str:
    """The names of libavformat's demuxer of that form, as its whitelist compares them."""
    return {"mov": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm"}.get(form, form)


def plain_codec(name: str) -> str:
    """The codec, by whatever decoder reads it: `mp3` of `mp3float`."""
    names = {"libdav1d": "av1", "mp3float": "mp3", "mp2float": "mp2", "libopus": "opus", "flv": "flv1",
             "libvpx": "vp8", "libvpx-vp9": "vp9"}  # fmt: skip
    return names.get(name, name)


def words(error: BaseException) -> str:
    """What libav says, without a path."""
    return str(getattr(error, "strerror", "") or error or type(error).__name__)[:200]


def _record(context: Any) -> bytes:  # noqa: ANN401 - a codec context of PyAV's
    return bytes(context.extradata or b"")


def _profile(context: Any) -> int:  # noqa: ANN401 - a codec context of PyAV's
    """`profile_idc` of H.264, `general_profile_idc` of H.265; 0 where the configuration does not say."""
    record = _record(context)
    if context.name == "h264":
        if record[:1] == b"\1":
            return record[1] if len(record) > 3 else 0
        at = _after(record, {0x67, 0x27, 0x47})
        return record[at] if 0 < at < len(record) else 0
    if context.name == "hevc":
        if record[:1] == b"\1" and len(record) > 22:
            return record[1] & 31
        return {"Main": 1, "Main 10": 2}.get(str(context.profile), 0)
    return 0


def _level(context: Any) -> int:  # noqa: ANN401 - a codec context of PyAV's
    """`level_idc` of H.264; 0 elsewhere."""
    record = _record(context)
    if context.name != "h264":
        return 0
    if record[:1] == b"\1":
        return record[3] if len(record) > 3 else 0
    at = _after(record, {0x67, 0x27, 0x47})
    return record[at + 2] if 0 < at < len(record) - 2 else 0


def _after(record: bytes, heads: set[int]) -> int:
    """Where a NAL unit with such a head goes on behind it, in a byte stream; 0 if there is none."""
    at = record.find(b"\0\0\1")
    while at >= 0 and at + 3 < len(record):
        if record[at + 3] in heads:
            return at + 4
        at = record.find(b"\0\0\1", at + 3)
    return 0


def _aac_profile(context: Any) -> int:  # noqa: ANN401 - a codec context of PyAV's
    return {"LC": 1, "HE-AAC": 4, "HE-AACv2": 28, "None": -99, "": -99}.get(str(context.profile or ""), 0)
