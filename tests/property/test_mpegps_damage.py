"""Whatever comes as a programme stream, nothing is raised, little is held, and most of what comes out was sent so."""

from __future__ import annotations

from hlsd.ingest.mpeg.elementary import PACKET_LIMIT, PICTURE_LIMIT
from hlsd.ingest.mpeg.items import MpegPicture
from hlsd.ingest.mpeg.ps_demuxer import PsDemuxer
from hlsd.ingest.mpeg.rtp_payload import RtpPayload
from tests.support.gears import PS_FUZZ
from tests.support.jt1078 import film
from tests.support.psfilm import av_film, gb_film, rtp
from tests.support.seeds import rng


def test_any_bytes_are_read_within_bounds() -> None:
    random = rng("ps fuzz")
    films = [b"".join(octets for _, octets in gb_film(0.5, 5, codec)) for codec in ("h264", "h265")] + [av_film()]
    for _ in range(PS_FUZZ.drawn()):
        whole = random.choice(films)
        start = random.choice((0, random.randrange(len(whole))))
        octets = bytearray(whole[start : start + random.choice((300, 3000))])
        for _ in range(random.randrange(8)):
            at = random.randrange(len(octets) + 1)
            if random.random() < 0.5:
                octets[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
            else:
                octets[at:at] = b"\0\0\1" + random.randbytes(random.randrange(1, 20))
        demuxer = PsDemuxer()
        cut = random.randrange(len(octets) + 1)
        demuxer.feed(bytes(octets[:cut]))
        if random.random() < 0.2:
            demuxer.lose()
        demuxer.feed(bytes(octets[cut:]))
        assert demuxer.held <= PICTURE_LIMIT + PACKET_LIMIT
        demuxer.flush()


def test_with_packets_missing_and_exchanged_what_comes_out_was_sent() -> None:
    random = rng("ps loss")
    sent = {one.data for one in film(2.0, 10)}
    packets = list(rtp(gb_film(2.0, 10), size=400))
    for _ in range(max(4, PS_FUZZ.drawn() // 50)):
        kept = [packet for packet in packets if random.random() > 0.02]
        for _ in range(3):
            at = random.randrange(len(kept) - 1)
            kept[at : at + 2] = kept[at + 1], kept[at]
        demuxer, line = PsDemuxer(), RtpPayload()
        items = []
        for packet in kept:
            payload = line.take(packet)
            if line.gap:
                items += demuxer.lose()
            items += demuxer.feed(payload)
        assert demuxer.lost
        assert all(item.data in sent for item in items if isinstance(item, MpegPicture))
