"""Queues of waiters: who shares one, what is done once for all of it, and that nobody is left behind."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from hlsd.delivery.answer import FALL, Answer, Reply, WaitForMedia, WaitForPart
from hlsd.delivery.blocked_requests import BATCH, OWN, BlockedRequests, Bounds
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.wait_queue import Outcome, WaiterCount, WaitQueue
from hlsd.ports import ViewerSession
from tests.support.mischief import Mischief
from tests.support.playable import MemoryPlayable


class Looker:
    """Notes how its wait ended."""

    def __init__(self, blocked: BlockedRequests, wait: WaitForPart | WaitForMedia) -> None:
        self.queue: WaitQueue | None = None
        self.session: ViewerSession | None = None
        self.address: WaiterCount | None = None
        self.wait = wait
        self.outcome: Outcome | None = None
        self.answer: Answer | None = None
        self.common = blocked.join(wait, self)

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:
        assert answer is None, "that is for queues with one answer"
        assert self.common is not None
        self.outcome = outcome
        self.answer = self.common.then(self.wait, outcome)


@pytest.fixture
def low() -> MemoryPlayable:
    return MemoryPlayable(low_latency=True)


async def stays() -> None:
    await asyncio.Event().wait()


def reload(low: MemoryPlayable, made: list[str], taste: str | None, part: int = 0) -> WaitForPart:
    """A held reload that notes in `made` for whom it was rendered."""

    def then(released: bool) -> Reply:
        made.append(taste or "own")
        return Reply(200 if released else 503, [], (taste or "own").encode())

    return WaitForPart(low, low.msn, part, 6.0, then, taste)


async def test_a_sweep_looks_at_a_queue_once_however_many_are_late(
    low: MemoryPlayable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To go through all queues for every two that are late would not end."""
    looks = 0
    is_late = WaitQueue.is_late

    def looked(queue: WaitQueue, now: float) -> bool:
        nonlocal looks
        looks += 1
        return is_late(queue, now)

    monkeypatch.setattr(WaitQueue, "is_late", looked)
    blocked = BlockedRequests(Bounds())
    each = [WaitForMedia(low, "r1", f"none{number}.ts", 6.0, lambda _: FALL) for number in range(300)]
    waits = [asyncio.ensure_future(blocked.wait(held, stays)) for held in each]
    await asyncio.sleep(0)
    assert blocked.waiting == 300
    blocked.sweep(monotonic() + 6.1)
    assert set(await asyncio.gather(*waits)) == {Outcome.EXPIRED}
    assert looks == 300
    assert blocked.waiting == 0


async def test_those_who_wait_for_the_same_share_a_line_and_what_is_alike_is_rendered_once(low: MemoryPlayable) -> None:
    """Whatever the number of viewers: one judgement, and one answer for each taste."""
    blocked = BlockedRequests(Bounds())
    made: list[str] = []
    viewers = [Looker(blocked, reload(low, made, taste)) for taste in ("zipped", "plain") * 50]
    own = [Looker(blocked, reload(low, made, None)) for _ in range(3)]
    assert len({id(viewer.common) for viewer in viewers + own}) == 1
    low.add_part()
    assert sorted(made) == ["own"] * 3 + ["plain", "zipped"]
    assert {viewer.outcome for viewer in viewers + own} == {Outcome.RELEASED}
    assert [viewer.answer.body for viewer in viewers if isinstance(viewer.answer, Reply)] == [b"zipped", b"plain"] * 50
    assert blocked.waiting == 0


async def test_who_waits_for_something_else_waits_elsewhere(low: MemoryPlayable) -> None:
    """Another part, another resource, another time to wait."""
    blocked = BlockedRequests(Bounds())
    made: list[str] = []
    now, later = Looker(blocked, reload(low, made, "plain")), Looker(blocked, reload(low, made, "plain", part=1))
    media = Looker(blocked, WaitForMedia(low, "r1", "p1.ts", 6.0, lambda _: FALL))
    longer = Looker(blocked, WaitForPart(low, low.msn, 0, 7.0, lambda _: FALL, "plain"))
    low.hint = ("r1", "p1.ts")
    low.add_part()
    assert (now.outcome, longer.outcome) == (Outcome.RELEASED, Outcome.RELEASED)
    assert [later.outcome, media.outcome] == [None, None]
    low.add_part()
    assert [later.outcome, media.outcome] == [Outcome.RELEASED, None]
    low.add_media("r1", "p1.ts", b"part")
    assert [media.outcome] == [Outcome.RELEASED]
    assert blocked.waiting == 0


async def test_who_comes_during_a_release_is_not_forgotten(low: MemoryPlayable) -> None:
    """A queue whose answer is there takes nobody any more; who comes then has a queue that will be released too."""
    blocked = BlockedRequests(Bounds())
    made: list[str] = []
    viewers = [Looker(blocked, reload(low, made, "plain")) for _ in range(BATCH // OWN + 100)]
    low.add_part()
    assert blocked.waiting == 100, "the rest of a release waits for the next turn of the loop"
    late = Looker(blocked, reload(low, made, "plain"))
    await asyncio.sleep(0)
    assert {viewer.outcome for viewer in viewers} == {Outcome.RELEASED}
    assert blocked.waiting == 1
    low.add_part()
    assert late.outcome is Outcome.RELEASED
    assert made == ["plain", "plain"], "once for each version"
    assert blocked.waiting == 0


async def test_whoever_is_put_off_during_a_release_is_read_when_it_is_over(low: MemoryPlayable) -> None:
    """Whichever listener it came by, in turn, and none before the last viewer has its answer."""
    blocked = BlockedRequests(Bounds())
    viewers = [Looker(blocked, reload(low, [], "plain")) for _ in range(BATCH // OWN + 100)]
    read: list[tuple[str, int]] = []

    class Connection:
        def __init__(self, listener: str) -> None:
            self.listener = listener

        def resume(self) -> None:
            read.append((self.listener, blocked.waiting))

    low.add_part()
    assert blocked.releasing
    for listener in ("http", "https", "http"):
        blocked.read_later(Connection(listener))
    assert read == []
    await asyncio.sleep(0)
    assert read == [("http", 0), ("https", 0), ("http", 0)]
    assert {viewer.outcome for viewer in viewers} == {Outcome.RELEASED}
    await asyncio.sleep(0)
    assert len(read) == 3, "once"


async def test_who_leaves_is_not_woken_and_an_empty_line_is_begun_anew(low: MemoryPlayable) -> None:
    """And nothing of it is kept."""
    blocked = BlockedRequests(Bounds())
    made: list[str] = []
    first = Looker(blocked, reload(low, made, "plain"))
    blocked.leave(first)
    assert (blocked.waiting, low.watchers) == (0, [])
    second = Looker(blocked, reload(low, made, "plain"))
    assert second.common is not first.common
    low.add_part()
    assert (first.outcome, second.outcome) == (None, Outcome.RELEASED)
    assert low.watchers == []


async def test_draining_answers_who_waits_with_what_is_there_and_refuses_who_comes(low: MemoryPlayable) -> None:
    """A player takes three errors in a row, and the server that takes over is not there for the first of them."""
    blocked = BlockedRequests(Bounds())
    made: list[str] = []
    waiting = Looker(blocked, reload(low, made, "plain"))
    blocked.drain()
    assert waiting.outcome is Outcome.EXPIRED
    assert Looker(blocked, reload(low, made, "plain")).common is None
    assert await blocked.wait(reload(low, made, "plain"), stays) is Outcome.REFUSED


class Broken:
    """A waiter that cannot be answered."""

    queue: WaitQueue | None = None
    session: ViewerSession | None = None
    address: WaiterCount | None = None

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:
        raise Mischief


async def test_who_cannot_be_answered_keeps_nobody_waiting(low: MemoryPlayable) -> None:
    blocked, made = BlockedRequests(Bounds()), list[str]()
    first = Looker(blocked, reload(low, made, "plain"))
    blocked.join(reload(low, made, "plain"), Broken())
    last = Looker(blocked, reload(low, made, "plain"))
    low.add_part()
    assert {first.outcome, last.outcome} == {Outcome.RELEASED}
    assert blocked.waiting == 0
    assert not blocked.releasing
    assert blocked.faults.outputs["viewer"] == 1


@pytest.mark.parametrize("late", [False, True], ids=["released", "late"])
async def test_an_answer_that_cannot_be_made_ends_the_wait_of_all_who_share_it(low: MemoryPlayable, late: bool) -> None:
    """They are refused (503): a queue that is settled and never answered would hold them for ever."""

    class Fast(Broken):
        said: Outcome | None = None

        def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:
            self.said = outcome
            assert answer is None

    def then(_released: bool) -> Reply:
        raise Mischief

    blocked = BlockedRequests(Bounds())
    queue = WaitQueue(WaitForPart(low, low.msn, low.parts, 6.0, then))
    waiters = [Fast() for _ in range(5)]
    for waiter in waiters:
        assert blocked.enter(queue, waiter, monotonic())
    if late:
        blocked.sweep(monotonic() + 7.0)
    else:
        low.add_part()
    for _ in range(10):
        await asyncio.sleep(0)
    assert {waiter.said for waiter in waiters} == {Outcome.REFUSED}
    assert blocked.waiting == 0


async def test_what_cannot_be_judged_holds_up_no_other_queue(
    low: MemoryPlayable, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked, made = BlockedRequests(Bounds()), list[str]()
    media = Looker(blocked, WaitForMedia(low, "r1", "p1.ts", 6.0, lambda _: FALL))
    other = Looker(blocked, reload(low, made, "plain"))

    def verdict(_self: WaitForMedia) -> bool:
        raise Mischief

    monkeypatch.setattr(WaitForMedia, "verdict", verdict)
    low.add_part()
    assert (media.outcome, other.outcome) == (None, Outcome.RELEASED)
