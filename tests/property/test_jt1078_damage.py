"""Whatever comes as JT/T 1078, nothing is raised but a refusal, little is held, and pictures were sent so."""

from __future__ import annotations

from contextlib import suppress

from hlsd.base.errors import ProtocolError
from hlsd.ingest.jt1078.frames import JtFrames
from hlsd.ingest.jt1078.packets import LARGEST, JtReader, read_datagram
from hlsd.ingest.mpeg.items import MpegLoss, MpegPicture
from tests.support.gears import JT_FUZZ
from tests.support.jt1078 import Terminal, film
from tests.support.seeds import rng


def test_any_bytes_are_read_or_refused() -> None:
    random = rng("jt1078 fuzz")
    films = [b"".join(Terminal(digits=digits, body=200).film(0.5, 5)) for digits in (12, 20)]
    for _ in range(JT_FUZZ.drawn()):
        whole = random.choice(films)
        start = random.randrange(len(whole))
        octets = bytearray(whole[start : start + random.choice((300, 2000))])
        for _ in range(random.randrange(8)):
            at = random.randrange(len(octets) + 1)
            if random.random() < 0.5:
                octets[at : at + 1] = random.randbytes(random.randrange(3))
            else:
                octets[at:at] = b"\x30\x31\x63\x64" + random.randbytes(random.randrange(30))
        reader, frames = JtReader(), JtFrames(lossy=random.random() < 0.5)
        cut = random.randrange(len(octets) + 1)
        with suppress(ProtocolError):
            for piece in (bytes(octets[:cut]), bytes(octets[cut:])):
                for packet in reader.feed(piece):
                    frames.take(packet)
                assert reader.held <= LARGEST + 64
        if (whole_one := read_datagram(bytes(octets))) is not None:
            frames.take(whole_one)


def test_with_packets_missing_and_exchanged_what_comes_out_was_sent() -> None:
    random = rng("jt1078 loss")
    sent = {one.data for one in film(2.0, 10)}
    packets = list(Terminal(body=300).film(2.0, 10))
    for _ in range(JT_FUZZ.drawn() // 50):
        kept = [packet for packet in packets if random.random() > 0.02]
        for _ in range(3):
            at = random.randrange(len(kept) - 1)
            kept[at : at + 2] = kept[at + 1], kept[at]
        frames = JtFrames(lossy=True)
        items = [item for one in kept if (found := read_datagram(one)) for item in frames.take(found)]
        strange = [item for item in items if isinstance(item, MpegPicture) and item.data not in sent]
        losses = sum(isinstance(item, MpegLoss) for item in items)
        assert len(strange) <= losses
