"""Whatever bytes come to the UDP port or in an offer, each reader answers with a value or with its own error."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.base.errors import ProtocolError
from hlsd.ingest.webrtc.depacketiser import PICTURE_LIMIT, Depacketiser, H265Depacketiser
from hlsd.ingest.webrtc.jitter import BYTES, PACKETS, ReorderBuffer
from hlsd.ingest.webrtc.twcc import TransportFeedback
from hlsd.webrtc import rtcp, rtp, sdp, stun
from hlsd.webrtc.dtls import DtlsHandshake, DtlsIdentity
from hlsd.webrtc.rtp import RtpPacket
from hlsd.webrtc.sdp_answer import AnswerTerms, answer
from tests.support.webrtc_sender import Line, header, offer

IDENTITY = DtlsIdentity()
OFFER = (Path(__file__).parents[1] / "golden" / "offers" / "chromium.sdp").read_bytes()
TERMS = AnswerTerms("ours", "p" * 24, "sha-256 AA", client=False, addresses=[("192.0.2.1", 1)], max_bitrate=8_000_000,
              start_bitrate=2_500_000)  # fmt: skip
_packets = st.builds(
    RtpPacket,
    st.just(96),
    st.booleans(),
    st.integers(0, 40) | st.integers(0, 0xFFFF),
    st.integers(0, 5).map(lambda number: number * 3000),
    st.just(1),
    st.binary(max_size=60),
)


@settings(max_examples=200, deadline=None)
@given(octets=st.binary(max_size=200), seed=st.integers(0, 2**32))
def test_any_datagram_is_read_or_refused(octets: bytes, seed: int) -> None:
    """No IndexError, no endless loop; a request that is not cut off names whose it is."""
    sealed = bytearray(stun.sealed(stun.REQUEST, bytes(12), ((stun.USERNAME, b"a:b"), (0x8022, octets[:40])), b"key"))
    random = Random(seed)
    for _ in range(random.randrange(4)):
        sealed[random.randrange(len(sealed))] = random.randrange(256)
    for datagram in (octets, bytes(sealed), bytes(sealed[: random.randrange(len(sealed))])):
        stun.is_stun(datagram)
        binding = stun.read_request(datagram)
        if binding is not None and stun.proves(binding, b"key"):
            assert (binding.local, binding.remote) == ("a", "b")
    for packet in (octets, header(96, 1, 2, 3, wide=4) + octets, b"\x90" + header(96, 1, 2, 3)[1:] + octets):
        with suppress(ProtocolError):
            assert len(rtp.read(packet, 3).payload) <= len(packet) - 12
    assert len(list(rtcp.read(octets))) <= 31 * rtcp.PACKETS
    rtp.resent(RtpPacket(97, False, 1, 2, 3, octets), 96, 3)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), text=st.text(max_size=30))
def test_any_offer_is_answered_line_by_line_or_refused(seed: int, text: str) -> None:
    """What is answered has a section for each one offered, and nothing of an offer breaks out of its line."""
    random = Random(seed)
    lines = OFFER.split(b"\r\n") if seed % 2 else offer().split(b"\r\n")
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(lines))
        choice = random.randrange(5)
        if choice == 0:
            del lines[at]
        elif choice == 1:
            lines.insert(at, lines[random.randrange(len(lines))])
        elif choice == 2:
            lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)] + text.encode()
        elif choice == 3:
            lines[at] = lines[at].replace(b":", text.encode(), 1)
        else:
            lines[at] = lines[at].replace(b" ", b"  ")
    body = b"\r\n".join(lines)
    with suppress(sdp.BadOffer, sdp.Unacceptable):
        read = sdp.read_offer(body)
        told = answer(read, TERMS, 1)
        assert told.count("\r\nm=") == len(read.sections)
        assert all(len(line) >= 2 and line[1] == "=" for line in told.split("\r\n")[:-1])
    with suppress(sdp.BadOffer):
        sdp.read_fragment(body)


@settings(max_examples=150, deadline=None)
@given(packets=st.lists(_packets, max_size=80))
def test_whatever_order_packets_come_in_they_come_out_in_order_and_none_twice(packets: list[RtpPacket]) -> None:
    """Pictures are of bounded size, and what is held is counted down to nothing."""
    order = ReorderBuffer(0.1, asks=True)
    rooms = (Depacketiser(), H265Depacketiser())
    wide, now, last = TransportFeedback(), 0.0, None
    for packet in packets:
        now += 0.01
        wide.note(packet.sequence, now)
        out = order.push(packet, now, again=packet.marker and packet.sequence % 3 == 0) + order.tick(now)
        order.asked(now)
        for one in out:
            if last is not None and not one.hole:
                assert one.packet.sequence == last + 1 & 0xFFFF
            last = one.packet.sequence
            for room in rooms:
                for picture in room.push(one):
                    assert 0 < sum(map(len, picture.units)) <= PICTURE_LIMIT
        assert order.held <= BYTES
        assert len(order._waiting) <= PACKETS
    order.tick(now + 1)
    assert order.held == 0
    while (body := wide.report()) is not None:
        assert len(body) < 1150


@settings(max_examples=60, deadline=None)
@given(octets=st.lists(st.binary(max_size=300), max_size=4))
def test_a_handshake_takes_anything(octets: list[bytes]) -> None:
    """It goes on, or it is over."""
    server = DtlsHandshake(IDENTITY, client=False, expected=())
    with suppress(ProtocolError):
        for one in octets:
            server.receive(b"\x16\xfe\xfd" + one)
    assert server.keys is None


def test_a_connected_session_takes_anything_that_is_its_peer_s() -> None:
    """Damaged and forged, and well protected nonsense; whatever it is, pictures go on."""
    line, random = Line(), Random(7)
    line.film(5)
    for number in range(400):
        size = random.randrange(1, 200)
        nonsense = random.randbytes(size)
        datagrams = [nonsense, bytes((random.choice((22, 23, 128, 144, 176)),)) + nonsense]
        protected = header(random.choice((102, 103, 111, 96)), number, number, 0x44444444, wide=number) + nonsense
        datagrams.append(line.sender.protect(protected))
        datagrams.append(
            line.sender.protection.protect_control(b"\x80\xc8\x00\x01\x44\x44\x44\x44" + bytes(4 * (size // 4)))
        )
        line.send(datagrams)
        line.run(0.005)
    line.run(2.0)
    assert not line.peer.ended, line.peer.why
    line.film(60, first=100)
    line.run(0.5)
    assert line.sink.pictures[-1][0].units[-1][2:10] == b"%08d" % 159
