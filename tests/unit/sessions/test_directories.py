"""Directories of sessions keep their word; and one that does not is found."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from hlsd.ports import Denial
from hlsd.sessions.ban_store import BanStore
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation, SessionDirectory
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.settings import SessionSettings
from tests.support.slow_directory import SlowDirectory
from tests.unit.sessions.conftest import Hands
from tests.unit.sessions.directory_contract import LEASE, SETTINGS, DirectoryContract, Rig, walk


def who(user: str) -> str:
    return user and f"<{user}>"


class TestLocalDirectory(DirectoryContract):
    """Of one process; whoever asks it from elsewhere asks this very object."""

    kind: type[LocalDirectory] = LocalDirectory

    async def rig(self, settings: SessionSettings, lease: float) -> Rig:
        clock = Hands()
        directory = self.kind(settings, clock, who, lease_time=lease)
        await directory.start()

        def elapse(seconds: float) -> None:
            clock.now += seconds
            directory.sweep()

        return Rig([directory], elapse)


class TestDirectoryElsewhere(DirectoryContract):
    """Two nodes, one store."""

    async def rig(self, settings: SessionSettings, lease: float) -> Rig:
        store = await TestLocalDirectory().rig(settings, lease)
        nodes: list[SessionDirectory] = [SlowDirectory(store.nodes[0]) for _ in "ab"]
        return Rig(nodes, store.elapse)


class Forgets(LocalDirectory):
    """Loses releases."""

    def release(self, place: str) -> None:
        if hash(place) % 3:
            super().release(place)


class LetsIn(LocalDirectory):
    """Looks at the ban of the viewer only."""

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        return await super().claim(claim._replace(sid=b""))


class CountsTwice(LocalDirectory):
    """Takes a claim that is repeated for another one."""

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        return await super().claim(claim._replace(id=claim.id + "'" if claim.id in self.limits else claim.id))


class EndsTheNewest(LocalDirectory):
    """Takes back the wrong ones."""

    def rejoin(self, claim: PlaceClaim) -> Lease | Denial:
        for key, there in self.limits._by.items():
            if isinstance(there, dict):
                self.limits._by[key] = dict(reversed(there.items()))
        return super().rejoin(claim)


class TellsNobody(LocalDirectory):
    """Ends places in silence."""

    def _tell(self, revocation: Revocation) -> None:
        if revocation.reason != "replaced":
            super()._tell(revocation)


class NeverRunsOut(LocalDirectory):
    """Keeps the places of nodes that are gone."""

    def _look(self, place: str) -> float | None:
        return self._clock.monotonic() + 1.0


class BansForEver(LocalDirectory):
    """Knows no end."""

    def revoke(self, revocation: Revocation) -> None:
        super().revoke(revocation._replace(ban=revocation.ban * 1000))


BROKEN = [Forgets, LetsIn, CountsTwice, EndsTheNewest, TellsNobody, NeverRunsOut, BansForEver]


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_directory_that_breaks_its_word_is_found(kind: type[LocalDirectory]) -> None:
    """A suite that anything passes proves nothing."""
    contract = TestLocalDirectory()
    contract.kind = kind

    async def walks() -> None:
        for settings in SETTINGS:
            for seed in range(20):
                await walk(contract, SessionSettings.model_validate(settings), LEASE, seed)

    with pytest.raises(AssertionError):
        await walks()


async def test_bans_are_read_when_it_starts_and_not_before(tmp_path: Path) -> None:
    """Nothing does I/O before the server starts."""
    clock = Hands()
    path = tmp_path / "state" / "bans.jsonl"
    first = LocalDirectory(SessionSettings(), clock, who, store=BanStore(path, clock.wall))
    assert not path.parent.exists()
    await first.start()
    first.revoke(Revocation(("/live/a", "who", who("7")), "kicked", 50.0))
    first.revoke(Revocation(b"x" * 48, "expired", 0.0, 50.0))
    await first.stop()
    clock.now += 10
    again = LocalDirectory(SessionSettings(), clock, who, store=BanStore(path, clock.wall))
    assert not again.banned(("/live/a", "who", who("7")))
    await again.start()
    assert again.banned(("/live/a", "who", who("7")))
    assert (again.banned(b"x" * 48), again.is_dead(b"x" * 48)) == (False, True)
    clock.now += 41
    assert not again.banned(("/live/a", "who", who("7")))
    await again.stop()


async def test_only_what_something_bounds_is_kept() -> None:
    """A hundred thousand viewers whom nothing bounds are none of its business."""
    directory = LocalDirectory(SessionSettings(), Hands(), who)
    for number in range(100):
        assert await directory.claim(PlaceClaim(f"a{number}", "/live/a", "192.0.2.1", "", f"t{number}")) == Lease()
    assert len(directory.limits) == 0
    assert directory.lease_time == inf
    assert not await directory.renew(["a1", "never"])
    await directory.claim(PlaceClaim("b", "/live/a", "192.0.2.1", "00aa"))
    assert len(directory.limits) == 1
    directory.release("b")
    assert len(directory.limits) == 0
    assert not directory.limits._by
