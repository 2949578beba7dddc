"""Matroska and WebM are read as they grow: all forms that live ones have, within bounds, and nothing else."""

from __future__ import annotations

import pytest

from hlsd.base.errors import MediaError
from hlsd.ingest.recorder.matroska import MatroskaReader
from hlsd.ingest.recorder.pieces import ELEMENT_LIMIT, LargeElement, RecordedTracks
from hlsd.media.unit import Kind
from hlsd.sound.wire import SoundOrder, opening
from tests.support.recordings import (
    block,
    cluster,
    element,
    entry,
    head,
    pieces,
    read_all,
    reader_of,
    recording,
    tracks,
)

VIDEO = entry(1, 1, b"V_MPEG4/ISO/AVC")
SOUND = entry(2, 2, b"A_OPUS", element(0x63A2, b"OpusHead"), element(0xE1, element(0x9F, b"\x02")))
HEAD = head(VIDEO, SOUND)


def test_chromium_writes_annex_b_without_a_record_and_clusters_without_a_size() -> None:
    found = read_all(reader_of("chromium.mkv"), recording("chromium.mkv"))
    sound, video = tracks(found).tracks
    assert (video.codec, video.record) == ("h264", b"")
    assert sound.form is not None
    assert (sound.form.codec, sound.form.config[:8]) == ("opus", b"OpusHead")
    pictures = pieces(found, Kind.VIDEO)
    assert len(pictures) > 20
    assert pictures[0].key
    assert pictures[0].data.startswith(b"\0\0\0\1\x67")  # a parameter set before each key picture
    times = [one.dts for one in pictures]
    assert times == sorted(times)
    assert 0 <= times[0] < 500_000
    assert len(pieces(found, Kind.AUDIO)) > 20


@pytest.mark.parametrize("name", ["chromium-vp8.webm", "firefox-vp8.webm"])
def test_vp8_is_named(name: str) -> None:
    found = read_all(reader_of(name), recording(name))
    assert [(one.name, one.codec) for one in tracks(found).tracks if one.kind is Kind.VIDEO] == [("VP8", None)]
    assert pieces(found, Kind.VIDEO)


@pytest.mark.parametrize("unknown", [True, False])
def test_times_are_of_the_cluster_the_block_and_the_scale(unknown: bool) -> None:
    info = element(0x1549A966, element(0x2AD7B1, (500_000).to_bytes(3, "big")))
    octets = head(VIDEO, SOUND, info=info)
    octets += cluster(1000, block(1, 0, b"a"), block(2, -20, b"b"), unknown=unknown)
    octets += element(0x1C53BB6B, b"cues") + cluster(2000, block(1, 7, b"c", 0), unknown=unknown)
    found = read_all(MatroskaReader(), octets)
    assert [(one.dts, one.key, one.data) for one in pieces(found, Kind.VIDEO)] == [
        (500_000, True, b"a"), (1_003_500, False, b"c"),
    ]  # fmt: skip
    assert [(one.dts, one.data) for one in pieces(found, Kind.AUDIO)] == [(490_000, b"b")]


def test_a_block_in_a_group_is_a_key_without_a_reference() -> None:
    bare = b"\x81\0\0\0x"
    groups = element(0xA0, element(0xA1, bare)) + element(0xA0, element(0xA1, bare) + element(0xFB, b"\xff"))
    found = read_all(MatroskaReader(), HEAD + cluster(0, groups))
    assert [one.key for one in pieces(found, Kind.VIDEO)] == [True, False]


def test_another_recording_may_follow_and_what_is_unknown_is_skipped() -> None:
    # Void elements of any size, tags, a track that is neither, blocks of a track that was not told.
    subtitles = entry(3, 17, b"S_TEXT/UTF8")
    octets = head(VIDEO, subtitles) + element(0x1254C367, b"tags") + cluster(0, block(1, 0, b"a"), block(9, 0, b"?"))
    octets += element(0xEC, bytes(100_000)) + block(1, 5, b"b")
    octets += head(VIDEO, SOUND) + cluster(0, block(2, 0, b"c"))
    found = read_all(MatroskaReader(), octets)
    assert [one.data for one in pieces(found, Kind.VIDEO)] == [b"a", b"b"]
    assert [one.data for one in pieces(found, Kind.AUDIO)] == [b"c"]
    assert [one.anew for one in found if isinstance(one, RecordedTracks)] == [True, True]


@pytest.mark.parametrize(
    ("codec", "depth", "decoder"),
    [
        (b"A_PCM/INT/LIT", 16, "pcm_s16le"),
        (b"A_PCM/INT/LIT", 24, None),
        (b"A_PCM/FLOAT/IEEE", 32, "pcm_f32le"),
        (b"A_AAC", 0, "aac"),
        (b"A_VORBIS", 0, None),
    ],
)
def test_sound_is_what_its_track_says(codec: bytes, depth: int, decoder: str | None) -> None:
    told = element(0xE1, element(0xB5, b"\x46\x2c\x44\0") + element(0x9F, b"\2") + element(0x6264, bytes((depth,))))
    (track,) = tracks(read_all(MatroskaReader(), head(entry(1, 2, codec, told)))).tracks
    form = track.form
    assert (form.codec if form else None) == decoder
    if form:
        assert (form.rate, form.channels) == (11_025, 2)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\0" * 20, "id of more than four"),
        (b"RIFF\0\0\0\0WAVE", "not Matroska|not EBML"),
        (element(0x1A45DFA3, element(0x4282, b"other")), "no Matroska"),
        (head(), "without tracks"),
        (head(VIDEO, entry(2, 1, b"V_VP8")), "more than one picture"),
        (head(VIDEO, entry(1, 2, b"A_OPUS")), "of one number"),
        (head(VIDEO, SOUND, entry(3, 2, b"A_OPUS")), "more than one picture and one sound"),
        (head(entry(1, 1, b"V_MPEG4/ISO/AVC", element(0x6D80, b""))), "compressed"),
        (HEAD + cluster(0, block(1, 0, b"a", 0x82)), "lacing"),
        (HEAD + cluster(0, element(0xA3, b"\x81\0")), "cut short"),
        (HEAD + block(1, 0, b"a"), "where none may be"),
        (element(0x1A45DFA3, b"") + element(0x18538067, b"", unknown=True) + cluster(0), "before the tracks"),
        (HEAD + cluster(0) + element(0xA0, b"", unknown=True), "unknown size"),
        (HEAD + element(0x1F43B675, bytes(4))[:-4] + element(0xE7, bytes(4)), "beyond the one it is in"),
        (head(VIDEO, info=element(0x1549A966, element(0x2AD7B1, b"\0"))), "scale"),
        (head(entry(1, 2, b"A_OPUS", element(0xE1, b"\x9f\x85\1"))), "beyond the one"),
    ],
)
def test_what_is_none_is_refused(octets: bytes, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        read_all(MatroskaReader(), octets)


def test_what_a_stranger_calls_its_codec_is_fit_for_a_log() -> None:
    (track,) = tracks(read_all(MatroskaReader(), head(entry(1, 1, b"V_\x1b[2J\nX" + b"y" * 90)))).tracks
    assert track.name == "V_?[2J?X" + "y" * 24


@pytest.mark.parametrize(
    "octets",
    [
        element(0x1A45DFA3, bytes(70_000)),
        HEAD + cluster(0) + b"\xa3" + (1 << 56 | ELEMENT_LIMIT + 1).to_bytes(8, "big"),
    ],
)
def test_what_is_too_long_is_refused_before_it_is_kept(octets: bytes) -> None:
    reader = MatroskaReader()
    with pytest.raises(LargeElement):
        read_all(reader, octets)
    assert reader.held <= 32 * 1024


def test_crumbs_are_not_taken_apart_without_end() -> None:
    with pytest.raises(MediaError, match="elements in one read"):
        MatroskaReader().feed(HEAD + cluster(0) + b"\xec\x80" * 8000)


def test_a_number_of_channels_that_is_none_is_one_channel() -> None:
    # Of 5,000 digits: what says of what form sound is could not be written, which was a fault of ours.
    audio = element(0xE1, element(0x9F, b"\xff" * 2000))
    found = tracks(read_all(MatroskaReader(), head(VIDEO, entry(2, 2, b"A_OPUS", audio))))
    forms = [one.form for one in found.tracks if one.form is not None]
    assert [form.channels for form in forms] == [1]
    assert opening(1, SoundOrder(forms[0], 0, 128_000))
