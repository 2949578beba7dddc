"""What any directory of sessions owes, as tests: a class for each implementation inherits them and says `rig`.

Random claims, renewals, releases, amendments, revocations and time, from several nodes, against a model that counts by
looking at all: never more than may be at once, no lost release, nobody in who was revoked.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import pytest

from hlsd.ports import Denial
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation, SessionDirectory, Viewer, viewer
from hlsd.sessions.settings import SessionSettings

LEASE = 30.5
"""Seconds; the clock of the model stands at whole ones, so no lease ends at the instant at which one looks."""
PATHS, USERS, TOKENS, ADDRESSES = ("/live/a", "/live/b"), ("", "00aa", "00bb"), ("", "t1", "t2"), ("192.0.2.1", "::2")
MOST = {"t1": 1, "t2": 2}
"""What the grants of these tokens allow."""
SETTINGS: tuple[dict[str, object], ...] = (
    {},
    {"max_per_user": 2},
    {"max_per_user": 1, "when_full": "refuse"},
    {"max_per_token": 2, "when_full": "soft"},
    {"max_per_ip": 3, "max_per_stream": 4},
    {"max_per_user": 3, "max_per_token": 2, "max_per_ip": 5, "when_full": "refuse"},
)


@dataclass
class Rig:
    """A directory as some nodes see it. `elapse(seconds)` lets time go by for all of them."""

    nodes: list[SessionDirectory]
    elapse: Callable[[float], None]
    told: list[Revocation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes[0].watch(self.told.append)


@dataclass
class Model:
    """What must be so: the places that are taken, the oldest first, and who is out."""

    settings: SessionSettings
    lease: float
    now: float = 0.0
    taken: dict[str, PlaceClaim] = field(default_factory=dict)
    until: dict[str, float] = field(default_factory=dict)
    out: dict[bytes | Viewer, float] = field(default_factory=dict)
    since: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Since which of all steps a place counts for a user, a token …: the oldest has to go."""

    def take(self, claim: PlaceClaim) -> None:
        """The place is that of this claim from now on."""
        self.taken[claim.id] = claim
        for name in ("path", "ip", "who", "token"):
            key = (claim.id, name, getattr(claim, name))
            if key not in self.since:
                for old in [old for old in self.since if old[:2] == key[:2]]:
                    del self.since[old]
                self.since[key] = max(self.since.values(), default=0) + 1

    def elapse(self, seconds: float) -> None:
        self.now += seconds
        for place in [place for place, until in self.until.items() if until < self.now]:
            self.leave(place)

    def leave(self, place: str) -> None:
        self.taken.pop(place, None)
        self.until.pop(place, None)
        for key in [key for key in self.since if key[0] == place]:
            del self.since[key]

    def banned(self, what: bytes | Viewer) -> bool:
        return self.out.get(what, 0.0) > self.now

    def with_(self, name: str, value: str, but: str) -> list[str]:
        found = [key for key in self.since if key[1:] == (name, value) and key[0] != but and value]
        return [key[0] for key in sorted(found, key=lambda key: self.since[key])]

    def bounds(self, claim: PlaceClaim) -> list[tuple[list[str], int]]:
        """The others that count for each bound of a claim, and the bound."""
        token, user = self.with_("token", claim.token, claim.id), self.with_("who", claim.who, claim.id)
        most = ((token, claim.most), (user, claim.most), (token, self.settings.max_per_token))
        return [(there, bound) for there, bound in (*most, (user, self.settings.max_per_user)) if bound]

    def expects(self, claim: PlaceClaim) -> tuple[str, list[str]]:
        """What is said ("banned", "limit", "soft", "in"), and who has to go."""
        if self.banned(viewer(claim.path, claim.who, claim.ip)) or (claim.sid and self.banned(claim.sid)):
            return "banned", []
        there = self.with_("path", claim.path, claim.id), self.with_("ip", claim.ip, claim.id)
        for others, most in zip(there, (self.settings.max_per_stream, self.settings.max_per_ip), strict=True):
            if most and len(others) >= most:
                return "limit", []
        go = self.with_("who", claim.who, claim.id) if claim.unique else []
        soft = False
        for others, most in self.bounds(claim):
            left = [place for place in others if place not in go]
            beyond = len(left) + 1 - most
            if beyond <= 0:
                continue
            if self.settings.when_full == "refuse":
                return "limit", []
            if self.settings.when_full == "soft":
                soft = True
            else:
                go += left[:beyond]
        return "soft" if soft else "in", go


class DirectoryContract:
    """The tests."""

    async def rig(self, settings: SessionSettings, lease: float) -> Rig:
        """A fresh directory whose leases last so long."""
        raise NotImplementedError

    @pytest.mark.parametrize("settings", SETTINGS)
    @pytest.mark.parametrize("lease", [LEASE, inf])
    async def test_it_does_what_the_model_says(self, settings: dict[str, object], lease: float) -> None:
        for seed in range(15):
            await walk(self, SessionSettings.model_validate(settings), lease, seed)

    async def test_who_watches_hears_every_revocation_in_order_and_no_more_when_he_does_not(self) -> None:
        """Kicks and bans are a subscription: nobody has to ask."""
        rig = await self.rig(SessionSettings(), inf)
        heard: list[Revocation] = []
        end = rig.nodes[-1].watch(heard.append)
        sent = [Revocation(b"x" * 48, "kicked", 5.0), Revocation(("/live/a", "who", "00aa"), "kicked", 5.0)]
        for number, one in enumerate(sent):
            rig.nodes[number % len(rig.nodes)].revoke(one)
        assert heard == rig.told == sent
        for _ in range(2):
            end()
        rig.nodes[0].revoke(sent[0])
        assert len(heard) == 2
        assert len(rig.told) == 3

    async def test_a_ban_that_lasts_longer_stands_and_a_dead_id_is_no_ban(self) -> None:
        rig = await self.rig(SessionSettings(), inf)
        node, sid = rig.nodes[0], b"y" * 48
        node.revoke(Revocation(sid, "expired", 5.0, 100.0))
        node.revoke(Revocation(sid, "expired", 1.0, 1.0))
        said = []
        for seconds in (0, 3, 3, 90, 10):
            rig.elapse(seconds)
            said.append((node.banned(sid), node.is_dead(sid)))
        assert said == [(True, True), (True, True), (False, True), (False, True), (False, False)]

    async def test_the_place_of_one_who_is_kicked_is_free_at_once(self) -> None:
        rig = await self.rig(SessionSettings(max_per_user=1, when_full="refuse"), inf)
        node = rig.nodes[0]
        first, second = (PlaceClaim(place, "/live/a", "192.0.2.1", "00aa") for place in ("one", "two"))
        assert isinstance(await node.claim(first), Lease)
        assert isinstance(await node.claim(second), Denial)
        node.revoke(Revocation("one", "kicked"))
        assert isinstance(await node.claim(second), Lease)


WHAT = ("claim",) * 5 + ("again", "release", "release", "amend", "renew", "time", "revoke", "out")


async def walk(  # noqa: PLR0912 - everything that can happen
    contract: DirectoryContract, settings: SessionSettings, lease: float, seed: int
) -> None:
    """A hundred and twenty things happen; what is said and who is told must be what the model says."""
    chance = random.Random(seed)
    rig, model = await contract.rig(settings, lease), Model(settings, lease)
    for number in range(120):
        node = chance.choice(rig.nodes)
        claim = drawn(chance, f"id{number}")
        places = [*model.taken, "never"]
        match chance.choice(WHAT):
            case "claim":
                await claims(rig, node, model, claim)
            case "again" if model.taken:
                held = model.taken[chance.choice(list(model.taken))]
                if model.expects(held) == ("in", []):
                    await claims(rig, node, model, held)
            case "release":
                place = chance.choice(places)
                for _ in range(chance.choice((1, 2))):
                    node.release(place)
                model.leave(place)
            case "amend" if model.taken:
                place = chance.choice(list(model.taken))
                model.take(claim._replace(id=place))
                node.amend(model.taken[place])
            case "renew":
                some = chance.sample(places, chance.randrange(len(places) + 1))
                lost = set(await node.renew(some))
                assert lost == (set(some) - set(model.taken) if lease < inf else lost & {"never"}), (seed, number)
                model.until.update({place: model.now + lease for place in some if place in model.taken})
            case "time":
                passed = chance.choice((1, 5, 20))
                rig.elapse(passed)
                model.elapse(passed)
            case "revoke" if model.taken:
                place = chance.choice(list(model.taken))
                rig.told.clear()
                node.revoke(Revocation(place, "kicked"))
                assert rig.told == [Revocation(place, "kicked")]
                model.leave(place)
            case "out":
                what = chance.choice((b"%048d" % chance.randrange(4), viewer(claim.path, claim.who, claim.ip)))
                seconds = chance.choice((2.5, 9.5))
                node.revoke(Revocation(what, "kicked", seconds))
                model.out[what] = max(model.out.get(what, 0.0), model.now + seconds)
        for what in model.out:
            assert all(one.banned(what) is model.banned(what) for one in rig.nodes), (seed, number)
    for place in list(model.taken):
        node.release(place)
        model.leave(place)
    rig.elapse(10)
    model.elapse(10)
    for number in range(6):  # nothing is lost: all places are free again
        await claims(rig, node, model, drawn(chance, f"last{number}"))


async def claims(rig: Rig, node: SessionDirectory, model: Model, claim: PlaceClaim) -> None:
    """One claim: what is foreseen, said and told."""
    wanted, go = model.expects(claim)
    rig.told.clear()
    seen = node.foresee(claim)
    if isinstance(seen, Denial):
        assert seen.reason == wanted
    assert not rig.told, "nobody has to go for a look"
    said = await node.claim(claim)
    assert (said.reason if isinstance(said, Denial) else "soft" if said.soft else "in") == wanted
    assert rig.told == [Revocation(place, "replaced") for place in go]
    if isinstance(said, Denial):
        return
    assert said.ended == len(go)
    for place in go:
        model.leave(place)
    model.take(claim)
    model.until[claim.id] = model.now + model.lease
    if wanted == "in":
        assert all(len(there) + 1 <= most for there, most in model.bounds(claim))
    if claim.unique and claim.who:
        assert not model.with_("who", claim.who, claim.id)


def drawn(chance: random.Random, place: str) -> PlaceClaim:
    """Somebody."""
    token = chance.choice(TOKENS)
    return PlaceClaim(
        place,
        chance.choice(PATHS),
        chance.choice(ADDRESSES),
        chance.choice(USERS),
        token,
        MOST.get(token) or chance.choice((0, 0, 2)),
        chance.random() < 0.1,
        chance.choice((b"", b"%048d" % chance.randrange(4))),
    )
