"""Kills the server and its children at moments that nobody has chosen, under load, and looks at what is left (R4, R22).

Six kills in the test run; `HLSD_LONG=1` makes it a thousand, `HLSD_DEATHS=150` so many. One stream has a publisher that
comes back, its sound made by a child, its smaller pictures by another, snapshots by a third, and is recorded; another
stream comes by a relay's child. A player of each outlives all of it under one address.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.support import gears
from tests.support.deaths import Books, Enduring, Passers, Recordings, children, moment, written
from tests.support.encoders import current_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.publishing import Persistent
from tests.support.receiver import Receiver
from tests.support.seeds import rng
from tests.support.server import HlsdServer
from tests.support.told import told

DEATHS: Final = int(told("DEATHS") or gears.DEATHS.now())
AGAIN: Final = 30.0
"""Seconds within which players have something new after a kill, on a machine that is busy with other tests."""
pytestmark = [pytest.mark.interop, pytest.mark.timeout(180 + 40 * DEATHS)]


def film(films: Path) -> tuple[Path, Path]:
    """The same film twice: with sound that is no AAC, and with such as it came."""
    plain = Film(seconds=8, width=192, height=108, gop=25).make(films)
    odd = plain.with_suffix(".mp3.flv")
    if not odd.exists():
        made = odd.with_suffix(f".{os.getpid()}.flv")
        sound = ["-c:v", "copy", "-c:a", "libmp3lame", "-ar", "44100"]
        subprocess.run(
            [current_ffmpeg(), "-v", "error", "-y", "-i", str(plain), *sound, str(made)], check=True, timeout=60
        )
        made.replace(odd)
    return odd, plain


def settings(receiver: str, events: Path, source: Path) -> dict[str, str]:
    """All that has a child or a store of its own, and waits that are short."""
    return {
        "HLSD_NOTIFY__URL": receiver,
        "HLSD_NOTIFY__LOG": str(events),
        "HLSD_NOTIFY__ON_ERROR": "allow",
        "HLSD_NOTIFY__BACKOFF_FIRST": "50ms",
        "HLSD_NOTIFY__BACKOFF_MAX": "500ms",
        "HLSD_SESSIONS__IDLE_TIMEOUT": "2s",
        "HLSD_RECORD__RULES": '[{"match": "live/cam"}]',
        "HLSD_RECORD__MIN_FREE": "0",
        "HLSD_RELAY__RULES": json.dumps([{"mode": "static", "match": "live/film", "url": f"file:{source}"}]),
        "HLSD_TRANSCODE__PROFILES": '{"72p": {"height": 72, "bitrate": 100000, "preset": "ultrafast"}}',
        "HLSD_TRANSCODE__RULES": '[{"match": "live/cam", "profiles": ["72p"]}]',
        "HLSD_TRANSCODE__MAX": "1",
    }


def queued(state: Path) -> int:
    """Events that were written down and not delivered."""
    with sqlite3.connect(f"file:{state}/hlsd.sqlite?mode=ro", uri=True, timeout=10) as file:
        count: int = file.execute("SELECT count(*) FROM outbox").fetchone()[0]
    file.close()
    return count


class Reaper:
    """Kills the server or one of its children, and looks at what is there again."""

    def __init__(self, server: HlsdServer, players: list[Enduring], recordings: Recordings) -> None:
        self._chance = rng("deaths")
        self._server, self._players, self._recordings = server, players, recordings
        self.killed: dict[str, int] = {}
        self.deaths: list[float] = []
        """When the server died, seconds of the wall clock."""
        self.waits: list[float] = []
        """Seconds until every player had a new segment."""

    def strike(self) -> str:
        """Kills somebody at a moment that is drawn; who it was."""
        time.sleep(moment(self._chance))
        there = children(self._server.process.pid)
        who = self._chance.choice(sorted(there)) if there and self._chance.random() < 0.4 else "server"
        self.killed[who] = self.killed.get(who, 0) + 1
        if who != "server":
            with suppress(ProcessLookupError):
                os.kill(there[who], signal.SIGKILL)
            return who
        self._server.kill()
        self.deaths.append(time.time())
        self._recordings.killed()
        self._server.launch()
        if self._chance.random() < 0.8:  # one in five is killed again before it is ready
            self._server.wait_until_ready()
            self._recordings.looked_at()
        return who

    def go_on(self, who: str) -> None:
        """Returns when every player has something new."""
        self._server.wait_until_ready()
        began, newest = time.monotonic(), [one.newest for one in self._players]
        eventually_here(
            lambda: all(one.newest > old for one, old in zip(self._players, newest, strict=True)),
            AGAIN,
            f"players go on after {who} was killed",
        )
        self.waits.append(time.monotonic() - began)

    def figures(self) -> str:
        """What was done, in a line."""
        waits = sorted(self.waits)
        return (
            f"kills {self.killed}; next segment behind the last of five kills after {waits[len(waits) // 2]:.1f} s"
            f" (median), {waits[-1]:.1f} s (most); {self._recordings.repaired} recordings repaired,"
            f" {self._recordings.empty} had nothing whole in them;"
            f" players had {sum(one.segments for one in self._players)} segments, each once"
        )


def test_whoever_dies_numbers_rise_events_balance_recordings_play_and_players_go_on(
    films: Path, tmp_path: Path
) -> None:
    # MP04, MP19: a player that lives on sees no number twice, under the address that it has had from the beginning.
    odd, plain = film(films)
    events, state = tmp_path / "events.jsonl", tmp_path / "server" / "state"
    recordings = Recordings(state / "records")
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver(tmp_path / "receiver"))
        server = HlsdServer(tmp_path / "server", env=settings(receiver.url, events, plain)).start()
        try:
            stack.enter_context(Persistent(odd, server.rtmp("cam")))
            players = [stack.enter_context(Enduring(server, name)) for name in ("cam", "film")]
            passers = stack.enter_context(Passers(server, "cam"))
            eventually_here(lambda: all(one.segments for one in players), 60, "both streams play")
            eventually_here(lambda: len(children(server.process.pid)) == 4, 60, "every child is there")
            reaper = Reaper(server, players, recordings)
            for number in range(1, DEATHS + 1):
                who = reaper.strike()
                if number % 5 == 0 or number == DEATHS:
                    reaper.go_on(who)
                assert [fault for one in players for fault in one.faults] == [], (number, who)
            recordings.looked_at()
            eventually_here(lambda: queued(state) == 0, 60, "an empty outbox")
        finally:
            if server.process.poll() is None:
                server.stop()
        books = Books(written(events), receiver.events(), reaper.deaths)
    print(f"{reaper.figures()}; {len(books.written)} events, {passers.plays} plays, {passers.pictures} pictures")  # noqa: T201
    faults, kept = books.faults(), queued(state)
    untold = [fault for fault in faults if fault.startswith("not received")]
    assert len(untold) <= kept, "what the last stop could not tell in time waits for the next start, and nothing else"
    assert faults == untold
    assert recordings.repaired
    assert passers.plays
    assert passers.pictures
    assert '"level": "error"' not in server.logs()
    assert "Traceback" not in server.logs()


@pytest.mark.parametrize("what", ["state", "sequence"])
def test_numbers_rise_though_all_that_was_remembered_is_deleted(films: Path, tmp_path: Path, what: str) -> None:
    # MP04: whoever deletes the state has the clock left, which stands above all numbers that were in use.
    chance = rng(f"deaths {what}")
    _, plain = film(films)
    server = HlsdServer(tmp_path).start()
    try:
        with Persistent(plain, server.rtmp("cam")), Enduring(server, "cam") as player:
            player.strict = False  # its session was signed with a key that is gone
            for _ in range(max(2, DEATHS // 5)):
                eventually_here(player.after(player.newest), AGAIN, "something new")
                time.sleep(chance.uniform(0.0, 2.0))  # the moment of the kill is what is drawn
                server.kill()
                if what == "state":
                    shutil.rmtree(tmp_path / "state")
                else:
                    for file in (tmp_path / "state").glob("*.sqlite*"):
                        file.unlink()
                server.start()
                assert player.faults == []
            eventually_here(player.after(player.newest), AGAIN, "something new")
            assert player.faults == []
    finally:
        if server.process.poll() is None:
            server.stop()
