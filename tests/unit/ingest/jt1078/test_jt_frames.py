"""The pictures and sounds of terminals are put together, whatever their flags and numbers say."""

from __future__ import annotations

from collections.abc import Iterable

import av
import numpy as np
import pytest

from hlsd.ingest.jt1078.frames import DISBELIEF, JtFrames
from hlsd.ingest.jt1078.packets import SOUND, read_datagram
from hlsd.ingest.jt1078.sounds import bare
from hlsd.ingest.mpeg.items import MpegItem, MpegLoss, MpegPicture, MpegSound, MpegStreams
from hlsd.media.sounds import SOUNDS, SoundFormat
from hlsd.media.unit import Kind
from hlsd.sound.decoder import decoder
from tests.support.jt1078 import FIRST, I_FRAME, LAST, MIDDLE, P_FRAME, WHOLE, Terminal, film
from tests.support.tsfilm import collected

ADTS = bytes.fromhex("fff15080057ffc") + b"\x21" * 36


def taken(packets: Iterable[bytes], frames: JtFrames | None = None) -> list[MpegItem]:
    frames = frames or JtFrames(lossy=False)
    items: list[MpegItem] = []
    for octets in packets:
        packet = read_datagram(octets)
        assert packet is not None
        items += frames.take(packet)
    return items


def pictures(items: list[MpegItem]) -> list[bytes]:
    return [item.data for item in items if isinstance(item, MpegPicture)]


def sounds(terminal: Terminal, kind: int, *bodies: bytes, step: int = 40) -> list[MpegSound]:
    sent = [terminal.packet(SOUND, WHOLE, kind, n * step, body) for n, body in enumerate(bodies)]
    return [item for item in taken(sent) if isinstance(item, MpegSound)]


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("body", [300, 950, 60_000])
def test_a_film_comes_out_as_it_was(codec: str, body: int) -> None:
    items = taken(Terminal(body=body).film(2.0, 15, codec))
    sent = film(2.0, 15, codec)
    assert pictures(items) == [one.data for one in sent]
    got = [item for item in items if isinstance(item, MpegPicture)]
    assert [item.key for item in got] == [n % 15 == 0 for n in range(len(sent))]
    assert {item.codec for item in got} == {codec}
    assert [item.pts - got[0].pts for item in got] == [(one.dts - sent[0].dts) // 90 * 90 for one in sent]
    assert len([item for item in items if isinstance(item, MpegSound)]) == 50
    assert not [item for item in items if isinstance(item, MpegLoss)]


def test_flags_that_lie_cost_one_picture() -> None:
    terminal = Terminal(flags=False, body=500)
    sent = [one.data for one in film(2.0, 15)]
    items = taken(terminal.film(2.0, 15, sound=False))
    whole = [one for one in pictures(items) if one in sent]
    assert len(whole) >= len(sent) - 2  # the one whose beginning went out alone, and the last, which nothing has ended
    assert len(pictures(items)) - len(whole) <= 1


def test_a_lost_packet_costs_its_picture_and_is_told() -> None:
    sent = list(Terminal(body=400).film(2.0, 15))
    for lost in (0, 3, len(sent) // 2):
        items = taken(sent[:lost] + sent[lost + 1 :])
        whole = [one.data for one in film(2.0, 15)]
        got = pictures(items)
        assert all(one in whole for one in got)
        assert len(whole) - len(got) <= 1
        assert any(isinstance(item, MpegLoss) for item in items)


def test_packets_that_come_late_or_twice_by_udp_are_left_out() -> None:
    sent = list(Terminal(body=400).film(2.0, 15))
    shuffled = [*sent[:20], sent[19], sent[10], *sent[20:]]
    items = taken(shuffled, JtFrames(lossy=True))
    assert pictures(items) == [one.data for one in film(2.0, 15)]


def test_numbers_that_make_no_sense_are_not_believed() -> None:
    terminal = Terminal()
    sent: list[bytes] = []
    for packet in terminal.film(4.0, 15, sound=False):
        terminal.sequence = 7
        sent.append(packet)
    items = taken(sent)
    assert len(pictures(items)) == 120
    assert len([item for item in items if isinstance(item, MpegLoss)]) < DISBELIEF


def test_sound_and_pictures_may_be_numbered_apart() -> None:
    pictured, heard = Terminal(), Terminal()
    sent: list[bytes] = []
    for n, picture in enumerate(film(1.0, 15)):
        sent += pictured.frame(I_FRAME if n % 15 == 0 else P_FRAME, 98, n * 33, picture.data)
        sent.append(heard.packet(SOUND, WHOLE, 6, n * 33, b"\xd5" * 264))
    assert not [item for item in taken(sent) if isinstance(item, MpegLoss)]


def test_a_picture_that_begins_in_the_middle_is_dropped() -> None:
    terminal = Terminal()
    sent = [terminal.packet(P_FRAME, MIDDLE, 98, 0, b"x" * 90), terminal.packet(P_FRAME, LAST, 98, 0, b"x" * 90)]
    assert taken(sent) == [MpegLoss(Kind.VIDEO)]
    begun = terminal.packet(P_FRAME, FIRST, 98, 40, b"\0\0\0\1A1")
    other = terminal.packet(P_FRAME, WHOLE, 98, 80, b"\0\0\0\1A2")
    assert pictures(taken([begun, other])) == [
        b"\0\0\0\1A1",
        b"\0\0\0\1A2",
    ]  # the first one ends where the time changes


def test_g711_without_and_with_the_head_of_a_chip() -> None:
    body = bytes(range(256)) + b"\xd5" * 64
    assert [one.data for one in sounds(Terminal(), 6, body, b"\0\1\xa0\0" + body)] == [body, body]
    assert {one.form.codec for one in sounds(Terminal(), 7, body)} == {"pcm_mulaw"}
    assert bare(b"\0\1\x50\0" + bytes(159)) == b"\0\1\x50\0" + bytes(159), "its size is not that"


@pytest.mark.parametrize(("size", "step", "bits"), [(80, 20, 4), (80, 40, 2), (100, 20, 5), (120, 40, 3), (160, 40, 4)])
def test_the_rate_of_g726_is_found_by_its_pace(size: int, step: int, bits: int) -> None:
    found = sounds(Terminal(), 8, *[bytes(size)] * 5, step=step)
    assert len(found) == 5
    assert {one.form for one in found} == {SoundFormat("g726le", bytes((bits,)), 8_000, 1)}
    samples = sum([piece.samples for piece in decoder(found[0].form).decode(av.Packet(bytes(size)))])
    assert samples == size * 8 // bits


def test_adpcm_decodes_to_what_was_encoded() -> None:
    """A tone through an encoder written from the IMA's recommendation, behind its state as terminals send it."""
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(1600) / 8000)).astype(int)
    found = sounds(Terminal(), 26, *ima_packets(tone.tolist(), 160), step=20)
    assert found[0].form.codec in SOUNDS
    context = decoder(found[0].form)
    heard = np.concatenate([piece.to_ndarray()[0] for one in found for piece in context.decode(av.Packet(one.data))])
    assert len(heard) == 1600
    assert np.abs(heard[200:] - tone[200:]).mean() < 400


def ima_packets(samples: list[int], size: int) -> list[bytes]:
    """Packets of so many samples behind four bytes of state, by the step sizes of the IMA."""
    last, index = 0, 0
    packets = []
    for at in range(0, len(samples), size):
        halves = []
        head = (last & 0xFFFF).to_bytes(2, "little") + bytes((index, 0))
        for sample in samples[at : at + size]:
            step, delta = STEPS[index], sample - last
            code = 8 if delta < 0 else 0
            delta, change = abs(delta), step >> 3
            for bit in (4, 2, 1):
                if delta >= step:
                    code, delta, change = code | bit, delta - step, change + step
                step >>= 1
            last = max(-32768, min(32767, last - change if code & 8 else last + change))
            index = max(0, min(88, index + (-1, -1, -1, -1, 2, 4, 6, 8)[code & 7]))
            halves.append(code)
        packets.append(head + bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True)))
    return packets


STEPS = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88,
    97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658,
    724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660,
    4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818,
    18500, 20350, 22385, 24623, 27086, 29794, 32767,
]  # fmt: skip


def test_aac_and_mp3_are_cut_into_frames() -> None:
    assert [one.data for one in sounds(Terminal(), 19, ADTS * 2, ADTS)] == [ADTS[7:]] * 3


def test_sound_that_is_not_read_costs_no_picture() -> None:
    terminal = Terminal()
    sent = [terminal.packet(SOUND, WHOLE, 28, 0, b"amr"), *terminal.film(1.0, 15, sound=False)]
    got = collected(taken(sent))
    assert len(got.of(Kind.VIDEO)) == 30
    assert got.dropped == ("AMR",)


def test_foreign_sound_and_pictures_are_named_once() -> None:
    terminal = Terminal()
    sent = [terminal.packet(SOUND, WHOLE, 28, n * 20, b"amr") for n in range(3)]
    assert taken(sent) == [MpegStreams("", "AMR", silent=True)]
    assert taken([terminal.packet(I_FRAME, WHOLE, 101, 0, b"svac")]) == [MpegStreams("SVAC", refused=True)]
