"""Says before the first tag what a publication is made of: one onMetaData for both tracks.

Each track has a muxer of its own, and each would announce its own track alone: the second onMetaData of a publisher is
news for its viewers, and the first would deny the other track. FLV 10.1 §E.5, codec ids of new codecs by FourCC
(Enhanced RTMP v2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hlsd.media.flv import metadata
from hlsd.publishing.tagger import SCRIPT, Tag, codec_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

AAC: Final = 10.0
_VIDEO_IDS: Final = {
    "h264": 7.0,
    "hevc": float(int.from_bytes(b"hvc1", "big")),
    "av1": float(int.from_bytes(b"av01", "big")),
}


def announcement(video: VideoStream | None, audio: AudioStream | None, sound: float = AAC) -> bytes:
    """The body of onMetaData; `sound`: FLV's number of the sound's codec, or its FourCC."""
    told: dict[str, float | bool | str] = {}
    if video is not None:
        told |= {"width": float(video.width), "height": float(video.height)}
        if rate := video.average_rate or video.guessed_rate:
            told["framerate"] = float(rate)
        told["videocodecid"] = _VIDEO_IDS[codec_name(video)]
    if audio is not None:
        told |= {
            "audiocodecid": sound,
            "audiosamplerate": float(audio.codec_context.sample_rate),
            "stereo": audio.codec_context.channels == 2,
        }
    return metadata(told)


def announced(tags: Iterable[Tag], said: bytes) -> Iterator[Tag]:
    """The tags, with what is `said` of them before the first, and without what muxers say of one track each."""
    begun = False
    for tag in tags:
        if not begun:
            begun = True
            yield Tag(SCRIPT, tag.time, said)
        if tag.kind != SCRIPT:
            yield tag
