"""What becomes of a page: faults of ours are counted and leave no entry; refusals are logged; it is acknowledged."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.testing import capture_logs

from hlsd.base.clock import SystemClock
from hlsd.base.errors import ProtocolError
from hlsd.base.faults import Faults
from hlsd.events import Action, Bus, Event
from hlsd.ingest.recorder.publisher import RecorderHost
from hlsd.ingest.recorder.room import RecorderRoom
from hlsd.ports import PlayRequest, Refuse, RefuseCode
from hlsd.streams.connections import ConnectionDesk
from tests.support.recorder_room import UnitAdmission
from tests.support.recordings import recording

if TYPE_CHECKING:
    from hlsd.ports import SoundConverter

ASKED = PlayRequest("live", "show", "recorder", "192.0.2.1", 4000)
START = '{"type":"start","mime":"video/x-matroska"}'


class Page:
    """Sends what it is given, then nothing more."""

    code = 1000
    held = 0

    def __init__(self, *said: bytes | str | Exception) -> None:
        self._said = list(said)
        self.waits = asyncio.Event()
        """All of it has been worked on."""
        self.told: list[str] = []

    async def read(self) -> bytes | str | None:
        if not self._said:
            self.waits.set()
            await asyncio.Event().wait()
        said = self._said.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    def tell(self, text: str) -> None:
        self.told.append(text)

    def admitted(self) -> None:
        """It was waited for."""

    def tick(self, now: float) -> None:
        """It answers pings."""

    def cut(self) -> None:
        """Nothing comes of it."""


class BrokenDesk:
    """A sound desk of which one thing fails (`hlsd.ports.SoundDesk`), and its own converter."""

    record = b""

    def __init__(self, fails: str) -> None:
        self._fails = fails

    def converter(self, sink: object, teller: object, channels: int = 0) -> SoundConverter:
        return self

    def warm(self) -> None:
        """It is."""

    def take(self, form: object, timestamp: int, octets: bytes, now: float) -> None:
        if self._fails == "take":
            raise OSError("no space left on device")

    def aside(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        if self._fails == "close":
            raise OSError("no process")


def room_of(
    desk: BrokenDesk | None, faults: Faults, verdict: Refuse | None = None
) -> tuple[RecorderRoom, UnitAdmission]:
    admission = UnitAdmission(verdict)
    host = RecorderHost(admission, SystemClock(), structlog.get_logger(), faults, desk, 15.0, 30.0, 10.0)
    return RecorderRoom(host), admission


def reads(name: str) -> list[bytes]:
    octets = recording(name)
    return [octets[at : at + 16384] for at in range(0, len(octets), 16384)]


async def test_an_error_of_ours_is_a_fault_and_not_a_lost_connection() -> None:
    faults = Faults()
    room, _ = room_of(BrokenDesk("take"), faults)
    async with asyncio.timeout(10):
        ending = await room.serve(ASKED, Page(START, *reads("chromium.mkv")))
    assert ending.reason == "error:internal"
    assert faults.tasks == {"recorder_publisher": 1}
    assert not room.publishers


async def test_an_error_of_the_connection_is_no_fault() -> None:
    faults = Faults()
    room, _ = room_of(None, faults)
    async with asyncio.timeout(10):
        ending = await room.serve(ASKED, Page(START, ConnectionResetError("gone")))
    assert (ending.reason, faults.tasks.total()) == ("lost", 0)
    assert [publisher.away for publisher in room.publishers] == [True]


async def test_whom_the_hub_drops_is_gone_though_the_release_of_his_sound_fails() -> None:
    faults = Faults()
    room, admission = room_of(BrokenDesk("close"), faults)
    page = Page(START, *reads("chromium.mkv"))
    serving = asyncio.create_task(room.serve(ASKED, page))
    async with asyncio.timeout(10):
        await page.waits.wait()
        admission.requests[0].drop("kicked")
        assert (await serving).reason == "kicked"
    assert faults.tasks == {"publication_end": 1}
    assert not room.publishers


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{"type":"pause"}', "the first thing to send is a start"),
        ('{"type":"start","mime":"text/html"}', "mime is one of"),
        ('{"type":"start","mime":"video/webm;codecs=vp8"}', "VP8"),
    ],
)
async def test_who_is_refused_at_his_first_text_has_a_line_in_the_log(said: str, why: str) -> None:
    room, admission = room_of(None, Faults())
    with capture_logs() as lines:
        await room.serve(ASKED, Page(said))
    assert not admission.requests
    (line,) = lines
    assert why in line.pop("reason")
    assert line == {
        "event": "publisher refused", "log_level": "info", "app": "live", "ip": "192.0.2.1", "protocol": "recorder",
    }  # fmt: skip


async def test_what_the_hub_refuses_and_who_just_leaves_has_none_of_ours() -> None:
    room, _ = room_of(None, Faults(), Refuse(RefuseCode.DENIED, "no"))
    with capture_logs() as lines:
        assert (await room.serve(ASKED, Page(START))).reason == "denied"
        assert (await room.serve(ASKED, Page(ConnectionResetError("gone")))).reason == "lost"
    assert lines == []


@pytest.mark.parametrize(("last", "acks"), [((), 2), (('{"type":"pause"}',), 1)])
async def test_each_second_acknowledges_but_in_a_pause_only_what_is_new(last: tuple[str, ...], acks: int) -> None:
    room, admission = room_of(None, Faults())
    octets = reads("chromium.mkv")
    page = Page(START, *octets, *last)
    serving = asyncio.create_task(room.serve(ASKED, page))
    async with asyncio.timeout(10):
        await page.waits.wait()
        for _ in range(2):
            room.sweep()
        admission.requests[0].drop("kicked")
        await serving
    told = [json.loads(text) for text in page.told]
    assert [one["bytes"] for one in told if one["type"] == "ack"] == [sum(map(len, octets))] * acks


async def test_each_connection_of_a_page_is_told_and_ends_once() -> None:
    """A page that comes back has another connection, and the same publication."""
    told: list[Event] = []
    bus = Bus()
    bus.listen(told.append)
    admission = UnitAdmission(None)
    host = RecorderHost(admission, SystemClock(), structlog.get_logger(), Faults(), None, 15.0, 30.0, 10.0)
    room = RecorderRoom(replace(host, connections=ConnectionDesk(bus, SystemClock())))
    assert (await room.serve(ASKED, Page(START, recording("chromium.mkv")[:1000], OSError("gone")))).reason == "lost"
    (publisher,) = room.publishers
    resume = json.dumps({"type": "start", "mime": "video/x-matroska", "resume": publisher.ident})
    assert (await room.serve(ASKED, Page(resume, ProtocolError("no frame")))).reason == "protocol"
    assert [event.action.value for event in told] == ["preConnect", "postConnect", "doneConnect"] * 2
    assert len({event.id for event in told}) == 2
    ends = [event.facts for event in told if event.action is Action.DONE_CONNECT]
    assert [(one["reason"], one["inbytes"]) for one in ends] == [("closed", 1000), ("error:protocol", 0)]
    bus.on("preConnect", lambda one: one.reject())
    page = Page(START)
    assert (await room.serve(ASKED, page)).reason == "denied"
    assert '"NOT_ALLOWED"' in "".join(page.told)
    assert len(admission.requests) == 1
