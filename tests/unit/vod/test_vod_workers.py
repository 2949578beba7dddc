"""Workers that die: whatever is killed and when, each job is done once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlsd.vod.job import Progress, VodJob, Wish, new_id
from hlsd.vod.ledger import JobLedger, QuotaFull
from hlsd.vod.presence import is_dead, machine, process
from tests.support.eventually import eventually
from tests.support.films import draw
from tests.support.gears import JOB_KILLS, LONG
from tests.support.ports import free_port
from tests.support.vod_rig import VodRig, vod_rig


def job(owner: str = "me", priority: int = 5) -> VodJob:
    return VodJob(id=new_id(), owner=owner, wish=Wish(file="/a", priority=priority), created=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[JobLedger]:
    one = JobLedger(f"sqlite:///{tmp_path}/jobs.sqlite")
    one.start()
    yield one
    one.close()


def test_of_two_workers_one_has_the_job(ledger: JobLedger) -> None:
    one = job()
    ledger.add(one, 10)
    for worker in ("a", "b"):
        ledger.enlist(worker, "m", "p", 1.0)
    assert ledger.take(one.id, "a", 5) == 1
    assert ledger.take(one.id, "a", 6) == 1
    assert ledger.take(one.id, "b", 7) == 2
    assert ledger.standing(one.id, "a") == "lost"
    assert not ledger.progress(one.id, "a", Progress("make", 50.0))
    assert not ledger.finish(one.id, "a", "failed", 8, code="x")
    assert ledger.finish(one.id, "b", "done", 9)
    assert not ledger.finish(one.id, "b", "failed", 10)
    assert ledger.take(one.id, "a", 11) == 0
    assert [each.state for each in ledger.untold()] == ["done"]
    assert [ledger.tell(one.id), ledger.tell(one.id)] == [True, False]


def test_the_most_urgent_goes_first_of_these_the_oldest(ledger: JobLedger) -> None:
    drawn = [job(priority=priority) for priority in (9, 5, 1, 5)]
    wanted = [one.model_copy(update={"id": f"{drawn[0].id[:22]}{at}"}) for at, one in enumerate(drawn)]
    for one in wanted:
        ledger.add(one, 10)
    assert [priority for _, priority in ledger.unqueued()] == [1, 5, 5, 9]
    ledger.queue(wanted[2].id)
    found = ledger.unqueued()
    assert [ident for ident, priority in found if priority == 5] == sorted((wanted[1].id, wanted[3].id))
    assert wanted[2].id not in [ident for ident, _ in found]


def test_who_was_taken_for_dead_gets_nothing_any_more(ledger: JobLedger) -> None:
    one = job()
    ledger.add(one, 10)
    ledger.enlist("a", "m", "p", 1.0)
    (worker,) = ledger.workers()
    assert ledger.reap("a", "b", 100.0, worker.beat)
    assert not ledger.reap("a", "c", 101.0, worker.beat)  # one takes over, not two
    assert ledger.reap("a", "c", 200.0, worker.beat)  # unless who did died of it
    assert not ledger.beat("a", 201.0)
    assert ledger.take(one.id, "a", 5) == 0


def test_a_worker_is_dead_when_its_process_is_or_when_it_is_silent_elsewhere(ledger: JobLedger) -> None:
    ledger.enlist("here", machine(), process(os.getpid()), 0.0)
    ledger.enlist("gone", machine(), "1-1", 1000.0)
    ledger.enlist("silent", "another", "1-1", 960.0)
    ledger.enlist("heard", "another", "1-1", 990.0)
    assert {one.id for one in ledger.workers() if is_dead(one, 1000.0)} == {"gone", "silent"}


def test_a_quota_is_each_tokens_own(ledger: JobLedger) -> None:
    first = job()
    ledger.add(first, 2)
    ledger.add(job(), 2)
    with pytest.raises(QuotaFull):
        ledger.add(job(), 2)
    ledger.add(job("other"), 2)
    assert ledger.cancel(first.id, 5)
    assert not ledger.cancel(first.id, 6)
    ledger.add(job(), 2)
    assert ledger.forget(first.id)
    assert ledger.get(first.id) is None


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Debian's PostgreSQL on a port of loopback; its URL. It does not run as root, whose folders it could not enter."""
    found = shutil.which("initdb") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if found is None:
        pytest.skip("there is no PostgreSQL: apt install postgresql")
    binaries, data, port = Path(found).resolve().parent, Path(tempfile.mkdtemp(prefix="hlsd-pg-")), free_port()
    user = "nobody" if os.getuid() == 0 else None
    if user:
        shutil.chown(data, user)
    subprocess.run(
        [binaries / "initdb", "-D", data, "-A", "trust", "-U", "hlsd", "--no-sync"],
        check=True, capture_output=True, user=user, cwd="/",
    )  # fmt: skip
    with Path(os.devnull).open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"],
            stdout=log, stderr=log, user=user, cwd="/",
        )  # fmt: skip
    ask: list[str | Path] = [
        binaries / "psql",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-U",
        "hlsd",
        "-d",
        "postgres",
        "-c",
    ]
    try:
        for _ in range(300):
            done = subprocess.run([*ask, "CREATE DATABASE jobs"], capture_output=True, check=False)
            if done.returncode == 0:
                break
        yield f"postgresql://hlsd@127.0.0.1:{port}/jobs"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
        shutil.rmtree(data)


async def killed_at_random(rig: VodRig, films: int, callback: str) -> int:
    """Two workers at `films` jobs; one of them is killed again and again. Then all jobs are done, each once."""
    draws, kills = random.Random(7), JOB_KILLS.now()

    async def add() -> str:
        return str((await rig.add(file=str(rig.folder / "film.mp4"), covers=["1"], callback=callback))["id"])

    wanted = [await add() for _ in range(films // 2 + 1)]
    workers = [rig.work(), rig.work()]
    for number in range(kills):
        if len(wanted) < films * (number + 1) / kills:  # so that there is work until the last one
            wanted.append(await add())
        await asyncio.sleep(draws.uniform(0.3, 4.0))
        at = draws.randrange(2)
        workers[at].send_signal(signal.SIGKILL)
        workers[at].wait(5)
        workers[at] = rig.work()
    done = [await rig.until(ident, "done", within=200.0) for ident in wanted]
    assert {one["state"] for one in done} == {"done"}
    films = len(wanted)

    def told() -> list[str]:
        events = rig.server.notify.ring.after(0, 1000)[0]
        return sorted(str(one["id"]) for one in events if one["action"] == "jobDone")

    await eventually(lambda: told() == sorted(wanted), what="an event for each job")
    files = rig.films()
    assert len(files) == 2 * films
    assert not [name for name in files if ".tmp" in name]
    return films


@pytest.mark.thorough
@pytest.mark.timeout(2400 if LONG else 400)
async def test_two_workers_on_postgresql_are_killed_and_each_job_is_done_once(tmp_path: Path) -> None:
    draw(tmp_path / "film.mp4", seconds=1)
    called: Counter[str] = Counter()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        called[str(json.loads(await reader.readexactly(length))["job"]["id"])] += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    caller = await asyncio.start_server(listen, "127.0.0.1", 0)
    callback = f"http://127.0.0.1:{caller.sockets[0].getsockname()[1]}/over"
    with postgres() as url:
        async with caller, vod_rig(tmp_path, database=url, allow_private=True) as rig:
            films = await killed_at_random(rig, 60 if LONG else 4, callback)
            await eventually(lambda: len(called) == films, 60, "a callback for each job")
    # A worker that dies between a callback and the note of it has it told again: nobody can have it exactly once
    twice = sum(count - 1 for count in called.values())
    figures = f"{JOB_KILLS.now()} kills, {films} jobs, each done once, {twice} callbacks told twice"
    print(figures)  # noqa: T201 - figures of the long form
    assert twice <= films // 20, figures
