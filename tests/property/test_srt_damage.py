"""Whatever is done to what clients send to the port of SRT, it is read or left alone: nothing is raised."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from hlsd.ingest.srt import conclusion, packet
from hlsd.ingest.srt.conclusion import Wanted
from hlsd.ingest.srt.handshake import LONGEST_ID, MOST_BLOCKS, read_handshake, write_handshake
from hlsd.ingest.srt.link import Link, LinkTerms
from hlsd.ingest.srt.stream_id import BadStreamId, read_stream_id
from tests.support.gears import SRT_DAMAGE
from tests.support.seeds import first_seed

CLIENTS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden/srt_clients.json").read_text())
SECRET = "correct horse"
LETTERS = "#!::r=live/cam,m=publish,u=a,s=b?token=x&:%23\0é"


def damaged(octets: bytes, draw: random.Random) -> bytes:
    """A few bytes are others, some are missing, or twice there."""
    found = bytearray(octets)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        at = draw.randrange(len(found)) if found else 0
        kind = draw.randrange(5)
        if kind == 0 and found:
            found[at] = draw.randrange(256)
        elif kind == 1 and found:
            found[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            del found[at : at + draw.choice((1, 4, 30))]
        elif kind == 3:
            found[at:at] = found[at : at + draw.choice((4, 16))]
        else:
            found[at : at + 4] = draw.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
    return bytes(found)


def test_damaged_packets_are_read_or_left_alone() -> None:
    draw = random.Random(first_seed())
    whole = [bytes.fromhex(text) for client in CLIENTS.values() for text in (client["induction"], client["conclusion"])]
    whole += [bytes.fromhex(text) for client in CLIENTS.values() for text in (*client["data"], *client["control"])]
    link = Link(LinkTerms(1, 0, 0.1, 0.1), lambda _: None, 0.0)
    judged = secured = 0
    for number in range(SRT_DAMAGE.drawn()):
        datagram = damaged(draw.choice(whole), draw)
        link.receive(datagram, number / 1000)
        link.ended = ""
        control = packet.read_control(datagram)
        if control is None:
            continue
        packet.read_losses(control.body)
        told = read_handshake(control.body)
        if told is None:
            continue
        assert len(told.blocks) <= MOST_BLOCKS
        write_handshake(told)
        wanted = conclusion.judge(told)
        judged += 1
        if not isinstance(wanted, Wanted):
            assert read_handshake(conclusion.refused(told, wanted)) is not None
            continue
        assert len(wanted.stream_id.encode()) <= LONGEST_ID
        if number % 8 == 0:  # half a millisecond each
            conclusion.secured(wanted, SECRET)
            secured += 1
    assert judged > SRT_DAMAGE.drawn() // 5
    assert secured > 5


def test_stream_ids_of_any_letters_are_read_or_refused() -> None:
    draw = random.Random(first_seed())
    good = 0
    for _ in range(SRT_DAMAGE.drawn()):
        begin = draw.choice(("", "#!::", "publish:", "read:", "live/cam", "%23!::"))
        text = begin + "".join(draw.choice(LETTERS) for _ in range(draw.randrange(40)))
        try:
            found = read_stream_id(text)
        except BadStreamId:
            continue
        good += 1
        assert found.mode in {"publish", "play"}
        assert len(found.query) <= 40
    assert good
