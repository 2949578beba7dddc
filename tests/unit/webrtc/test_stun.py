"""STUN is answered to whoever proves that it knows the password, and to nobody else; answers are short."""

from __future__ import annotations

import ipaddress

from hlsd.webrtc import stun

USER, PASSWORD = (stun.USERNAME, b"ours:theirs"), b"a password of ours"
TRANSACTION = bytes(range(12))


def request(*attributes: tuple[int, bytes], password: bytes = PASSWORD) -> bytes:
    return stun.sealed(stun.REQUEST, TRANSACTION, (USER, *attributes), password)


def test_the_vector_of_rfc_5769_proves_its_password() -> None:
    # RFC 5769 §2.1, "Sample Request"
    sample = bytes.fromhex(
        "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff"
        "80290008932ff9b151263b36000600096576746a3a683676592020200008001"
        "49aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
    )
    binding = stun.read_request(sample)
    assert binding is not None
    assert (binding.local, binding.remote, binding.use_candidate) == ("evtj", "h6vY", False)
    assert stun.proves(binding, b"VOkJxbRl1RmTxUk/WvJxBt")
    assert not stun.proves(binding, b"VOkJxbRl1RmTxUk/WvJxBu")


def test_the_answer_names_the_address_and_is_no_longer_than_its_request() -> None:
    for ip in ("192.0.2.1", "2001:db8:1234:5678:11:2233:4455:6677", "::ffff:192.0.2.1"):
        asked = request((stun.PRIORITY, bytes(4)), (stun.USE_CANDIDATE, b""))
        binding = stun.read_request(asked)
        assert binding is not None
        assert binding.use_candidate
        answer = stun.success(binding, (ip, 32853), PASSWORD)
        assert len(answer) <= len(asked)
        assert answer[4:20] == asked[4:20]
        length = int.from_bytes(answer[22:24], "big")
        address = ipaddress.ip_address(ip)
        address = getattr(address, "ipv4_mapped", None) or address
        assert length == (8 if address.version == 4 else 20)
        mask = stun.COOKIE.to_bytes(4, "big") + TRANSACTION
        assert bytes(a ^ b for a, b in zip(answer[28 : 24 + length], mask, strict=False)) == address.packed
        assert int.from_bytes(answer[26:28], "big") ^ 0x2112 == 32853


def test_what_proves_nothing_is_no_request() -> None:
    asked = request()
    assert stun.read_request(asked[:-32]) is None  # cut off
    assert stun.read_request(stun.sealed(stun.SUCCESS, TRANSACTION, (USER,), PASSWORD)) is None
    assert stun.read_request(stun.sealed(stun.REQUEST, TRANSACTION, (), PASSWORD)) is None  # whose is it?
    bare = asked[:2] + (16).to_bytes(2, "big") + asked[4:36]
    assert stun.read_request(bare) is None  # no integrity
    many = [(0x8022, b"x" * 4)] * (stun.ATTRIBUTES + 1)
    assert stun.read_request(stun.sealed(stun.REQUEST, TRANSACTION, (*many, USER), PASSWORD)) is None


def test_a_flipped_bit_proves_nothing() -> None:
    asked = request((stun.PRIORITY, bytes(4)))
    covered = len(asked) - 8 - 20  # the fingerprint says nothing that the integrity does not
    for at in range(8, covered):
        binding = stun.read_request(asked[:at] + bytes((asked[at] ^ 1,)) + asked[at + 1 :])
        assert binding is None or not stun.proves(binding, PASSWORD), at
