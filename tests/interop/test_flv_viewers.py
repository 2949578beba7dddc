"""Real clients play FLV and RTMP: what they get are the publisher's packets, and a stopped one disturbs nobody."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from hlsd.media import flv
from hlsd.media.flv import FileReader
from tests.support.encoders import ENCODERS, current_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.packets import Packet, Packets, compare, read_packets
from tests.support.ports import free_port
from tests.support.server import HlsdServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

FILM = Film(seconds=6, gop=25, b_frames=2)
QUICK_END = {"HLSD_PUBLISH__GRACE": "0"}


@contextlib.contextmanager
def on_air(
    place: tuple[Path, Path], film: Film, *, to_the_end: bool = True, env: dict[str, str] | None = None
) -> Iterator[tuple[HlsdServer, Path]]:
    """A server with a live stream `cam`; viewers are let in when this yields. Behind it the film goes `to_the_end`."""
    films, folder = place
    path = film.make(films)
    with HlsdServer(folder, env=QUICK_END | (env or {})) as server:  # noqa: SIM117 - one needs the other
        with ENCODERS["ffmpeg-current"].publish(film, path, server.rtmp("cam"), folder / "encoder.log") as encoder:
            eventually_here(lambda: httpx.head(flv_url(server)).status_code == httpx.codes.OK, what="the stream")
            yield server, path
            if to_the_end:
                encoder.wait(60)


def flv_url(server: HlsdServer) -> str:
    return f"http://127.0.0.1:{server.http_port}/live/cam.flv"


def tail(source: Packets, got: Packets) -> Packets:
    """The packets of `source` from where `got` begins: a viewer comes in at a key frame, sound from there on."""

    def cut(have: list[Packet], all_of_them: list[Packet]) -> list[Packet]:
        digests = [p.digest for p in all_of_them]
        return all_of_them[digests.index(have[0].digest) :] if have and have[0].digest in digests else all_of_them

    return Packets(source.codec, source.size, cut(got.video, source.video), cut(got.audio, source.audio))


def assert_copied(source: Path, got: Path | bytes, *, least: float = 0.5) -> None:
    """`got` is `source` from some key frame to its end, packet by packet."""
    whole, part = read_packets(source), read_packets(got)
    assert compare(tail(whole, part), part) == []
    assert len(part.video) >= least * len(whole.video)
    assert part.video[0].key


def test_every_client_copies_what_was_published(films: Path, tmp_path: Path) -> None:
    # ffmpeg by RTMP and HTTP, rtmpdump, GStreamer: frames equal to the input's packets, and an end that is understood.
    # mpv decodes, to the end and without a word.
    ffmpeg = current_ffmpeg()
    outs = {name: tmp_path / name for name in ("rtmp.mkv", "http.mkv", "rtmpdump.flv", "gst.flv")}
    with on_air((films, tmp_path), FILM) as (server, source):
        rtmp, http = server.rtmp("cam"), flv_url(server)
        sink = ["filesink", f"location={outs['gst.flv']}"]
        copy = [ffmpeg, "-v", "error", "-y", "-i"]
        commands = {
            "rtmp.mkv": [*copy, rtmp, "-map", "0", "-c", "copy", str(outs["rtmp.mkv"])],
            "http.mkv": [*copy, http, "-map", "0", "-c", "copy", str(outs["http.mkv"])],
            "rtmpdump.flv": ["rtmpdump", "-q", "-v", "-r", rtmp, "-o", str(outs["rtmpdump.flv"])],
            "gst.flv": ["gst-launch-1.0", "-q", "rtmp2src", f"location={rtmp}", "!", *sink],
            "mpv, rtmp": ["mpv", "--no-config", "--vo=null", "--ao=null", "--msg-level=all=error", rtmp],
            "mpv, http": ["mpv", "--no-config", "--vo=null", "--ao=null", "--msg-level=all=error", http],
        }
        left_out = {name for name, command in commands.items() if shutil.which(command[0]) is None}
        running = {
            name: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for name, command in commands.items()
            if name not in left_out
        }
        said = {name: process.communicate(timeout=60)[0] for name, process in running.items()}
    if left_out:
        warned = ", ".join(sorted(left_out))
        sys.stderr.write(f"not installed, and left out: {warned}\n")
    for name, process in running.items():
        assert process.returncode == 0, (name, said[name])
        if name in outs:
            assert_copied(source, outs[name])
        else:
            assert not said[name].strip(), (name, said[name])


def test_hevc_enhanced_and_legacy_over_tls_and_http2(films: Path, tmp_path: Path) -> None:
    # https on 8443, where browsers come by HTTP/2 and the connection cannot be taken over; H.265 in both markings.
    if not shutil.which("curl") or not shutil.which("openssl"):
        pytest.skip("curl or openssl is not installed")
    port, cert, key = free_port(), tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True, timeout=60)
    tls = {"HLSD_HTTPS__PORT": str(port), "HLSD_HTTPS__CERT": str(cert), "HLSD_HTTPS__KEY": str(key)}
    film = Film(seconds=6, gop=25, codec="h265")
    with on_air((films, tmp_path), film, env=tls) as (server, source):
        secure = f"https://127.0.0.1:{port}/live/cam.flv"
        ways = (["--http1.1", secure], ["--http2", secure], [secure + "?codecid=12"], [flv_url(server)])
        copies = {}
        for number, words in enumerate(ways):
            out = tmp_path / f"{number}.flv"
            copies[out] = subprocess.Popen(["curl", "-sSk", *words, "-o", str(out)])
        play = [current_ffmpeg(), "-v", "error", "-y", "-i", server.rtmp("cam"), "-c", "copy", str(tmp_path / "r.mkv")]
        copies[tmp_path / "r.mkv"] = subprocess.Popen(play)
        assert [copy.wait(60) for copy in copies.values()] == [0] * 5
    for out in copies:
        assert_copied(source, out)
    heads = [(tmp_path / f"{number}.flv").read_bytes()[:4000] for number in range(4)]
    assert [b"\x90hvc1" in head for head in heads] == [True, True, False, True]


def pictures(server: HlsdServer, count: int) -> list[flv.VideoPacket]:
    """The first `count` pictures that a new viewer gets."""
    reader, found = FileReader(), list[flv.VideoPacket]()
    with httpx.stream("GET", flv_url(server), timeout=30) as answer:
        for octets in answer.iter_raw():
            for tag in reader.feed(octets):
                packet = flv.decode_video(tag.body) if tag.type == flv.VIDEO else None
                if packet is not None and packet.packet == flv.FRAMES:
                    found.append(packet)
            if len(found) >= count:
                break
    return found


def test_a_viewer_has_a_picture_at_once(films: Path, tmp_path: Path) -> None:
    # The GOP cache: this film has one key frame, its first; who comes later gets it all the same, and with it the rest.
    with on_air((films, tmp_path), Film(seconds=20, gop=1000), to_the_end=False) as (server, _):
        first = pictures(server, 25)
        second = pictures(server, 1)
    assert second[0].key
    assert second[0].body == first[0].body
    assert len(second) >= 25  # in one write


async def _tags_of(reader: asyncio.StreamReader) -> list[tuple[int, int]]:
    """Type and time of every tag until the stream ends; raises where the framing is broken."""
    await reader.readuntil(b"\r\n\r\n")
    file, seen = FileReader(), []
    while octets := await reader.read(1 << 16):
        seen += [(tag.type, tag.timestamp) for tag in file.feed(octets)]
    return seen


async def test_stopped_readers_do_not_disturb_the_others(films: Path, tmp_path: Path) -> None:
    # 50 of 250 viewers stop reading: no gap for the rest, and the server's memory does not grow with what they miss.
    film = Film(seconds=8, bitrate=1_500_000, noise=30)
    path = film.make(films)
    env = QUICK_END | {"HLSD_HTTP__MAX_CONNECTIONS_PER_IP": "0", "HLSD_FLV__QUEUE": "5s"}
    with HlsdServer(tmp_path, env=env) as server:  # noqa: SIM117 - one needs the other
        with ENCODERS["ffmpeg-current"].publish(film, path, server.rtmp("cam"), tmp_path / "encoder.log") as encoder:
            async with asyncio.timeout(20):
                while (await asyncio.to_thread(httpx.head, flv_url(server))).status_code != httpx.codes.OK:
                    await asyncio.sleep(0.05)
            ask = b"GET /live/cam.flv HTTP/1.0\r\nHost: h\r\n\r\n"  # without chunks: quicker to read for 200
            stopped, readers = [], []
            for number in range(250):
                # A small limit: asyncio would read on for a client that does not
                reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port, limit=1 << 20)
                writer.write(ask)
                if number % 5:
                    readers.append((asyncio.create_task(_tags_of(reader)), writer))
                else:
                    writer.transport.pause_reading()  # type: ignore[attr-defined]
                    stopped.append(writer)
            before = server.usage().rss
            await asyncio.to_thread(encoder.wait, 60)
            after = server.usage().rss
            async with asyncio.timeout(60):
                seen = [await task for task, _ in readers]
            for writer in (*stopped, *(writer for _, writer in readers)):
                writer.transport.abort()
    for tags in seen:
        times = [time for kind, time in tags if kind == flv.VIDEO]
        assert len(times) > 100
        assert max(b - a for a, b in itertools.pairwise(times)) <= 41  # 25 pictures a second, none missing
    assert after - before < 50 * 1024 * 1024, f"{(after - before) >> 20} MiB"
