"""Says which codecs hlsd carries, and what each is called: in a CODECS attribute, in a refusal.

Law: H.264, H.265, AV1 and AAC are carried, and sound that becomes AAC (`sounds`); everything else that FLV can name
gets its name here, so that a refusal says what the publisher sent. Sources: Adobe FLV 10.1 §E.4.2.1 and §E.4.3.1,
Enhanced RTMP v2 for the FourCCs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from hlsd.base.errors import MediaError
from hlsd.media import av1, h264, h265

if TYPE_CHECKING:
    from hlsd.media.unit import Tracks, VideoTrack

VideoCodec = Literal["h264", "h265", "av1"]
AudioCodec = Literal["aac"]

FLV_VIDEO: Final[dict[int, VideoCodec]] = {7: "h264", 12: "h265"}
"""The codec ids of FLV that are carried; 12 is the legacy id of H.265, never registered but widespread."""

FLV_VIDEO_NAMES: Final[dict[int, str]] = {
    1: "JPEG",
    2: "H.263",
    3: "Screen Video",
    4: "VP6",
    5: "VP6 with alpha",
    6: "Screen Video 2",
    13: "AV1 as codec id 13 (enhanced RTMP's av01 is carried)",
}
"""The codec ids of FLV that are refused, by name."""

FLV_AUDIO_NAMES: Final[dict[int, str]] = {
    0: "PCM",
    1: "ADPCM",
    2: "MP3",
    3: "PCM",
    4: "Nellymoser",
    5: "Nellymoser",
    6: "Nellymoser",
    7: "G.711 A-law",
    8: "G.711 mu-law",
    11: "Speex",
    13: "Opus",
    14: "MP3",
    15: "device-specific sound",
}
"""The sound formats of FLV but AAC, by name, for what is refused; 9 says that a FourCC follows."""

FOURCC_VIDEO: Final[dict[bytes, VideoCodec]] = {b"avc1": "h264", b"hvc1": "h265", b"hev1": "h265", b"av01": "av1"}
"""The FourCCs of enhanced video that are carried."""

SAMPLE_ENTRY: Final[dict[VideoCodec, str]] = {"h264": "avc1", "h265": "hvc1", "av1": "av01"}
"""What each video codec is called in MP4, and as FourCC where it leaves."""

FOURCC_NAMES: Final[dict[bytes, str]] = {
    b"vp08": "VP8",
    b"vp09": "VP9",
    b"vvc1": "H.266",
    b"dvh1": "Dolby Vision",
    b"dvhe": "Dolby Vision",
    b"Opus": "Opus",
    b"fLaC": "FLAC",
    b"ac-3": "AC-3",
    b"ec-3": "E-AC-3",
    b".mp3": "MP3",
}
"""The FourCCs of Enhanced RTMP that are refused, by name."""

BEGINS_PICTURE: Final = {"h264": h264.begins_picture, "h265": h265.begins_picture, "av1": av1.begins_picture}
"""`begins_picture(sample)` of each video codec."""

ORDINARY: Final = {"h264": h264.ORDINARY, "h265": h265.ORDINARY, "av1": av1.ORDINARY}
"""`ORDINARY` of each video codec: what tells that a picture of one slice is nothing special by three bytes of it."""

LOOSE: Final = {"h264": h264.loose, "h265": h265.loose, "av1": av1.loose}
"""`loose(body, length_size)` of each video codec."""

RECOVERY_POINT: Final = {
    "h264": h264.has_recovery_point,
    "h265": h265.has_recovery_point,
    "av1": av1.has_recovery_point,
}
"""`has_recovery_point(sample)` of each video codec."""

NORMALISE: Final = {"h264": h264.normalise, "h265": h265.normalise, "av1": av1.normalise}
"""`normalise(body, length_size)` of each video codec."""


def read_video_record(codec: VideoCodec, record: bytes) -> tuple[VideoTrack, int]:
    """The track of a decoder configuration record and the size of its NAL lengths. Raises MediaError."""
    return _RECORDS[codec](record)


_RECORDS: Final = {"h264": h264.read_record, "h265": h265.read_record, "av1": av1.read_record}
_HOUSES: Final = {
    "h264": (h264.slot, h264.alike, h264.merge, h264.make_track),
    "h265": (h265.slot, h265.alike, h265.merge, h265.make_track),
    "av1": (av1.slot, av1.alike, av1.merge, av1.make_track),
}


def with_parameter_sets(codec: VideoCodec, track: VideoTrack | None, found: tuple[bytes, ...]) -> VideoTrack:
    """The track once the parameter sets `found` came in-band; `track` itself if they are no news. Raises MediaError.

    `track` is the one in force, or None when parameter sets in-band are all there is. News is what a decoder would do
    something else for: a set that differs in its VUI alone leaves the record as it is.
    """
    slot, alike, merge, make_track = _HOUSES[codec]
    current = track.parameter_sets if track is not None and track.codec == codec else ()
    if track is not None:
        if all(unit in current for unit in found):
            return track
        known = {slot(unit): unit for unit in current}
        news = {slot(unit): unit for unit in found}  # of two of one id the later one holds
        if all((old := known.get(place)) is not None and alike(unit, old) for place, unit in news.items()):
            return track
    merged = make_track(merge(current, found))
    if track is not None and not merged.decodes_as(track):
        try:
            return make_track(found)  # of what is another track, no set of the old one is any use
        except MediaError:
            return merged
    return merged


def codecs_attribute(tracks: Tracks | None) -> str:
    """The CODECS attribute of a rendition with these tracks (MV03): video first; empty where there are none."""
    if tracks is None:
        return ""
    return ",".join(track.codec_string for track in (tracks.video, tracks.audio) if track is not None)
