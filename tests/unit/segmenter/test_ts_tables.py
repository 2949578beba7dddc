"""PAT and PMT stand at the head of every part and nowhere else, and always know both tracks."""

from __future__ import annotations

from hlsd.media.unit import Tracks
from hlsd.segmenter.cut import Cut
from hlsd.segmenter.mpegts import PACKET, TsMuxer
from tests.support.cuts import cut_all
from tests.support.frames import AUDIO, BOTH, audio, interleaved, video
from tests.support.packets import split_annex_b
from tests.support.tscheck import elementary_streams

PAT, PMT = 0, 0x1000


def pids(body: bytes) -> list[int]:
    """The PID of each packet."""
    return [(body[at + 1] & 0x1F) << 8 | body[at + 2] for at in range(0, len(body), PACKET)]


def assert_tables_open(cuts: list[Cut], tracks: Tracks) -> None:
    """The same two tables at the head of each part, counted on, and no others."""
    muxer = TsMuxer(tracks)
    opening = TsMuxer(tracks).part(cuts[0])[: 2 * PACKET]
    for number, cut in enumerate(cuts):
        body = muxer.part(cut)
        found = pids(body)
        assert found[:2] == [PAT, PMT]
        assert PAT not in found[2:]
        assert PMT not in found[2:]
        for at in (0, PACKET):
            assert body[at + 3] & 0x0F == number % 16  # TS04
            assert body[at + 4 : at + PACKET] == opening[at + 4 : at + PACKET]


def test_tables_open_every_part_and_stand_nowhere_else() -> None:
    # TS02, TS03: hls.js joins at an independent part in mid segment, and takes it for bare AAC without a PAT at its
    # head. TS11: libavformat repeats the tables of its one track before such a key picture, which lose the sound.
    cuts, _ = cut_all(interleaved(video(30, 9, gop=1), audio(9)))
    assert any(cut.independent and not cut.opens for cut in cuts), (
        "a key picture in mid segment is the case in question"
    )
    assert_tables_open(cuts, BOTH)


def test_tables_open_every_part_of_sound_alone() -> None:
    # TL07: every part of an audio-only stream is independent.
    tracks = Tracks(None, AUDIO)
    cuts, _ = cut_all(audio(9), tracks=tracks)
    assert_tables_open(cuts, tracks)


def test_the_first_picture_of_every_part_has_the_parameter_sets() -> None:
    # Shaka Player makes an initialisation section of each part by itself, and fails where it finds no SPS.
    cuts, _ = cut_all(interleaved(video(30, 9, gop=1), audio(9)))
    muxer = TsMuxer(BOTH)
    for cut in cuts:
        pictures = next(found for kind, found in elementary_streams(muxer.part(cut)) if kind == 0x1B)
        for number, (picture, sample) in enumerate(zip(pictures, cut.video, strict=True)):
            kinds = [nal[0] & 0x1F for nal in split_annex_b(picture)]
            head = [9, 7, 8] if number == 0 or sample.unit.key else [9]
            assert kinds[: len(head)] == head
            assert 7 not in kinds[len(head) :]


def test_a_gap_is_nothing_at_all() -> None:
    # Tables without media would make a part that is listed, loaded and empty.
    assert TsMuxer(BOTH).part(Cut((), (), 0, 30_000, independent=False, opens=True, closes=False)) == b""
