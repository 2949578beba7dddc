"""Publishers are read together, a few milliseconds apart: nothing is lost, reordered or kept for who has left."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from hlsd.ingest.poll_reader import MOST, READ, PollReader


class Reader:
    """A member that keeps what it is given."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.received = bytearray()
        self.calls = 0
        self.ended = False
        self.rounds: PollReader | None = None
        self.leaves_after = 0
        self.beside: Reader | None = None
        self.had = -1
        """What `beside` had been given when its own first bytes came."""

    def data_received(self, received: bytes) -> None:
        self.calls += 1
        if self.beside is not None and self.had < 0:
            self.had = len(self.beside.received)
        self.received += received
        if self.calls == self.leaves_after and self.rounds is not None:
            self.rounds.leave(self.ours.fileno())

    def leave_rounds(self) -> None:
        self.ended = True
        if self.rounds is not None:
            self.rounds.leave(self.ours.fileno())

    def join(self, rounds: PollReader) -> None:
        self.rounds = rounds
        rounds.join(self.ours.fileno(), self)

    async def has(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.received) < count:
                await asyncio.sleep(0.001)

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def one() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


@pytest.fixture
def other() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


async def test_everything_comes_in_order_to_whom_it_was_sent(one: Reader, other: Reader) -> None:
    """A byte in the wrong conversation would end it."""
    rounds = PollReader()
    one.join(rounds)
    other.join(rounds)
    first, second = bytes(range(256)) * 8, bytes(reversed(range(256))) * 8
    for at in range(0, len(first), 100):
        one.theirs.send(first[at : at + 100])
        other.theirs.send(second[at : at + 100])
        await asyncio.sleep(0)
    await one.has(len(first))
    await other.has(len(second))
    assert (bytes(one.received), bytes(other.received)) == (first, second)
    rounds.close()


async def test_who_has_left_is_read_no_more_even_within_the_round(one: Reader) -> None:
    """A connection that was refused must not be heard again; what it sent is still its transport's to read."""
    rounds = PollReader()
    one.leaves_after = 1
    one.join(rounds)
    one.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * READ)
    one.theirs.send(b"x" * (READ + 10))
    await one.has(READ)
    assert not rounds
    assert len(one.received) == READ
    assert one.ours.recv(100) == b"x" * 10
    rounds.close()


async def test_the_end_is_left_to_the_transport(one: Reader) -> None:
    """It alone knows how a connection ended; what was sent before the end comes first."""
    rounds = PollReader()
    one.join(rounds)
    one.theirs.send(b"last words")
    one.theirs.close()
    async with asyncio.timeout(10):
        while not one.ended:
            await asyncio.sleep(0.001)
    assert one.received == b"last words"
    assert not rounds
    rounds.close()


async def test_who_sends_much_does_not_keep_the_others_waiting(one: Reader, other: Reader) -> None:
    """A burst is read over several rounds."""
    rounds = PollReader()
    one.theirs.setblocking(False)
    sent = 0
    one.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * MOST * READ)
    try:
        while True:
            sent += one.theirs.send(b"x" * READ)
    except BlockingIOError:
        pass
    other.theirs.send(b"y")
    other.beside = one
    one.join(rounds)
    other.join(rounds)
    await other.has(1)
    assert other.had <= MOST * READ
    await one.has(sent)
    rounds.close()


async def test_nothing_turns_when_nobody_is_there(one: Reader) -> None:
    """An idle server sleeps."""
    rounds = PollReader()
    one.join(rounds)
    rounds.leave(one.ours.fileno())
    async with asyncio.timeout(10):
        while rounds._next is not None:
            await asyncio.sleep(0.001)
    one.join(rounds)
    one.theirs.send(b"again")
    await one.has(5)
    rounds.close()
