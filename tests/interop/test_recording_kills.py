"""Kills a server that records, again and again, when its files have grown to sizes drawn by chance.

Ten kills in the test run; HLSD_LONG=1 makes it a thousand, HLSD_LONG=100 a hundred. Two streams are recorded at once,
H.264 and H.265, both with B-frames, published at four times their pace. Its figures stand in docs/recording.md.
"""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import httpx
import pytest

from hlsd.media import flv
from hlsd.media.flv import FileReader
from hlsd.record.repair import reader
from hlsd.record.shape import scan
from tests.support.encoders import current_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.packets import decoding_errors, read_packets
from tests.support.seeds import rng
from tests.support.server import HlsdServer
from tests.support.told import told

_LONG: Final = told("LONG")
KILLS: Final = 10 if _LONG in {"", "0"} else 1000 if _LONG == "1" else int(_LONG)
PACE: Final = 4
FILMS: Final = {
    "h264": Film(seconds=16, b_frames=2, width=320, height=180),
    "h265": Film(seconds=16, b_frames=2, codec="h265", width=320, height=180),
}
RULES: Final = {"HLSD_RECORD__RULES": '[{"match": "live/*"}]', "HLSD_RECORD__MIN_FREE": "0"}
pytestmark = [pytest.mark.interop, pytest.mark.thorough, pytest.mark.timeout(120 + 60 * KILLS)]


class Hasty:
    """A publisher of /live/{name} by HTTP-FLV, faster than its film is; `sent` are the film's seconds so far."""

    def __init__(self, film: Path, port: int, name: str) -> None:
        self._tags = FileReader().feed(film.read_bytes())
        self._port, self._name = port, name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        headers = {"transfer-encoding": "chunked", "content-type": "video/x-flv"}
        try:
            connection.request("POST", f"/live/{self._name}.flv", self._body(), headers, encode_chunked=True)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass  # the server was killed, as it should be
        finally:
            connection.close()

    def _body(self) -> Iterator[bytes]:
        yield flv.file_header(video=True, audio=True)
        began = time.monotonic()
        for tag in self._tags:
            if self._over.wait(max(0.0, began + tag.timestamp / 1000 / PACE - time.monotonic())):
                return
            yield flv.file_tag(tag.type, tag.timestamp, tag.body)
            self.sent = tag.timestamp / 1000
        self._over.wait()  # it stays on air


def parts(state: Path) -> dict[str, Path]:
    """The files that are being written, by stream."""
    return {path.relative_to(state / "state/records").parts[1]: path for path in state.rglob("*.mp4.part")}


def whole(part: Path) -> tuple[list[str], float]:
    """The pictures of all whole fragments of a file, and the seconds up to their end."""
    fd = os.open(part, os.O_RDONLY)
    try:
        layout = scan(reader(fd), part.stat().st_size)
        if not layout.fragments:
            return [], 0.0
        found = read_packets(os.pread(fd, layout.end, 0))
        return [one.digest for one in found.video], layout.fragments[-1].end / 90_000
    finally:
        os.close(fd)


def test_whenever_it_is_killed_every_whole_fragment_is_in_a_file_that_plays(films: Path, tmp_path: Path) -> None:
    random = rng("kills")
    made = {name: film.make(films) for name, film in FILMS.items()}
    sources = {name: [one.digest for one in read_packets(path).video] for name, path in made.items()}
    left: dict[str, tuple[Path, list[str]]] = {}
    lost: list[float] = []
    taken = empty = 0
    repairs: list[float] = []
    for kill in range(KILLS + 1):
        began = time.monotonic()
        server = HlsdServer(tmp_path, env=RULES).start()
        eventually_here(lambda: not parts(tmp_path), 60, "no file is left unfinished")
        repairs.append(time.monotonic() - began)
        for name, (part, pictures) in left.items():
            file = part.with_suffix("")
            if not pictures:
                empty += 1
                assert not file.exists(), "there was nothing in it"
                continue
            found = [one.digest for one in read_packets(file).video]
            assert found == pictures == sources[name][: len(found)], (kill, name)
            if kill % 10 == 1:
                assert decoding_errors(file, current_ffmpeg()) == "", (kill, name)
            file.unlink()
            taken += 1
        if kill == KILLS:
            listed = httpx.get(
                f"http://127.0.0.1:{server.http_port}/api/v1/records", params={"limit": 1000}, headers=server.bearer
            ).json()["data"]["items"]
            assert {(row["state"], row["repaired"]) for row in listed} == {("done", True)}
            server.stop()
            break
        target = random.randrange(2_000, sum(path.stat().st_size for path in made.values()) * 9 // 10)
        with Hasty(made["h264"], server.http_port, "h264") as one, Hasty(made["h265"], server.http_port, "h265") as two:
            size: dict[str, int] = {}

            def grown(size: dict[str, int] = size, target: int = target) -> bool:
                size.update({name: path.stat().st_size for name, path in parts(tmp_path).items()})
                return sum(size.values()) >= target

            eventually_here(grown, 60, "the files have grown")
            sent = {"h264": one.sent, "h265": two.sent}
            server.kill()
        left = {}
        for name, part in parts(tmp_path).items():
            pictures, seconds = whole(part)
            left[name] = part, pictures
            lost.append(sent[name] - seconds)
    lost.sort()
    starts = sorted(repairs)
    print(  # noqa: T201 - the figures of the long form
        f"{KILLS} kills, {taken} files repaired, {empty} with nothing whole in them; of what had been sent at {PACE}"
        f" times its pace was missing: median {lost[len(lost) // 2]:.2f} s, most {lost[-1]:.2f} s of media;"
        f" start and repair: median {starts[len(starts) // 2]:.1f} s, most {starts[-1]:.1f} s"
    )
    assert taken > KILLS
