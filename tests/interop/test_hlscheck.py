"""Proves that the judge can judge: clean media passes, and each rule fires on input broken in that one way."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import pytest

from tests.support.footage import Film
from tests.support.hlscheck import Snapshot, check_playlist, check_recording, codec_strings, hevc_codec_string
from tests.support.isocheck import IsoTrail, boxes, check_fmp4, check_init, find
from tests.support.players import Recording, Segment
from tests.support.tscheck import TsTrail, check_ts, crc32_mpeg, parse_packet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MULTIVARIANT = """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=3600000,AVERAGE-BANDWIDTH=3000000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=30.000
cam/~abc/index.m3u8
"""
HEAD = """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:{first}
#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}
"""


def segment(number: int, *, before: str = "", duration: str = "2.00000", uri: str = "") -> str:
    """One segment as the house writes it, two seconds after the one before."""
    date = f"2026-01-01T00:{number * 2 // 60:02}:{number * 2 % 60:02}.000Z"
    return f"{before}#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXTINF:{duration},\n{uri or f'run/{number}.ts'}\n"


def media(first: int = 5, count: int = 6, discontinuities: int = 0) -> str:
    """A clean sliding playlist."""
    body = "".join(segment(number) for number in range(first, first + count))
    return HEAD.format(first=first, discontinuities=discontinuities) + body


def rules(text: str, *history: str, at: float | None = None) -> set[str]:
    """The rules that fire."""
    snapshots = [Snapshot(float(number), earlier) for number, earlier in enumerate(history)]
    return {violation.rule for violation in check_playlist(text, snapshots, at)}


def test_clean_playlists_pass() -> None:
    # A judge that cries wolf is switched off.
    assert rules(MULTIVARIANT) == set()
    assert rules(media()) == set()
    assert rules(media(6), media(5), at=2.0) == set()


def two_maps(text: str) -> str:
    """Gives the first segment another initialisation section than the rest, without a discontinuity."""
    return text.replace("#EXT-X-PROGRAM", '#EXT-X-MAP:URI="a"\n#EXT-X-PROGRAM').replace('"a"', '"b"', 1)


BROKEN_TEXT: list[tuple[str, Callable[[str], str]]] = [
    ("P01", lambda text: text.replace("#EXTM3U\n", "")),
    ("P01", lambda text: "\ufeff" + text),
    ("P01", lambda text: text.rstrip("\n")),
    ("P01", lambda text: text.replace("run/6", "run/\x076")),
    ("P03", lambda text: text.replace("2.00000,", "2.00000")),
    ("P03", lambda text: text.replace("#EXTINF:2.00000", "#EXTINF:2e0", 1)),
    ("P03", lambda text: text.replace("#EXTINF", "#EXT-X-MAP:URI=a.mp4\n#EXTINF", 1)),
    ("P03", lambda text: text.replace("#EXTINF", '#EXT-X-MAP:URI="a.mp4",\n#EXTINF', 1)),
    ("P03", lambda text: text.replace("#EXTINF", '#EXT-X-MAP:URI="a",URI="b"\n#EXTINF', 1)),
    ("P03", lambda text: text.replace("#EXT-X-MED", '#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD="YES"\n#EXT-X-MED')),
    ("P03", lambda text: text.replace("#EXT-X-MEDIA-S", "#EXT-X-PART-INF:PART-TARGET=5e-1\n#EXT-X-MEDIA-S")),
    ("P04", lambda text: text.replace("#EXT-X-VERSION:6\n", "")),
    ("P04", lambda text: text.replace("VERSION:6", "VERSION:2")),
    ("P05", lambda text: text + '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a"\n'),
    ("P06", lambda text: text.replace("#EXT-X-TARGET", "#EXT-X-TARGETDURATION:2\n#EXT-X-TARGET")),
    ("MP01", lambda text: text.replace("#EXT-X-TARGETDURATION:2\n", "")),
    ("MP02", lambda text: text.replace("2.00000,", "2.60000,", 1)),
    ("MP20", lambda text: text.replace("2.00000,", "2.60000,", 1)),
    ("MP04", lambda text: text.replace("#EXT-X-MEDIA-SEQUENCE:5\n", "")),
    ("MP10", lambda text: text.replace("#EXT-X-TARGET", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-TARGET")),
    ("MP13", lambda text: text.replace("2.00000,", "2.000,")),
    ("MP14", lambda text: text.replace("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:12.000Z\n", "")),
    ("MP14", lambda text: text.replace("12.000Z", "12Z")),
    ("MP15", lambda text: text.replace("00:12.000Z", "00:13.000Z")),
    ("MP16", lambda text: text.replace("00:12.000Z", "00:12.200Z")),
    ("MP17", lambda text: text.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0\n", "")),
    ("MP17", lambda text: text.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0\n", "") + "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"),
    ("MP18", lambda text: text.replace(".ts", ".m4s")),
    ("MP18", two_maps),
    ("MP19", lambda text: text.replace("run/7", "run/6")),
    ("MP21", lambda text: text.replace("#EXTINF", "#EXT-X-DISCONTINUITY\n#EXTINF", 1)),
    ("MP22", lambda text: text.replace("SEQUENCE:5", "SEQUENCE:0")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "spoil"), BROKEN_TEXT, ids=[rule for rule, _ in BROKEN_TEXT])
def test_playlist_rule_fires(rule: str, spoil: Callable[[str], str]) -> None:
    # A rule that cannot fire proves nothing when it is silent.
    assert spoil(media()) != media()
    assert rule in rules(spoil(media()))


BROKEN_MULTIVARIANT: list[tuple[str, str, str]] = [
    ("MV01", "BANDWIDTH=3600000,", ""),
    ("MV01", "cam/~abc/index.m3u8\n", ""),
    ("MV02", ',CODECS="avc1.64001f,mp4a.40.2"', ""),
    ("MV04", ",RESOLUTION=640x360", ""),
    ("MV06", "30.000", "30"),
    ("MV09", "AVERAGE-BANDWIDTH=3000000,", ""),
    ("MV10", "#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
    ("MV11", "FRAME-RATE=30.000", 'FRAME-RATE=30.000,AUDIO="none"'),
    ("MV11", "#EXT-X-STREAM", '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a"\n#EXT-X-STREAM'),
    ("MV13", "avc1.64001f,", ""),
    ("MV13", "cam/~abc/index.m3u8\n", "a.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n"),
    ("MV15", "avc1.64001f", "avc1.64001F"),
    ("P04", "VERSION:6", "VERSION:x"),
]


@pytest.mark.parametrize(("rule", "old", "new"), BROKEN_MULTIVARIANT)
def test_multivariant_rule_fires(rule: str, old: str, new: str) -> None:
    assert old in MULTIVARIANT
    assert rule in rules(MULTIVARIANT.replace(old, new, 1))


MARKED = HEAD.format(first=5, discontinuities=0) + "".join(
    segment(n, before="#EXT-X-DISCONTINUITY\n" if n == 5 else "") for n in range(5, 11)
)
BROKEN_CHANGE: list[tuple[str, str, str]] = [
    ("MP03", media(6).replace("TARGETDURATION:2", "TARGETDURATION:3"), media()),
    ("MP04", media(4), media(5)),
    ("MP05", media(6).replace("run/8.", "run/8b."), media()),
    ("MP05", media(6).replace("2.00000", "2.00001", 2), media()),
    ("MP05", media(6, discontinuities=1), media()),
    ("MP06", media(6).replace("16.000Z", "16.050Z"), media()),
    ("MP06", media(20), media()),
    ("MP06", media(5, 5), media()),
    ("MP06", media().replace("#EXTINF:2.00000,\nrun/9", "#EXT-X-GAP\n#EXTINF:2.00000,\nrun/9"), media()),
    ("MP07", media(9, 2), media()),
    ("MP08", media(7, 5), media()),
    ("MP17", media(6), MARKED),
    ("MP17", media(6, discontinuities=1), media()),
    ("MP19", media(6).replace("run/11.", "run/7b.").replace("run/7.", "run/6.").replace("run/7b.", "run/5."), media()),
    ("EN01", media(5, 7) + "#EXT-X-ENDLIST\n", media() + "#EXT-X-ENDLIST\n"),
]


@pytest.mark.parametrize(("rule", "now", "before"), BROKEN_CHANGE, ids=[row[0] for row in BROKEN_CHANGE])
def test_change_rule_fires(rule: str, now: str, before: str) -> None:
    # Most ways to break a live playlist show only between two reloads.
    assert rule in rules(now, before)


def test_a_late_segment_fires() -> None:
    snapshots = [Snapshot(0.0, media(4)), Snapshot(2.0, media(5))]
    assert "MP09" in {v.rule for v in check_playlist(media(6), snapshots, 5.5)}
    assert "MP09" not in {v.rule for v in check_playlist(media(6), snapshots, 4.1)}


# --- transport streams


@pytest.fixture(scope="module")
def transport(films: Path) -> bytes:
    """A clean segment: libavformat's, without the SDT that it puts first."""
    path = Film(seconds=2, b_frames=2).make(films)
    out = io.BytesIO()
    with av.open(str(path)) as source, av.open(out, "w", format="mpegts", options={"mpegts_copyts": "0"}) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                packet.pts = (packet.pts or 0) + 10_000  # milliseconds: TS14 asks for room before the first frame
                packet.dts = (packet.dts or 0) + 10_000
                target.mux(packet)
    packets = [raw for raw in split(out.getvalue()) if parse_packet(raw).pid != 0x11]
    # The muxer repeats its tables; one PAT and PMT in front are what a segment of ours has.
    return b"".join(raw for number, raw in enumerate(packets) if number < 2 or parse_packet(raw).pid in {VIDEO, AUDIO})


def split(body: bytes) -> list[bytes]:
    return [body[at : at + 188] for at in range(0, len(body), 188)]


def pids(body: bytes) -> list[int]:
    return [parse_packet(raw).pid for raw in split(body)]


def ts_rules(body: bytes, trail: TsTrail | None = None) -> set[str]:
    return {violation.rule for violation in check_ts(body, trail)}


def test_a_clean_transport_stream_passes(transport: bytes) -> None:
    assert check_ts(transport) == []


def edit(body: bytes, choose: Callable[[int, bytes], bool], change: Callable[[bytearray], bytes | None]) -> bytes:
    """Changes the first packet that `choose` picks; `change` returns what stands in its place (None: nothing)."""
    packets = split(body)
    number = next(number for number, raw in enumerate(packets) if choose(number, raw))
    packets[number] = change(bytearray(packets[number])) or b""
    return b"".join(packets)


def poke(at: int, value: int) -> Callable[[bytearray], bytes]:
    """A change that writes one byte."""

    def change(raw: bytearray) -> bytes:
        raw[at] = value
        return bytes(raw)

    return change


def is_pid(pid: int, *, start: bool = False) -> Callable[[int, bytes], bool]:
    """Picks packets of a PID."""
    return lambda _, raw: parse_packet(raw).pid == pid and (parse_packet(raw).start or not start)


VIDEO, AUDIO, PMT = 0x100, 0x101, 0x1000


def is_later_sound(number: int, raw: bytes) -> bool:
    return number > 60 and is_pid(AUDIO, start=True)(number, raw)


def with_pcr(raw: bytes) -> bool:
    return parse_packet(raw).pcr is not None


def replace_once(body: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in body
    return body.replace(old, new, 1)


def retype(body: bytes, kind: int) -> bytes:
    """Gives the first stream of the PMT another type, with a right CRC."""

    def change(raw: bytearray) -> bytes:
        section = raw[5 : 5 + 3 + (raw[6] << 8 & 0xF00 | raw[7])]
        section[12 + (section[10] << 8 & 0xF00 | section[11])] = kind
        section[-4:] = crc32_mpeg(bytes(section[:-4])).to_bytes(4, "big")
        raw[5 : 5 + len(section)] = section
        return bytes(raw)

    return edit(body, is_pid(PMT), change)


def no_adts(raw: bytearray) -> bytes:
    return poke(raw.index(b"\xff\xf1"), 0)(raw)


def late_pcr(raw: bytearray) -> bytes:
    raw[6] = 0x7F  # a PCR hours ahead
    return bytes(raw)


def stamp(raw: bytearray, pts: bytes, dts: bytes | None = None) -> bytes:
    at = raw.index(b"\0\0\1", 4)
    raw[at + 9 : at + 14] = pts
    if dts is not None:
        raw[at + 14 : at + 19] = dts
    return bytes(raw)


def coded(flag: int, ticks: int) -> bytes:
    """A time stamp as a PES header writes it (13818-1 §2.4.3.7)."""
    return bytes(
        [
            flag << 4 | (ticks >> 29 & 14) | 1,
            ticks >> 22 & 255,
            (ticks >> 14 & 254) | 1,
            ticks >> 7 & 255,
            (ticks << 1 & 254) | 1,
        ]
    )


BROKEN_TS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("TS01", lambda body: body[:-1]),
    ("TS01", lambda body: edit(body, lambda n, _: n == 3, poke(0, 0x48))),
    ("TS01", lambda body: edit(body, is_pid(VIDEO), lambda raw: poke(1, raw[1] | 0x80)(raw))),
    ("TS02", lambda body: edit(body, is_pid(0), lambda _: None)),
    ("TS02", lambda body: edit(body, is_pid(PMT), lambda _: None)),
    ("TS02", lambda body: edit(body, is_pid(0), lambda raw: poke(9, raw[9] ^ 1)(raw))),
    ("TS02", lambda body: edit(body, is_pid(PMT), lambda raw: poke(12, raw[12] ^ 1)(raw))),
    ("TS03", lambda body: body[188 * 2 : 188 * 3] + body),
    ("TS04", lambda body: edit(body, lambda n, raw: n > 9 and is_pid(VIDEO)(n, raw), lambda _: None)),
    ("TS06", lambda body: b"".join(edit_all(body, with_pcr, lambda raw: poke(5, raw[5] & 0xEF)(raw)))),
    ("TS06", lambda body: edit(body, lambda n, raw: n > 9 and with_pcr(raw), late_pcr)),
    ("TS06", lambda body: edit(body, is_pid(VIDEO, start=True), late_pcr)),
    ("TS07", lambda body: replace_once(body, b"\0\0\1\x67", b"\0\0\1\x66")),
    ("TS07", lambda body: replace_once(body, b"\0\0\1\x65", b"\0\0\1\x61")),
    ("TS08", lambda body: replace_once(body, b"\0\0\0\1\x09", b"\0\0\0\1\x06")),
    ("TS09", lambda body: edit(body, is_pid(VIDEO, start=True), lambda raw: stamp(raw, coded(3, 90_000)))),
    ("TS09", lambda body: edit(body, is_pid(VIDEO, start=True), lambda raw: stamp(raw, coded(3, 1), coded(1, 9)))),
    ("TS09", lambda body: edit(body, is_pid(AUDIO, start=True), lambda raw: poke(raw.index(b"\0\0\1", 4) + 7, 0)(raw))),
    ("TS10", lambda body: edit(body, is_pid(VIDEO, start=True), lambda raw: poke(5, raw[5] & 0xBF)(raw))),
    ("TS11", lambda body: b"".join(raw for raw in split(body) if parse_packet(raw).pid != AUDIO)),
    ("TS12", lambda body: edit(body, is_later_sound, lambda raw: stamp(raw, coded(2, 90_000)))),
    ("TS12", lambda body: edit(body, is_pid(AUDIO, start=True), no_adts)),
    ("TS13", lambda body: replace_once(body, b"\0\0\1\x67", b"\0\0\1\x09")),
    ("TS14", lambda body: edit(body, is_pid(VIDEO, start=True), lambda raw: stamp(raw, coded(3, 0), coded(1, 0)))),
    ("TS15", lambda body: body + bytes([0x47, 0x1F, 0xFF, 0x10]) + b"\xff" * 184),
    ("TS16", lambda body: edit(body, is_pid(AUDIO, start=True), lambda raw: poke(1, raw[1] & 0xBF)(raw))),
    ("TS16", lambda body: without_first_sound(body)),  # noqa: PLW0108 - it is defined below
    ("HE01", lambda body: retype(body, 0x24)),
    ("TS05", lambda body: retype(body, 0x02)),
]  # fmt: skip


def edit_all(body: bytes, choose: Callable[[bytes], bool], change: Callable[[bytearray], bytes]) -> list[bytes]:
    return [change(bytearray(raw)) if choose(raw) else raw for raw in split(body)]


def without_first_sound(body: bytes) -> bytes:
    """Leaves out the sound of the first second."""
    packets = split(body)
    starts = [n for n, raw in enumerate(packets) if is_pid(AUDIO, start=True)(n, raw)]
    cut = starts[len(starts) // 2]
    return b"".join(raw for n, raw in enumerate(packets) if n >= cut or parse_packet(raw).pid != AUDIO)


@pytest.mark.parametrize(("rule", "spoil"), BROKEN_TS, ids=[rule for rule, _ in BROKEN_TS])
def test_ts_rule_fires(transport: bytes, rule: str, spoil: Callable[[bytes], bytes]) -> None:
    assert rule in ts_rules(spoil(transport))


def test_ts_rules_between_segments_fire(transport: bytes) -> None:
    # The same segment twice: counters restart, time goes back.
    trail = TsTrail()
    assert ts_rules(transport, trail) == set()
    again = ts_rules(transport, trail)
    assert {"TS04", "TS06", "TS09"} <= again
    trail = TsTrail()
    check_ts(retype(transport, 0x24), trail)
    assert "TS05" in ts_rules(transport, trail)


# --- fragmented MP4


@pytest.fixture(scope="module", params=["h264", "h265"])
def iso(films: Path, request: pytest.FixtureRequest) -> tuple[bytes, list[bytes]]:
    """A clean initialisation section and two segments."""
    path = Film(seconds=2, gop=25, codec=request.param).make(films)
    out = io.BytesIO()
    flags = "frag_keyframe+empty_moov+default_base_moof+cmaf+skip_trailer"
    options = {"movflags": flags, "video_track_timescale": "90000", "write_btrt": "0"}
    with av.open(str(path)) as source, av.open(out, "w", format="mp4", options=options) as target:
        streams = {}
        for stream in source.streams:
            streams[stream.index] = target.add_stream_from_template(stream)
            if stream.type == "video" and request.param == "h265":
                streams[stream.index].codec_context.codec_tag = "hvc1"
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    body = out.getvalue()
    starts = [box.at for box in boxes(body) if box.kind == "moof"]
    cuts = [*starts, len(body)]
    return body[: starts[0]], [body[a:b] for a, b in pairwise(cuts)]


def iso_rules(init: bytes, *bodies: bytes) -> set[str]:
    trail = IsoTrail()
    found = {violation.rule for violation in check_init(init)}
    for body in bodies:
        found |= {violation.rule for violation in check_fmp4(init, body, trail)}
    return found


def test_clean_fragmented_mp4_passes(iso: tuple[bytes, list[bytes]]) -> None:
    init, bodies = iso
    assert check_init(init) == []
    assert iso_rules(init, *bodies) == set()


def at_box(body: bytes, kind: bytes, offset: int, new: bytes, nth: int = 0) -> bytes:
    """Writes over the body of the nth box of a kind."""
    at = -1
    for _ in range(nth + 1):
        at = body.index(kind, at + 1)
    at += 4 + offset
    return body[:at] + new + body[at + len(new) :]


BROKEN_INIT: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("FM01", lambda init: init[:-3]),
    ("FM01", lambda init: init + struct.pack(">I4s", 8, b"mdat")),
    ("FM01", lambda init: init.replace(b"iso6", b"mp41").replace(b"cmfc", b"mp41").replace(b"iso5", b"mp41")),
    ("FM01", lambda init: at_box(init, b"mvhd", 16, b"\0\0\0\7")),
    ("FM01", lambda init: at_box(init, b"tkhd", 20, b"\0\0\0\7")),
    ("FM01", lambda init: at_box(init, b"stts", 4, b"\0\0\0\1")),
    ("FM01", lambda init: init.replace(b"trex", b"free", 1)),
    ("FM07", lambda init: init.replace(b"esds", b"free", 1)),
    ("FM12", lambda init: at_box(init, b"mdhd", 12, b"\0\0\x10\0", nth=0 if b"soun" in init.split(b"vide")[0] else 1)),
]


@pytest.mark.parametrize(("rule", "spoil"), BROKEN_INIT, ids=[rule for rule, _ in BROKEN_INIT])
def test_init_rule_fires(iso: tuple[bytes, list[bytes]], rule: str, spoil: Callable[[bytes], bytes]) -> None:
    assert spoil(iso[0]) != iso[0]
    assert rule in iso_rules(spoil(iso[0]))


BROKEN_ISO: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("FM02", lambda body: body[:-3]),
    ("FM02", lambda body: body + struct.pack(">I4s", 8, b"free")),
    ("FM03", lambda body: at_box(body, b"tfhd", 1, b"\0\0\x38")),
    ("FM03", lambda body: at_box(body, b"tfhd", 4, b"\0\0\0\x09")),
    ("FM04", lambda body: at_box(body, b"tfdt", 8, b"\0\0\0\x09")),
    ("FM05", lambda body: at_box(body, b"mfhd", 4, b"\0\0\0\0")),
    ("FM08", lambda body: at_box(body, b"trun", 8, b"\0\x7f\0\0")),
    ("FM08", lambda body: at_box(body, b"mdat", 0, b"\0\0\0\1")),
    ("FM09", lambda body: at_box(body, b"tfdt", 0, b"\0")),
    ("FM10", lambda body: at_box(body, b"tfdt", 8, b"\x7f\0\0\0", nth=1)),
]


@pytest.mark.parametrize(("rule", "spoil"), BROKEN_ISO, ids=[rule for rule, _ in BROKEN_ISO])
def test_iso_rule_fires(iso: tuple[bytes, list[bytes]], rule: str, spoil: Callable[[bytes], bytes]) -> None:
    init, bodies = iso
    assert rule in iso_rules(init, bodies[0], spoil(bodies[1]))


def made(samples: list[tuple[bytes, int, int]], duration: int = 3600, version: int = 1, offset: int = 0) -> bytes:
    """A segment with one video run: NAL unit, flags, duration of each sample (0: the common one)."""
    rows = b"".join(
        struct.pack(">IIIi", own or duration, 4 + len(nal), flags, offset) for nal, flags, own in samples
    )  # fmt: skip

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(body), kind) + body

    def moof(data_offset: int) -> bytes:
        trun = box(b"trun", struct.pack(">IIi", version << 24 | 0xF01, len(samples), data_offset) + rows)
        tfhd = box(b"tfhd", struct.pack(">II", 0x020000, 1))
        tfdt = box(b"tfdt", struct.pack(">IQ", 1 << 24, 90_000))
        return box(b"moof", box(b"mfhd", struct.pack(">II", 0, 1)) + box(b"traf", tfhd + tfdt + trun))

    body = b"".join(len(nal).to_bytes(4, "big") + nal for nal, _, _ in samples)
    return moof(len(moof(0)) + 8) + box(b"mdat", body)


@pytest.mark.parametrize(
    ("rule", "segment_body"),
    [
        ("FM06", made([(b"\x65\x80", 0x01010000, 0)])),
        ("FM06", made([(b"\x65\x80", 0x02000000, 0), (b"\x41\x80", 0x02000000, 0)])),
        ("FM06", made([(b"\x41\x80", 0x01010000, 0)])),
        ("FM11", made([(b"\x65\x80", 0x02000000, 0)], version=0, offset=-1)),
        ("FM13", made([(b"\x67\x80", 0x01010000, 0)])),
        ("FM10", made([(b"\x65\x80", 0x02000000, 0)])),
    ],
)
def test_iso_sample_rule_fires(films: Path, rule: str, segment_body: bytes) -> None:
    init = init_of(films, "h264")
    assert rule in iso_rules(init, segment_body)


def init_of(films: Path, codec: str) -> bytes:
    """An initialisation section with video as track 1."""
    out = io.BytesIO()
    path = Film(seconds=2, gop=25, codec="h265" if codec == "h265" else "h264").make(films)
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof+cmaf", "video_track_timescale": "90000"}
    with av.open(str(path)) as source, av.open(out, "w", format="mp4", options=options) as target:
        video = target.add_stream_from_template(source.streams.video[0])
        if codec == "h265":
            video.codec_context.codec_tag = "hvc1"
        target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = video
                target.mux(packet)
    body = out.getvalue()
    return body[: next(box.at for box in boxes(body) if box.kind == "moof")]


def test_a_video_clock_that_cannot_count_the_frames_fires(films: Path) -> None:
    init = at_box(init_of(films, "h264"), b"mdhd", 12, b"\0\0\x03\xe8")
    body = made([(b"\x65\x80", 0x02000000, 33), (b"\x41\x80", 0x01010000, 34)])
    assert "FM12" in iso_rules(init, body)


def test_hevc_rules_fire(films: Path) -> None:
    init = init_of(films, "h265")
    assert "HE02" in iso_rules(init.replace(b"hvc1", b"hev1"))
    record = find(init, "moov", "trak", "mdia", "minf", "stbl", "stsd")[0]
    hvcc = next(box.body for box in boxes(next(boxes(record[8:])).body[78:]) if box.kind == "hvcC")
    assert "HE02" in iso_rules(init.replace(hvcc[:23], hvcc[:22] + b"\1"))
    assert "HE03" in iso_rules(init, made([(b"\x2a\x01\x80", 0x01010000, 0)]))  # a CRA


def test_hevc_codec_strings_are_those_of_the_standard() -> None:
    # Examples of ISO/IEC 14496-15 Annex E and of Apple's authoring specification.
    main = bytes([1, 0x01, 0x60, 0, 0, 0, 0xB0, 0, 0, 0, 0, 0, 93])
    main10 = bytes([1, 0x02, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 150])
    assert hevc_codec_string(main) == "hvc1.1.6.L93.B0"
    assert hevc_codec_string(main10) == "hvc1.2.4.L150.90"


# --- a whole recording


def recorded(init: bytes, bodies: list[bytes], codecs: str, **changes: str) -> Recording:
    """A recording of one-second segments, with what `changes` replaces in the playlists."""
    head = HEAD.format(first=5, discontinuities=0).replace("VERSION:6", "VERSION:7").replace("TION:2", "TION:1")
    text = head + '#EXT-X-MAP:URI="init.mp4"\n'
    for number in range(5, 5 + len(bodies)):
        text += segment(number, duration="1.00000", uri=f"{number}.m4s").replace(f":{number * 2:02}.", f":{number:02}.")
    multivariant = MULTIVARIANT.replace("VERSION:6", "VERSION:7").replace("640x360", "320x180")
    multivariant = multivariant.replace("avc1.64001f,mp4a.40.2", codecs)
    for old, new in changes.items():
        multivariant = multivariant.replace(old, new)
        text = text.replace(old, new)
    segments = [
        Segment(number, f"{number}.m4s", 1.0, False, "init.mp4", init, body, "video/mp4")
        for number, body in enumerate(bodies, 5)
    ]
    return Recording(multivariant, "index.m3u8", [(0.0, text)], segments)


def test_recording_rules_fire(iso: tuple[bytes, list[bytes]]) -> None:
    # What the playlists promise must be what the media is.
    init, bodies = iso
    codecs = ",".join(sorted(codec_strings(Segment(1, "", 1.0, False, "i", init, bodies[0], ""))))
    clean = recorded(init, bodies, codecs)
    assert check_recording(clean) == []

    def fires(rule: str, recording: Recording) -> bool:
        return rule in {violation.rule for violation in check_recording(recording)}

    assert fires("HE04" if "hvc1" in codecs else "MV03", recorded(init, bodies, "avc1.640020,mp4a.40.2"))
    assert fires("MV05", recorded(init, bodies, codecs, **{"320x180": "320x184"}))
    assert fires("MV08", recorded(init, bodies, codecs, **{":BANDWIDTH=3600000": ":BANDWIDTH=36000"}))
    assert fires("P04", recorded(init, bodies, codecs, **{"VERSION:7": "VERSION:8"}))
    clean.segments = [replace(one, duration=1.2) for one in clean.segments]
    assert fires("MP13", clean)
    clean.segments = [replace(one, content_type="text/plain") for one in clean.segments]
    assert fires("HT06", clean)
    clean.faults.append("5.m4s is listed but answers 404")
    assert fires("MP11", clean)
