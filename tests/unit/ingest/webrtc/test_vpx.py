"""Frames of VP8 and VP9 come out of RTP as they were made, whatever stands in the descriptors, or not at all."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.ingest.webrtc.depacketiser import CodedPicture, Depacketiser
from hlsd.ingest.webrtc.jitter import Ordered
from hlsd.ingest.webrtc.vpx import Vp8Depacketiser, Vp9Depacketiser
from hlsd.webrtc import rtp
from hlsd.webrtc.rtp import RtpPacket
from tests.support.ports import free_port

ROOMS: dict[str, type[Depacketiser]] = {"vp8": Vp8Depacketiser, "vp9": Vp9Depacketiser}
FIRST_BYTES = {("vp8", True): 0x10, ("vp8", False): 0x11, ("vp9", True): 0x82, ("vp9", False): 0x86}
"""Of a frame of VP9 with profile 0: marker, profile, shown anew, type."""


def vp8_descriptor(rng: Random, *, first: bool) -> bytes:
    """One that says whatever may be said (RFC 7741 §4.2)."""
    head = (0x10 if first else 0) | rng.choice((0, 0x20))
    if rng.random() < 0.3:
        return bytes((head,))
    more = rng.randrange(256) & 0xF0
    out = bytes((head | 0x80, more))
    if more & 0x80:
        out += rng.choice((bytes((rng.randrange(128),)), bytes((0x80 | rng.randrange(128), rng.randrange(256)))))
    return out + rng.randbytes((1 if more & 0x40 else 0) + (1 if more & 0x30 else 0))


def vp9_descriptor(rng: Random, *, first: bool) -> bytes:
    """Likewise (RFC 9628 §4.2), of the lowest layer."""
    head = rng.randrange(256) & 0xF7 | (0x08 if first else 0)
    out = bytes((head,))
    if head & 0x80:
        out += rng.choice((bytes((rng.randrange(128),)), bytes((0x80 | rng.randrange(128), rng.randrange(256)))))
    if head & 0x20:
        out += bytes((rng.randrange(8) << 5 | rng.randrange(2),)) + (b"" if head & 0x10 else rng.randbytes(1))
    if head & 0x50 == 0x50:
        count = rng.randint(1, 3)
        out += bytes(rng.randrange(128) << 1 | (at < count - 1) for at in range(count))
    if head & 0x02:
        layers, sizes, group = rng.randrange(8), rng.random() < 0.5, rng.random() < 0.5
        out += bytes((layers << 5 | (0x10 if sizes else 0) | (0x08 if group else 0),))
        out += rng.randbytes(4 * (layers + 1)) if sizes else b""
        if group:
            pictures = [rng.randrange(4) for _ in range(rng.randrange(4))]
            out += bytes((len(pictures),))
            out += b"".join(bytes((refers << 2,)) + rng.randbytes(refers) for refers in pictures)
    return out


def packets(codec: str, frame: bytes, time: int, rng: Random) -> list[RtpPacket]:
    """A frame in packets, cut anywhere."""
    describe = vp8_descriptor if codec == "vp8" else vp9_descriptor
    cuts = sorted(rng.sample(range(1, len(frame)), min(len(frame) - 1, rng.randrange(6))))
    edges = [0, *cuts, len(frame)]
    return [
        RtpPacket(96, end == len(frame), 0, time, 1, describe(rng, first=not begin) + frame[begin:end])
        for begin, end in pairwise(edges)
    ]


@given(codec=st.sampled_from(("vp8", "vp9")), seed=st.integers(0, 1 << 32), lost=st.booleans())
def test_frames_come_out_as_they_went_in_and_none_with_a_hole(codec: str, seed: int, lost: bool) -> None:
    rng = Random(seed)
    room = ROOMS[codec]()
    frames, came = [], list[CodedPicture]()
    gone, hole = set[int](), False
    for number in range(8):
        key = rng.random() < 0.4
        frames.append((key, bytes((FIRST_BYTES[codec, key],)) + rng.randbytes(rng.randrange(1, 3000))))
        for packet in packets(codec, frames[-1][1], number * 3000, rng):
            if lost and rng.random() < 0.1:
                gone.add(number)
                hole = True
                continue
            came += room.push(Ordered(packet, hole))
            hole = False
    whole = [(key, frame) for number, (key, frame) in enumerate(frames) if number not in gone]
    out = [(one.key, b"".join(one.units)) for one in came]
    assert all(one in whole for one in out)
    assert lost or out == whole
    assert not room.held or lost


@given(codec=st.sampled_from(("vp8", "vp9")), payloads=st.lists(st.binary(min_size=1, max_size=40), max_size=30))
def test_whatever_comes_nothing_is_raised(codec: str, payloads: list[bytes]) -> None:
    room = ROOMS[codec]()
    for number, payload in enumerate(payloads):
        for one in room.push(Ordered(RtpPacket(96, number % 3 == 0, number, number // 2, 1, payload), False)):
            assert one.units


def test_of_several_layers_of_vp9_the_lowest_is_taken() -> None:
    room = Vp9Depacketiser()
    lowest, upper = b"\x82lowest", b"\x86upper"
    assert room.push(Ordered(RtpPacket(96, False, 1, 0, 1, b"\x2c\x00\x00" + lowest), False)) == []
    (one,) = room.push(Ordered(RtpPacket(96, True, 2, 0, 1, b"\x2c\x03\x00" + upper), False))
    assert (one.units, one.key) == ([lowest], True)


@pytest.mark.thorough
@pytest.mark.parametrize(("codec", "encoder"), [("vp8", "libvpx"), ("vp9", "libvpx-vp9")])
def test_what_ffmpeg_sends_is_what_it_made(codec: str, encoder: str, tmp_path: Path) -> None:
    """Its own packets, beside the file that it writes of the same frames."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    port, ivf = free_port(), tmp_path / "frames.ivf"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        udp.bind(("127.0.0.1", port))
        subprocess.run(
            ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "mandelbrot=size=320x180:rate=25", "-t", "2",
             "-c:v", encoder, "-deadline", "realtime", "-cpu-used", "8", "-b:v", "900k", "-g", "20",
             "-pix_fmt", "yuv420p", "-strict", "experimental", "-map", "0", "-f", "tee", f"[f=rtp]rtp://127.0.0.1:{port}|[f=ivf]{ivf}"],
            check=True, timeout=60,
        )  # fmt: skip
        udp.setblocking(False)
        room, came = ROOMS[codec](), list[CodedPicture]()
        try:
            while True:
                datagram = udp.recv(2048)
                if not rtp.is_rtcp(datagram):
                    came += room.push(Ordered(rtp.read(datagram), False))
        except BlockingIOError:
            pass
    octets, at, frames = ivf.read_bytes(), 32, list[bytes]()
    while at < len(octets):
        (size,) = struct.unpack_from("<I", octets, at)
        frames.append(octets[at + 12 : at + 12 + size])
        at += 12 + size
    assert len(frames) == 50
    assert [b"".join(one.units) for one in came] == frames
    assert [at for at, one in enumerate(came) if one.key][:3] == [0, 20, 40]
