"""Turns FLV made by `flvmedia` into the tracks and access units that ingest hands on, without RTMP and timeline."""

from __future__ import annotations

from hlsd.media import aac, flv
from hlsd.media.codecs import NORMALISE, read_video_record
from hlsd.media.unit import AccessUnit, AudioTrack, Kind, Tracks, VideoTrack
from tests.support.flvmedia import flv_tags

_WALL = 1_700_000_000.0


def units_of(film: bytes, *, late_audio: int = 0) -> tuple[Tracks, list[AccessUnit]]:
    """The tracks of an FLV file and its access units in file order; `late_audio` moves sound that many units back."""
    video: VideoTrack | None = None
    audio: AudioTrack | None = None
    units: list[AccessUnit] = []
    size = 4
    samples = 0
    for kind, timestamp, body in flv_tags(film):
        if kind == flv.VIDEO:
            packet = flv.decode_video(body)
            if packet is None or packet.packet in (flv.END, flv.METADATA):
                continue
            if packet.packet == flv.CONFIG:
                video, size = read_video_record(packet.codec, packet.body)
                continue
            payload, _, _ = NORMALISE[packet.codec](packet.body, size)
            dts = timestamp * 90
            units.append(
                AccessUnit(
                    Kind.VIDEO, dts, dts + packet.cts * 90, packet.key, packet.key, payload, _WALL + timestamp / 1000
                )
            )
        elif kind == flv.AUDIO:
            sound = flv.decode_audio(body)
            if sound is None or sound.packet == flv.END:
                continue
            if sound.packet == flv.CONFIG:
                audio = aac.read_record(sound.body)
                continue
            assert audio is not None
            dts = samples * 90_000 // audio.sample_rate
            samples += audio.frame_samples
            units.append(AccessUnit(Kind.AUDIO, dts, dts, True, True, sound.body, _WALL + timestamp / 1000))
    if late_audio:
        order = sorted(range(len(units)), key=lambda i: i + (late_audio if units[i].kind is Kind.AUDIO else 0))
        units = [units[i] for i in order]
    return Tracks(video, audio), units
