"""How many sessions: of a token, a user, an address, a stream; and who is not let in again."""

from __future__ import annotations

import pytest

from hlsd.ports import Denial, Grant
from hlsd.sessions.bans import MAX_BANS, Bans
from hlsd.sessions.session import Session
from tests.unit.sessions.conftest import Scene


async def test_one_more_of_a_token_ends_the_oldest_which_stays_out() -> None:
    """Changing the device must work at once, and the old one must not take the place back."""
    scene = Scene()
    grant = Grant(identity="t", max_sessions=2)
    first, second = await scene.watch(grant), await scene.watch(grant)
    third = await scene.watch(grant)
    assert (first.reason, second.over, third.over) == ("replaced", False, False)
    denial = scene.admit(first.sid.decode())
    assert isinstance(denial, Denial)
    assert (denial.status, denial.reason) == (403, "banned")
    assert scene.actions(first.id)[-1] == "donePlay"
    other = await scene.watch(Grant(identity="another", max_sessions=2))
    assert not second.over
    assert not other.over


async def test_the_operator_may_refuse_the_new_one_or_let_it_in_for_a_while() -> None:
    """429, and the player may ask again later."""
    scene = Scene(when_full="refuse", max_per_user=1)
    await scene.watch(Grant(user_id="42"))
    denial = await scene.enter(Grant(user_id="42"))
    assert isinstance(denial, Denial)
    assert (denial.status, denial.reason) == (429, "limit")
    assert isinstance(await scene.enter(Grant(user_id="43")), Session)
    soft = Scene(when_full="soft", max_per_user=1, soft_limit=20)
    first, second = [await soft.watch(Grant(user_id="42")) for _ in range(2)]
    for _ in range(22):
        await soft.after(1)
        first.last = soft.clock.now
        second.last = second.last if second.over else soft.clock.now
    assert (first.over, second.reason) == (False, "limit")


async def test_who_comes_back_beyond_a_soft_bound_stays_for_a_while_too() -> None:
    """To leave and come back must not be worth more than to come."""
    scene = Scene(when_full="soft", max_per_user=1, soft_limit=20)
    first = await scene.watch(Grant(user_id="42"))
    scene.sessions.end(first, "shutdown")
    second = await scene.watch(Grant(user_id="42"))
    back = scene.admit(first.sid.decode())
    assert isinstance(back, Session)
    second.held = back.held = 1
    await scene.after(22)
    assert (second.over, back.reason) == (False, "limit")


async def test_a_signed_address_that_is_passed_on_is_good_for_so_many() -> None:
    """A sign names nobody and bounds nothing: the operator can all the same."""
    scene = Scene(max_per_token=2, when_full="refuse")
    for ip in ("192.0.2.1", "198.51.100.2"):
        await scene.watch(Grant(identity="t"), ip=ip)
    denial = await scene.enter(Grant(identity="t"), ip="203.0.113.3")
    assert isinstance(denial, Denial)
    assert denial.status == 429
    assert isinstance(await scene.enter(Grant(identity="u")), Session)
    assert isinstance(await scene.enter(), Session)


async def test_unique_ends_the_users_other_sessions_of_any_stream() -> None:
    """Flussonic's X-Unique."""
    scene = Scene()
    others = [await scene.watch(Grant(user_id="42"), name=name) for name in ("a", "b")]
    await scene.watch(Grant(user_id="42", unique=True), name="c")
    assert [session.reason for session in others] == ["replaced", "replaced"]


async def test_an_address_or_a_stream_is_bounded_by_refusing() -> None:
    """Strangers must not be able to end each other's sessions."""
    scene = Scene(max_per_ip=2, max_per_stream=3)
    first, _ = await scene.watch(), await scene.watch()
    denial = await scene.enter()
    assert isinstance(denial, Denial)
    assert denial.status == 429
    await scene.watch(ip="192.0.2.2")
    assert isinstance(await scene.enter(ip="192.0.2.3"), Denial)
    assert isinstance(await scene.enter(ip="192.0.2.3", name="other"), Session)
    scene.sessions.close(first, "closed")
    assert scene.sessions.of_stream("/live/cam") == scene.sessions.count("live", "cam", "hls") == 2
    assert isinstance(await scene.enter(), Session)


async def test_a_session_that_moved_is_counted_where_it_is() -> None:
    """Its old address is free again."""
    scene = Scene(max_per_ip=1)
    session = await scene.watch()
    assert scene.admit(session.sid.decode(), "198.51.100.1") is session
    assert isinstance(await scene.enter(), Session)
    assert isinstance(await scene.enter(ip="198.51.100.1"), Denial)
    scene.sessions.shutdown()
    assert not len(scene.local.limits)


async def test_a_kick_ends_bans_and_is_over_after_its_time() -> None:
    """The id, and the viewer under a new one; nobody else."""
    scene = Scene()
    session = await scene.watch(Grant(user_id="42"))
    assert not scene.sessions.kick("nobody")
    assert scene.sessions.kick(session.id, ban=30)
    assert (session.reason, scene.actions()[-1]) == ("kicked", "donePlay")
    for denial in (scene.admit(session.sid.decode()), await scene.enter(Grant(user_id="42"))):
        assert isinstance(denial, Denial)
        assert (denial.status, denial.reason) == (403, "banned")
    assert isinstance(await scene.enter(Grant(user_id="43")), Session)
    assert isinstance(await scene.enter(Grant(user_id="42"), name="other"), Session)
    await scene.after(31)
    assert isinstance(await scene.enter(Grant(user_id="42")), Session)
    assert isinstance(scene.admit(session.sid.decode()), Denial)  # it has to be let in anew
    assert not len(scene.local.bans)


async def test_an_unknown_viewer_is_banned_by_address() -> None:
    """There is nothing else to know it by."""
    scene = Scene()
    session = await scene.watch()
    scene.sessions.kick(session.id)
    assert isinstance(await scene.enter(), Denial)
    assert isinstance(await scene.enter(ip="192.0.2.9"), Session)


async def test_a_viewer_on_a_connection_is_cut_off_it() -> None:
    """FLV and RTMP: there the session is the connection."""
    scene = Scene()
    cut: list[str] = []
    session = await scene.watch(protocol="flv", drop=cut.append)
    await scene.after(60)
    assert not session.over
    scene.sessions.kick(session.id)
    assert cut == ["kicked"]
    assert session.last == scene.clock.now


def test_bans_are_bounded_and_forgotten() -> None:
    """A table of strangers."""
    bans = Bans(0.0)
    for number in range(MAX_BANS + 10):
        bans.add(number, 5.0 + number % 7)
    assert len(bans) == MAX_BANS
    assert not bans.holds(0, 1.0)
    assert bans.holds(MAX_BANS, 1.0)
    bans.add(MAX_BANS, 100.0)
    bans.add(MAX_BANS, 2.0)
    bans.sweep(50.0)
    assert len(bans) == 1
    assert bans.holds(MAX_BANS, 99.0)


@pytest.mark.parametrize("user", ["", "7"])
async def test_a_kick_ends_all_that_its_viewer_has_open_there_by_whatever_way(user: str) -> None:
    """HLS, FLV, RTMP; not what others have, nor what it watches elsewhere."""
    scene = Scene()
    dropped: list[str] = []
    mine = Grant(method="jwt", user_id=user) if user else Grant()
    first, second = await scene.watch(mine), await scene.watch(mine)
    flv = await scene.watch(mine, protocol="flv", drop=dropped.append)
    rtmp = await scene.watch(mine, protocol="rtmp", drop=dropped.append)
    elsewhere = await scene.watch(mine, name="other")
    other = await scene.watch(Grant(method="jwt", user_id="8")) if user else await scene.watch(ip="192.0.2.2")
    scene.sessions.kick(first.id, 600)
    await scene.after(1)
    assert [one.reason for one in (first, second, flv, rtmp)] == ["kicked"] * 4
    assert dropped == ["kicked", "kicked"]
    assert [elsewhere.over, other.over] == [False, False]
    for one in (first, second):
        assert isinstance(scene.admit(one.sid.decode()), Denial)


async def test_a_kick_without_a_ban_is_for_one_session() -> None:
    scene = Scene()
    first, second = await scene.watch(), await scene.watch()
    scene.sessions.kick(first.id, 0)
    await scene.after(1)
    assert (first.over, second.over) == (True, False)


async def test_who_is_banned_does_not_play_on_by_moving_or_by_another_name() -> None:
    """From a banned address; or as a user of whom it is said later that it is that one."""
    scene = Scene()
    bad, roams = await scene.watch(ip="198.51.100.1"), await scene.watch()
    scene.sessions.kick(bad.id, 600)
    moved = scene.admit(roams.sid.decode(), "198.51.100.1")
    assert isinstance(moved, Denial)
    assert moved.reason == "banned"
    assert scene.admit(roams.sid.decode()) is roams
    user = await scene.watch(Grant(user_id="7"))
    late = await scene.watch(Grant(method="callback", auth_duration=1))
    scene.sessions.kick(user.id, 600)
    scene.gate.renewed = Grant(method="callback", user_id="7")
    await scene.after(2)
    assert late.reason == "kicked"


async def test_an_ipv6_host_does_not_shake_off_a_ban_with_a_new_address() -> None:
    scene = Scene()
    bad = await scene.watch(ip="2001:db8:1:2::1")
    scene.sessions.kick(bad.id, 600)
    assert isinstance(await scene.enter(ip="2001:db8:1:2:ffff::9"), Denial)
    assert isinstance(await scene.enter(ip="2001:db8:1:3::1"), Session)


async def test_an_ipv6_host_is_one_address_however_many_it_has() -> None:
    """A host takes new ones of its /64 as it likes."""
    scene = Scene(max_per_ip=2)
    first = await scene.watch(ip="2001:db8:0:1::1")
    await scene.watch(ip="2001:db8:0:1::2")
    assert isinstance(await scene.enter(ip="2001:db8:0:1:ffff::3"), Denial)
    assert isinstance(await scene.enter(ip="2001:db8:0:2::1"), Session)
    scene.sessions.close(first, "closed")
    assert isinstance(await scene.enter(ip="2001:db8:0:1::4"), Session)
