"""The life of a session: opened, started, ended; each told once and in order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hlsd.events import UNANSWERED, Action, Event
from hlsd.ports import MORE, Denial, Grant
from hlsd.sessions.ban_store import BanStore
from hlsd.sessions.gate import OpenGate
from hlsd.sessions.schedule import SLICE
from hlsd.sessions.search import SEARCHED
from hlsd.sessions.session import Session, SessionState
from hlsd.subjects import Subject
from tests.support.playable import MemoryPlayable
from tests.unit.sessions.conftest import Scene


async def test_one_start_and_one_stop_in_order_and_the_end_is_the_last_byte(scene: Scene) -> None:
    """Billing counts what events say: no play twice, none without end, and not a second of silence."""
    session = await scene.watch(user_agent="VLC", referer="https://site/", port=51234, query={"u": "42", "sign": "x"})
    scene.clock.now += 5
    session.last = scene.clock.now
    scene.sessions.charge(session, 500, 1)
    await scene.after(30)
    assert scene.actions(session.id) == ["prePlay", "postPlay", "donePlay"]
    assert [event.seq for event in scene.told] == [1, 2, 3]
    done = scene.told[-1].payload("edge-1")
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
async def test_who_sees_no_media_has_not_watched(scene: Scene, gets: list[tuple[int, int]]) -> None:
    """A playlist, an initialisation section, a HEAD: nobody has seen a picture yet."""
    session = await scene.watch(media=0)
    for size, kind in gets:
        scene.sessions.charge(session, size, kind)
    assert session.state is SessionState.OPENED
    await scene.after(12)
    assert (session.reason, scene.actions()) == ("abandoned", ["prePlay"])
    figures = scene.sessions.stats.app("live")
    assert figures.closed == {("hls", "abandoned"): 1}
    assert not figures.started
    assert not figures.session_duration


async def test_figures_say_of_plays_what_events_say() -> None:
    """Two accounts of one thing: whoever pays by events and watches by figures must not see two truths."""
    scene = Scene(ip_policy="reauth")
    figures = scene.sessions.stats.admit("live")
    for number in range(5):
        session = await scene.watch(media=1000 * (number % 3))
        scene.clock.now += number
        session.last = scene.clock.now
    scene.sessions.kick(session.id, 0)
    await scene.after(20)
    done = [event.payload("n1") for event in scene.told if event.action is Action.DONE_PLAY]
    stay = figures.session_duration["hls"]
    assert figures.opened["hls"] == scene.actions().count("prePlay") == 5
    assert figures.started["hls"] == scene.actions().count("postPlay") == len(done) == stay.count == 3
    assert stay.total == sum(int(str(event["duration_ms"])) for event in done) / 1000
    assert figures.closed == {("hls", "abandoned"): 2, ("hls", "idle"): 2, ("hls", "kicked"): 1}


async def test_plays_after_a_restart_are_counted_for_their_app(scene: Scene) -> None:
    """Players are back before the publisher is: their plays must not end up with those of unknown apps for ever."""
    old = await scene.watch()
    scene.sessions = scene.registry()
    session = scene.admit(old.sid.decode())
    assert isinstance(session, Session)
    scene.sessions.stats.admit("live")
    scene.sessions.charge(session, 100, 1)
    assert scene.sessions.stats.app("live").started == {"hls": 1}


@pytest.mark.parametrize(("ended", "reason"), [(False, "idle"), (True, "stream_end")])
async def test_the_end_of_the_stream_is_told_from_a_viewer_who_left(scene: Scene, ended: bool, reason: str) -> None:
    """Whoever stops with the stream has not run away."""
    session = await scene.watch()
    assert scene.stream is not None
    scene.stream.ended = ended
    await scene.after(11)
    assert session.reason == reason


async def test_who_was_given_the_end_of_the_playlist_is_told_soon_and_others_stay(scene: Scene) -> None:
    """Its player asks no more; to wait for it as for one that may come back would bill it for nothing."""
    session = await scene.watch()
    other = await scene.watch(name="other")
    slow = await scene.watch(ip="192.0.2.7")
    slow.flows += 1  # the last segment is still on its way
    assert scene.stream is not None
    scene.stream.ended = True
    scene.idle = 2.0
    scene.sessions.stream_over("live", "cam")
    await scene.after(3)
    assert (session.reason, scene.actions(session.id)) == ("stream_end", ["prePlay", "postPlay", "donePlay"])
    assert not other.over
    assert not slow.over
    slow.flows -= 1
    await scene.after(2)
    assert slow.reason == "stream_end"


async def test_the_removal_of_a_stream_ends_its_viewers_and_nothing_begins_again(scene: Scene) -> None:
    """A player that goes on asking gets 404: that is not another viewer."""
    session = await scene.watch()
    scene.stream = None
    scene.sessions.stream_over("live", "cam")
    await scene.after(1)
    assert session.reason == "stream_end"
    assert scene.admit(session.sid.decode()) is session
    assert len(scene.sessions) == 0
    scene.stream = MemoryPlayable()  # published anew
    back = scene.admit(session.sid.decode())
    assert isinstance(back, Session)
    assert back is not session
    assert not back.over


@pytest.mark.thorough
async def test_all_viewers_of_an_ended_stream_are_found_in_slices(scene: Scene) -> None:
    """Ten thousand are looked for without a stall of the event loop."""
    made = [await scene.watch(ip=f"10.0.{n >> 8}.{n & 255}") for n in range(SEARCHED + 7)]
    scene.stream = None
    scene.sessions.stream_over("live", "cam")
    assert not scene.sessions.sweep_some()
    assert not any(one.over for one in made)
    await scene.after(1)
    assert {one.reason for one in made} == {"stream_end"}


async def test_a_stream_that_ends_because_the_server_stops_is_a_shutdown(scene: Scene) -> None:
    """An operator's own restart must not look like the end of the show."""
    session = await scene.watch()
    assert scene.stream is not None
    scene.sessions.drain()
    scene.stream.ended = True
    scene.idle = 2.0
    scene.sessions.stream_over("live", "cam")
    await scene.after(3)
    assert session.reason == "shutdown"


async def test_a_session_of_before_a_restart_awaits_its_publisher_for_the_grace(scene: Scene) -> None:
    """Both come back at the same time, and a player gives up on 404."""
    session = await scene.watch()
    assert not scene.sessions.awaits(session)
    scene.clock.now += 1
    scene.sessions = scene.registry()
    adopted = scene.admit(session.sid.decode())
    assert isinstance(adopted, Session)
    assert scene.sessions.awaits(adopted)
    scene.clock.now += 10
    assert not scene.sessions.awaits(adopted)


async def test_a_stop_is_told_within_a_second_of_the_idle_time(scene: Scene) -> None:
    """The bar is idle timeout + 1 s, wherever in the second the last byte was."""
    for _ in range(40):
        scene.clock.now += 0.13
        session = await scene.watch()
        left = scene.clock.now
        while not session.over:
            await scene.after(0.25)
        assert 10.0 <= scene.clock.now - left <= 11.0


async def test_what_is_held_or_flows_slowly_keeps_a_session_alive_and_is_no_byte(scene: Scene) -> None:
    """A slow reader watches; a hold that nobody answers is not a byte received."""
    held, slow = await scene.watch(), await scene.watch()
    held.held = slow.flows = 1
    await scene.after(40)
    assert not held.over
    assert not slow.over
    held.held = slow.flows = 0
    slow.last = scene.clock.now
    await scene.after(5)
    assert (held.over, held.last) == (True, 1000.0)
    assert not slow.over


async def test_updates_are_told_while_it_plays() -> None:
    """Billing that counts while it runs."""
    scene = Scene(update_interval=5)
    session = await scene.watch()
    for _ in range(16):
        await scene.after(1)
        session.last = scene.clock.now
    assert scene.actions() == ["prePlay", "postPlay", "updatePlay", "updatePlay", "updatePlay"]


@pytest.mark.thorough
async def test_ten_thousand_leave_at_once_and_the_loop_goes_on(scene: Scene) -> None:
    """R14: each stop in time, and nobody else waits for them: so many in one turn, which is some milliseconds."""
    for number in range(10_000):
        await scene.watch(ip=f"10.0.{number >> 8}.{number & 255}")
    scene.clock.now += 11
    done = False
    while not done:
        before = len(scene.sessions)
        done = scene.sessions.sweep_some()
        assert before - len(scene.sessions) <= SLICE
    assert len(scene.sessions) == 0
    assert scene.actions().count("donePlay") == 10_000
    ledger = scene.sessions.ledger
    assert ledger.closed == ledger.total == 12_000_000


async def test_shutdown_tells_every_end_before_it_returns(scene: Scene) -> None:
    """The outbox closes right after it."""
    await scene.watch()
    await scene.watch(media=0)
    await scene.sessions.stop()
    assert scene.actions().count("donePlay") == 1
    assert scene.told[-1].facts["reason"] == "shutdown"
    assert len(scene.sessions) == 0


async def test_a_handler_may_deny_a_viewer_and_later_end_it(scene: Scene) -> None:
    """`session.reject()`, as in Node-Media-Server."""
    subjects: list[Subject] = []
    scene.sessions.bus.on("prePlay", lambda subject: subject.reject("rejected"))
    denial = await scene.enter()
    assert isinstance(denial, Denial)
    assert (denial.status, denial.reason) == (403, "rejected")
    other = Scene()
    other.sessions.bus.on("postPlay", subjects.append)
    session = await other.watch()
    subjects[0].reject()
    assert (session.over, session.reason) == (True, "kicked")


async def test_an_asker_may_extend_the_grant(scene: Scene) -> None:
    """A webhook knows who it is."""

    async def sync_webhook(event: Event) -> Grant:
        return Grant(user_id="42", max_sessions=2)

    scene.sessions.bus.consult(sync_webhook)
    session = await scene.watch(Grant(identity="t", method="sign"))
    assert (session.user_id, session.grant.identity, session.grant.max_sessions) == ("42", "t", 2)
    assert session.grant.method == "sign"


# -- coming back


async def test_a_viewer_who_comes_back_begins_a_session_that_names_the_old_one(scene: Scene) -> None:
    """AVPlayer stops asking while it is paused; the URL it has goes on working."""
    first = await scene.watch(Grant(user_id="42"), query={"u": "42"})
    await scene.after(60)
    again = scene.admit(first.sid.decode())
    assert isinstance(again, Session)
    assert again is not first
    assert (again.sid, again.user_id, again.query) == (first.sid, "42", {"u": "42"})
    assert again.id != first.id
    assert scene.admit(first.sid.decode()) is again
    scene.sessions.charge(again, 100, 1)
    await scene.after(1)
    scene.sessions.end(again, "shutdown")
    assert scene.actions(again.id) == ["prePlay", "postPlay", "donePlay"]
    assert scene.told[-1].facts["resumed_from"] == first.id
    third = scene.admit(first.sid.decode())
    assert isinstance(third, Session)
    assert third.id not in (first.id, again.id)
    assert scene.sessions.get(third.id) is third
    assert scene.sessions.get(first.id) is None


async def test_after_the_window_an_id_is_as_good_as_none(scene: Scene) -> None:
    """It would be a key for ever."""
    first = await scene.watch()
    await scene.after(10.5)
    assert first.over
    scene.clock.now += 601
    denial = scene.admit(first.sid.decode())
    assert isinstance(denial, Denial)
    assert (denial.status, denial.reason) == (403, "unknown")


async def test_a_viewer_who_is_denied_on_coming_back_is_ended_meanwhile(scene: Scene) -> None:
    """Nobody waits for a webhook in mid-play; no means no all the same, and it is a start and a stop."""
    first = await scene.watch()
    await scene.after(12)

    async def sync_webhook(event: Event) -> Denial:
        await asyncio.sleep(0)
        return Denial(403, "no")

    scene.sessions.bus.consult(sync_webhook)
    again = scene.admit(first.sid.decode())
    assert isinstance(again, Session)
    scene.sessions.charge(again, 100, 1)
    await scene.after(1)
    assert (again.over, again.reason) == (True, "auth_denied")
    assert scene.actions(again.id) == ["prePlay", "postPlay", "donePlay"]
    denial = scene.admit(first.sid.decode())
    assert isinstance(denial, Denial)
    assert denial.reason == "banned"


async def test_an_adopted_session_is_told_of_under_an_id_of_its_own(scene: Scene) -> None:
    """Its first life has had its events already, under the id in the path."""
    first = await scene.watch()
    scene.clock.now += 5
    scene.sessions = scene.registry()
    scene.sessions.bus.listen(scene.told.append)
    again = scene.admit(first.sid.decode())
    assert isinstance(again, Session)
    await scene.after(0.25)
    scene.sessions.charge(again, 10, 1)
    assert scene.actions(again.id) == ["prePlay", "postPlay"]
    assert scene.told[-1].facts["adopted"] is True
    late = Scene(adopt_window=3)
    late.clock.now += 5
    assert isinstance(late.admit(first.sid.decode()), Denial)
    # an id of after the start that nobody remembers is of nobody here
    young = scene.signer.mint("/live/cam").decode()
    scene.clock.now += 1
    scene.sessions = scene.registry()
    assert isinstance(scene.admit(young), Session)


async def test_in_a_cluster_an_id_of_another_node_is_taken_over(scene: Scene) -> None:
    """It was issued after this node began."""
    scene.clock.now += 100
    young = scene.signer.mint("/live/cam").decode()
    assert isinstance(scene.admit(young), Denial)
    node = Scene(secret="0123456789abcdef")
    node.clock.now += 100
    assert isinstance(node.admit(young), Session)


async def test_a_node_adopts_nothing_that_it_has_forgotten_itself() -> None:
    """With a shared secret any good id may be another node's; not one that this very process has issued."""
    scene = Scene(secret="0123456789abcdef", resume_window=5)
    scene.clock.now += 50
    unused = await scene.enter()
    assert isinstance(unused, Session)
    await scene.after(30)
    assert isinstance(scene.admit(unused.sid.decode()), Denial)


async def test_an_adopted_session_ends_when_its_sign_does() -> None:
    """`sign_expiry = "hard"`: the end stands in the id, for nobody remembers the sign."""
    scene = Scene()
    viewers = [await scene.watch(Grant(method="sign", ends=scene.clock.wall() + 20)) for _ in "ab"]
    scene.clock.now += 10
    scene.sessions = scene.registry()
    again = scene.admit(viewers[0].sid.decode())
    assert isinstance(again, Session)
    again.held = 1
    await scene.after(12)
    assert (again.over, again.reason) == (True, "expired")
    late = scene.admit(viewers[1].sid.decode())
    assert isinstance(late, Denial)
    assert late.reason == "expired"


@pytest.mark.parametrize("mode", ["hard", "renew"])
async def test_what_could_be_renewed_ends_once_its_credential_is_gone(mode: str) -> None:
    """After a restart there is nothing left to renew by."""
    scene = Scene(expire=mode)
    viewer = await scene.watch(Grant(method="jwt", expires=scene.clock.wall() + 20))
    scene.sessions = scene.registry()
    again = scene.admit(viewer.sid.decode())
    assert isinstance(again, Session)
    again.held = 1
    await scene.after(25)
    assert again.over


async def test_bans_hold_for_ids_of_before_a_restart(tmp_path: Path) -> None:
    """By user and by address; whoever is somebody else comes in."""
    scene = Scene()
    path = tmp_path / "bans.jsonl"
    scene.sessions = scene.registry(BanStore(path, scene.clock.wall))
    seven = [await scene.watch(Grant(method="jwt", user_id="7"), ip=f"192.0.2.{n}") for n in range(3)]
    eight = await scene.watch(Grant(method="jwt", user_id="8"), ip="192.0.2.0")
    strangers = [await scene.watch(ip=ip) for ip in ("198.51.100.1", "198.51.100.1", "198.51.100.2")]
    scene.clock.now += 1
    scene.sessions = scene.registry(BanStore(path, scene.clock.wall))  # without a word: as after kill -9
    first, other = (
        scene.admit(seven[0].sid.decode(), "192.0.2.0"),
        scene.admit(strangers[0].sid.decode(), "198.51.100.1"),
    )
    assert isinstance(first, Session)
    assert isinstance(other, Session)
    scene.sessions.kick(first.id, 600)
    scene.sessions.kick(other.id, 600)

    def said(session: Session) -> str:
        found = scene.admit(session.sid.decode(), session.ip)
        return found.reason if isinstance(found, Denial) else "in"

    assert [said(one) for one in (seven[1], eight, strangers[1], strangers[2])] == ["banned", "in", "banned", "in"]
    scene.clock.now += 1
    scene.sessions = scene.registry(BanStore(path, scene.clock.wall))
    assert [said(one) for one in (seven[2], strangers[1])] == ["banned", "banned"]
    denied = await scene.enter(Grant(method="jwt", user_id="7"), ip="203.0.113.1")
    assert isinstance(denied, Denial)
    assert '"7"' not in path.read_text(), "nobody is named in the clear"


async def test_a_user_s_bounds_count_who_was_adopted() -> None:
    """`max_sessions` of a grant, and `sessions.max_per_user`, though nobody knows the user's name any more."""
    scene = Scene()
    once = Grant(method="jwt", user_id="7", max_sessions=1)
    old = await scene.watch(once)
    scene.sessions = scene.registry()
    again = scene.admit(old.sid.decode())
    assert isinstance(again, Session)
    new = await scene.watch(once)
    assert (again.over, again.reason, new.over) == (True, "replaced", False)
    scene = Scene(max_per_user=1, when_full="refuse")
    old = await scene.watch(Grant(method="jwt", user_id="7"))
    scene.sessions = scene.registry()
    assert isinstance(scene.admit(old.sid.decode()), Session)
    assert isinstance(await scene.enter(Grant(method="jwt", user_id="7")), Denial)


async def test_whoever_is_adopted_is_asked_about_by_the_rules_of_now() -> None:
    """They may be others than before the restart: an app that was open may ask for a sign by now."""
    scene = Scene()
    for grant in (Grant(), Grant(method="sign", identity="t")):
        old = await scene.watch(grant)
        scene.sessions = scene.registry()
        scene.gate.asked.clear()
        scene.gate.says = Denial(403, "no")
        again = scene.admit(old.sid.decode())
        assert isinstance(again, Session)
        await scene.after(0.5)
        assert [request.ip for request in scene.gate.asked] == ["192.0.2.1"]
        assert again.reason == "auth_denied"


@pytest.mark.parametrize("reason", ["kicked", "expired", "auth_denied", "replaced"])
async def test_in_a_cluster_who_was_sent_away_does_not_come_back_by_waiting(reason: str) -> None:
    """Any good id is taken over there, for it may be another node's: but not one that this node has ended."""
    scene = Scene(secret="0123456789abcdef", ban_time=60, resume_window=100)
    scene.clock.now += 50
    session = await scene.watch()
    scene.sessions.end(session, reason)
    for seconds, why in ((1, "banned"), (65, "unknown"), (200, "unknown"), (80_000, "unknown")):
        scene.clock.now += seconds
        scene.sessions.sweep()
        denied = scene.admit(session.sid.decode())
        assert isinstance(denied, Denial)
        assert denied.reason == why


async def test_a_ban_outlives_the_process(tmp_path: Path) -> None:
    """Who was kicked must not be let in by a restart, not by the old id and not through the gate."""
    scene = Scene()

    def restart() -> None:
        scene.sessions = scene.registry(BanStore(tmp_path / "state" / "bans.jsonl", scene.clock.wall))

    restart()
    kicked = await scene.watch(Grant(user_id="7"))
    scene.sessions.kick(kicked.id, 600)
    expired = await scene.watch(ip="192.0.2.9")
    scene.sessions.end(expired, "expired")
    scene.clock.now += 100
    restart()  # without a word: as after kill -9
    assert (tmp_path / "state" / "bans.jsonl").stat().st_mode & 0o777 == 0o600
    denied = [
        scene.admit(kicked.sid.decode()),
        scene.admit(expired.sid.decode()),
        await scene.enter(Grant(user_id="7")),
    ]
    assert [one.reason for one in denied if isinstance(one, Denial)] == ["banned", "unknown", "banned"]
    assert isinstance(await scene.enter(Grant(user_id="8")), Session)
    scene.clock.now += 600
    with (tmp_path / "state" / "bans.jsonl").open("a") as file:
        file.write('["ban",["half')
    restart()
    assert isinstance(await scene.enter(Grant(user_id="7")), Session)
    assert len(scene.local.bans) == 0


async def test_a_disk_that_keeps_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Bans then hold as long as the process does."""
    (tmp_path / "file").write_text("")
    scene = Scene()
    scene.sessions = scene.registry(BanStore(tmp_path / "file" / "bans.jsonl", scene.clock.wall))
    session = await scene.watch()
    scene.sessions.kick(session.id)
    assert isinstance(scene.admit(session.sid.decode()), Denial)


# -- time


@pytest.mark.parametrize(("mode", "over"), [("at_start", False), ("hard", True), ("renew", False)])
async def test_expiry_means_what_the_operator_says(mode: str, over: bool) -> None:
    """`at_start`, Node-Media-Server's way; `hard`, as pay television has it; `renew`, which asks."""
    scene = Scene(expire=mode)
    session = await scene.watch(Grant(expires=scene.clock.wall() + 20))
    for _ in range(25):
        await scene.after(1)
        session.last = scene.clock.now if not session.over else session.last
    assert session.over is over
    assert len(scene.gate.asked) == (mode == "renew")
    if over:
        assert (session.reason, scene.told[-1].facts["reason"]) == ("expired", "expired")
        assert isinstance(scene.admit(session.sid.decode()), Denial)
        assert isinstance(await scene.enter(Grant(expires=scene.clock.wall() - 1)), Denial)


@pytest.mark.parametrize("mode", ["at_start", "hard", "renew"])
async def test_what_is_given_for_a_time_ends_with_it_in_every_mode(mode: str) -> None:
    """`lifetime` of a callback, `sign_expiry = "hard"`: whoever sets these means the session."""
    scene = Scene(expire=mode)
    ends = scene.clock.wall() + 5
    session = await scene.watch(Grant(expires=ends, ends=ends))
    for _ in range(6):
        await scene.after(1)
        session.last = scene.clock.now if not session.over else session.last
    assert session.reason == "expired"


async def test_a_receiver_is_asked_again_when_it_wants_to_be() -> None:
    """`auth_duration` in the answer to prePlay: who has not paid on stops watching, and a fault of ours ends nobody."""
    says: list[Grant | Denial] = [Grant(user_id="7", auth_duration=5, method="callback")]
    asked: list[Event] = []

    async def receiver(event: Event) -> Grant | Denial:
        asked.append(event)
        return says[0]

    scene = Scene(rules=OpenGate())
    scene.sessions.bus.consult(receiver)
    session = await scene.watch()

    async def watches(seconds: int) -> None:
        for _ in range(seconds):
            await scene.after(1)
            session.last = scene.clock.now if not session.over else session.last

    await watches(6)
    says[0] = Denial(403, "not allowed", UNANSWERED)
    await watches(5)
    assert (len(asked), session.over, session.user_id) == (3, False, "7")
    says[0] = Denial(403, "not allowed")
    await watches(5)
    assert (len(asked), session.reason) == (4, "auth_denied")
    assert [(event.action.value, event.seq) for event in scene.told if event.id == session.id] == [
        ("prePlay", 1), ("postPlay", 2), ("prePlay", 3), ("prePlay", 4), ("prePlay", 5), ("donePlay", 6)
    ]  # fmt: skip
    says[0] = Grant(user_id="8", method="callback")
    other = await scene.watch(user_agent="other")
    await scene.after(4)
    other.last = scene.clock.now
    await scene.after(4)
    assert len(asked) == 5, "who names no time is asked once"


async def test_who_is_asked_about_again_shows_what_it_has_shown(scene: Scene) -> None:
    """A token in a header is one too, and a sign is for the name that was asked for: both stay good."""
    query = {"sign": "s", "u": ""}
    session = await scene.watch(Grant(auth_duration=5, name="cam"), asked="alias", bearer="a.b.c", query=query)
    assert scene.admit(session.sid.decode(), "198.51.100.7") is session
    for _ in range(6):
        await scene.after(1)
        session.last = scene.clock.now
    session.last -= 3
    await scene.after(10)
    again = scene.admit(session.sid.decode(), "198.51.100.7")
    assert isinstance(again, Session)
    assert (again is session, again.path) == (False, "/live/cam")
    await scene.after(5)
    assert [(asked.name, asked.bearer, asked.query) for asked in scene.gate.asked] == [("alias", "a.b.c", query)] * 3
    assert "a.b.c" not in repr(scene.told)


async def test_the_gate_is_asked_again_each_time_it_wants_to_be(scene: Scene) -> None:
    """Flussonic's X-AuthDuration; a denial then is the end."""
    session = await scene.watch(Grant(auth_duration=5))
    for second in range(18):
        if second == 16:
            scene.gate.says = Denial(403, "no")
        await scene.after(1)
        session.last = scene.clock.now if not session.over else session.last
    assert len(scene.gate.asked) == 3
    assert not session.over
    await scene.after(4)
    assert (len(scene.gate.asked), session.reason) == (4, "auth_denied")
