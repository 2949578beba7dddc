"""Pictures whose slices, or NAL units, come in tags of their own: one picture out, as from a sender of whole ones."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest

from hlsd.ingest.intake import Intake
from hlsd.ingest.picture import PICTURE_LIMIT
from hlsd.media import flv, h264, nal
from hlsd.media.codecs import read_video_record
from hlsd.media.unit import Kind
from tests.support.collected import Collected, Tag, take
from tests.support.flvmedia import flv_tags, make_flv

Codec = Literal["h264", "h265"]


def film(codec: Codec, *, audio: bool = True) -> list[Tag]:
    """Two seconds in pictures of four slices, the last three of them made up."""
    tags: list[Tag] = []
    for kind, time, sent in flv_tags(make_flv(codec, seconds=2, gop=15, audio=audio)):
        body = sent
        packet = flv.decode_video(body) if kind == flv.VIDEO else None
        if packet is not None and packet.packet == flv.FRAMES:
            units = nal.split(packet.body, 4)
            header = units[-1][: 1 if codec == "h264" else 2]
            units += [header + b"\x40" + bytes([time % 251 + 1, n]) * 20 for n in (1, 2, 3)]
            body = flv.video_frame(codec, packet.key, packet.cts, nal.join(units))
        tags.append((kind, time, body))
    return tags


def taken_apart(tags: list[Tag], *, drift: int = 0, extras: bool = False) -> list[Tag]:
    """Each NAL unit in a tag of its own, `drift` ms later than the one before; `extras`: delimiters and sets too."""
    out: list[Tag] = []
    sets: tuple[bytes, ...] = ()
    for kind, time, body in tags:
        packet = flv.decode_video(body) if kind == flv.VIDEO else None
        if packet is not None and packet.packet == flv.CONFIG:
            sets = read_video_record(packet.codec, packet.body)[0].parameter_sets
        if packet is None or packet.packet != flv.FRAMES:
            out.append((kind, time, body))
            continue
        units = nal.split(packet.body, 4)
        if extras:
            units = [b"\x09\xf0" if packet.codec == "h264" else b"\x46\x01\x50", *(sets if packet.key else ()), *units]
        for n, unit in enumerate(units):
            key = packet.key and n == len(units) - 1  # one of its tags is enough
            sample = nal.join([unit])
            out.append((kind, time + n * drift, flv.video_frame(packet.codec, key, packet.cts, sample)))
    return sorted(out, key=lambda tag: tag[1])


def shown(collected: Collected) -> list[tuple[int, int, bool, bytes]]:
    return [(unit.dts, unit.pts, unit.key, unit.payload) for unit in collected.of(Kind.VIDEO)]


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("drift", [0, 2])
@pytest.mark.parametrize("extras", [False, True])
def test_slices_in_tags_of_their_own_are_one_picture(codec: Codec, drift: int, extras: bool) -> None:
    """Four pictures for one would each be torn; the first one is whole too, for nothing has been handed on yet."""
    whole = film(codec)
    collected = take(taken_apart(whole, drift=drift, extras=extras))
    got, expected = shown(collected), shown(take(whole))
    assert [(key, payload) for _, _, key, payload in got] == [(key, payload) for _, _, key, payload in expected]
    assert max(abs(one[0] - other[0]) for one, other in zip(got, expected, strict=True)) <= 10 * drift * 90
    assert len(collected.announced) == 1
    assert not collected.repairs


def test_a_sender_of_whole_pictures_pays_no_delay() -> None:
    """Only while a stream opens is the next picture waited for."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    pictures = 0
    for kind, time, body in film("h264"):
        intake.tag(kind, time, body, time / 1000, 1e9 + time / 1000)
        pictures += kind == flv.VIDEO and body[1] == 1
        if pictures >= 3:
            assert len(collected.of(Kind.VIDEO)) == pictures


def test_slices_that_begin_in_mid_stream_cost_the_one_picture_they_begin_with() -> None:
    """Its first slice has gone out: what follows of it is dropped, said, and from then on pictures are whole."""
    whole = film("h264")
    half = next(n for n, tag in enumerate(whole) if tag[1] >= 1_000)
    collected = take(whole[:half] + taken_apart(whole[half:]))
    expected = shown(take(whole))
    got = shown(collected)
    assert len(got) == len(expected)
    assert sum(one != other for one, other in zip(got, expected, strict=True)) == 1
    assert collected.repairs == {"bad_tag": 3}
    assert [words for words in collected.remarks if "several tags" in words]


def test_the_last_picture_does_not_wait_for_one_that_never_comes() -> None:
    """The sender stops: what there is of it is handed on a moment later."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    tags = taken_apart(film("h264"))
    for kind, time, body in tags:
        intake.tag(kind, time, body, time / 1000, 0.0)
    last = tags[-1][1] / 1000
    assert len(collected.of(Kind.VIDEO)) == 59
    intake.tick(last + 0.05)
    assert len(collected.of(Kind.VIDEO)) == 59
    intake.tick(last + 0.5)
    assert len(collected.of(Kind.VIDEO)) == 60


def test_sei_in_a_tag_of_its_own_stays_with_its_picture() -> None:
    """A recovery point, captions: they were dropped, as a picture without slices."""
    tags = [tag for tag in film("h264", audio=False) if tag[0] == flv.VIDEO]
    sei = nal.join([bytes.fromhex("0605020102800000")[:6] + b"\x80"])
    alone = flv.video_frame("h264", False, 0, sei)
    mixed = [part for tag in tags for part in (((9, tag[1], alone), tag) if tag[2][1] else (tag,))]
    with_sei = take(mixed).of(Kind.VIDEO)
    assert [unit.payload for unit in with_sei] == [sei + unit.payload for unit in take(tags).of(Kind.VIDEO)]


def test_a_picture_put_together_is_bounded() -> None:
    """Tags without end that begin no picture must not fill the memory; the bound is told."""
    config = next(tag for tag in film("h264", audio=False) if tag[0] == 9)
    first, more = nal.join([b"\x65\xb8" + bytes(99)]), nal.join([b"\x65\x40" + b"\xab" * (1 << 20)])
    tags = [config, (9, 0, flv.video_frame("h264", True, 0, first))]
    tags += [(9, 0, flv.video_frame("h264", True, 0, more))] * (PICTURE_LIMIT // len(more) + 2)
    collected = take(tags)
    assert collected.repairs["bad_tag"] >= 1
    assert f"limit={PICTURE_LIMIT}" in collected.remarks[0]


def test_thousands_of_slices_are_a_picture() -> None:
    """Gateways from RTP cut slices to the size of a packet: 2,700 in a key picture of 3 MB."""
    config = next(tag for tag in film("h264", audio=False) if tag[0] == 9)
    units = [b"\x65\x88" + bytes([1 + n % 200]) * 20 if not n else b"\x65\x48" + b"\xab" * 20 for n in range(6_000)]
    sample = nal.join(units)
    for parts in ([sample], [nal.join([unit]) for unit in units]):
        collected = take([config, *((9, 0, flv.video_frame("h264", True, 0, part)) for part in parts)])
        assert [unit.payload for unit in collected.units] == [sample]
        assert not collected.repairs


@pytest.mark.parametrize("wrong", ["h264", "h265"])
def test_a_stray_picture_of_another_codec_is_a_bad_tag(wrong: Codec) -> None:
    """It was taken for a change of codec, and the picture stayed away until a sequence header came."""
    right: Codec = "h265" if wrong == "h264" else "h264"
    tags = film(right, audio=False)
    stray = next(
        tag
        for tag in film(wrong, audio=False)
        if tag[0] == 9 and (p := flv.decode_video(tag[2])) and p.packet == flv.FRAMES
    )
    at = len(tags) // 2
    collected = take([*tags[:at], (9, tags[at][1], stray[2]), *tags[at:]])
    assert shown(collected) == shown(take(tags))
    assert collected.repairs == {"bad_tag": 1}
    assert f"a picture of {wrong} in a stream of {right}" in collected.remarks[0]


def test_a_codec_that_changes_in_band_is_a_change() -> None:
    """Without a sequence header, its parameter sets with each key picture: the second one is believed."""
    first, second = film("h264", audio=False), film("h265", audio=False)
    sets: tuple[bytes, ...] = ()
    later: list[Tag] = []
    for kind, time, body in second:
        packet = flv.decode_video(body) if kind == 9 else None
        if packet is not None and packet.packet == flv.CONFIG:
            sets = read_video_record("h265", packet.body)[0].parameter_sets
        elif packet is not None and packet.packet == flv.FRAMES:
            units = [*(sets if packet.key else ()), *nal.split(packet.body, 4)]
            later.append((9, time + 2_000, flv.video_frame("h265", packet.key, packet.cts, nal.join(units))))
    collected = take([*first, *later])
    assert [tracks.video.codec for tracks in collected.announced if tracks.video] == ["h264", "h265"]
    assert len(collected.of(Kind.VIDEO)) == 60 + 45


@pytest.mark.parametrize("before", ["", "0603010180", "06010380aabb80"])
@pytest.mark.parametrize("flagged", [True, False])
def test_recovery_points_alone_open_a_stream(before: str, flagged: bool) -> None:
    """Intra refresh has no IDR picture; the message need not be the first, nor the tag be marked as a key frame."""
    config = next(tag for tag in film("h264", audio=False) if tag[0] == 9)
    point = [*([bytes.fromhex(before)] if before else []), bytes.fromhex("0601020001060180")]
    tags = [config]
    for n in range(12):
        units = [*(point if n % 4 == 2 else [bytes.fromhex("06010180")]), bytes.fromhex("419a01")]
        tags.append((9, n * 40, flv.video_frame("h264", flagged and n % 4 == 2, 0, nal.join(units))))
    shown = take(tags).of(Kind.VIDEO)
    assert [unit.key for unit in shown] == [n % 4 == 2 for n in range(2, 12)]
    assert not any(unit.clean for unit in shown)


def test_first_slices_are_told_apart() -> None:
    """H.264 §7.3.3 first_mb_in_slice; data partitions B and C never begin a picture."""
    for units, begins in (
        (["65b8"], True),
        (["6548"], False),
        (["0605ff80", "4160"], False),
        (["0605ff80", "41e0"], True),
        (["42e0"], True),
        (["43e0"], False),
        (["65"], True),
    ):
        assert h264.begins_picture(nal.join([bytes.fromhex(unit) for unit in units])) is begins


def test_units_keep_the_arrival_of_their_last_tag() -> None:
    """TL08 counts from a unit's last byte."""
    tags = [tag for tag in taken_apart(film("h264"), drift=3) if tag[0] == flv.VIDEO and tag[2][1]]
    header = next(tag for tag in film("h264") if tag[0] == flv.VIDEO)
    last = [time for (_, time, _), (_, later, _) in pairwise([*tags, (9, 9_999, b"")]) if later - time > 3]
    assert [unit.arrived for unit in take([header, *tags]).units] == [1e9 + time / 1000 for time in last]
