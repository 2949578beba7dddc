"""Describes a stream for who is to play it (SDP, RFC 8866; RFC 6184 §8.2, RFC 7798 §7.1, RFC 3640 §4.1). Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, NamedTuple

from hlsd.media import h265
from hlsd.media.unit import TICKS, Kind

if TYPE_CHECKING:
    from hlsd.media.unit import AudioTrack, Tracks, VideoTrack

PICTURE: Final = 96
SOUND: Final = 97


class PlayedTrack(NamedTuple):
    """One that is sent: its payload type, and the ticks a second of its RTP times."""

    kind: Kind
    payload: int
    rate: int
    control: str


def played_tracks(tracks: Tracks) -> list[PlayedTrack]:
    """Those of a stream, in the order of its description."""
    found: list[PlayedTrack] = []
    if tracks.video is not None:
        found.append(PlayedTrack(Kind.VIDEO, PICTURE, TICKS, "trackID=0"))
    if tracks.audio is not None:
        found.append(PlayedTrack(Kind.AUDIO, SOUND, tracks.audio.sample_rate, f"trackID={len(found)}"))
    return found


def describe(tracks: Tracks, name: str) -> bytes:
    """The description; `name` is one of a stream's (`base.stream_name`), so it breaks no line."""
    # "c=IN IP4 0.0.0.0": where it is sent to, SETUP says; an empty one is what clients fail at
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        f"s={name}",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        "a=range:npt=0-",
    ]
    for one in played_tracks(tracks):
        if one.kind is Kind.VIDEO and tracks.video is not None:
            lines += _picture(tracks.video)
        elif tracks.audio is not None:
            lines += _sound(tracks.audio)
        lines.append(f"a=control:{one.control}")
    return "\r\n".join(lines).encode() + b"\r\n"


def _picture(track: VideoTrack) -> list[str]:
    if track.codec == "h264":
        sets = ",".join(_base64(unit) for unit in track.parameter_sets)
        profile = track.parameter_sets[0][1:4].hex() if track.parameter_sets else ""
        name, facts = "H264", f"packetization-mode=1; sprop-parameter-sets={sets}; profile-level-id={profile}"
    else:
        named = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
        by_name: dict[str, list[str]] = {}
        for unit in track.parameter_sets:
            by_name.setdefault(named.get(h265.unit_type(unit), ""), []).append(_base64(unit))
        name = "H265"
        facts = "; ".join(f"{key}={','.join(values)}" for key, values in by_name.items() if key)
    lines = [f"m=video 0 RTP/AVP {PICTURE}", f"a=rtpmap:{PICTURE} {name}/{TICKS}", f"a=fmtp:{PICTURE} {facts}"]
    if track.frame_rate:
        lines.append(f"a=framerate:{float(track.frame_rate):g}")
    return lines


def _sound(track: AudioTrack) -> list[str]:
    facts = (
        "streamtype=5; profile-level-id=1; mode=AAC-hbr; sizelength=13; indexlength=3; indexdeltalength=3; "
        f"config={track.record.hex()}"
    )
    return [
        f"m=audio 0 RTP/AVP {SOUND}",
        f"a=rtpmap:{SOUND} mpeg4-generic/{track.sample_rate}/{track.channels}",
        f"a=fmtp:{SOUND} {facts}",
    ]


def _base64(unit: bytes) -> str:
    return base64.b64encode(unit).decode()
