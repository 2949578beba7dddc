"""What another address means: a phone on its way, or two players with one URL."""

from __future__ import annotations

from itertools import permutations

import pytest

from hlsd.base.household import household
from hlsd.ports import Denial, Grant
from hlsd.sessions.address import network
from hlsd.sessions.session import Session
from tests.unit.sessions.conftest import Scene

TICKET = Grant(method="sign", identity="t")
LINES = ("192.0.2.1", "198.51.100.7", "203.0.113.9")
HOME, OFFICE, MOBILE = "192.0.2.1", "192.0.2.200", "198.51.100.7"


@pytest.mark.parametrize(
    ("policy", "near", "far"),
    [("any", True, True), ("prefix", True, False), ("reauth", True, True), ("deny", False, False)],
)
async def test_a_move_is_judged_as_the_operator_says(policy: str, near: bool, far: bool) -> None:
    """Who is refused keeps nobody else from watching."""
    for ip, good in ((OFFICE, near), (MOBILE, far)):
        scene = Scene(ip_policy=policy)
        session = await scene.watch()
        admitted = scene.admit(session.sid.decode(), ip)
        assert (admitted is session) is good
        assert session.ip == (ip if good else HOME)
        if not good:
            assert isinstance(admitted, Denial)
            assert (admitted.status, admitted.reason) == (403, "address")
            assert scene.admit(session.sid.decode(), HOME) is session
        else:
            assert scene.sessions.facts(session)["previous_ip"] == HOME
        await scene.after(1)
        assert len(scene.gate.asked) == (policy == "reauth")


async def test_a_new_address_is_authorised_once_and_a_denial_ends_it() -> None:
    """In the background: the player goes on meanwhile."""
    scene = Scene()
    session = await scene.watch(query={"sign": "s"})
    assert scene.admit(session.sid.decode(), MOBILE) is session
    await scene.after(60)
    session = await scene.watch()
    scene.gate.asked.clear()
    scene.gate.says = Denial(403, "no")
    assert scene.admit(session.sid.decode(), MOBILE) is session
    await scene.after(0.25)
    assert [(request.ip, request.name) for request in scene.gate.asked] == [(MOBILE, "cam")]
    assert (session.over, session.reason) == (True, "auth_denied")


async def test_nobody_is_authorised_more_than_five_times_a_minute() -> None:
    """A gate that is asked for every request is a gate that is down."""
    scene = Scene(shared="allow")
    session = await scene.watch(TICKET)
    said = [scene.admit(session.sid.decode(), f"198.51.{number}.1") for number in range(8)]
    assert [isinstance(one, Denial) for one in said] == [False] * 5 + [True] * 3
    await scene.after(1)
    assert len(scene.gate.asked) == 5
    assert scene.admit(session.sid.decode(), HOME) is session  # it was there already
    scene.sessions.charge(session, 1, 1)
    session.last = scene.clock.now + 60
    await scene.after(61)
    assert scene.admit(session.sid.decode(), "198.51.7.1") is session


def _asks(scene: Scene, session: Session, ip: str) -> str:
    """One request: "in", or why not."""
    said = scene.admit(session.sid.decode(), ip)
    if isinstance(said, Denial):
        return said.reason
    session.last = scene.clock.now
    return "in"


@pytest.mark.parametrize("count", [2, 3, 20])
async def test_where_play_needs_no_credential_any_number_of_networks_may_take_turns(count: int) -> None:
    """Two lines, a carrier's pool, a relay of the phone's maker: whoever has the URL could have its own session."""
    scene = Scene()
    session = await scene.watch()
    for number in range(60):
        await scene.after(0.25)
        assert _asks(scene, session, f"198.51.{number % count}.{number % 7}") == "in"
    assert not session.over


@pytest.mark.parametrize("pattern", ["AB", "AAB", "ABBA"])
async def test_two_networks_may_take_turns_with_a_credential(pattern: str) -> None:
    """A household with two lines; the gate is asked about the second once, and not about each turn."""
    scene = Scene()
    session = await scene.watch(TICKET)
    for turn in range(40):
        await scene.after(0.5)
        assert _asks(scene, session, LINES["AB".index(pattern[turn % len(pattern)])]) == "in"
    assert [request.ip for request in scene.gate.asked] == [LINES[1]]


@pytest.mark.parametrize("order", [*permutations("ABC"), tuple("AABBCC"), tuple("ABACBC"), tuple("ABBBBBBC")])
@pytest.mark.parametrize(("shared", "reason"), [("deny", "address"), ("split", "split"), ("allow", "in")])
async def test_a_third_network_is_refused_however_they_interleave(
    order: tuple[str, ...], shared: str, reason: str
) -> None:
    """One URL, handed on: `max_sessions = 1` is worth as many networks as `max_networks` says, and no more."""
    scene = Scene(shared=shared)
    session = await scene.watch(TICKET)  # from A
    seen: list[str] = ["A"]
    for turn in range(60):
        await scene.after(0.5)
        who = order[turn % len(order)]
        if who not in seen:
            seen.append(who)
        wanted = reason if seen.index(who) > 1 else "in"
        assert _asks(scene, session, LINES["ABC".index(who)]) == wanted, (turn, who)
    assert not session.over
    if shared != "allow":
        stranger = LINES["ABC".index(seen[2])]
        session.held = 1  # it plays on
        await scene.after(30)
        assert _asks(scene, session, LINES["ABC".index(seen[0])]) == "in"
        await scene.after(31)  # the second of them was last seen more than a window ago
        assert _asks(scene, session, stranger) == "in", "it was a move after all"


@pytest.mark.parametrize("networks", [1, 3])
async def test_the_operator_says_how_many_networks(networks: int) -> None:
    scene = Scene(max_networks=networks)
    session = await scene.watch(TICKET)
    said = [_asks(scene, session, f"198.51.{number}.1") for number in range(4)]
    assert said == ["in"] * (networks - 1) + ["address"] * (5 - networks)


async def test_each_network_is_authorised_when_it_comes_and_again_when_it_comes_back() -> None:
    scene = Scene()
    session = await scene.watch(TICKET)
    for ip in (LINES[1], LINES[0], LINES[1]):
        assert _asks(scene, session, ip) == "in"
    session.held += 1  # it plays on
    await scene.after(61)
    session.last = scene.clock.now
    assert _asks(scene, session, LINES[0]) == "in"
    await scene.after(1)
    assert [request.ip for request in scene.gate.asked] == [LINES[1], LINES[0]]


async def test_a_denied_address_is_asked_about_though_play_needs_no_credential() -> None:
    """`deny_ips` holds always, and however often a viewer has moved before."""
    scene = Scene()
    session = await scene.watch()
    for number in range(20):
        assert _asks(scene, session, f"198.51.{number}.1") == "in"
    scene.gate.says = Denial(403, "no")
    assert _asks(scene, session, "198.51.99.1") == "in"
    await scene.after(0.5)
    assert session.reason == "auth_denied"


async def test_a_house_with_two_address_families_is_one_player() -> None:
    """Happy eyeballs choose anew for each connection; so do addresses of one network behind a carrier."""
    for other in ("2001:db8::1", OFFICE):
        scene = Scene(max_networks=1)
        session = await scene.watch(TICKET)
        for number in range(20):
            await scene.after(0.25)
            assert scene.admit(session.sid.decode(), (HOME, other)[number % 2]) is session
        assert len(scene.gate.asked) == 1


def test_networks() -> None:
    """/24 and /56; what is no address stands for itself."""
    assert network("192.0.2.77") == network("::ffff:192.0.2.1") == "192.0.2.0/24"
    assert network("2001:db8:1:2ff::1") == network("2001:db8:1:200::9")
    assert network("2001:db8:1:300::1") != network("2001:db8:1:200::9")
    assert network("unix") == "unix"


def test_a_ban_of_an_address_names_what_a_host_cannot_change() -> None:
    """Privacy addresses (RFC 8981) are new ones of the same /64."""
    assert household("2001:db8:1:2::1") == household("2001:db8:1:2:aaaa::9") != household("2001:db8:1:3::1")
    assert household("::ffff:192.0.2.1") == household("192.0.2.1") != household("192.0.2.2")
    assert household("unix") == "unix"
