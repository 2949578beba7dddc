"""Packets of JT/T 1078 are found however they are cut, in both lengths of the SIM, and what is none is passed over."""

from __future__ import annotations

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.ingest.jt1078.packets import IMPLAUSIBLE, LARGEST, SOUND, WHOLE, JtReader, read_datagram
from tests.support.jt1078 import Terminal

GOLDEN = bytes.fromhex("303163648186001d0144826075710130000001a065e9ea8a0140") + b"\xd5" * 320
"""A packet of a real terminal: 40 ms of G.711A."""


def test_a_real_packet_is_read() -> None:
    reader = JtReader()
    (packet,) = reader.feed(GOLDEN + GOLDEN[:4])
    assert (packet.sim, packet.channel, packet.kind, packet.split) == ("014482607571", 1, SOUND, WHOLE)
    assert (packet.payload_type, packet.sequence, packet.ms) == (6, 29, 0x01A065E9EA8A)
    assert packet.body == b"\xd5" * 320
    assert read_datagram(GOLDEN) == packet


@pytest.mark.parametrize("digits", [12, 20])
@pytest.mark.parametrize("cut", [1, 13, 100, 1460, 100_000])
def test_packets_are_whole_however_they_come(digits: int, cut: int) -> None:
    sent = list(Terminal(digits=digits).film(0.3 if cut < 13 else 1.0))
    octets = b"".join(sent)
    reader = JtReader()
    found = [packet for at in range(0, len(octets), cut) for packet in reader.feed(octets[at : at + cut])]
    expected = [read_datagram(one) for one in sent]
    assert found == expected
    assert {packet.sim for packet in found} == {"14482607571".zfill(digits)}
    assert reader.held == 0
    assert reader.resyncs == 0


def test_what_stands_between_packets_is_passed_over() -> None:
    sent = list(Terminal().film(0.3))
    reader = JtReader()
    found = reader.feed(b"noise" + sent[0] + sent[1] + b"\0" * 40 + sent[2] + sent[3][:9] + b"".join(sent[4:]))
    assert [packet.sequence for packet in found[:3]] == [0, 1, 2]
    assert found[-1].sequence == len(sent) - 1
    assert reader.resyncs >= 2


def test_an_upload_of_attachments_is_refused() -> None:
    # JT/T 808's attachments: the same four bytes, a name of 50, an offset, a length, up to 64 KiB.
    piece = (
        b"\x30\x31\x63\x64" + b"00_65_6501_0.jpg".ljust(50, b"\0") + bytes(4) + (1000).to_bytes(4, "big") + b"j" * 1000
    )
    reader = JtReader()
    with pytest.raises(ProtocolError, match="attachments"):
        reader.feed(piece * (IMPLAUSIBLE + 1))


def test_noise_is_refused_and_not_kept() -> None:
    reader = JtReader()
    for _ in range(10):
        reader.feed(bytes(range(256)) * 64)
        assert reader.held <= LARGEST + 64
    with pytest.raises(ProtocolError, match="no packet"):
        reader.feed(bytes(range(256)) * 1024)


def test_a_datagram_that_is_not_all_of_a_packet_is_none() -> None:
    assert read_datagram(GOLDEN[:-1]) is None
    assert read_datagram(GOLDEN + b"x") is None
    assert read_datagram(b"x" * 400) is None
    assert read_datagram(b"\x30\x31\x63\x64") is None
