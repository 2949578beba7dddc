"""Turns packets of sound that is no AAC into FLV tags, which the server they go to turns into AAC.

What FLV 10.1 has a number for goes by it, the rest by FourCC (Enhanced RTMP v2). libavformat's FLV muxer refuses some
of these rates and codecs, and its readers need nothing of what it would add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from hlsd.media.flv import metadata
from hlsd.publishing.tagger import AUDIO, CODECS, SCRIPT, Tag, Tagger, codec_name

if TYPE_CHECKING:
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
_VIDEO_IDS: Final = {"h264": 7.0, "hevc": 12.0, "av1": float(int.from_bytes(b"av01", "big"))}


class SoundTagger:
    """Makes the tags of one track; its configuration and what is known of it stand before the first."""

    def __init__(self, stream: AudioStream, video: VideoStream | AudioStream | None) -> None:
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
        told: dict[str, float | bool] = {
            "audiocodecid": float(int.from_bytes(self._fourcc, "big") if self._fourcc else self._head[0] >> 4),
            "audiosamplerate": float(context.sample_rate),
            "stereo": stereo,
        }
        if video is not None:  # or it would say that there is no picture
            told["videocodecid"] = _VIDEO_IDS[codec_name(video)]
        self._told = metadata(told)
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
            made.insert(0, Tag(SCRIPT, time, self._told))
        return made


def is_tagged(name: str) -> bool:
    """Whether a track in a codec of that name (libavcodec's) can be put into tags."""
    return name in CODECS or name in _HEADS or name in _FOURCCS


def tagger_of(stream: VideoStream | AudioStream, video: VideoStream | AudioStream | None) -> Tagger | SoundTagger:
    """What makes tags of a track that `is_tagged`; `video`: the picture beside it, if there is one."""
    name = codec_name(stream)
    if name in CODECS:
        return Tagger.copying(stream)
    return SoundTagger(cast("AudioStream", stream), video)
