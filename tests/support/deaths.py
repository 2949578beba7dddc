"""What stands round a server that is killed at any moment: a player that outlives it, viewers, the books of events.

The player is as patient as hls.js and stricter: it notes whatever no player may see. The books are two, of one truth:
the server's own log of events, and what a receiver of webhooks was told.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.support.encoders import current_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.packets import decoding_errors, read_packets
from tests.support.server import HlsdServer

CHILDREN: Final = {
    "sound": "hlsd.sound.worker",
    "snapshots": "hlsd.snapshots.worker",
    "relay": "hlsd.publishing.relay_child",
    "renditions": "hlsd.transcode.worker",
}
"""What each child is called, and the module that it runs."""
ASKED_FOR: Final = frozenset({"preConnect", "postConnect", "doneConnect"})
"""Events that webhooks get only where they name them."""
TIMELINE: Final = "DISCONTINUITY-SEQUENCE"
UNWRITTEN: Final = 0.25
"""Seconds before a kill within which an event may be in one book only: it was being written down."""


def children(pid: int) -> dict[str, int]:
    """The children of a server by what they are called, of each kind one."""
    found: dict[str, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if f"\nPPid:\t{pid}\n" not in (folder / "status").read_text():
                continue
            line = (folder / "cmdline").read_text()
        except OSError:
            continue
        found |= {name: int(folder.name) for name, module in CHILDREN.items() if module in line}
    return found


class Enduring:
    """Plays one stream by one address for as long as the context lasts, whoever dies meanwhile.

    `faults` are what no player may see; `newest` is the highest segment that it has had whole, `at` when that came.
    """

    def __init__(self, server: HlsdServer, name: str) -> None:
        self._server, self._name = server, name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"player of {name}")
        self._variant = ""
        self._first = self._timeline = -1
        self._addresses: dict[int, str] = {}
        self.faults: list[str] = []
        self.newest = -1
        self.at = 0.0
        self.playlists = self.segments = 0
        self.strict = True
        """Whether its address must be good for ever; without state its session is forgotten, and it comes in anew."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def after(self, number: int) -> Callable[[], bool]:
        """Whether it has had a segment behind that one."""
        return lambda: self.newest > number

    def _run(self) -> None:
        with httpx.Client(timeout=10) as http:
            while not self._over.is_set():
                with contextlib.suppress(httpx.TransportError):  # nobody is there, for a moment
                    self._turn(http)
                self._over.wait(0.1)

    def _turn(self, http: httpx.Client) -> None:
        if not self._variant:
            top = http.get(self._server.hls(self._name))
            if top.status_code == httpx.codes.OK:
                self._variant = str(top.url.join(top.text.splitlines()[-1]))
            return
        answer = http.get(self._variant)
        if answer.status_code == httpx.codes.OK:
            self._read(http, answer)
        elif answer.status_code not in {404, 503}:  # its publisher is not back yet
            if self.strict:
                self.faults.append(f"{self._name}: {answer.status_code} {answer.text[:100]}")
            self._variant = ""

    def _read(self, http: httpx.Client, answer: httpx.Response) -> None:
        self.playlists += 1
        text = answer.text
        first, timeline = (int(re.findall(rf"#EXT-X-{tag}:(\d+)", text)[0]) for tag in ("MEDIA-SEQUENCE", TIMELINE))
        if first < self._first or timeline < self._timeline:
            self.faults.append(f"{self._name}: numbers fell from {self._first}/{self._timeline} to {first}/{timeline}")
        self._first, self._timeline = first, timeline
        whole = re.findall(r"#EXTINF[^\n]*\n(?:#[^\n]*\n)*([^#\n]+)", text)
        for number, uri in enumerate(whole, start=first):
            name = uri.rpartition("/")[2]
            if self._addresses.setdefault(number, name) != name:
                self.faults.append(f"{self._name}: {number} was {self._addresses[number]} and is {name}")
            if number <= self.newest:
                continue
            got = http.get(answer.url.join(uri))
            if got.status_code == httpx.codes.OK and (len(got.content) % 188 or got.content[:1] != b"G"):
                self.faults.append(f"{self._name}: {number} has {len(got.content)} bytes")
            if got.status_code == httpx.codes.OK:
                self.segments += 1
                self.newest, self.at = number, time.monotonic()
        self._addresses = {number: name for number, name in self._addresses.items() if number > first - 50}


class Passers:
    """Viewers who look into a stream, one after the other, and take a picture of it: what makes events."""

    def __init__(self, server: HlsdServer, name: str, pause: float = 0.15) -> None:
        self._server, self._name, self._pause = server, name, pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="viewers")
        self.pictures = self.plays = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=10) as http:
            while not self._over.wait(self._pause):
                try:
                    top = http.get(self._server.hls(self._name))
                    if top.status_code != httpx.codes.OK:
                        continue
                    variant = http.get(top.url.join(top.text.splitlines()[-1]))
                    media = [line for line in variant.text.splitlines() if line and line[0] != "#"]
                    if media:
                        self.plays += http.get(variant.url.join(media[-1])).status_code == httpx.codes.OK
                    picture = http.get(self._server.page(self._name) + ".jpg", params={"width": "160"})
                    self.pictures += picture.content[:2] == b"\xff\xd8"
                except httpx.TransportError:
                    continue


@dataclass(slots=True)
class Books:
    """Events as the server wrote them down and as a receiver got them, with the moments (wall clock) of its deaths."""

    written: list[dict[str, Any]]
    received: list[dict[str, Any]]
    deaths: list[float] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What of it is lost, told twice as two events, or out of its order."""
        told = [one for one in self.received if not one["action"].startswith("pre")]
        once: dict[str, dict[str, Any]] = {}
        for one in told:
            once.setdefault(one["event_id"], one)
        found = self._missing(once)
        lives: dict[str, list[dict[str, Any]]] = {}
        for one in once.values():
            lives.setdefault(one["id"], []).append(one)
        for owner, events in lives.items():
            numbers = [one["seq"] for one in events]
            if numbers != sorted(set(numbers)):
                found.append(f"{owner}: {[(one['action'], one['seq']) for one in events]}")
            actions = [one["action"] for one in events if one["action"].startswith(("post", "done"))]
            if len(actions) != len(set(actions)):
                found.append(f"{owner}: told twice, as two events: {actions}")
        return found

    def _missing(self, once: dict[str, dict[str, Any]]) -> list[str]:
        """What stands in one book only, and not because it was being written down as the server was killed."""
        told = [one for one in self.written if not one["action"].startswith("pre") and one["action"] not in ASKED_FOR]
        written = {one["event_id"]: one for one in told}
        alone = [("not received", one) for key, one in written.items() if key not in once]
        alone += [("not written", one) for key, one in once.items() if key not in written]
        return [
            f"{what}: {one['action']} of {one['id']}, {one['event_ts']}"
            for what, one in alone
            if not any(0 <= death - one["event_ts"] / 1000 <= UNWRITTEN for death in self.deaths)
        ]


def written(log: Path) -> list[dict[str, Any]]:
    """The lines of a log of events, with those that were put aside."""
    lines = b"".join(path.read_bytes() for path in sorted(log.parent.glob(f"{log.name}*")))
    return [json.loads(line) for line in lines.splitlines()]


def moment(chance: random.Random) -> float:
    """Seconds from the start to the kill: one in five before anybody could be served."""
    return chance.uniform(0.0, 0.6) if chance.random() < 0.2 else chance.uniform(0.6, 4.0)


class Recordings:
    """Files that were being written when the server was killed: each is whole at the next start, or had nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left: set[Path] = set()
        self.repaired = self.empty = 0

    def killed(self) -> None:
        """The server is dead."""
        self._left |= set(self._folder.rglob("*.mp4.part"))

    def looked_at(self) -> None:
        """It is back, and has brought to their end those that it had left."""
        eventually_here(lambda: not any(path.exists() for path in self._left), 60, "no file is left unfinished")
        for part in self._left:
            file = part.with_suffix("")
            if not file.exists():
                self.empty += 1
                continue
            assert read_packets(file).video, file
            if self.repaired % 10 == 0:
                assert decoding_errors(file, current_ffmpeg()) == "", file
            file.unlink()
            self.repaired += 1
        self._left.clear()
