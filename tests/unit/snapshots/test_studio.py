"""Pictures are made once for all who ask, within a budget, by a child that may die; by real decoding throughout."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from hlsd.base.clock import SystemClock
from hlsd.base.faults import Faults
from hlsd.media.unit import AccessUnit, Tracks
from hlsd.ports import KeyPicture
from hlsd.snapshots import child as child_module
from hlsd.snapshots import studio as studio_module
from hlsd.snapshots import worker
from hlsd.snapshots.figures import SnapshotStats
from hlsd.snapshots.portrait import Busy, Portrait, Shot
from hlsd.snapshots.settings import SnapshotSettings
from hlsd.snapshots.spare import SpareTime
from hlsd.snapshots.studio import MOST_SPARE, Studio
from hlsd.snapshots.wire import UNIT_LIMIT, StillVariant
from tests.support.eventually import eventually
from tests.support.frames import AUDIO
from tests.support.signals import send
from tests.support.stills import QUARTERS, far, pixels, quarters

SMALL = (322, 182)
JPG = StillVariant(160, "jpg")
BAD = b"\x00\x00\x00\x05\x65\x11\x22\x33\x44"


@dataclass
class Posing:
    """A stream, as far as this box looks at it."""

    name: str = "cam"
    app: str = "live"
    id: str = "run"
    tracks: Tracks | None = None
    newest_key: AccessUnit | None = None
    dts: int = 0

    def key(self, unit: bytes | None = None, turn: int = 0) -> None:
        """The next key picture."""
        track, key = quarters(size=SMALL, turn=turn)
        self.dts += 1
        self.tracks = Tracks(track)
        self.newest_key = key._replace(dts=self.dts, payload=key.payload if unit is None else unit)


@dataclass
class StudioScene:
    """A studio at work, and the streams that it finds."""

    studio: Studio
    stats: SnapshotStats
    faults: Faults
    streams: dict[str, Posing] = field(default_factory=dict)

    def portrait(self, name: str = "cam") -> Portrait:
        found = self.studio.find("live", name)
        assert found is not None
        return found

    async def shot(self, variant: StillVariant = JPG, name: str = "cam") -> Shot:
        said = await self.studio.picture(self.portrait(name), variant)
        assert isinstance(said, Shot), said
        return said

    async def busy(self, variant: StillVariant = JPG, name: str = "cam") -> Busy:
        said = await self.studio.picture(self.portrait(name), variant)
        assert isinstance(said, Busy), said
        return said


@contextlib.asynccontextmanager
async def scene(*names: str) -> AsyncIterator[StudioScene]:
    stats, faults = SnapshotStats(), Faults()
    streams = {name: Posing(name) for name in names or ("cam",)}
    for one in streams.values():
        one.key()
    studio = Studio(
        SnapshotSettings(), lambda _app, name: streams.get(name), SystemClock(), structlog.get_logger(), stats, faults
    )
    studio.start()
    try:
        yield StudioScene(studio, stats, faults, streams)
    finally:
        await studio.stop()
        assert not faults.tasks.total()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream's next picture may come at once."""
    monkeypatch.setattr(studio_module, "GAP", 0.0)


async def test_a_hundred_who_ask_at_once_cost_one_decode_and_nothing_runs_before() -> None:
    async with scene() as it:
        assert it.studio.child.pid == 0
        shots = await asyncio.gather(*[it.shot() for _ in range(100)])
        assert {id(shot) for shot in shots} == {id(shots[0])}
        assert it.stats.pictures == {"jpg": 1, "webp": 0}
        assert far(pixels(shots[0].picture.body)) <= 8
        assert await it.shot() is shots[0]  # of the same key picture there is no other
        it.streams["cam"].key(turn=1)
        assert await it.shot() is shots[0]  # nor of a newer one within the second


async def test_a_stream_is_decoded_once_a_second_for_all_that_is_asked_meanwhile() -> None:
    async with scene() as it:
        await it.shot()
        loop = asyncio.get_running_loop()
        began = loop.time()
        it.streams["cam"].key(turn=1)
        webp, wide = await asyncio.gather(it.shot(StillVariant(160, "webp")), it.shot(StillVariant(320, "jpg")))
        assert loop.time() - began > studio_module.GAP / 2
        assert webp.key == wide.key == ("run", 2)
        assert (webp.picture.width, wide.picture.width) == (160, 320)
        assert it.stats.wait.count == 3
        new = await it.shot()  # the first one is older than a second by now
        assert far(pixels(new.picture.body), _turned()) <= 8


async def test_who_asks_for_all_sizes_at_once_gets_them_in_turns(quick: None) -> None:
    """One job is bounded, so others have their turn in between."""
    async with scene() as it:
        variants = [StillVariant(width, form) for width in (160, 320, 480) for form in ("jpg", "webp")]
        shots = await asyncio.gather(*[it.shot(variant) for variant in variants])
        assert [shot.picture.variant for shot in shots] == variants
        assert len({shot.made for shot in shots}) == 2


async def test_when_the_budget_is_used_up_what_is_there_is_sent_and_else_nothing(quick: None) -> None:
    async with scene("cam", "other") as it:
        old = await it.shot()
        it.studio.budget.spend(100.0)
        it.streams["cam"].key()
        assert await it.shot() is old
        busy = await it.busy(name="other")
        assert busy.result == "busy"
        assert busy.wait > 100
        it.studio.budget.spend(-200.0)
        assert (await it.shot()).key == ("run", 2)
        assert await it.shot(name="other")
        assert it.stats.cpu > 0.05  # the start of the child counts too


async def test_a_stream_that_fails_three_times_is_left_alone_and_others_are_not(quick: None) -> None:
    async with scene("cam", "bad") as it:
        for _ in range(studio_module.FAILURES - 1):
            it.streams["bad"].key(BAD)
            assert (await it.busy(name="bad")).result == "busy"
        it.streams["bad"].key(BAD)
        assert (await it.busy(name="bad")).result == "barred"
        pid = it.studio.child.pid
        it.streams["bad"].key()
        last = await it.busy(name="bad")
        assert (last.result, last.wait > 50) == ("barred", True)
        assert await it.shot()
        assert it.stats.errors == {"bad": 3, "lost": 0, "large": 0}
        assert it.studio.child.pid == pid  # what cannot be decoded is no reason to die
        await eventually(lambda: it.stats.barred == 1)
        it.portrait("bad").barred = 0.0  # its minute is over
        assert await it.shot(name="bad")


async def test_a_key_picture_beyond_all_measure_is_not_handed_over(quick: None) -> None:
    async with scene() as it:
        it.streams["cam"].key(bytes(UNIT_LIMIT + 1))
        await it.busy()
        assert (it.stats.errors["large"], it.studio.child.pid) == (1, 0)


async def test_a_child_that_is_killed_at_work_costs_that_job_only(quick: None) -> None:
    async with scene("cam", "other") as it:
        await it.shot()
        pid = it.studio.child.pid
        send(pid, signal.SIGSTOP)
        it.streams["cam"].key(turn=1)
        asked = asyncio.gather(it.studio.picture(it.portrait(), StillVariant(320, "jpg")), it.shot(name="other"))
        cam = it.portrait()
        await eventually(lambda: cam.wanted and not cam.queued)  # its job is under way
        send(pid, signal.SIGKILL)
        lost, other = await asked
        assert isinstance(lost, Busy)
        assert isinstance(other, Shot)
        assert it.stats.restarts == {"died": 1, "hung": 0, "start": 0}
        assert it.studio.child.pid not in {0, pid}
        assert far(pixels((await it.shot(StillVariant(320, "jpg"))).picture.body), _turned()) <= 8


async def test_a_child_that_gets_ready_is_not_idle(quick: None) -> None:
    """Whoever looked at it in that second ended it behind its first job."""
    async with scene() as it:
        asked = asyncio.create_task(it.shot())
        await eventually(lambda: it.studio.child.pid)
        assert not asked.done()
        assert it.studio.child.idle < 30
        await asked
        assert it.studio.child.pid


async def test_a_child_that_hangs_is_ended(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene() as it:
        await it.shot()
        send(it.studio.child.pid, signal.SIGSTOP)
        monkeypatch.setattr(child_module, "HANG", 0.2)
        it.streams["cam"].key()
        assert isinstance(await it.studio.picture(it.portrait(), StillVariant(320, "jpg")), Busy)
        monkeypatch.undo()
        assert it.stats.restarts["hung"] == 1


async def test_a_child_that_cannot_begin_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene() as it:
        monkeypatch.setattr(child_module, "MODULE", "hlsd.snapshots.nothing")
        assert (await it.busy()).result == "busy"
        assert it.portrait().failures == 0
        assert it.stats.restarts["start"] == 1


async def test_the_child_knows_nothing_of_us_and_has_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLSD_API__TOKEN", "a secret")
    async with scene() as it:
        await it.shot()
        process = Path(f"/proc/{it.studio.child.pid}")
        known = {pair.partition(b"=")[0] for pair in (process / "environ").read_bytes().split(b"\0") if pair}
        assert known <= {b"PATH", b"PYTHONPATH", b"LANG", b"PYTHONDONTWRITEBYTECODE", b"LC_CTYPE"}
        assert sorted(path.name for path in (process / "fd").iterdir()) == ["0", "1", "2"]
        limits = {line[:26].strip(): line[26:].split()[0] for line in (process / "limits").read_text().splitlines()}
        assert limits["Max address space"] == str(512 << 20)
        assert (limits["Max file size"], limits["Max open files"]) == ("0", "16")


def test_a_job_beyond_its_processor_time_ends_the_child() -> None:
    """Whatever libav is at: the kernel does it."""
    spin = (
        "import hlsd.snapshots.worker as w\n"
        "w.MOST = 0.1\n"
        "def spin(job):\n    while True: pass\n"
        "w.read_job, w.paint = id, spin\n"
        "w.signal.signal(w.signal.SIGPROF, w.signal.SIG_DFL)\n"
        "w.answer(b'')"
    )
    ended = subprocess.run([sys.executable, "-c", spin], check=False, timeout=60)
    assert ended.returncode == -signal.SIGPROF
    assert worker.MOST == 2.0


async def test_what_nobody_asks_for_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene("cam", "other") as it:
        await it.shot()
        monkeypatch.setattr(studio_module, "IDLE", 0.0)
        await eventually(lambda: it.studio.child.pid == 0)
        monkeypatch.undo()
        assert not it.portrait().shots
        kept = it.portrait()
        it.streams["cam"] = Posing(id="next")  # another run of the name
        assert it.portrait() is not kept
        assert (await it.busy()).words == "no picture yet"
        it.streams["cam"].tracks = Tracks(None, AUDIO)
        assert it.portrait().blind
        del it.streams["cam"]
        assert it.studio.find("live", "cam") is None


async def test_more_pictures_than_are_kept_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene() as it:
        await it.shot()
        monkeypatch.setattr(studio_module, "MOST_KEPT", 0)
        await eventually(lambda: not it.portrait().shots)


async def test_whoever_waits_when_the_server_stops_is_told() -> None:
    async with scene() as it:
        waiting = asyncio.ensure_future(it.busy())
        await eventually(lambda: it.studio.child.pid)
        await it.studio.stop()
        assert (await waiting).words == "the server stops"
        assert (await it.busy()).words == "the server stops"
        assert it.studio.child.pid == 0


def _turned() -> tuple[tuple[int, int, int], ...]:
    return QUARTERS[1:] + QUARTERS[:1]


async def test_what_may_wait_is_done_when_no_live_picture_is_wanted_and_leaves_half_of_the_budget(quick: None) -> None:
    async with scene() as it:
        spare = SpareTime(it.studio)
        track, unit = quarters(size=SMALL)
        key = KeyPicture(track.codec, "SDR", track.record, unit.payload)
        planes = await spare.tile(key, 160)
        assert planes is not None
        assert len(planes) == 160 * 90 * 3 // 2
        sheet = await spare.sheet(planes, 160, 90)
        assert sheet is not None
        assert pixels(sheet).shape[:2] == (90, 160)
        assert far(pixels(sheet)) < 24, "the same areas, small"
        assert await spare.tile(key._replace(unit=b"\0\0\0\1x"), 160) is None
        it.studio.budget.spend(it.studio.budget._left - 0.3)
        late = asyncio.ensure_future(spare.tile(key, 160))
        await it.shot()
        assert not late.done(), "a live picture is made, what may wait waits"
        it.studio.budget.spend(-2.0)
        it.streams["cam"].key(turn=1)
        await it.shot(StillVariant(320, "jpg"))
        assert await late == planes


async def test_no_more_than_so_many_wait_and_all_are_told_at_the_end() -> None:
    async with scene() as it:
        it.studio.budget.spend(100.0)
        track, unit = quarters(size=SMALL)
        key = KeyPicture(track.codec, "SDR", track.record, unit.payload)
        spare = SpareTime(it.studio)
        waiting = [asyncio.ensure_future(spare.tile(key, 160)) for _ in range(MOST_SPARE)]
        await asyncio.sleep(0)
        assert await spare.tile(key, 160) is None
    assert await asyncio.gather(*waiting) == [None] * MOST_SPARE
