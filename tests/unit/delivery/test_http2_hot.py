"""The hot path of HTTP/2: what comes again is not read again, what is ready goes out at once, and is charged once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from hlsd.delivery.http2.frames import HEADERS, PREFACE, RST_STREAM, SETTINGS, frame
from hlsd.delivery.http2.hpack_reader import HpackReader
from hlsd.delivery.settings import HttpSettings
from hlsd.sessions.registry import Registry
from hlsd.sessions.session import Session
from tests.support.http2_pipe import Http2Pair, http2_context
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import viewers
from tests.support.web import web_app

SID = "A" * 48
BASE = f"/live/cam/~{SID}/"
PLAYLIST = f"{BASE}main/index.m3u8".encode()
HELD = f"{BASE}main/index.m3u8?_HLS_msn=103&_HLS_part=0".encode()
SEGMENT = bytes(range(256)) * 1000


@dataclass
class House:
    cam: MemoryPlayable
    app: Any
    sessions: Registry
    reads: list[bytes]

    def pair(self, **options: Any) -> Http2Pair:
        return Http2Pair(self.app, **options)

    def session(self) -> Session:
        found = self.sessions.find(SID.encode())
        assert isinstance(found, Session)
        return found


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """One stream with an open session; `reads` has every header block that was read by the rules."""
    cam = MemoryPlayable(low_latency=True)
    cam.add_media("r1", "a.ts", SEGMENT)
    sessions = viewers()
    app = web_app(MemoryDirectory(cam=cam), sessions, HttpSettings(max_waiters_per_session=50))
    sessions.admit(SID, "live", "cam", "192.0.2.1", "")
    reads: list[bytes] = []
    read = HpackReader.read

    def counted(reader: HpackReader, block: bytes) -> Any:
        reads.append(block)
        return read(reader, block)

    monkeypatch.setattr(HpackReader, "read", counted)
    return House(cam, app, sessions, reads)


def literal(path: bytes) -> bytes:
    """`path` as a string that is not coded, with its length."""
    return bytes([len(path)] if len(path) < 127 else [127, len(path) - 127]) + path


# What stands before and behind the path in every request but the first of a connection, as these programs send it:
# recorded 2026-11-30 from Chromium 156, Firefox 153, curl 7.88. None of them puts the path into the table.
BEFORE = b"\x82\x87\x04"
FIRST = b"\x82\x87\x41\x01h\x04"


async def test_what_comes_again_is_not_read_again(house: House) -> None:
    """Two blocks are read: the one that fills the table, and the first that it makes short; then only paths differ."""
    pair = house.pair()
    pair.feed()
    one = pair.connection.data_received
    one(frame(HEADERS, 5, 1, FIRST + literal(PLAYLIST)))
    one(frame(HEADERS, 5, 3, BEFORE + literal(PLAYLIST) + b"\xbe"))
    assert len(house.reads) == 2
    paths = [PLAYLIST, f"{BASE}r1/a.ts".encode(), PLAYLIST, f"{BASE}main/index.m3u8?_HLS_msn=101".encode()]
    for number, path in enumerate(paths):
        one(frame(HEADERS, 0x25, 5 + 2 * number, b"\x80\0\0\0\xdb" + BEFORE + literal(path) + b"\xbe"))
    assert len(house.reads) == 2
    assert house.session().requests == 6
    assert pair.core.highest == 11


async def test_answers_are_those_of_the_rules(house: House) -> None:
    """Read by another implementation, which puts every path into the table: forms are known all the same."""
    pair, slow = house.pair(), house.pair(hot=False)
    for path in (PLAYLIST, f"{BASE}r1/a.ts".encode(), PLAYLIST, f"{BASE}none/x.ts".encode(), b"/live/cam.m3u8"):
        for more in ((), ((b"accept-encoding", b"gzip"),), ((b"range", b"bytes=0-9"),)):
            streams = [one.ask(path, *more) for one in (pair, slow)]
            await pair.settle()
            await slow.settle()
            hot, cold = pair.got[streams[0]], slow.got[streams[1]]
            assert hot.ended
            if path != b"/live/cam.m3u8":  # every viewer gets an id of its own
                assert (hot.status, hot.headers, hot.body) == (cold.status, cold.headers, cold.body)


async def test_a_table_that_has_changed_is_looked_at(house: House) -> None:
    """The same octets may mean something else after another request has moved the table."""
    pair = house.pair()
    pair.feed()
    one = pair.connection.data_received
    one(frame(HEADERS, 5, 1, FIRST + literal(PLAYLIST)))
    again = BEFORE + literal(PLAYLIST) + b"\xbe"  # 62: the authority
    for number in (3, 5):
        one(frame(HEADERS, 5, number, again))
    assert house.session().requests == 3
    one(frame(HEADERS, 5, 7, BEFORE + literal(PLAYLIST) + b"\xbe\x40\x01x\x01y"))  # moves it on: 62 is x: y now
    one(frame(HEADERS, 5, 9, again))
    assert frame(RST_STREAM, 0, 9, b"\0\0\0\1") in bytes(pair.pipe.sent), "a request without a host"
    assert house.session().requests == 4


async def test_a_path_that_is_none_is_found_out(house: House) -> None:
    """A form that is known does not make its path a good one."""
    pair = house.pair()
    pair.feed()
    one = pair.connection.data_received
    one(frame(HEADERS, 5, 1, FIRST + literal(PLAYLIST)))
    one(frame(HEADERS, 5, 3, BEFORE + literal(PLAYLIST) + b"\xbe"))
    for number, rest in enumerate((b"a b", b"x#y", b"\x00", b"a\r\nb: c")):
        stream = 5 + 2 * number
        one(frame(HEADERS, 5, stream, BEFORE + literal(BASE.encode() + rest) + b"\xbe"))
        assert frame(RST_STREAM, 0, stream, b"\0\0\0\1") in bytes(pair.pipe.sent)


async def test_a_path_that_is_cut_short_ends_the_connection(house: House) -> None:
    """Its length says more than there is: not HPACK, whatever the last block was."""
    pair = house.pair()
    pair.feed()
    one = pair.connection.data_received
    one(frame(HEADERS, 5, 1, FIRST + literal(PLAYLIST)))
    good = BEFORE + literal(PLAYLIST) + b"\xbe"
    one(frame(HEADERS, 5, 3, good))
    one(frame(HEADERS, 5, 5, good.replace(literal(PLAYLIST), bytes([len(PLAYLIST) + 9]) + PLAYLIST)))
    assert pair.core.error == "header block not readable"


async def test_many_requests_of_a_turn_are_one_write(house: House) -> None:
    """Eight playlists asked for in one piece leave in one piece."""
    pair = house.pair()
    for _ in range(2):
        pair.ask(PLAYLIST)
        await pair.settle()
    before = len(pair.pipe.writes)
    streams = []
    for _ in range(8):
        stream = pair.client.get_next_available_stream_id()
        head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h"), (b":path", PLAYLIST)]
        pair.client.send_headers(stream, head, end_stream=True)
        streams.append(stream)
    pair.feed()
    assert len(pair.pipe.writes) == before + 1
    assert not pair.core.streams, "an answer that goes out whole has no stream"


async def test_a_release_is_one_write_for_each_connection(house: House) -> None:
    """Three held reloads of one connection are answered together; two of another that was reset meanwhile are not."""
    pair = house.pair()
    pair.ask(PLAYLIST)
    streams = [pair.ask(HELD) for _ in range(5)]
    await pair.settle()
    assert house.app.blocked.waiting == house.session().held == 5
    for stream in streams[3:]:
        pair.client.reset_stream(stream)
    pair.feed()
    assert house.app.blocked.waiting == 3
    before = len(pair.pipe.writes)
    house.cam.add_part()
    await pair.settle()
    assert len(pair.pipe.writes) == before + 1
    assert [pair.got[stream].status for stream in streams] == [200, 200, 200, 0, 0]
    assert house.app.blocked.waiting == house.session().held == 0
    assert house.session().playlist_bytes == sum(len(got.body) for got in pair.got.values())


async def test_a_lost_connection_frees_what_it_held(house: House) -> None:
    """And nobody is charged for answers that were never given."""
    pair = house.pair()
    pair.ask(HELD)
    pair.ask(HELD)
    assert house.app.blocked.waiting == 2
    pair.pipe.closed = True
    house.cam.add_part()
    pair.connection.connection_lost(None)
    await asyncio.sleep(0)
    assert house.app.blocked.waiting == house.session().held == 0
    assert house.session().out_bytes == 0
    assert house.session().flows == 0


async def test_windows_are_kept_to(house: House) -> None:
    """A playlist larger than the stream's window waits for it, and overtakes nobody's account."""
    pair = house.pair()
    pair.client.update_settings({4: 20})
    pair.feed()
    pair.read()
    first = pair.ask(PLAYLIST)
    stream = pair.ask(PLAYLIST)
    await pair.settle(open_windows=False)
    assert [len(pair.got[one].body) for one in (first, stream)] == [20, 20]
    assert house.session().flows == 2
    pair.client.increment_flow_control_window(100_000, stream)
    pair.feed()
    await pair.settle(open_windows=False)
    assert pair.got[stream].ended
    assert not pair.got[first].ended
    assert house.session().playlist_bytes == len(pair.got[stream].body)
    pair.connection.connection_lost(None)
    assert house.session().playlist_bytes == len(pair.got[stream].body) + 20
    assert house.session().flows == 0


async def test_who_does_not_read_gets_shared_bodies_only(house: House) -> None:
    """While the transport asks to wait nothing is copied for anybody: answers are streams whose bodies all share."""
    pair = house.pair()
    for _ in range(2):
        pair.ask(PLAYLIST)
        await pair.settle()
    pair.pipe.room = 10
    pair.ask(PLAYLIST)
    sent = len(pair.pipe.sent)
    for _ in range(90):
        pair.ask(PLAYLIST)
    assert len(pair.pipe.sent) == sent
    assert len(pair.core.streams) == 90
    assert pair.core._room == 0
    pair.pipe.drain()
    await pair.settle()
    assert sum(got.ended for got in pair.got.values()) == 93
    assert not pair.core.streams


@pytest.mark.parametrize(("path", "lost"), [(PLAYLIST, 100), (f"{BASE}r1/a.ts".encode(), 100_000)])
async def test_what_its_client_did_not_get_is_taken_back(
    house: House, path: bytes, lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what filled the transport, as on the plain port; the client's kernel says how much it has, to a record."""
    pair = house.pair()
    pair.client.update_settings({4: 1 << 20})
    pair.client.increment_flow_control_window(1 << 20)
    for _ in range(2):
        pair.ask(PLAYLIST)
        await pair.settle()
    had = house.session().out_bytes
    pair.pipe.room = 10
    pair.ask(path)
    given = house.session().out_bytes - had + sum(stream.sent for stream in pair.core.streams.values())
    assert given > lost
    # what the transport says then is `tests/unit/delivery/test_cut_answers.py`'s to prove, over sockets
    monkeypatch.setattr(pair.connection, "_unconfirmed", lambda: lost)
    pair.connection.connection_lost(None)
    assert house.session().out_bytes - had == given - lost
    assert house.session().flows == 0


async def test_what_nobody_knows_to_be_lost_was_got(house: House) -> None:
    """A transport that has let go of its socket says nothing of what came to the client."""
    pair = house.pair()
    for _ in range(2):
        pair.ask(PLAYLIST)
        await pair.settle()
    pair.pipe.room = 10
    pair.ask(PLAYLIST)
    pair.connection.connection_lost(None)
    assert house.session().requests == 3
    assert house.session().playlist_bytes % 3 == 0
    assert house.session().playlist_bytes > 0


async def test_what_is_asked_during_a_release_is_read_after_it(house: House) -> None:
    """So that the last of those who wait does not wait for two requests of everybody; a lost one is left out."""
    pairs = [house.pair() for _ in range(2)]
    for pair in pairs:
        pair.ask(PLAYLIST)
    blocked = house.app.blocked
    blocked.releasing = True
    for pair in pairs:
        pair.ask(PLAYLIST)
    assert house.session().requests == 2
    pairs[0].connection.connection_lost(None)

    def nobody() -> bool:
        raise AttributeError("asyncio's TLS transport after the end")

    pairs[0].pipe.is_closing = nobody  # type: ignore[method-assign]
    blocked._pump(again=True)  # the last of them has its answer
    pairs[0].connection._flush()
    assert house.session().requests == 3
    await pairs[1].settle()
    assert all(got.ended for got in pairs[1].got.values())


async def test_a_fault_of_ours_costs_one_request(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered by the rules then, and the connection lives."""
    pair = house.pair()
    pair.ask(PLAYLIST)
    await pair.settle()

    def broken(*_: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(type(house.app.hot), "look_up", broken)
    stream = pair.ask(PLAYLIST)
    await pair.settle()
    assert pair.got[stream].status == 200
    assert not pair.pipe.closed


async def test_forms_are_bounded(house: House) -> None:
    """Whoever sends other lines each time fills nothing for ever."""
    context = http2_context(house.app)
    pair = house.pair(context=context)
    for number in range(40):
        pair.ask(PLAYLIST, (b"x-own", b"%d" % number))
        await pair.settle()
    known = context.forms._known
    assert len(known) == 40
    pair.ask(PLAYLIST, (b"x-long", b"y" * 3000))
    pair.ask(PLAYLIST, (b"cmcd-object", b"br=1"))
    await pair.settle()
    assert len(known) == 40


async def test_the_first_frame_is_settings_also_here(house: House) -> None:
    """Nothing is answered before the connection has begun by the rules."""
    pair = house.pair()
    pair.connection.data_received(PREFACE + frame(HEADERS, 5, 1, FIRST + literal(PLAYLIST)))
    assert pair.core.finished
    assert house.session().requests == 0
    good = house.pair()
    good.connection.data_received(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 5, 1, FIRST + literal(PLAYLIST)))
    assert house.session().requests == 1
