"""Whatever comes as a transport stream, nothing is raised, little is held, and what is handed on was sent so."""

from __future__ import annotations

from random import Random

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.mpeg.elementary import PACKET_LIMIT, PICTURE_LIMIT
from hlsd.ingest.mpeg.items import MpegItem, MpegPicture
from hlsd.ingest.mpeg.ts_demuxer import TsDemuxer
from hlsd.media.unit import Kind
from tests.support.gears import TS_DAMAGE, TS_FUZZ
from tests.support.seeds import rng
from tests.support.tsfilm import collected, demuxed, make_ts


def damaged(random: Random, octets: bytes) -> bytes:
    """A few bytes changed, put in or left out, packets lost, repeated and exchanged."""
    out = bytearray(octets)
    for _ in range(random.randrange(1, 8)):
        at, size = random.randrange(len(out)), random.choice((1, 4, 188, 376))
        packet = at // 188 * 188
        kind = random.randrange(7)
        if kind == 0:
            out[at] = random.randrange(256)
        elif kind == 1:
            del out[at : at + size]
        elif kind == 2:
            out[at:at] = random.randbytes(size)
        elif kind == 3:
            del out[packet : packet + 188]
        elif kind == 4:
            out[packet:packet] = out[packet : packet + 188]
        elif kind == 5:
            out[packet : packet + 376] = out[packet + 188 : packet + 376] + out[packet : packet + 188]
        else:
            out[packet + 4 : packet + 40] = random.randbytes(36)
        if len(out) < 400:
            break
    return bytes(out)


def test_any_bytes_are_read_within_bounds() -> None:
    """Pieces of real streams, mutated: the demuxer answers with items, at any split."""
    random = rng("ts fuzz")
    films = [make_ts("h264", seconds=0.5, gop=5), make_ts("h265", seconds=0.5, gop=5)]
    for _ in range(TS_FUZZ.drawn()):
        film = random.choice(films)
        start = random.choice((0, random.randrange(len(film))))
        octets = damaged(random, film[start : start + random.choice((800, 3000))] + b"G")
        demuxer = TsDemuxer()
        cut = random.randrange(len(octets) + 1)
        for part in (film[:564], octets[:cut], octets[cut:]):
            demuxer.feed(part)
            assert demuxer.held <= PICTURE_LIMIT + PACKET_LIMIT
        demuxer.flush()


def test_lost_packets_cost_their_gops_and_what_is_shown_was_sent() -> None:
    """One packet of a hundred missing: every picture that comes out is whole, in order, and decodes after a key one."""
    random = rng("ts loss")
    octets = make_ts(seconds=4.0, gop=10, bframes=2)
    packets = [octets[at : at + 188] for at in range(0, len(octets), 188)]
    sent = [unit.payload for unit in collected(demuxed(octets)).of(Kind.VIDEO)]
    keys = [n for n, unit in enumerate(collected(demuxed(octets)).of(Kind.VIDEO)) if unit.key]
    for _ in range(TS_DAMAGE.drawn()):
        kept = packets[:3] + [packet for packet in packets[3:] if random.random() > 0.01]
        try:
            got = collected(demuxed(b"".join(kept)))
        except UnsupportedCodec:  # no picture of it came through
            continue
        last = -2
        for unit in got.of(Kind.VIDEO):
            place = sent.index(unit.payload, max(0, last + 1))  # pictures in which nothing moves are alike
            assert place == last + 1 or place in keys
            last = place


def test_a_loss_right_behind_the_first_key_picture_costs_its_gop() -> None:
    """A find of the long form: the key picture was still held, and when it went its key ended the wait for one."""
    octets = make_ts(seconds=4.0, gop=10, bframes=2)
    packets = [octets[at : at + 188] for at in range(0, len(octets), 188)]
    sent = [unit.payload for unit in collected(demuxed(octets)).of(Kind.VIDEO)]
    second = [n for n, packet in enumerate(packets) if packet[1:3] == b"\x41\x00"][2]
    got = collected(demuxed(b"".join(packets[:second] + packets[second + 1 :])))
    assert [sent.index(unit.payload) for unit in got.of(Kind.VIDEO)][:3] == [0, 10, 11]


def test_damage_anywhere_hands_no_half_picture_on_unseen() -> None:
    """Bytes changed, lost and put in: nothing is raised but a refusal, and times never step back."""
    random = rng("ts damage")
    octets = make_ts(seconds=1.0, gop=10)
    whole = {item.data for item in demuxed(octets) if isinstance(item, MpegPicture)}
    for _ in range(TS_DAMAGE.drawn()):
        items: list[MpegItem] = demuxed(damaged(random, octets), random.choice((188, 1316, 4000)))
        try:
            got = collected(items)
        except UnsupportedCodec:
            continue
        times = [unit.dts for unit in got.of(Kind.VIDEO)]
        assert times == sorted(times)
        assert sum([item.data not in whole for item in items if isinstance(item, MpegPicture)]) <= 8
