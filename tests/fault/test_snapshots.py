"""Key pictures that were tampered with: the child may die of them, the server not, nor its loop's work grow."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import cast

import httpx
import pytest

from hlsd.media.unit import AccessUnit, VideoTrack
from hlsd.snapshots import child as child_module
from hlsd.snapshots import studio as studio_module
from hlsd.snapshots.service import SnapshotService
from hlsd.snapshots.wire import StillVariant
from tests.support.eventually import eventually
from tests.support.gears import PICTURES
from tests.support.seeds import first_seed
from tests.support.services import running
from tests.support.stills import Sending, far, pixels, quarters

SIZE = (322, 182)


def mutated(dice: random.Random, still: tuple[VideoTrack, AccessUnit]) -> bytes:
    """Its bytes with some bits turned, a piece cut out, doubled, or put elsewhere."""
    unit = bytearray(still[1].payload)
    for _ in range(dice.choice((1, 1, 2, 8, 40))):
        at = dice.randrange(len(unit))
        match dice.randrange(4):
            case 0:
                unit[at] ^= 1 << dice.randrange(8)
            case 1:
                del unit[at : at + dice.randrange(1, 200)]
            case 2:
                unit[at:at] = unit[: dice.randrange(1, 200)]
            case _:
                unit[at : at + 4] = dice.randbytes(4)
        if not unit:
            unit = bytearray(b"\0")
    return bytes(unit)


async def test_mutated_key_pictures_harm_nobody_but_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """H.264 and H.265; each is asked for, and a good one after each ten. The loop's own work is counted."""
    monkeypatch.setattr(studio_module, "GAP", 0.0)
    monkeypatch.setattr(studio_module, "BAR", 0.0)
    monkeypatch.setattr(child_module, "PAUSES", (0.0,))
    dice = random.Random(first_seed())
    stills = [quarters("h264", SIZE), quarters("h265", SIZE)]
    amount = PICTURES.now()
    async with running(tmp_path, {"snapshot.cpu": 16.0}) as server:
        base = f"http://127.0.0.1:{server.services['http'].port}"
        service = cast("SnapshotService", server.services["snapshot"])
        sending = await Sending.to(server.hub)
        answers: list[int] = []
        spent = 0.0
        async with httpx.AsyncClient(base_url=base, timeout=60) as client:
            for number in range(amount):
                still = stills[number % 2]
                sending.key(still, mutated(dice, still))
                portrait = service.studio.find("live", "cam")
                assert portrait is not None
                began = time.thread_time()
                await service.studio.picture(portrait, StillVariant(160, "jpg"))
                spent += time.thread_time() - began
                if number % 10 == 9:
                    sending.key(still)
                    answer = await client.get("/live/cam.jpg", params={"width": "160"})
                    assert answer.status_code == 200, answer.text
                    assert far(pixels(answer.content)) <= 10
                    answers.append(answer.status_code)
            assert (await client.get("/healthz")).status_code == 200
        stats = service.stats
        assert len(answers) == amount // 10
        assert stats.pictures["jpg"] + stats.errors.total() >= amount
        assert stats.errors["bad"] > amount // 20, "what is told here must have been seen"
        assert spent / amount < 0.01, "the loop decodes nothing itself"
        assert not server.stats.faults.tasks.total()


async def test_a_child_that_dies_again_and_again_leaves_live_as_it_was(tmp_path: Path) -> None:
    """Each of its jobs ends it; streams are served, and it is begun anew when the next one asks."""
    async with running(tmp_path) as server:
        base = f"http://127.0.0.1:{server.services['http'].port}"
        service = cast("SnapshotService", server.services["snapshot"])
        sending = await Sending.to(server.hub)
        async with httpx.AsyncClient(base_url=base, timeout=60) as client:
            for _ in range(2):
                sending.key(quarters(size=SIZE))
                asked = asyncio.ensure_future(client.get("/live/cam.jpg"))
                await eventually(lambda: service.studio.child.pid)
                assert service.studio.child._process is not None
                service.studio.child._process.kill()
                assert (await asked).status_code in {200, 503}
                assert (await client.get("/streams.json")).status_code == 200
            assert server.unready() == []
            await eventually(lambda: _shown(client))
            assert service.stats.restarts.total() >= 1


async def _shown(client: httpx.AsyncClient) -> bool:
    return (await client.get("/live/cam.jpg")).status_code == 200
