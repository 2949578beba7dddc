"""The event log: every event a line, bounded files, and a full disk harms nobody."""

from __future__ import annotations

import json
from pathlib import Path

from hlsd.events import Event
from hlsd.notify.eventlog import EventLog
from tests.support.webhooks import happened, running


def lines(path: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in path.read_text().splitlines()]


async def test_every_event_is_a_line(tmp_path: Path) -> None:
    """Without any URL: `notify.log` alone."""
    path = tmp_path / "events.jsonl"
    async with running(tmp_path, url=[], log=path) as here:
        for seq in range(1, 101):
            here.emit(Event(happened("a", seq).action, "a", seq, 1.0, {}, {"token": "hush"}))
    assert lines(path) == list(range(1, 101))
    assert "hush" not in path.read_text()


def test_files_are_put_aside_and_bounded(tmp_path: Path) -> None:
    """Disk is bounded by (files + 1) x size, and the lines that are kept are the last ones, whole."""
    path = tmp_path / "events.jsonl"
    log = EventLog(path, size=4096, files=2)
    log.start()
    for seq in range(1, 201):
        log.add(happened("a", seq))
    log.stop()
    kept = sorted(tmp_path.iterdir())
    assert [each.name for each in kept] == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    assert all(each.stat().st_size <= 4096 for each in kept)
    found = lines(kept[2]) + lines(kept[1]) + lines(kept[0])
    assert found == list(range(found[0], 201))


def test_without_files_put_aside_the_log_begins_anew(tmp_path: Path) -> None:
    """`log_files = 0`."""
    path = tmp_path / "events.jsonl"
    log = EventLog(path, size=4096, files=0)
    log.start()
    for seq in range(1, 201):
        log.add(happened("a", seq))
    log.stop()
    assert [each.name for each in tmp_path.iterdir()] == ["events.jsonl"]
    assert lines(path)[-1] == 200


def test_a_path_that_cannot_be_written_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    """A mistake in the settings, or a disk that is full."""
    log = EventLog(tmp_path / "nowhere" / "events.jsonl", size=4096, files=1)
    log.start()
    for seq in range(10):
        log.add(happened("a", seq))
    log.stop()
    assert log.dropped == 10
