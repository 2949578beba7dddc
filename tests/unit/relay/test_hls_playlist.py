"""Other people's playlists: what is taken from them, and that nothing in them is more than a refusal."""

from __future__ import annotations

import pytest

from hlsd.base.errors import MediaError
from hlsd.relay.handover import form_of
from hlsd.relay.hls_playlist import ByteSpan, UpstreamPart, UpstreamPlaylist, choose, read_playlist
from tests.support.hls_upstream import media
from tests.support.seeds import rng

URL = "https://cdn.example/live/x.m3u8?token=1"
REAL = (
    "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:12\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n"
    '#EXT-X-MAP:URI="init.mp4",BYTERANGE="720@0"\n#EXT-X-PROGRAM-DATE-TIME:not a date\n'
    "#EXT-X-DATERANGE:ID=,START-DATE\n#EXT-X-CUE-OUT:x\n#EXTINF:5.96,title, with comma\n"
    "#EXT-X-BYTERANGE:100@720\nm.mp4\n"
    '#EXTINF:6.0,\n#EXT-X-BYTERANGE:90\nm.mp4\n#EXT-X-DISCONTINUITY\n#EXT-X-PART:DURATION=1,URI="p.mp4"\n'
    '#EXTINF:6,\n/other/n.mp4\n#EXT-X-GAP\n#EXTINF:6,\n//else.example/o.mp4\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="q"\n'
)


def listing(text: str | bytes) -> UpstreamPlaylist:
    found = read_playlist(text.encode() if isinstance(text, str) else text, URL)
    assert isinstance(found, UpstreamPlaylist)
    return found


def test_what_a_relay_needs_is_read_and_what_it_does_not_costs_nothing() -> None:
    """A date that is none, an advertisement's mark: players do not need them, so a relay must not fall over them."""
    found = listing(REAL)
    assert (found.target, found.ended, [one.msn for one in found.pieces]) == (6.0, False, [12, 13, 14, 15])
    first, second, third, fourth = found.pieces
    assert first.part == UpstreamPart("https://cdn.example/live/m.mp4", ByteSpan(720, 100))
    assert second.part.span == ByteSpan(820, 90)
    assert third.part.url == "https://cdn.example/other/n.mp4"
    assert third.discontinuity
    assert not third.gap
    assert fourth.part.url == "https://else.example/o.mp4"
    assert fourth.gap
    assert {one.init for one in found.pieces} == {UpstreamPart("https://cdn.example/live/init.mp4", ByteSpan(0, 720))}


def test_where_sound_is_apart_a_variant_with_both_is_chosen() -> None:
    """One with its sound elsewhere would be silent here."""
    found = read_playlist(
        b'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"\n'
        b'#EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO="a"\nhigh.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=3\nlow.m3u8\n',
        URL,
    )
    assert isinstance(found, list)
    assert choose(found, 100).url.endswith("low.m3u8")
    assert choose(found[:1], 100).parted
    with pytest.raises(MediaError, match="no variant"):
        choose([found[0]._replace(codecs="vp09.00.10.08")], 100)


def test_av1_is_chosen_where_there_is_nothing_else() -> None:
    """Every viewer of a relay has to decode what one of the upstream's players may pass over."""
    found = read_playlist(
        b'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9,CODECS="av01.0.05M.08,mp4a.40.2"\nav1.m3u8\n'
        b'#EXT-X-STREAM-INF:BANDWIDTH=3,CODECS="avc1.64001f,mp4a.40.2"\navc.m3u8\n',
        URL,
    )
    assert isinstance(found, list)
    assert choose(found, 100).url.endswith("avc.m3u8")
    assert choose(found[:1], 100).url.endswith("av1.m3u8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<html>", "no playlist"),
        ("", "no playlist"),
        ("#EXTM3U\n#EXTINF:2,\n1.ts\n", "target duration"),
        (media(1, ["1.ts"], target=0), "target duration"),
        (media(-3, ["1.ts"]), "below zero"),
        (media(1, ["1.ts"]) + "#EXTINF:nan,\n2.ts\n", "duration"),
        (media(1, ["1.ts"]) + "#EXTINF:inf,\n2.ts\n", "duration"),
        (media(1, ["1.ts"]) + "#EXTINF:-1,\n2.ts\n", "duration"),
        (media(1, ["1.ts"]) + "#EXTINF:,\n2.ts\n", "cannot be read"),
        (media(1, ["#EXT-X-BYTERANGE:0@0\n1.ts"]), "byte range"),
        (media(1, ["#EXT-X-BYTERANGE:5@-2\n1.ts"]), "byte range"),
        (media(1, ["#EXT-X-BYTERANGE:x\n1.ts"]), "cannot be read"),
        (media(1, ['#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x' + "0" * 34 + "\n1.ts"]), "vector"),
        (media(1, ['#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0xzz\n1.ts']), "cannot be read"),
        (media(1, ["1.ts"]) + '#EXT-X-DEFINE:NAME="a",VALUE="b"\n', "variables"),
        (media(1, ["1.ts"]) + "#\n" * 20_001, "lines"),
        (media(1, ["x" * 8193]), "characters"),
        (media(1, ["1.ts"] * 5001, ended=True), "more than 5000 segments"),
        ("#EXTM3U\n" + "#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n" * 201, "variants"),
        (media(1, ["#EXT-X-BYTERANGE:5\n1.ts"] * 200), "where they begin"),
        (b"#EXTM3U\n\xff", "UTF-8"),
        (media(1, ["1.ts"]) + " " * 1_048_576, "1 MiB"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(text: str | bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        listing(text)


def test_of_a_long_live_playlist_the_end_is_read_with_what_was_said_at_the_beginning() -> None:
    """A window of a day is ten thousand lines, each reload: a relay needs its end, and the key that holds there."""
    names = [f"{n}.ts" for n in range(3000)]
    names[0] = '#EXT-X-MAP:URI="init.mp4"\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n0.ts'
    found = listing(media(100, names))
    assert [one.msn for one in found.pieces] == list(range(3036, 3100))
    assert found.pieces[0].part.url.endswith("/2936.ts")
    assert found.pieces[0].init == UpstreamPart("https://cdn.example/live/init.mp4")
    assert found.pieces[0].key is not None
    ranges = ["#EXT-X-BYTERANGE:10@0\na.ts" if n % 50 == 0 else "#EXT-X-BYTERANGE:10\na.ts" for n in range(200)]
    found = listing(media(0, ranges))
    assert found.pieces[-1].part.span == ByteSpan(490, 10)
    assert found.pieces[0].part.span == ByteSpan(0, 10)


@pytest.mark.thorough
def test_no_damage_is_more_than_a_refusal() -> None:
    """A stranger's text must not raise what nobody expects, or take long: the event loop reads it."""
    random = rng("playlists")
    whole = REAL.encode()
    for _ in range(2000):
        text = bytearray(whole)
        for _ in range(random.randint(1, 8)):
            at = random.randrange(len(text))
            text[at : at + random.randint(0, 6)] = random.choice(
                [b"", b'"', b"'", b",", b"=", b":", b"@", b"\n", b"-", b"#EXT", b"\xff", b"9" * 30, b"#EXTINF:1,\n"]
            )
        try:
            found = read_playlist(bytes(text), URL)
        except MediaError:
            continue
        assert isinstance(found, UpstreamPlaylist | list)


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"G@\x00\x10", "mpegts"), (b"\0\0\0\x18stypmsdh", "mp4"), (b"ID3\x04", "aac"), (b"\xff\xf1\x50", "aac"),
        (b"", ""), (b"<html>", ""), (b"#EXTM3U", ""), (b"\xff\xfb\x90", ""), (b"WEBVTT", ""),
    ],
)  # fmt: skip
def test_a_segment_is_known_by_its_first_bytes(body: bytes, form: str) -> None:
    """What it is not, libav is never asked to guess."""
    assert form_of(body) == form
