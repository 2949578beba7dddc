"""Turns packets of sound that is no AAC into FLV tags, which the server they go to turns into AAC.

What FLV 10.1 has a number for goes by it, the rest by FourCC (Enhanced RTMP v2). libavformat's FLV muxer refuses some
of these rates and codecs, and its readers need nothing of what it would add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from hlsd.publishing.announcement import AAC, announcement
from hlsd.publishing.tagger import AUDIO, CODECS, Tag, Tagger, codec_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.stream import VideoStream

_HEADS: Final = {
    "adpcm_swf": 0x12,
    "mp2": 0x2F,  # of the layers of MPEG audio each frame says its own
    "mp2float": 0x2F,
    "mp3": 0x2F,
    "mp3float": 0x2F,
    "nellymoser": 0x62,
    "pcm_alaw": 0x72,
    "pcm_mulaw": 0x82,
    "pcm_s16le": 0x32,
    "pcm_u8": 0x30,
    "speex": 0xB6,
}
"""The first byte of a tag, by libavcodec's name: sound format, and 16 bit."""
_RATES: Final = {5_512: 0, 11_025: 1, 22_050: 2, 44_100: 3}
_NELLYMOSER: Final = {16_000: 0x42, 8_000: 0x52}
_FOURCCS: Final = {"opus": b"Opus", "libopus": b"Opus", "flac": b"fLaC", "ac3": b"ac-3", "eac3": b"ec-3"}


class SoundTagger:
    """Makes the tags of one track; its configuration stands before the first."""

    def __init__(self, stream: AudioStream) -> None:
        context = stream.codec_context
        name = codec_name(stream)
        self._fourcc = _FOURCCS.get(name)
        stereo = context.channels == 2
        if self._fourcc is not None:
            self._head = b"\x91" + self._fourcc
        elif name == "nellymoser" and context.sample_rate in _NELLYMOSER:
            self._head = bytes((_NELLYMOSER[context.sample_rate],))
        else:
            self._head = bytes((_HEADS[name] | _RATES.get(context.sample_rate, 3) << 2 | stereo,))
        self.codec_id = float(int.from_bytes(self._fourcc, "big") if self._fourcc else self._head[0] >> 4)
        """As onMetaData has it."""
        self._config = bytes(context.extradata or b"")
        self._begun = False

    def tags(self, packet: Packet[Any]) -> list[Tag]:
        """The tags that `packet` makes; times in ms."""
        time = round((packet.dts or 0) * packet.time_base * 1000)
        made = [Tag(AUDIO, time, self._head + bytes(packet))]
        if not self._begun:
            self._begun = True
            if self._fourcc is not None:
                made.insert(0, Tag(AUDIO, time, b"\x90" + self._fourcc + self._config))
        return made


def is_tagged(name: str) -> bool:
    """Whether a track in a codec of that name (libavcodec's) can be put into tags."""
    return name in CODECS or name in _HEADS or name in _FOURCCS


def tagger_of(stream: VideoStream | AudioStream) -> Tagger | SoundTagger:
    """What makes tags of a track that `is_tagged`."""
    return Tagger.copying(stream) if codec_name(stream) in CODECS else SoundTagger(cast("AudioStream", stream))


def announcement_of(chosen: Sequence[VideoStream | AudioStream], taggers: Mapping[int, Tagger | SoundTagger]) -> bytes:
    """What is said of the tracks together; taggers by their indexes."""
    video = next((stream for stream in chosen if stream.type == "video"), None)
    audio = next((stream for stream in chosen if stream.type == "audio"), None)
    tagger = None if audio is None else taggers[audio.index]
    return announcement(video, audio, tagger.codec_id if isinstance(tagger, SoundTagger) else AAC)
