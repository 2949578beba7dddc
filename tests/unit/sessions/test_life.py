"""The life of a session: opened, started, ended; each told once and in order."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from hlsd.events import UNANSWERED, Action, Bus, Event
from hlsd.ports import MORE, Denial, Grant
from hlsd.sessions.ban_store import BanStore
from hlsd.sessions.gate import OpenGate
from hlsd.sessions.search import SEARCHED
from hlsd.sessions.session import Session, SessionState
from hlsd.subjects import Subject
from tests.support.playable import MemoryPlayable
from tests.unit.sessions.conftest import House


async def test_one_start_and_one_stop_in_order_and_the_end_is_the_last_byte(house: House) -> None:
    """Billing counts what events say: no play twice, none without end, and not a second of silence."""
    session = await house.watch(user_agent="VLC", referer="https://site/", port=51234, query={"u": "42", "sign": "x"})
    house.clock.now += 5
    session.last = house.clock.now
    house.sessions.charge(session, 500, 1)
    await house.after(30)
    assert house.actions(session.id) == ["prePlay", "postPlay", "donePlay"]
    assert [event.seq for event in house.told] == [1, 2, 3]
    done = house.told[-1].payload("edge-1")
    assert done["endtime"] == ((1_700_000_000 + 1005) * 1000)
    assert done["query"] == {"u": "42", "sign": "***"}
    assert {
        key: done[key] for key in ("createtime", "duration_ms", "outbytes", "media_bytes", "segments", "reason")
    } == {
        "createtime": (1_700_000_000 + 1000) * 1000,
        "duration_ms": 5000,
        "outbytes": 1700,
        "media_bytes": 1500,
        "segments": 2,
        "reason": "idle",
    }
    assert {key: done[key] for key in ("ip", "path", "app", "name", "protocol", "user_agent", "referer")} == {
        "ip": "192.0.2.1:51234",
        "path": "/live/cam",
        "app": "live",
        "name": "cam",
        "protocol": "hls",
        "user_agent": "VLC",
        "referer": "https://site/",
    }
    assert (done["stream_id"], done["codec"], done["rendition"]) == ("run1", "avc1.64001f", "main")
    assert session.state is SessionState.CLOSED


@pytest.mark.parametrize("gets", [[], [(200, 0)], [(200, 0), (700, MORE)], [(0, 1)]])
async def test_who_sees_no_media_has_not_watched(house: House, gets: list[tuple[int, int]]) -> None:
    """A playlist, an initialisation section, a HEAD: nobody has seen a picture yet."""
    session = await house.watch(media=0)
    for size, kind in gets:
        house.sessions.charge(session, size, kind)
    assert session.state is SessionState.OPENED
    await house.after(12)
    assert (session.reason, house.actions()) == ("abandoned", ["prePlay"])
    figures = house.sessions.stats.app("live")
    assert figures.closed == {("hls", "abandoned"): 1}
    assert not figures.started
    assert not figures.session_duration


async def test_figures_say_of_plays_what_events_say() -> None:
    """Two accounts of one thing: whoever pays by events and watches by figures must not see two truths."""
    house = House(ip_policy="reauth")
    figures = house.sessions.stats.admit("live")
    for number in range(5):
        session = await house.watch(media=1000 * (number % 3))
        house.clock.now += number
        session.last = house.clock.now
    house.sessions.kick(session.id, 0)
    await house.after(20)
    done = [event.payload("n1") for event in house.told if event.action is Action.DONE_PLAY]
    stay = figures.session_duration["hls"]
    assert figures.opened["hls"] == house.actions().count("prePlay") == 5
    assert figures.started["hls"] == house.actions().count("postPlay") == len(done) == stay.count == 3
    assert stay.total == sum(int(str(event["duration_ms"])) for event in done) / 1000
    assert figures.closed == {("hls", "abandoned"): 2, ("hls", "idle"): 2, ("hls", "kicked"): 1}


async def test_plays_after_a_restart_are_counted_for_their_app(house: House) -> None:
    """Players are back before the publisher is: their plays must not end up with those of unknown apps for ever."""
    old = await house.watch()
    house.sessions = house.registry()
    session = house.admit(old.sid.decode())
    assert isinstance(session, Session)
    house.sessions.stats.admit("live")
    house.sessions.charge(session, 100, 1)
    assert house.sessions.stats.app("live").started == {"hls": 1}


@pytest.mark.parametrize(("ended", "reason"), [(False, "idle"), (True, "stream_end")])
async def test_the_end_of_the_stream_is_told_from_a_viewer_who_left(house: House, ended: bool, reason: str) -> None:
    """Whoever stops with the stream has not run away."""
    session = await house.watch()
    assert house.stream is not None
    house.stream.ended = ended
    await house.after(11)
    assert session.reason == reason


async def test_who_was_given_the_end_of_the_playlist_is_told_soon_and_others_stay(house: House) -> None:
    """Its player asks no more; to wait for it as for one that may come back would bill it for nothing."""
    session = await house.watch()
    other = await house.watch(name="other")
    slow = await house.watch(ip="192.0.2.7")
    slow.flows += 1  # the last segment is still on its way
    assert house.stream is not None
    house.stream.ended = True
    house.idle = 2.0
    house.sessions.stream_over("live", "cam")
    await house.after(3)
    assert (session.reason, house.actions(session.id)) == ("stream_end", ["prePlay", "postPlay", "donePlay"])
    assert not other.over
    assert not slow.over
    slow.flows -= 1
    await house.after(2)
    assert slow.reason == "stream_end"


async def test_the_removal_of_a_stream_ends_its_viewers_and_nothing_begins_again(house: House) -> None:
    """A player that goes on asking gets 404: that is not another viewer."""
    session = await house.watch()
    house.stream = None
    house.sessions.stream_over("live", "cam")
    await house.after(1)
    assert session.reason == "stream_end"
    assert house.admit(session.sid.decode()) is session
    assert len(house.sessions) == 0
    house.stream = MemoryPlayable()  # published anew
    back = house.admit(session.sid.decode())
    assert isinstance(back, Session)
    assert back is not session
    assert not back.over


async def test_all_viewers_of_an_ended_stream_are_found_in_slices(house: House) -> None:
    """Ten thousand are looked for without a stall of the event loop."""
    made = [await house.watch(ip=f"10.0.{n >> 8}.{n & 255}") for n in range(SEARCHED + 7)]
    house.stream = None
    house.sessions.stream_over("live", "cam")
    assert not house.sessions.sweep_some()
    assert not any(one.over for one in made)
    await house.after(1)
    assert {one.reason for one in made} == {"stream_end"}


async def test_a_stream_that_ends_because_the_server_stops_is_a_shutdown(house: House) -> None:
    """An operator's own restart must not look like the end of the show."""
    session = await house.watch()
    assert house.stream is not None
    house.sessions.draining = house.stream.ended = True
    house.idle = 2.0
    house.sessions.stream_over("live", "cam")
    await house.after(3)
    assert session.reason == "shutdown"


async def test_a_session_of_before_a_restart_awaits_its_publisher_for_the_grace(house: House) -> None:
    """Both come back at the same time, and a player gives up on 404."""
    session = await house.watch()
    assert not house.sessions.awaits(session)
    house.clock.now += 1
    house.sessions = house.registry()
    adopted = house.admit(session.sid.decode())
    assert isinstance(adopted, Session)
    assert house.sessions.awaits(adopted)
    house.clock.now += 10
    assert not house.sessions.awaits(adopted)


async def test_a_stop_is_told_within_a_second_of_the_idle_time(house: House) -> None:
    """The bar is idle timeout + 1 s, wherever in the second the last byte was."""
    for _ in range(40):
        house.clock.now += 0.13
        session = await house.watch()
        left = house.clock.now
        while not session.over:
            await house.after(0.25)
        assert 10.0 <= house.clock.now - left <= 11.0


async def test_what_is_held_or_flows_slowly_keeps_a_session_alive_and_is_no_byte(house: House) -> None:
    """A slow reader watches; a hold that nobody answers is not a byte received."""
    held, slow = await house.watch(), await house.watch()
    held.held = slow.flows = 1
    await house.after(40)
    assert not held.over
    assert not slow.over
    held.held = slow.flows = 0
    slow.last = house.clock.now
    await house.after(5)
    assert (held.over, held.last) == (True, 1000.0)
    assert not slow.over


async def test_updates_are_told_while_it_plays() -> None:
    """Billing that counts while it runs."""
    house = House(update_interval=5)
    session = await house.watch()
    for _ in range(16):
        await house.after(1)
        session.last = house.clock.now
    assert house.actions() == ["prePlay", "postPlay", "updatePlay", "updatePlay", "updatePlay"]


async def test_ten_thousand_leave_at_once_and_the_loop_goes_on(house: House) -> None:
    """R14: each stop in time, and nobody else waits for them: slices of a few milliseconds."""
    for number in range(10_000):
        await house.watch(ip=f"10.0.{number >> 8}.{number & 255}")
    house.clock.now += 11
    longest, turns = 0.0, 0
    while True:
        began = time.perf_counter()
        done = house.sessions.sweep_some()
        longest, turns = max(longest, time.perf_counter() - began), turns + 1
        if done:
            break
    assert len(house.sessions) == 0
    assert turns >= 50
    assert longest < 1.0  # it is some ms; a bound that a loaded machine keeps too
    assert house.actions().count("donePlay") == 10_000
    ledger = house.sessions.ledger
    assert ledger.closed == ledger.total == 12_000_000


async def test_shutdown_tells_every_end_before_it_returns(house: House) -> None:
    """The outbox closes right after it."""
    await house.watch()
    await house.watch(media=0)
    await house.sessions.stop()
    assert house.actions().count("donePlay") == 1
    assert house.told[-1].facts["reason"] == "shutdown"
    assert len(house.sessions) == 0


async def test_a_handler_may_deny_a_viewer_and_later_end_it(house: House) -> None:
    """`session.reject()`, as in Node-Media-Server."""
    subjects: list[Subject] = []
    house.sessions.bus.on("prePlay", lambda subject: subject.reject("rejected"))
    denial = await house.enter()
    assert isinstance(denial, Denial)
    assert (denial.status, denial.reason) == (403, "rejected")
    house.sessions.bus = Bus()
    other = House()
    other.sessions.bus.on("postPlay", subjects.append)
    session = await other.watch()
    subjects[0].reject()
    assert (session.over, session.reason) == (True, "kicked")


async def test_an_asker_may_extend_the_grant(house: House) -> None:
    """A webhook knows who it is."""

    async def sync_webhook(event: Event) -> Grant:
        return Grant(user_id="42", max_sessions=2)

    house.sessions.bus.consult(sync_webhook)
    session = await house.watch(Grant(identity="t", method="sign"))
    assert (session.user_id, session.grant.identity, session.grant.max_sessions) == ("42", "t", 2)
    assert session.grant.method == "sign"


# -- coming back


async def test_a_viewer_who_comes_back_begins_a_session_that_names_the_old_one(house: House) -> None:
    """AVPlayer stops asking while it is paused; the URL it has goes on working."""
    first = await house.watch(Grant(user_id="42"), query={"u": "42"})
    await house.after(60)
    again = house.admit(first.sid.decode())
    assert isinstance(again, Session)
    assert again is not first
    assert (again.sid, again.user_id, again.query) == (first.sid, "42", {"u": "42"})
    assert again.id != first.id
    assert house.admit(first.sid.decode()) is again
    house.sessions.charge(again, 100, 1)
    await house.after(1)
    house.sessions.end(again, "shutdown")
    assert house.actions(again.id) == ["prePlay", "postPlay", "donePlay"]
    assert house.told[-1].facts["resumed_from"] == first.id
    third = house.admit(first.sid.decode())
    assert isinstance(third, Session)
    assert third.id not in (first.id, again.id)
    assert house.sessions.get(third.id) is third
    assert house.sessions.get(first.id) is None


async def test_after_the_window_an_id_is_as_good_as_none(house: House) -> None:
    """It would be a key for ever."""
    first = await house.watch()
    await house.after(10.5)
    assert first.over
    house.clock.now += 601
    denial = house.admit(first.sid.decode())
    assert isinstance(denial, Denial)
    assert (denial.status, denial.reason) == (403, "unknown")


async def test_a_viewer_who_is_denied_on_coming_back_is_ended_meanwhile(house: House) -> None:
    """Nobody waits for a webhook in mid-play; no means no all the same, and it is a start and a stop."""
    first = await house.watch()
    await house.after(12)

    async def sync_webhook(event: Event) -> Denial:
        await asyncio.sleep(0)
        return Denial(403, "no")

    house.sessions.bus.consult(sync_webhook)
    again = house.admit(first.sid.decode())
    assert isinstance(again, Session)
    house.sessions.charge(again, 100, 1)
    await house.after(1)
    assert (again.over, again.reason) == (True, "auth_denied")
    assert house.actions(again.id) == ["prePlay", "postPlay", "donePlay"]
    denial = house.admit(first.sid.decode())
    assert isinstance(denial, Denial)
    assert denial.reason == "banned"


async def test_an_adopted_session_is_told_of_under_an_id_of_its_own(house: House) -> None:
    """Its first life has had its events already, under the id in the path."""
    first = await house.watch()
    house.clock.now += 5
    house.sessions = house.registry()
    house.sessions.bus.listen(house.told.append)
    again = house.admit(first.sid.decode())
    assert isinstance(again, Session)
    await house.after(0.25)
    house.sessions.charge(again, 10, 1)
    assert house.actions(again.id) == ["prePlay", "postPlay"]
    assert house.told[-1].facts["adopted"] is True
    late = House(adopt_window=3)
    late.clock.now += 5
    assert isinstance(late.admit(first.sid.decode()), Denial)
    # an id of after the start that nobody remembers is of nobody here
    young = house.sessions._signer.mint("/live/cam").decode()
    house.clock.now += 1
    house.sessions = house.registry()
    assert isinstance(house.admit(young), Session)


async def test_in_a_cluster_an_id_of_another_node_is_taken_over(house: House) -> None:
    """It was issued after this node began."""
    house.clock.now += 100
    young = house.sessions._signer.mint("/live/cam").decode()
    assert isinstance(house.admit(young), Denial)
    node = House(secret="0123456789abcdef")
    node.clock.now += 100
    assert isinstance(node.admit(young), Session)


async def test_a_node_adopts_nothing_that_it_has_forgotten_itself() -> None:
    """With a shared secret any good id may be another node's; not one that this very process has issued."""
    house = House(secret="0123456789abcdef", resume_window=5)
    house.clock.now += 50
    unused = await house.enter()
    assert isinstance(unused, Session)
    await house.after(30)
    assert isinstance(house.admit(unused.sid.decode()), Denial)


async def test_an_adopted_session_ends_when_its_sign_does() -> None:
    """`sign_expiry = "hard"`: the end stands in the id, for nobody remembers the sign."""
    house = House()
    viewers = [await house.watch(Grant(method="sign", ends=house.clock.wall() + 20)) for _ in "ab"]
    house.clock.now += 10
    house.sessions = house.registry()
    again = house.admit(viewers[0].sid.decode())
    assert isinstance(again, Session)
    again.held = 1
    await house.after(12)
    assert (again.over, again.reason) == (True, "expired")
    late = house.admit(viewers[1].sid.decode())
    assert isinstance(late, Denial)
    assert late.reason == "expired"


@pytest.mark.parametrize("mode", ["hard", "renew"])
async def test_what_could_be_renewed_ends_once_its_credential_is_gone(mode: str) -> None:
    """After a restart there is nothing left to renew by."""
    house = House(expire=mode)
    viewer = await house.watch(Grant(method="jwt", expires=house.clock.wall() + 20))
    house.sessions = house.registry()
    again = house.admit(viewer.sid.decode())
    assert isinstance(again, Session)
    again.held = 1
    await house.after(25)
    assert again.over


async def test_bans_hold_for_ids_of_before_a_restart(tmp_path: Path) -> None:
    """By user and by address; whoever is somebody else comes in."""
    house = House()
    keeper = tmp_path / "bans.jsonl"
    house.sessions = house.registry(BanStore(keeper, house.clock.wall))
    seven = [await house.watch(Grant(method="jwt", user_id="7"), ip=f"192.0.2.{n}") for n in range(3)]
    eight = await house.watch(Grant(method="jwt", user_id="8"), ip="192.0.2.0")
    strangers = [await house.watch(ip=ip) for ip in ("198.51.100.1", "198.51.100.1", "198.51.100.2")]
    house.clock.now += 1
    house.sessions = house.registry(BanStore(keeper, house.clock.wall))  # without a word: as after kill -9
    first, other = (
        house.admit(seven[0].sid.decode(), "192.0.2.0"),
        house.admit(strangers[0].sid.decode(), "198.51.100.1"),
    )
    assert isinstance(first, Session)
    assert isinstance(other, Session)
    house.sessions.kick(first.id, 600)
    house.sessions.kick(other.id, 600)

    def said(session: Session) -> str:
        found = house.admit(session.sid.decode(), session.ip)
        return found.reason if isinstance(found, Denial) else "in"

    assert [said(one) for one in (seven[1], eight, strangers[1], strangers[2])] == ["banned", "in", "banned", "in"]
    house.clock.now += 1
    house.sessions = house.registry(BanStore(keeper, house.clock.wall))
    assert [said(one) for one in (seven[2], strangers[1])] == ["banned", "banned"]
    denied = await house.enter(Grant(method="jwt", user_id="7"), ip="203.0.113.1")
    assert isinstance(denied, Denial)
    assert '"7"' not in keeper.read_text(), "nobody is named in the clear"


async def test_a_user_s_bounds_count_who_was_adopted() -> None:
    """`max_sessions` of a grant, and `sessions.max_per_user`, though nobody knows the user's name any more."""
    house = House()
    once = Grant(method="jwt", user_id="7", max_sessions=1)
    old = await house.watch(once)
    house.sessions = house.registry()
    again = house.admit(old.sid.decode())
    assert isinstance(again, Session)
    new = await house.watch(once)
    assert (again.over, again.reason, new.over) == (True, "replaced", False)
    house = House(max_per_user=1, when_full="refuse")
    old = await house.watch(Grant(method="jwt", user_id="7"))
    house.sessions = house.registry()
    assert isinstance(house.admit(old.sid.decode()), Session)
    assert isinstance(await house.enter(Grant(method="jwt", user_id="7")), Denial)


async def test_whoever_is_adopted_is_asked_about_by_the_rules_of_now() -> None:
    """They may be others than before the restart: an app that was open may ask for a sign by now."""
    house = House()
    for grant in (Grant(), Grant(method="sign", identity="t")):
        old = await house.watch(grant)
        house.sessions = house.registry()
        house.gate.asked.clear()
        house.gate.says = Denial(403, "no")
        again = house.admit(old.sid.decode())
        assert isinstance(again, Session)
        await house.after(0.5)
        assert [request.ip for request in house.gate.asked] == ["192.0.2.1"]
        assert again.reason == "auth_denied"


@pytest.mark.parametrize("reason", ["kicked", "expired", "auth_denied", "replaced"])
async def test_in_a_cluster_who_was_sent_away_does_not_come_back_by_waiting(reason: str) -> None:
    """Any good id is taken over there, for it may be another node's: but not one that this node has ended."""
    house = House(secret="0123456789abcdef", ban_time=60, resume_window=100)
    house.clock.now += 50
    session = await house.watch()
    house.sessions.end(session, reason)
    for seconds, why in ((1, "banned"), (65, "unknown"), (200, "unknown"), (80_000, "unknown")):
        house.clock.now += seconds
        house.sessions.sweep()
        denied = house.admit(session.sid.decode())
        assert isinstance(denied, Denial)
        assert denied.reason == why


async def test_a_ban_outlives_the_process(tmp_path: Path) -> None:
    """Who was kicked must not be let in by a restart, not by the old id and not through the door."""
    house = House()

    def restart() -> None:
        house.sessions = house.registry(BanStore(tmp_path / "state" / "bans.jsonl", house.clock.wall))

    restart()
    kicked = await house.watch(Grant(user_id="7"))
    house.sessions.kick(kicked.id, 600)
    expired = await house.watch(ip="192.0.2.9")
    house.sessions.end(expired, "expired")
    house.clock.now += 100
    restart()  # without a word: as after kill -9
    assert (tmp_path / "state" / "bans.jsonl").stat().st_mode & 0o777 == 0o600
    denied = [
        house.admit(kicked.sid.decode()),
        house.admit(expired.sid.decode()),
        await house.enter(Grant(user_id="7")),
    ]
    assert [one.reason for one in denied if isinstance(one, Denial)] == ["banned", "unknown", "banned"]
    assert isinstance(await house.enter(Grant(user_id="8")), Session)
    house.clock.now += 600
    with (tmp_path / "state" / "bans.jsonl").open("a") as file:
        file.write('["ban",["half')
    restart()
    assert isinstance(await house.enter(Grant(user_id="7")), Session)
    assert len(house.sessions.bans) == 0


async def test_a_disk_that_keeps_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Bans then hold as long as the process does."""
    (tmp_path / "file").write_text("")
    house = House()
    house.sessions = house.registry(BanStore(tmp_path / "file" / "bans.jsonl", house.clock.wall))
    session = await house.watch()
    house.sessions.kick(session.id)
    assert isinstance(house.admit(session.sid.decode()), Denial)


# -- time


@pytest.mark.parametrize(("mode", "over"), [("at_start", False), ("hard", True), ("renew", False)])
async def test_expiry_means_what_the_operator_says(mode: str, over: bool) -> None:
    """`at_start`, Node-Media-Server's way; `hard`, as pay television has it; `renew`, which asks."""
    house = House(expire=mode)
    session = await house.watch(Grant(expires=house.clock.wall() + 20))
    for _ in range(25):
        await house.after(1)
        session.last = house.clock.now if not session.over else session.last
    assert session.over is over
    assert len(house.gate.asked) == (mode == "renew")
    if over:
        assert (session.reason, house.told[-1].facts["reason"]) == ("expired", "expired")
        assert isinstance(house.admit(session.sid.decode()), Denial)
        assert isinstance(await house.enter(Grant(expires=house.clock.wall() - 1)), Denial)


@pytest.mark.parametrize("mode", ["at_start", "hard", "renew"])
async def test_what_is_given_for_a_time_ends_with_it_in_every_mode(mode: str) -> None:
    """`lifetime` of a callback, `sign_expiry = "hard"`: whoever sets these means the session."""
    house = House(expire=mode)
    ends = house.clock.wall() + 5
    session = await house.watch(Grant(expires=ends, ends=ends))
    for _ in range(6):
        await house.after(1)
        session.last = house.clock.now if not session.over else session.last
    assert session.reason == "expired"


async def test_a_receiver_is_asked_again_when_it_wants_to_be(house: House) -> None:
    """`auth_duration` in the answer to prePlay: who has not paid on stops watching, and a fault of ours ends nobody."""
    says: list[Grant | Denial] = [Grant(user_id="7", auth_duration=5, method="callback")]
    asked: list[Event] = []

    async def receiver(event: Event) -> Grant | Denial:
        asked.append(event)
        return says[0]

    house.sessions.gate = OpenGate()
    house.sessions.bus.consult(receiver)
    session = await house.watch()

    async def watches(seconds: int) -> None:
        for _ in range(seconds):
            await house.after(1)
            session.last = house.clock.now if not session.over else session.last

    await watches(6)
    says[0] = Denial(403, "not allowed", UNANSWERED)
    await watches(5)
    assert (len(asked), session.over, session.user_id) == (3, False, "7")
    says[0] = Denial(403, "not allowed")
    await watches(5)
    assert (len(asked), session.reason) == (4, "auth_denied")
    assert [(event.action.value, event.seq) for event in house.told if event.id == session.id] == [
        ("prePlay", 1), ("postPlay", 2), ("prePlay", 3), ("prePlay", 4), ("prePlay", 5), ("donePlay", 6)
    ]  # fmt: skip
    says[0] = Grant(user_id="8", method="callback")
    other = await house.watch(user_agent="other")
    await house.after(4)
    other.last = house.clock.now
    await house.after(4)
    assert len(asked) == 5, "who names no time is asked once"


async def test_who_is_asked_about_again_shows_what_it_has_shown(house: House) -> None:
    """A token in a header is one too, and a sign is for the name that was asked for: both stay good."""
    query = {"sign": "s", "u": ""}
    session = await house.watch(Grant(auth_duration=5, name="cam"), asked="alias", bearer="a.b.c", query=query)
    assert house.admit(session.sid.decode(), "198.51.100.7") is session
    for _ in range(6):
        await house.after(1)
        session.last = house.clock.now
    session.last -= 3
    await house.after(10)
    again = house.admit(session.sid.decode(), "198.51.100.7")
    assert isinstance(again, Session)
    assert (again is session, again.path) == (False, "/live/cam")
    await house.after(5)
    assert [(asked.name, asked.bearer, asked.query) for asked in house.gate.asked] == [("alias", "a.b.c", query)] * 3
    assert "a.b.c" not in repr(house.told)


async def test_the_gate_is_asked_again_each_time_it_wants_to_be(house: House) -> None:
    """Flussonic's X-AuthDuration; a denial then is the end."""
    session = await house.watch(Grant(auth_duration=5))
    for second in range(18):
        if second == 16:
            house.gate.says = Denial(403, "no")
        await house.after(1)
        session.last = house.clock.now if not session.over else session.last
    assert len(house.gate.asked) == 3
    assert not session.over
    await house.after(4)
    assert (len(house.gate.asked), session.reason) == (4, "auth_denied")
