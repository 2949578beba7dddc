"""Low-Latency HLS as a player sees it, rule by rule (hls-rules §§4, 5), at every frame rate that encoders send."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support import gears
from tests.support.broadcast import GRACE, wait_for_playlist
from tests.support.encoders import ENCODERS
from tests.support.footage import Film
from tests.support.isocheck import IsoTrail, check_fmp4
from tests.support.llcheck import Watch, watch
from tests.support.packets import read_packets, split_annex_b
from tests.support.server import HlsdServer
from tests.support.tscheck import TsTrail, check_ts, elementary_streams

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(240)]

SECONDS = gears.RULES.now()
"""Long enough that segments lose their parts (3 target durations) and are skipped by delta updates (6)."""
FILMED = SECONDS + 20
"""Seconds: until the last of the encoders is on the air some pass."""

STREAMS = {
    "24": Film(seconds=FILMED, width=192, height=108, rate=24, gop=24),
    "25": Film(seconds=FILMED, width=192, height=108, rate=25, gop=50),
    "29.97": Film(seconds=FILMED, width=192, height=108, rate=Fraction(30000, 1001), gop=30),
    "30": Film(seconds=FILMED, width=192, height=108, rate=30, gop=30),
    "30-b-frames": Film(seconds=FILMED, width=192, height=108, rate=30, gop=60, b_frames=2),
    "50": Film(seconds=FILMED, width=192, height=108, rate=50, gop=100),
    "60": Film(seconds=FILMED, width=192, height=108, rate=60, gop=60),
    "audio-only": Film(seconds=FILMED, codec=None),
    "hevc": Film(seconds=FILMED, codec="h265", width=192, height=108, rate=30, gop=30),
    "av1": Film(seconds=FILMED, codec="av1", width=192, height=108, rate=30, gop=30),
    "hevc-50": Film(seconds=FILMED, codec="h265", width=192, height=108, rate=50, gop=50),
}
RULES = {
    "LL01": "EXT-X-SERVER-CONTROL says what low latency needs",
    "LL02": "EXT-X-PART-INF stands with EXT-X-PART",
    "LL03": "PART-HOLD-BACK is at least twice the part target",
    "LL04": "PART-HOLD-BACK is at least three times the part target",
    "LL05": "HOLD-BACK is at least three target durations",
    "LL06": "CAN-SKIP-UNTIL is at least six target durations",
    "LL07": "what was promised stays",
    "LL08": "no part is longer than the part target",
    "LL09": "a part that may not be short lasts 85 % of the part target",
    "LL10": "the parts of a segment add up to it",
    "LL12": "the parts of a segment are its bytes",
    "LL15": "the last line is a hint",
    "LL16": "the hinted part is the next part, and one counter numbers them",
    "LL17": "there is exactly one hint",
    "LL18": "parts far from the end are not listed",
    "LL19": "a part that is not listed any more can still be fetched",
    "LL20": "parts come as fast as the media",
    "LL22": "a segment's tags stand before its first part",
    "LL24": "a listed part never changes",
    "LL25": "a listed part is there, whole, and what was hinted",
    "LL26": "every segment has its date",
    "LL30": "the open segment is listed as the rule says",
    "DD01": "a reload is held until what was asked for is listed",
    "DD10": "a delta update skips what is beyond CAN-SKIP-UNTIL",
    "DD11": "the last playlist and a delta update make the new playlist",
    "DD12": "a delta update skips nothing nearer than that",
    "DD14": "a hinted part is held and then answered whole",
    "DD16": "the reload and the hinted part are answered together",
}


@pytest.fixture(scope="module")
def watched(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Watch]:
    """Every stream on one server, each watched at the same time."""
    folder = tmp_path_factory.mktemp("ll")
    for film in STREAMS.values():
        film.make(films)
    env = {**GRACE, "HLSD_HLS__LIST": "10"}
    with HlsdServer(folder, low_latency=True, env=env) as server, ExitStack() as publishing:
        for name, film in STREAMS.items():
            encoder = ENCODERS["ffmpeg-current"]
            log = folder / f"{name}.log"
            publishing.enter_context(encoder.publish(film, film.make(films), server.rtmp(name), log))
        for name in STREAMS:
            wait_for_playlist(server.hls(name))

        async def all_of_them() -> list[Watch]:
            return await asyncio.gather(*(watch(server.hls(name), SECONDS) for name in STREAMS))

        return dict(zip(STREAMS, asyncio.run(all_of_them()), strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds_at_every_frame_rate(watched: dict[str, Watch], rule: str) -> None:
    # Each one is a way in which AVPlayer or hls.js stops.
    broken = {name: found[:3] for name, seen in watched.items() if (found := seen.broken(rule))}
    assert broken == {}, RULES[rule]


@pytest.mark.parametrize("stream", STREAMS)
def test_parts_fill_the_part_target_at_this_frame_rate(watched: dict[str, Watch], stream: str) -> None:
    # LL08, LL09: the part target is as many whole frames as fit, so that every full part is within a frame of it.
    last = watched[stream].playlists[-1]
    film = STREAMS[stream]
    frame = float(1 / Fraction(film.rate)) if film.codec else 1024 / 48000
    assert 0.334 - frame < last.part_target <= 0.336
    full = [
        part.duration
        for segment in last.segments
        for n, part in enumerate(segment.parts)
        if n + 1 < len(segment.parts)  # the last one takes what is left
    ]
    assert full
    assert min(full) >= last.part_target - frame - 0.002


@pytest.mark.parametrize("stream", STREAMS)
def test_every_part_of_a_key_frame_says_so_and_no_other(watched: dict[str, Watch], stream: str) -> None:
    # LL13, LL14, LL23: players join and switch at INDEPENDENT parts; audio-only: every one.
    seen = watched[stream]
    init = _init(seen)
    looked = 0
    for _, _, part in seen.playlists[-1].parts():
        body = seen.media.get(part.uri)
        if body is None:
            continue
        if STREAMS[stream].codec is None:
            assert part.independent
        else:
            keys = key_frames(init, body)
            assert keys, part.uri
            # Where the rhythm of parts lets a key frame fall into the middle of one, that one does not say so.
            assert part.independent == keys[0], (part.uri, keys)
        looked += 1
    assert looked >= 12
    for segment in seen.playlists[-1].finished:
        assert not segment.parts or segment.parts[0].independent


@pytest.mark.parametrize("stream", STREAMS)
def test_parts_run_on_from_one_to_the_next(watched: dict[str, Watch], stream: str) -> None:
    # LL11, TS04, FM04: what the container counts and times goes on over parts as over segments.
    seen = watched[stream]
    init = _init(seen)
    transport, iso = TsTrail(), IsoTrail()
    looked = 0
    for segment in seen.playlists[-1].finished:
        body = seen.media.get(segment.uri or "")
        if body is None or not segment.parts:
            continue
        found = check_fmp4(init, body, iso) if init else check_ts(body, transport)
        assert found == []
        looked += 1
    assert looked >= 2


def key_frames(init: bytes, body: bytes) -> list[bool]:
    """Which of the pictures of a part are IDRs."""
    if init:
        return [packet.key for packet in read_packets(init + body).video]
    pictures = next(found for kind, found in elementary_streams(body) if kind == 0x1B)
    return [any(nal[0] & 0x1F == 5 for nal in split_annex_b(picture)) for picture in pictures]


def _init(seen: Watch) -> bytes:
    return seen.media.get("init", b"")
