"""Publishers that misbehave cost nobody else anything: a stream beside them comes through whole."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.broadcast import GRACE, Broadcast, broadcast
from tests.support.encoders import ENCODERS
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.packets import split_lengths
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FILM = Film(seconds=6)
MIB = 1024 * 1024


@contextmanager
def steady(server: HlsdServer, films: Path, folder: Path) -> Iterator[None]:
    """Publishes and plays a stream while the body runs; then AssertionError unless it came through whole."""
    with ThreadPoolExecutor(1) as pool:
        FILM.make(films)
        running = pool.submit(
            broadcast, server, "steady", FILM, films=films, encoder=ENCODERS["ffmpeg-current"], folder=folder / "steady"
        )
        # What disturbs is to meet the stream, not the start of its encoder.
        eventually_here(lambda: on_air(server), what="the stream")
        yield
        running.result().check(folder / "played")


def on_air(server: HlsdServer) -> bool:
    """Whether the stream has a playlist."""
    return httpx.get(server.hls("steady"), timeout=20).status_code == httpx.codes.OK


def closed(peer: socket.socket) -> bool:
    """Whether the other side has closed; reads what it says until then."""
    peer.setblocking(False)
    try:
        while peer.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


GARBAGE = {
    "random": random.Random(1).randbytes(200_000),
    "http": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tls": bytes.fromhex("160301020001000001fc0303") + bytes(500),
    "zeros": bytes(100_000),
    "handshake then random": b"\3" + bytes(1536 * 2) + random.Random(2).randbytes(200_000),
    "handshake then huge chunk": b"\3"
    + bytes(1536 * 2)
    + bytes.fromhex("03000000ffffff1400000000")
    + b"\xff" * 300_000,
}


@pytest.mark.parametrize("repeat", [1, 20])
def test_garbage_is_closed_and_disturbs_nobody(films: Path, tmp_path: Path, repeat: int) -> None:
    # Port scanners, lost browsers and attackers come first on a public address.
    env = {**GRACE, "HLSD_RTMP__HANDSHAKE_TIMEOUT": "2", "HLSD_RTMP__PUBLISH_TIMEOUT": "3"}
    with HlsdServer(tmp_path, env=env) as server, steady(server, films, tmp_path):
        peers = {}
        for number in range(repeat):
            for name, body in GARBAGE.items():
                peer = socket.create_connection(("127.0.0.1", server.rtmp_port))
                send_all(peer, body)
                peers[f"{name} {number}"] = peer
        waiting = dict(peers)

        def all_closed() -> bool:
            for name in [name for name, peer in waiting.items() if closed(peer)]:
                waiting.pop(name).close()
            return not waiting

        try:
            eventually_here(all_closed, 25, what="garbage to be closed")
        except AssertionError:
            pytest.fail(f"still open: {sorted(waiting)}")


def send_all(peer: socket.socket, body: bytes) -> None:
    """Sends until the other side has had enough."""
    peer.settimeout(5)
    try:
        peer.sendall(body)
    except OSError:
        return


def test_half_handshakes_time_out_and_disturb_nobody(films: Path, tmp_path: Path) -> None:
    # A few hundred sockets that say nothing are the cheapest attack there is.
    with HlsdServer(tmp_path, env={**GRACE, "HLSD_RTMP__HANDSHAKE_TIMEOUT": "2"}) as server:
        before = server.usage()
        with steady(server, films, tmp_path):
            peers = []
            for number in range(200):
                peer = socket.create_connection(("127.0.0.1", server.rtmp_port))
                peer.sendall((b"", b"\3", b"\3" + bytes(700), b"\3" + bytes(1536))[number % 4])
                peers.append(peer)
            eventually_here(lambda: all(closed(peer) for peer in peers), 15, what="all to be closed")
            for peer in peers:
                peer.close()
        assert server.usage().rss - before.rss < 64 * MIB


class Relay:
    """A TCP relay in front of the server, through which one publisher goes; `forward` spoils its bytes."""

    def __init__(self, port: int, forward: Callable[[socket.socket, bytes], None], *, answers: bool = True) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._target = port
        self._forward = forward
        self._answers = answers
        self.started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener:
            client, _ = self._listener.accept()
        upstream = socket.create_connection(("127.0.0.1", self._target))
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._back, args=(upstream, client), daemon=True)
        back.start()
        try:
            while body := client.recv(65536):
                self._forward(upstream, body)
            upstream.shutdown(socket.SHUT_WR)
            back.join(5)
        except OSError:
            pass
        finally:
            client.close()
            upstream.close()

    def _back(self, upstream: socket.socket, client: socket.socket) -> None:
        try:
            while body := upstream.recv(4096):
                client.sendall(body)
                if not self._answers and b"NetStream.Publish.Start" in body:
                    return  # from here on the publisher reads no more
        except OSError:
            return


def through(relay: Relay, server: HlsdServer, films: Path, folder: Path, film: Film) -> Broadcast:
    """Broadcasts a film to the server by way of the relay."""
    url = f"rtmp://127.0.0.1:{relay.port}/live/odd"
    encoder = ENCODERS["ffmpeg-current"]
    return broadcast(server, "odd", film, films=films, encoder=encoder, folder=folder / "odd", rtmp=url)


def one_by_one(upstream: socket.socket, body: bytes) -> None:
    """A packet for each byte."""
    for at in range(len(body)):
        upstream.send(body[at : at + 1])


def test_a_publisher_of_single_bytes_comes_through_whole(films: Path, tmp_path: Path) -> None:
    # Chunk boundaries mean nothing: whatever the network cuts, the media is the same.
    film = Film(seconds=5, width=160, height=90, bitrate=60_000)
    with HlsdServer(tmp_path, env=GRACE) as server, steady(server, films, tmp_path):
        odd = through(Relay(server.rtmp_port, one_by_one), server, films, tmp_path, film)
        odd.check(tmp_path / "odd-played")


def test_a_publisher_that_stops_reading_comes_through_whole(films: Path, tmp_path: Path) -> None:
    # Acknowledgements and pings pile up at its side; the server keeps a bound and goes on.
    with HlsdServer(tmp_path, env=GRACE) as server, steady(server, films, tmp_path):
        relay = Relay(server.rtmp_port, lambda upstream, body: upstream.sendall(body), answers=False)
        odd = through(relay, server, films, tmp_path, Film(seconds=5))
        odd.check(tmp_path / "odd-played")


def flood(films: Path, folder: Path, seconds: int, mbit: int) -> Path:
    """An FLV of one key frame and then huge pictures that never decode: 25 a second, for `seconds`."""
    seed = Film(seconds=1, audio=False).make(films).read_bytes()
    tags = flv_tags(seed)
    header = next(body for kind, body in tags if kind == 9 and body[1] == 0)
    key = next(body for kind, body in tags if kind == 9 and body[1] == 1)
    assert split_lengths(key[5:])
    size = mbit * 1_000_000 // 8 // 25
    nal = b"\x41" + random.Random(3).randbytes(size).translate(bytes([1, *range(1, 256)]))
    picture = b"\x27\x01\0\0\0" + len(nal).to_bytes(4, "big") + nal
    path = folder / "flood.flv"
    with path.open("wb") as out:
        out.write(b"FLV\1\1\0\0\0\x09\0\0\0\0")
        out.write(flv_tag(0, header))
        out.write(flv_tag(0, key))
        for number in range(1, seconds * 25):
            out.write(flv_tag(number * 40, picture))
    return path


def flv_tags(body: bytes) -> list[tuple[int, bytes]]:
    """Type and body of each tag."""
    found = []
    at = 13
    while at + 11 <= len(body):
        size = int.from_bytes(body[at + 1 : at + 4], "big")
        found.append((body[at], body[at + 11 : at + 11 + size]))
        at += 15 + size
    return found


def flv_tag(at: int, body: bytes) -> bytes:
    """A video tag with its previous-tag size."""
    head = b"\x09" + len(body).to_bytes(3, "big") + (at & 0xFFFFFF).to_bytes(3, "big") + bytes([at >> 24]) + b"\0\0\0"
    return head + body + (11 + len(body)).to_bytes(4, "big")


def test_two_hundred_megabits_without_a_key_frame_stay_within_the_bound(films: Path, tmp_path: Path) -> None:
    # One group of pictures that never ends must not grow into the memory of the others.
    bounds = {"HLSD_HLS__MAX_STREAM_BYTES": str(64 * MIB), "HLSD_HLS__MAX_SEGMENT_BYTES": str(16 * MIB)}
    path = flood(films, tmp_path, seconds=6, mbit=200)
    highest = 0
    with HlsdServer(tmp_path, env={**GRACE, **bounds}) as server:
        idle = server.usage().rss
        with steady(server, films, tmp_path):
            encoder = ENCODERS["ffmpeg-current"]
            with encoder.publish(FILM, path, server.rtmp("flood"), tmp_path / "flood.log") as publishing:

                def over() -> bool:
                    nonlocal highest
                    highest = max(highest, server.usage().rss)
                    return publishing.process.poll() is not None

                eventually_here(over, 40, what="the flood to end")
        assert highest - idle < (64 + 3 * 16 + 64) * MIB, f"{(highest - idle) / MIB:.0f} MiB"
