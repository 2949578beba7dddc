"""Chunks of WebCodecs are read: what their configuration says, whatever the cuts, within bounds."""

from __future__ import annotations

import json
from struct import pack

import pytest

from hlsd.base.errors import MediaError
from hlsd.ingest.recorder.chunks import ChunkReader
from hlsd.ingest.recorder.pieces import LargeElement
from hlsd.media.unit import Kind
from tests.support.recordings import pieces, read_all, reader_of, recording, tracks


def chunk(kind: int, body: bytes = b"", time: int = 0, key: int = 0) -> bytes:
    """A chunk."""
    return pack(">BBHqI", kind, key, 0, time, len(body)) + body


def config(kind: int, **told: object) -> bytes:
    """A configuration."""
    return chunk(kind, json.dumps(told).encode())


@pytest.mark.parametrize("name", ["chromium.chunks", "firefox.chunks"])
def test_browsers_send_h264_and_opus(name: str) -> None:
    found = read_all(reader_of(name), recording(name))
    video, sound = sorted(tracks(found).tracks, key=lambda track: track.kind)
    assert video.codec == "h264"
    assert sound.form is not None
    assert (sound.form.codec, sound.form.channels) == ("opus", 2)
    pictures = pieces(found, Kind.VIDEO)
    assert len(pictures) > 20
    assert pictures[0].key
    assert [one.dts for one in pictures] == sorted(one.dts for one in pictures)


def test_configurations_are_what_the_encoder_said() -> None:
    octets = config(3, codec="hvc1.1.6.L93.B0", description="AQID", codedWidth=640) + config(4, codec="mp4a.40.2")
    video, sound = tracks(read_all(ChunkReader(), octets)).tracks
    assert (video.codec, video.record) == ("h265", b"\1\2\3")
    assert sound.form is not None
    assert (sound.form.codec, sound.form.rate, sound.form.channels) == ("aac", 48_000, 2)
    (refused,) = tracks(read_all(ChunkReader(), config(3, codec="vp09.00.10.08"))).tracks
    assert (refused.name, refused.codec) == ("VP9", None)


def test_a_chunk_is_as_it_was_sent() -> None:
    octets = config(3, codec="avc1.42001f") + chunk(1, b"picture", -5, 1)
    (one,) = pieces(read_all(ChunkReader(), octets, [1]), Kind.VIDEO)
    assert (one.dts, one.cts, one.key, one.data) == (-5, 0, True, b"picture")


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (chunk(0), "not a chunk"),
        (chunk(1, key=2), "not a chunk"),
        (chunk(1), "before its configuration"),
        (config(4, codec="opus") + chunk(1), "before its configuration"),
        (chunk(3, b"{"), "a configuration that is none"),
        (chunk(3, b"[]"), "a configuration that is none"),
        (chunk(3, b"[" * 60_000), "a configuration that is none"),
        (config(3, codec=7), "a configuration that is none"),
        (config(3), "a configuration that is none"),
        (config(3, codec="avc1", description="?"), "a configuration that is none"),
        (config(4, codec="opus", sampleRate="48000"), "a configuration that is none"),
        (config(3, codec="avc1") + chunk(1) * 3000, "chunks in one read"),
    ],
)
def test_what_is_none_is_refused(octets: bytes, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        read_all(ChunkReader(), octets, [1 << 20])


@pytest.mark.parametrize(("kind", "size"), [(1, (8 << 20) + 1), (2, 70_000), (3, 70_000), (4, 70_000)])
def test_what_is_too_long_is_refused_before_it_is_kept(kind: int, size: int) -> None:
    with pytest.raises(LargeElement):
        ChunkReader().feed(pack(">BBHqI", kind, 0, 0, 0, size))
