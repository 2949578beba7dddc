"""What another address means: a phone on its way, or two players with one URL."""

from __future__ import annotations

import pytest

from hlsd.ports import Denial
from hlsd.sessions.address import network
from tests.unit.sessions.conftest import House

HOME, OFFICE, MOBILE = "192.0.2.1", "192.0.2.200", "198.51.100.7"


@pytest.mark.parametrize(
    ("policy", "near", "far"),
    [("any", True, True), ("prefix", True, False), ("reauth", True, True), ("deny", False, False)],
)
async def test_a_move_is_judged_as_the_operator_says(policy: str, near: bool, far: bool) -> None:
    """Who is refused keeps nobody else from watching."""
    for ip, good in ((OFFICE, near), (MOBILE, far)):
        house = House(ip_policy=policy)
        session = await house.watch()
        admitted = house.admit(session.id, ip)
        assert (admitted is session) is good
        assert session.ip == (ip if good else HOME)
        if not good:
            assert isinstance(admitted, Denial)
            assert (admitted.status, admitted.reason) == (403, "address")
            assert house.admit(session.id, HOME) is session
        else:
            assert house.sessions.facts(session)["previous_ip"] == HOME
        await house.after(1)
        assert len(house.gate.asked) == (policy == "reauth")


async def test_a_new_address_is_authorised_once_and_a_denial_ends_it() -> None:
    """In the background: the player goes on meanwhile."""
    house = House()
    session = await house.watch(query={"sign": "s"})
    assert house.admit(session.id, MOBILE) is session
    await house.after(60)
    session = await house.watch()
    house.gate.asked.clear()
    house.gate.says = Denial(403, "no")
    assert house.admit(session.id, MOBILE) is session
    await house.after(0.25)
    assert [(request.ip, request.name) for request in house.gate.asked] == [(MOBILE, "cam")]
    assert (session.over, session.reason) == (True, "auth_denied")


async def test_nobody_is_authorised_more_than_five_times_a_minute() -> None:
    """A gate that is asked for every request is a gate that is down."""
    house = House(shared="allow")
    session = await house.watch()
    said = [house.admit(session.id, f"198.51.{number}.1") for number in range(8)]
    assert [isinstance(one, Denial) for one in said] == [False] * 5 + [True] * 3
    await house.after(1)
    assert len(house.gate.asked) == 5
    assert house.admit(session.id, HOME) is session  # it was there already
    house.sessions.charge(session, 1, 1)
    session.last = house.clock.now + 60
    await house.after(61)
    assert house.admit(session.id, "198.51.7.1") is session


@pytest.mark.parametrize(("shared", "reason"), [("deny", "address"), ("split", "split"), ("allow", "")])
async def test_two_players_with_one_url_are_told_from_one_that_moves(shared: str, reason: str) -> None:
    """Hotlinking: the later one is refused while the first one plays; a move and a move back are none."""
    house = House(shared=shared)
    session = await house.watch()
    refused = 0
    for _ in range(10):
        for ip in (HOME, MOBILE):
            await house.after(0.5)
            said = house.admit(session.id, ip)
            if isinstance(said, Denial):
                assert (ip, said.reason) == (MOBILE, reason)
                refused += 1
            else:
                session.last = house.clock.now
    assert refused == (0 if shared == "allow" else 9)
    assert not session.over
    if shared != "allow":
        await house.after(7)  # the first one is silent for longer than a target duration: it was a move after all
        assert house.admit(session.id, MOBILE) is session


async def test_a_house_with_two_address_families_is_one_player() -> None:
    """Happy eyeballs choose anew for each connection; so do addresses of one network behind a carrier."""
    for other in ("2001:db8::1", OFFICE):
        house = House()
        session = await house.watch()
        for number in range(20):
            await house.after(0.25)
            assert house.admit(session.id, (HOME, other)[number % 2]) is session
        assert len(house.gate.asked) == 1


def test_networks() -> None:
    """/24 and /56; what is no address stands for itself."""
    assert network("192.0.2.77") == network("::ffff:192.0.2.1") == "192.0.2.0/24"
    assert network("2001:db8:1:2ff::1") == network("2001:db8:1:200::9")
    assert network("2001:db8:1:300::1") != network("2001:db8:1:200::9")
    assert network("unix") == "unix"
