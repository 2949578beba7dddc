"""Hands are shaken in either role, with whom the offer names and nobody else."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.webrtc import dtls
from hlsd.webrtc.dtls import DtlsHandshake, DtlsIdentity
from hlsd.webrtc.srtp import SOURCES, Protection
from tests.support.confine import LIBRARY
from tests.support.webrtc_sender import header


def of(identity: DtlsIdentity) -> tuple[tuple[str, str], ...]:
    name, digits = identity.fingerprint.split()
    return ((name, digits),)


def shake(server: DtlsHandshake, client: DtlsHandshake) -> int:
    """Until both have keys; how many datagrams that took."""
    flying = [(server, client, datagram) for datagram in client.begin()]
    count = 0
    while flying:
        to, back, datagram = flying.pop(0)
        count += 1
        assert len(datagram) <= dtls.MTU
        assert dtls.is_dtls(datagram)
        flying += [(back, to, answer) for answer in to.receive(datagram)]
    return count


@pytest.fixture
def pair() -> tuple[DtlsHandshake, DtlsHandshake]:
    one, other = DtlsIdentity(), DtlsIdentity()
    server = DtlsHandshake(one, client=False, expected=(("sha-1", "AA"), ("md2", "BB"), *of(other)))
    return server, DtlsHandshake(other, client=True, expected=of(one))


def test_both_have_the_same_keys_and_what_one_protects_the_other_reads(
    pair: tuple[DtlsHandshake, DtlsHandshake],
) -> None:
    server, client = pair
    shake(server, client)
    assert server.keys is not None
    assert client.keys is not None
    assert server.keys.profile == "SRTP_AEAD_AES_128_GCM"
    assert (server.keys.inbound, server.keys.outbound) == (client.keys.outbound, client.keys.inbound)
    here, there = Protection(server.keys), Protection(client.keys)
    packet = header(96, 1, 2, 3) + b"media"
    protected = there._outbound.protect(packet)
    assert here.media(protected) == packet
    assert here.media(protected) is None  # it came before
    assert here.media(protected[:-1] + b"\x00") is None
    assert here.media(bytes(1600)) is None
    compound = bytes.fromhex("80c9000100000003")
    assert here.control(there.protect_control(compound)) == compound
    assert here.control(compound + bytes(20)) is None


def test_the_peer_says_goodbye(pair: tuple[DtlsHandshake, DtlsHandshake]) -> None:
    server, client = pair
    shake(server, client)
    for datagram in client.close():
        server.receive(datagram)
    assert server.closed


def test_another_certificate_than_the_offer_s_is_refused() -> None:
    one, other, third = DtlsIdentity(), DtlsIdentity(), DtlsIdentity()
    server = DtlsHandshake(one, client=False, expected=of(third))
    client = DtlsHandshake(other, client=True, expected=of(one))
    with pytest.raises(ProtocolError, match="certificate"):
        shake(server, client)
    assert server.keys is None


def test_what_is_lost_is_sent_again(pair: tuple[DtlsHandshake, DtlsHandshake]) -> None:
    _, client = pair
    assert client.begin()
    assert client.tick() == []  # not before its time, a second


def test_a_handshake_without_end_is_ended() -> None:
    server = DtlsHandshake(DtlsIdentity(), client=False, expected=())
    datagram = b"\x16\xfe\xfd" + bytes(8) + (1100).to_bytes(2, "big") + bytes(1100)

    def flood() -> None:
        for _ in range(dtls.LIMIT // len(datagram) + 2):
            server.receive(datagram)

    with pytest.raises(ProtocolError):
        flood()


def test_a_session_has_a_bound_for_sources(pair: tuple[DtlsHandshake, DtlsHandshake]) -> None:
    server, client = pair
    shake(server, client)
    assert server.keys is not None
    assert client.keys is not None
    here, there = Protection(server.keys), Protection(client.keys)

    def flood() -> None:
        for source in range(SOURCES + 1):
            here.media(there._outbound.protect(header(96, 1, 2, source) + b"x"))

    with pytest.raises(ProtocolError, match="sources"):
        flood()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_hands_are_shaken_where_no_memory_may_be_written_and_run() -> None:
    # As conf/systemd/hlsd.service has it: pyOpenSSL's own way to take any certificate needs such memory.
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        pytest.skip(f"{LIBRARY} is not there: the filters cannot be put up")
    root = Path(__file__).parents[3]
    code = (
        "from tests.support.webrtc_sender import Line\n"
        "line = Line()\nline.film(3)\nassert len(line.sink.pictures) >= 2\nprint('fine')\n"
    )
    unit = str(root / "conf" / "systemd" / "hlsd.service")
    command = [sys.executable, "-m", "tests.support.confine", unit, sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "fine", done.stderr[-2000:]
