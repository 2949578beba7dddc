"""Markers by the API: what each says to viewers, and what is refused before anybody hears of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from hlsd.ingest.rtmp.amf0 import decode
from hlsd.media import id3
from hlsd.media.date_range import DateRange
from hlsd.media.timed_event import TimedEvent
from hlsd.media.unit import AccessUnit, Tracks
from hlsd.ports import Publication
from tests.support.api_services import READER, ApiServices
from tests.support.frames import WALL, video
from tests.support.splices import INSERT_OUT, SIGNAL_START, insert, section

PATH = "/api/v1/streams/live/cam/marker"


class Listener:
    """An output that carries what may be said."""

    def __init__(self) -> None:
        self.events: list[TimedEvent] = []
        self.ranges: list[DateRange] = []

    def tracks(self, tracks: Tracks) -> None: ...

    def unit(self, unit: AccessUnit) -> None: ...

    def jump(self) -> None: ...

    def pause(self) -> None: ...

    def end(self) -> None: ...

    def event(self, event: TimedEvent) -> None:
        self.events.append(event)

    def date_range(self, told: DateRange) -> None:
        self.ranges.append(told)


async def on_air() -> tuple[ApiServices, Listener, Publication]:
    """A stream with somebody who listens."""
    services = ApiServices()
    held = await services.publish()
    listener = Listener()
    stream = services.hub.get("live", "cam")
    assert stream is not None
    stream.attach("test", listener)
    return services, listener, held


async def say(services: ApiServices, body: Any, status: int = 200) -> Any:
    """What is answered; of an error its code and its words."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await services.ask("POST", PATH, body=octets)
    assert answer.status_code == status, answer.text
    return answer.json()["data"] if status == 200 else (answer.json()["code"], answer.json()["message"])


async def test_id3_by_frames_is_due_now() -> None:
    services, listener, held = await on_air()
    for unit in video(25, 2):
        held.unit(unit)
    told = await say(services, {"id3": {"TIT2": "A song", "score": {"home": 2, "away": None}, "note": "x"}})
    (event,) = listener.events
    assert event.pts == video(25, 2)[-1].dts
    assert event.tag == id3.tag(
        id3.text("TIT2", "A song"), id3.user_text("score", '{"home":2,"away":null}'), id3.user_text("note", "x")
    )
    assert decode(event.script) == [
        "onTextData",
        {"TIT2": "A song", "score": {"home": 2.0, "away": None}, "note": "x"},
    ]
    assert (told["kind"], told["id"], event.number) == ("id3", "1", 1)


async def test_text_is_what_a_publisher_says_by_on_text_data() -> None:
    services, listener, _ = await on_air()
    await say(services, {"text": "Grüße"})
    assert listener.events[0].tag == id3.tag(id3.user_text("onTextData", '{"text":"Grüße"}'))
    assert decode(listener.events[0].script) == ["onTextData", {"text": "Grüße"}]


async def test_data_is_a_private_frame() -> None:
    services, listener, _ = await on_air()
    await say(services, {"data": base64.b64encode(b"\0\1").decode(), "owner": "org.example"})
    assert listener.events[0].tag == id3.tag(id3.private("org.example", b"\0\1"))
    assert listener.events[0].script == b""


async def test_a_break_is_told_of_when_it_begins_and_when_it_ends() -> None:
    """rfc8216bis §4.4.5.1: one id, the planned duration first, the true one later; the section as it came."""
    services, listener, _ = await on_air()
    out = await say(services, {"scte35": INSERT_OUT, "start": round(services.clock.wall() * 1000) - 20_000})
    back = insert(0x4800008F, out=False)
    done = await say(services, {"scte35": "0x" + back.hex()})
    begun, ended = listener.ranges
    assert begun.id == ended.id == out["id"] == done["id"]
    assert begun.start == ended.start
    assert (begun.splice, begun.duration) == ("SCTE35-OUT", None)
    assert begun.planned == pytest.approx(60.2936, abs=1e-3)
    assert (ended.splice, ended.planned) == ("SCTE35-IN", None)
    assert ended.duration == pytest.approx(20, abs=2)
    assert f"SCTE35-OUT=0x{base64.b64decode(INSERT_OUT).hex().upper()}" in out["line"]
    assert f"SCTE35-IN=0x{back.hex().upper()}" in done["line"]


async def test_what_is_said_beside_the_section_stands_in_the_line() -> None:
    services, listener, _ = await on_air()
    asked = {
        "scte35": SIGNAL_START,
        "id": "ad-1",
        "class": "org.example.ad",
        "planned_duration": 30,
        "attributes": {"X-ASSET": "a.m3u8", "X-N": 1.5},
    }
    line = (await say(services, asked))["line"]
    assert line.startswith('#EXT-X-DATERANGE:ID="ad-1",CLASS="org.example.ad",START-DATE="')
    assert ',PLANNED-DURATION=30,X-ASSET="a.m3u8",X-N=1.5,SCTE35-OUT=0xFC' in line
    assert listener.ranges[0].end == pytest.approx(listener.ranges[0].start + 30)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "one of id3, text, data and scte35"),
        ({"text": "x", "id3": {"a": "b"}}, "one of"),
        ({"text": ""}, "text"),
        ({"text": "x", "id": "a"}, "id goes with scte35"),
        ({"text": "x", "owner": "a"}, "owner goes with data"),
        ({"text": 1}, "text"),
        ({"text": "x", "color": "red"}, "color"),
        ({"id3": {}}, "id3"),
        ({"id3": {"ö": "x"}}, "ASCII"),
        ({"id3": {"a": "x" * 40_000}}, "32 kB"),
        ({"data": "no base64!"}, "base64"),
        ({"data": "AAAA", "owner": "ö"}, "ASCII"),
        ({"scte35": "zz"}, "base64 nor hex"),
        ({"scte35": "fcfc"}, "bytes"),
        ({"scte35": insert(1, out=True)[:-1].hex()}, "section_length"),
        ({"scte35": insert(1, out=True, cancel=True).hex()}, "canceled"),
        ({"scte35": insert(1, out=True).hex(), "id": 'a"b'}, "quotation"),
        ({"scte35": insert(1, out=True).hex(), "class": "a\nb"}, "quotation"),
        ({"scte35": insert(1, out=True).hex(), "attributes": {"Y": "a"}}, "X-"),
        ({"scte35": insert(1, out=True).hex(), "attributes": {"X-A": 'a",Y="'}}, "quotation"),
        ({"scte35": insert(1, out=True).hex(), "start": 1}, "a day"),
        ({"scte35": insert(1, out=True).hex(), "planned_duration": -1}, "planned_duration"),
        (
            {
                "scte35": section(0, bytes(3_900)).hex(),
                "attributes": {f"X-{number}": "y" * 2_000 for number in range(9)},
            },
            "line",
        ),
        (b"[1]", "body"),
        (b"{", "body"),
        (b'{"text": "\\ud800"}', "body"),
        (b'{"scte35": "x", "duration": NaN}', "duration"),
    ],
)
async def test_what_is_not_lawful_is_refused_with_the_reason(body: Any, words: str) -> None:
    services, listener, _ = await on_air()
    code, said = await say(services, body, 400)
    assert code == "bad_body"
    assert words in said
    assert (listener.events, listener.ranges) == ([], [])


async def test_what_is_said_of_an_id_is_not_said_otherwise() -> None:
    """rfc8216bis §4.4.5.1: "any AttributeName that appears in both tags MUST have the same AttributeValue"."""
    services, listener, _ = await on_air()
    await say(services, {"scte35": insert(1, out=True).hex(), "id": "ad"})
    assert (await say(services, {"scte35": insert(2, out=True).hex(), "id": "ad"}, 409))[0] == "marker_exists"
    assert (await say(services, {"scte35": insert(9, out=False).hex()}, 404))[0] == "no_such_marker"
    other = {"scte35": insert(1, out=False).hex(), "class": "another"}
    assert (await say(services, other, 409))[0] == "marker_exists"
    await say(services, {"scte35": insert(1, out=False).hex()})
    assert (await say(services, {"scte35": insert(1, out=False).hex(), "id": "ad"}, 409))[0] == "marker_exists"
    assert [one.splice for one in listener.ranges] == ["SCTE35-OUT", "SCTE35-IN"]


async def test_an_end_whose_beginning_nobody_said_says_it_itself() -> None:
    services, listener, _ = await on_air()
    began = round(services.clock.wall() * 1000) - 5_000
    await say(services, {"scte35": insert(9, out=False).hex(), "start": began, "id": "ad"})
    (told,) = listener.ranges
    assert (told.id, told.start) == ("ad", began / 1000)
    assert told.duration == pytest.approx(5, abs=1)
    assert told.start > WALL


async def test_who_may_and_when() -> None:
    services, listener, held = await on_air()
    octets = json.dumps({"text": "x"}).encode()
    assert (await services.ask("POST", PATH, body=octets, token=READER)).json()["code"] == "insufficient_scope"
    assert (await services.ask("POST", PATH, body=octets, token=None)).status_code == 401
    other = await services.ask("POST", PATH.replace("cam", "none"), body=octets)
    assert (other.status_code, other.json()["code"]) == (404, "no_such_stream")
    assert (await services.ask("POST", PATH, body=b"x" * 70_000)).json()["code"] == "too_large"
    held.end("closed")
    assert (await say(services, {"text": "x"}, 409))[0] == "not_publishing"
    assert listener.events == []


async def test_the_document_tells_of_the_body() -> None:
    services = ApiServices()
    document = (await services.ask("GET", "/api/v1/openapi.json")).json()
    operation = document["paths"]["/api/v1/streams/{app}/{stream}/marker"]["post"]
    assert operation["x-scope"] == "write"
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    assert {"id3", "text", "data", "scte35", "class", "planned_duration"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert {"400", "404", "409", "413"} <= set(operation["responses"])
