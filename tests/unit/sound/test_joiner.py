"""Small packets are decoded together: nothing comes out later, or otherwise, than if each were decoded by itself."""

from __future__ import annotations

import random

import pytest

from hlsd.media.sounds import SoundFormat
from hlsd.sound.clock import FRAME
from hlsd.sound.joiner import Joiner
from hlsd.sound.transcoder import Transcoder
from tests.support.seeds import first_seed

BLOCK = 64


def blocks(count: int) -> list[bytes]:
    draw = random.Random(first_seed())
    return [draw.randbytes(BLOCK) for _ in range(count)]


@pytest.mark.parametrize("rate", [11_025, 22_050, 44_100])
def test_frames_are_the_same_and_come_with_the_same_packets_as_without_it(rate: int) -> None:
    """A joiner for which there is never room to wait hands each packet on."""

    class Alone(Joiner):
        def take(self, ms: int, packet: bytes, room: int) -> list[tuple[int, bytes]]:
            return super().take(ms, packet, 0)

    ways = []
    for kind in (Joiner, Alone):
        stream = Transcoder(1, 128_000, joins=kind)
        stream.open(SoundFormat("nellymoser", b"", rate, 1))
        ways.append([stream.take(256_000 * n // rate, block) for n, block in enumerate(blocks(300))] + [stream.end()])
    assert ways[0] == ways[1]
    assert sum(len(made) for made in ways[0]) > 300 * 256 / rate * 48_000 / FRAME


@pytest.mark.parametrize("seed", range(20))
def test_every_byte_comes_out_once_in_order_and_none_waits_for_longer_than_a_frame(seed: int) -> None:
    draw = random.Random(first_seed() + seed)
    joiner, room, ms = Joiner(44_100), FRAME, 0
    sent, got = b"", b""
    for _ in range(400):
        packet = draw.randbytes(draw.choice((BLOCK, BLOCK, BLOCK, 4 * BLOCK, 63, 0)))
        ms += draw.choice((6, 6, 6, 0, 500, -40))
        sent += packet
        for _, octets in joiner.take(ms, packet, room):
            got += octets
        waits = (len(sent) - len(got)) // BLOCK * 256 * 48_000 / 44_100
        assert waits < room, "the frame that it completes is made at once"
        room = draw.randrange(1, FRAME + 1)
        if waits >= room:
            got += b"".join(octets for _, octets in joiner.rest())
    assert got + b"".join(octets for _, octets in joiner.rest()) == sent


def test_who_comes_late_or_early_is_not_joined_to_those_before() -> None:
    joiner = Joiner(44_100)
    assert joiner.take(1_000, b"a" * BLOCK, FRAME) == []
    assert joiner.take(1_006, b"b" * BLOCK, FRAME) == []
    assert joiner.take(1_012 + 60, b"c" * BLOCK, FRAME) == [(1_000, b"a" * BLOCK + b"b" * BLOCK), (1_072, b"c" * BLOCK)]
    assert joiner.take(2_000, b"d" * BLOCK, FRAME) == []
    assert joiner.take(1_990, b"e" * BLOCK, FRAME) == [(2_000, b"d" * BLOCK), (1_990, b"e" * BLOCK)]
    assert joiner.take(3_000, b"f" * 63, FRAME) == [(3_000, b"f" * 63)], "damaged: it costs nobody else"
