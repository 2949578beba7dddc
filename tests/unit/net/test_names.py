"""Names whose resolver never answers: who asked for them waits, and nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator

import pytest
import uvloop

from hlsd.net.names import Names
from hlsd.operator.client import HttpQuestion, HttpReply, NoAnswer, OperatorClient
from hlsd.relay.address import read_address
from hlsd.relay.dial import Dial, SourceError
from tests.support.backend import Service
from tests.support.clock import FakeClock
from tests.support.eventually import eventually


class Resolver:
    """Answers for `localhost`, refuses `nobody.test`; for every other name it says nothing until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silence = threading.Event()

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if host == "localhost":
            return ["127.0.0.1"]
        if host == "nobody.test":
            raise OSError("no such name")
        self.silence.wait(60)
        return ["127.0.0.1"]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    found = Resolver()
    monkeypatch.setattr("hlsd.net.names._by_the_system", found)
    yield found
    found.silence.set()


async def test_who_asks_for_the_same_name_shares_one_question(resolver: Resolver) -> None:
    names = Names(resolver)
    waiting = [asyncio.create_task(names.addresses("silent.test")) for _ in range(50)]
    await eventually(lambda: resolver.asked)
    waiting[0].cancel()
    await eventually(waiting[0].done)
    resolver.silence.set()
    assert await asyncio.gather(*waiting[1:]) == [["127.0.0.1"]] * 49, "one that gave up takes it from nobody"
    assert resolver.asked == ["silent.test"]
    await eventually(lambda: names.under_way == 0)


async def test_there_are_so_many_questions_and_then_an_error_at_once(resolver: Resolver) -> None:
    names = Names(resolver, most=3)
    waiting = [asyncio.create_task(names.addresses(f"{n}.test")) for n in range(3)]
    await eventually(lambda: names.under_way == 3)
    with pytest.raises(OSError, match="has not answered 3"):
        await names.addresses("localhost")
    assert await names.addresses("127.0.0.1") == ["127.0.0.1"], "an address is no question"
    resolver.silence.set()
    await asyncio.gather(*waiting)
    await eventually(lambda: names.under_way == 0)
    assert await names.addresses("localhost") == ["127.0.0.1"]


async def test_what_goes_wrong_is_an_os_error_and_the_next_asks_anew(resolver: Resolver) -> None:
    names = Names(resolver)
    for _ in range(2):
        with pytest.raises(OSError, match="no such name"):
            await names.addresses("nobody.test")
    assert resolver.asked == ["nobody.test"] * 2

    def codec(host: str) -> list[str]:
        return [host.encode("idna").decode()]  # what no label can be, the codec says, not the resolver

    with pytest.raises(OSError, match="cannot be looked up: UnicodeError"):
        await Names(codec).addresses("a" * 70 + ".test")
    assert names.under_way == 0


async def beside_dead_names(resolver: Resolver) -> None:
    """Two hundred dead names, and what others do meanwhile."""
    relays, client = Dial(tuple), OperatorClient(FakeClock())
    async with Service() as service:
        dead = [
            asyncio.create_task(relays.open(read_address(f"http://d{n}.test/x"), within=60)) for n in range(100)
        ] + [asyncio.create_task(client.send(HttpQuestion("POST", "http://dead.test/", {}, b"{}"), within=60))]
        await eventually(lambda: len(resolver.asked) == 101)
        # Threads for files, another relay, a webhook: none of them waits.
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(lambda: 7) == 7
            dialed = await relays.open(read_address(f"http://localhost:{service.port}/x"))
            dialed.writer.close()
            said = await client.send(
                HttpQuestion("POST", f"http://localhost:{service.port}/hook", {}, b"{}"), within=20
            )
            assert isinstance(said, HttpReply)
            assert said.status == 200
            # Who asks a dead one is told in his own time.
            late = await client.send(HttpQuestion("POST", "http://dead.test/", {}, b"{}"), within=0.05)
            assert late == NoAnswer("no answer in time")
            with pytest.raises(SourceError, match="no answer in"):
                await relays.open(read_address("http://d1.test/x"), within=0.05)
        assert resolver.asked.count("dead.test") == 1
        for task in dead:
            task.cancel()
        await asyncio.gather(*dead, return_exceptions=True)
        await client.close()


Loop = Callable[[], asyncio.AbstractEventLoop]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_resolver_that_never_answers_holds_up_who_asked_it_and_nobody_else(resolver: Resolver, loop: Loop) -> None:
    work: Coroutine[object, object, None] = beside_dead_names(resolver)
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work)
    # The loop has ended while a hundred threads still wait, and has waited for none of them.
    assert not resolver.silence.is_set()
    assert sum(thread.name == "hlsd-names" for thread in threading.enumerate()) >= 100


async def test_httpx_still_goes_by_our_look_up(resolver: Resolver) -> None:
    """A version of it that does not would ask the system behind our back."""
    client = OperatorClient(FakeClock())
    async with Service() as service:
        question = HttpQuestion("POST", f"http://localhost:{service.port}/", {}, b"{}")
        assert isinstance(await client.send(question, within=20), HttpReply)
        refused = await client.send(HttpQuestion("POST", "http://nobody.test/", {}, b"{}"), within=20)
        assert refused == NoAnswer("no such name")
    await client.close()
    assert resolver.asked == ["localhost", "nobody.test"]


async def test_the_next_address_is_tried_where_nobody_listens_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlsd.net.names._by_the_system", lambda _: ["::1", "127.0.0.2", "127.0.0.1"])
    client = OperatorClient(FakeClock())
    async with Service() as service:
        question = HttpQuestion("POST", f"http://many.test:{service.port}/", {}, b"{}")
        assert isinstance(await client.send(question, within=20), HttpReply)
    await client.close()
