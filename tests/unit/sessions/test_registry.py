"""The sessions of a server: opened, found, adopted, ended, and their accounts."""

from __future__ import annotations

import pytest

from hlsd.ports import Denial, Grant, PlayRequest
from hlsd.sessions.refusals import FULL, NOT_OURS
from hlsd.sessions.registry import Registry
from hlsd.sessions.session import Session
from hlsd.sessions.signing import Key, Signer
from tests.support.at_once import at_once

KEY = Key(b"0123456789abcdef")


class Hands:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000 + self.now


def registry(clock: Hands, *, most: int = 100, idle: float = 10.0) -> Registry:
    return Registry(Signer([KEY], clock.wall), clock, lambda _app, _name: idle, max_sessions=most)


def opened(sessions: Registry, name: str = "cam") -> Session:
    session = asked(sessions, name)
    assert isinstance(session, Session)
    return session


def asked(sessions: Registry, name: str = "cam") -> Session | Denial:
    return at_once(sessions.open(PlayRequest("live", name, "hls", "192.0.2.1", user_agent="player/1"), Grant()))


def test_an_open_session_is_found_by_its_id_and_only_for_its_stream() -> None:
    """The table must not widen what the signature allows."""
    sessions = registry(Hands())
    session = opened(sessions)
    sid = session.sid.decode()
    assert sessions.admit(sid, "live", "cam", "", "") is session
    assert sessions.admit(sid, "live", "other", "", "") is NOT_OURS
    assert sessions.find(session.sid) is session
    assert session.prefix == f"/live/cam/~{sid}/".encode()
    assert (session.ip, session.user_agent, session.created_at) == ("192.0.2.1", "player/1", 1_700_001_000.0)


def test_a_valid_id_is_adopted_after_a_restart_and_a_forged_one_is_not() -> None:
    """Viewers go on; nobody makes a session of their own."""
    clock = Hands()
    sid = opened(registry(clock)).sid.decode()
    after = registry(clock)
    clock.now += 500
    session = after.admit(sid, "live", "cam", "192.0.2.7", "player/1")
    assert isinstance(session, Session)
    assert session.created_at == 1_700_001_000
    for forged in ("A" * 48, sid[:-1], sid + "A", "", "ÿ" * 48, "\N{SNOWMAN}"):
        assert after.admit(forged, "live", "cam", "", "") is NOT_OURS
    assert after.admit(sid, "live", "other", "", "") is NOT_OURS


def test_there_are_never_more_than_allowed() -> None:
    """503, and those who are in go on; a place that is left is given away again."""
    sessions = registry(Hands(), most=2)
    first = opened(sessions)
    opened(sessions)
    stranger = asked(registry(Hands()))
    assert isinstance(stranger, Session)
    assert asked(sessions) is FULL
    assert sessions.admit(stranger.sid.decode(), "live", "cam", "", "") is FULL
    assert isinstance(FULL, Denial)
    assert FULL.status == 503
    assert sessions.admit(first.sid.decode(), "live", "cam", "", "") is first
    sessions.close(first, "closed")
    opened(sessions)


def test_a_session_ends_when_nobody_asks_and_not_while_a_request_is_held() -> None:
    """A held reload is a viewer who waits."""
    clock = Hands()
    sessions = registry(clock)
    quiet, busy, held = (opened(sessions) for _ in range(3))
    held.held = 1
    for _ in range(12):
        clock.now += 1
        busy.last = clock.now
        sessions.sweep()
    assert quiet.over
    assert {busy, held} == set(sessions)
    held.held = 0
    for _ in range(25):
        clock.now += 1
        sessions.sweep()
    assert len(sessions) == 0


@pytest.mark.thorough
def test_ten_thousand_leavers_are_gone_within_a_second_of_their_time() -> None:
    """R14: one sweep, no timers; an account for each."""
    clock = Hands()
    sessions = registry(clock, most=10_000)
    for _ in range(10_000):
        sessions.charge(opened(sessions), 7, False)
    clock.now += 11.1
    sessions.sweep()
    assert len(sessions) == 0
    assert sessions.ledger.closed == sessions.ledger.total == 70_000


def test_the_accounts_add_up_even_when_a_refund_comes_late() -> None:
    """Sum over sessions + closed + unattributed = total."""
    sessions = registry(Hands())
    first, second = opened(sessions), opened(sessions)
    sessions.charge(first, 1000, True)
    sessions.charge(second, 10, False)
    sessions.charge(None, 5, False)
    sessions.close(first, "closed")
    sessions.charge(first, -400, True)
    assert (first.media_bytes, first.out_bytes, second.playlist_bytes) == (600, 600, 10)
    ledger = sessions.ledger
    assert (ledger.total, ledger.closed, ledger.unattributed) == (615, 600, 5)
    assert ledger.closed + ledger.unattributed + sum(one.out_bytes for one in sessions) == ledger.total
