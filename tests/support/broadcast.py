"""Puts a film on the air and plays it at the same time: what went in and what came out, side by side."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.encoders import Encoder, current_ffmpeg, system_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.hlscheck import check_recording
from tests.support.packets import Packets, compare, decoding_errors, read_packets
from tests.support.players import Recording, follow
from tests.support.server import HlsdServer

GRACE = {"HLSD_PUBLISH__GRACE": "3"}
"""A stream ends three seconds after its publisher, so that a test need not wait ten."""


@dataclass(slots=True)
class Broadcast:
    """A film, the encoder that sent it and what a player got. `error` is why there is nothing to look at."""

    name: str
    film: Film
    source: Packets
    recording: Recording = field(default_factory=Recording)
    error: BaseException | None = None

    def check(self, folder: Path, ignore: Collection[str] = ()) -> None:
        """AssertionError unless every packet came through, every frame decodes and no rule is broken."""
        if self.error is not None:
            raise self.error
        faults = self.faults(folder, ignore)
        if faults:
            raise AssertionError(f"{self.name}:\n" + "\n".join(faults[:20]))

    def faults(self, folder: Path, ignore: Collection[str] = ()) -> list[str]:
        """All that is wrong with what was played; `folder` keeps the media."""
        faults = list(self.recording.faults)
        if not self.recording.ended:
            faults.append("no EXT-X-ENDLIST")
        if not self.recording.segments:
            return [*faults, "no segments"]
        stretches = self.recording.packets()
        if len(stretches) != 1:
            faults.append(f"{len(stretches) - 1} discontinuities")
        faults += compare(self.source, stretches[0])
        for path in self.recording.save(folder):
            complaint = decoding_errors(path, system_ffmpeg() or current_ffmpeg())
            if complaint:
                faults.append(f"{path.name} does not decode clean: {complaint[:500]}")
        return faults + [f"{rule}: {text}" for rule, text in check_recording(self.recording, ignore)]


def broadcast(
    server: HlsdServer, name: str, film: Film, *, films: Path, encoder: Encoder, folder: Path, rtmp: str = ""
) -> Broadcast:
    """Publishes the whole film as `name` and plays it to its end; what fails is kept in the result.

    `films` keeps the encoded films, `folder` takes the logs; `rtmp` is another way to the server than the direct one.
    """
    path = film.make(films)
    result = Broadcast(name, film, read_packets(path))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with ThreadPoolExecutor(1) as player:
            publishing = encoder.publish(film, path, rtmp or server.rtmp(name), folder / f"{name}.log")
            with publishing:
                played = player.submit(follow, server.hls(name), seconds=film.seconds + 25, recording=result.recording)
                publishing.wait(film.seconds + 20)
                played.result()
    except BaseException as error:  # noqa: BLE001 - the test that owns this stream raises it
        result.error = error
    return result


def broadcast_all(
    server: HlsdServer, jobs: Sequence[tuple[str, Film, Encoder]], films: Path, folder: Path
) -> dict[str, Broadcast]:
    """Publishes and plays several films at once, by name: their pace is the cost, not the processor."""
    for _, film, _ in jobs:
        film.make(films)  # encoded before the clock runs
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        results = pool.map(
            lambda job: broadcast(server, job[0], job[1], films=films, encoder=job[2], folder=folder / job[0]),
            jobs,
        )
        return {result.name: result for result in results}


def wait_for_playlist(url: str) -> None:
    """Returns when the stream answers."""
    eventually_here(lambda: httpx.get(url, timeout=20).status_code == httpx.codes.OK, what="the playlist")
