"""What the API says of streams, sessions, events and itself, and whom it sends away."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hlsd.api.handlers import MAX_WAITING, Handlers
from hlsd.media.unit import Tracks
from tests.support.api_services import READER, TOKEN, ApiServices
from tests.support.frames import VIDEO, video


async def test_a_session_has_the_words_of_the_events() -> None:
    """An integrator learns the names once."""
    services = ApiServices()
    await services.publish()
    viewer = await services.view(user_id="42", user_agent="VLC", query={"token": "hunter2hunter2", "u": "42"})
    services.sessions.charge(viewer, 1000, 0)
    services.sessions.charge(viewer, 5000, 1)
    listed = await services.get("sessions")
    one = await services.get(f"sessions/{viewer.id}")
    assert listed == {"items": [one], "cursor": None}
    expected = {
        "id": viewer.id,
        "path": "/live/cam",
        "ip": "192.0.2.7:40001",
        "outbytes": 6000,
        "media_bytes": 5000,
        "user_id": "42",
        "user_agent": "VLC",
        "protocol": "hls",
        "state": "started",
        "query": {"token": "***", "u": "42"},
        "endtime": 0,
    }
    assert {key: one[key] for key in expected} == expected
    told = (await services.get("events"))["items"][-1]
    assert told["action"] == "postPlay"
    shared = set(told) & set(one)
    assert {"id", "ip", "app", "name", "path", "outbytes", "media_bytes", "createtime", "user_id"} <= shared


async def test_sessions_are_filtered_by_stream_user_address_and_protocol() -> None:
    """Each filter alone, and all together."""
    services = ApiServices()
    await services.view("a", user_id="1")
    wanted = await services.view("b", user_id="2", ip="2001:db8::7")
    await services.view("b", user_id="1", protocol="flv")
    for query in (
        {"user_id": "2"},
        {"ip": "2001:db8::7"},
        {"ip": "[2001:db8::7]:40001"},
        {"stream": "/live/b", "protocol": "hls"},
        {"stream": "live/b", "user_id": "2", "ip": "2001:db8::7"},
    ):
        assert [item["id"] for item in (await services.get("sessions", **query))["items"]] == [wanted.id], query
    assert (await services.get("sessions", stream="/live/none"))["items"] == []


async def test_a_page_goes_on_where_the_last_one_ended() -> None:
    """With somebody leaving in between."""
    services = ApiServices()
    ids = [(await services.view()).id for _ in range(5)]
    first = await services.get("sessions", limit=2)
    services.sessions.kick(first["items"][1]["id"])
    second = await services.get("sessions", limit=10, cursor=first["cursor"])
    assert [item["id"] for item in first["items"] + second["items"]] == ids
    assert second["cursor"] is None


async def test_a_kicked_viewer_is_gone_and_kept_out() -> None:
    """And only that one."""
    services = ApiServices()
    viewer, other = await services.view(ip="192.0.2.7"), await services.view(ip="192.0.2.8")
    answer = await services.ask("DELETE", f"/api/v1/sessions/{viewer.id}", ban=30)
    assert (answer.status_code, answer.json()["data"]) == (200, {"id": viewer.id, "ban": 30.0})
    assert (viewer.over, viewer.reason, other.over) == (True, "kicked", False)
    again = await services.ask("DELETE", f"/api/v1/sessions/{viewer.id}")
    gone = await services.ask("GET", f"/api/v1/sessions/{viewer.id}")
    assert (again.status_code, again.json()["code"]) == (404, "no_such_session")
    assert gone.status_code == 404
    with pytest.raises(AssertionError, match="banned"):
        await services.view(ip="192.0.2.7")


async def test_a_stream_is_told_with_its_publisher_and_its_viewers() -> None:
    """What an operator looks for first."""
    services = ApiServices()
    held = await services.publish(key="hunter2hunter2")
    held.received(5000)
    held.left_out(("MP3",))
    assert (await services.get("streams/live/cam"))["publisher"]["tracks_left_out"] == []
    held.tracks_left_out(("audio 1: mp4a",))
    held.tracks_left_out(("video 1: avc1", "audio 1: mp4a"))
    await services.view()
    await services.view("other")
    found = await services.get("streams/live/cam")
    listed = (await services.get("streams", app="live"))["items"]
    assert [one["id"] for one in listed] == [found["id"]]
    assert set(listed[0]) == set(found)
    assert (await services.get("streams", app="elsewhere"))["items"] == []
    assert found["publisher"]["ip"] == "192.0.2.9:40000"
    assert found["publisher"]["id"].startswith("p_")
    assert (found["state"], found["sessions"], found["inbytes"]) == ("live", 1, 5000)
    assert found["video"]["width"] > 0
    assert found["dropped"] == ["MP3"]
    assert found["publisher"]["tracks_left_out"] == ["video 1: avc1", "audio 1: mp4a"]
    assert "hunter2" not in json.dumps(found)


async def test_a_kicked_publisher_is_dropped_and_may_not_come_back_at_once() -> None:
    """The stream goes on in its grace; a second kick has nobody to kick."""
    services = ApiServices()
    await services.publish()
    path = "/api/v1/streams/live/cam"
    done = await services.ask("DELETE", path, ban=30)
    assert (done.status_code, done.json()["data"]) == (200, {"id": "/live/cam", "ban": 30.0})
    assert services.dropped == ["kicked"]
    again, absent = await services.ask("DELETE", path), await services.ask("DELETE", "/api/v1/streams/live/none")
    assert (again.status_code, again.json()["code"]) == (409, "not_publishing")
    assert (absent.status_code, absent.json()["code"]) == (404, "no_such_stream")
    with pytest.raises(AssertionError):
        await services.publish()
    assert (await services.get("streams/live/cam"))["state"] == "grace"


async def test_events_are_waited_for_and_come_at_once() -> None:
    """A long poll ends with the event, not with its time."""
    services = ApiServices()
    cursor = (await services.get("events"))["cursor"]
    waiting = asyncio.create_task(services.get("events", after=cursor, wait=25))
    async with asyncio.timeout(10):
        while not services_wait(services):
            await asyncio.sleep(0)
    await services.publish()
    async with asyncio.timeout(10):
        found = await waiting
    assert found["items"][0]["action"] == "prePublish"
    assert found["cursor"] > cursor
    assert (await services.get("events", after=found["cursor"] + 50, limit=1))["items"] != []


def services_wait(services: ApiServices) -> int:
    """How many requests wait for events."""
    desks = [owner for sink in services.bus._sinks if isinstance(owner := getattr(sink, "__self__", None), Handlers)]
    return len(desks[0]._waiting)


async def test_waiting_for_events_is_bounded_and_ends_with_the_server() -> None:
    """Held requests cost memory, and must not hold up a drain."""
    services = ApiServices()
    held = [asyncio.create_task(services.get("events", wait=25)) for _ in range(MAX_WAITING)]
    async with asyncio.timeout(10):
        while services_wait(services) < MAX_WAITING:
            await asyncio.sleep(0)
    refused = await services.ask("GET", "/api/v1/events", wait=25)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
        429,
        "too_many_waiting",
        "1",
    )
    services.hub.drain()
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*held)
    assert all(answer["items"] == [] for answer in answers)
    assert services_wait(services) == 0


async def test_the_server_tells_its_figures() -> None:
    """Sums of what there is."""
    services = ApiServices()
    held = await services.publish()
    held.received(700)
    viewer = await services.view()
    services.sessions.charge(viewer, 300, 0)
    services.sessions.charge(None, 20, 0)
    found = await services.get("server")
    assert (found["streams"], found["publishers"], found["sessions"], found["inbytes"]) == (1, 1, 1, 700)
    assert (found["outbytes"], found["unattributed_bytes"], found["draining"]) == (320, 20, False)
    assert found["rss_bytes"] > 10**6
    assert (await services.ask("GET", "/api/v1/server", token=None, peer="127.0.0.1")).status_code == 401


async def test_node_media_servers_shapes() -> None:
    """Tools written for it read ours."""
    services = ApiServices()
    await services.publish(u="7", sign="secret")
    await services.view()
    await services.view(protocol="flv")
    streams = (await services.ask("GET", "/api/streams")).json()
    assert set(streams) == {"live"}
    cam = streams["live"]["cam"]
    assert set(cam["publisher"]) == {"app", "stream", "clientId", "connectCreated", "bytes", "ip", "audio", "video"}
    assert (cam["publisher"]["video"]["codec"], cam["publisher"]["audio"]["codec"]) == ("H264", "AAC")
    assert sorted(one["protocol"] for one in cam["subscribers"]) == ["hls", "http"]
    one = (await services.ask("GET", "/api/streams/live/cam")).json()
    assert (one["isLive"], one["viewers"], one["arguments"]) == (True, 2, {"u": "7", "sign": "***"})
    absent = (await services.ask("GET", "/api/streams/live/none")).json()
    assert absent == {
        "isLive": False, "viewers": 0, "duration": 0, "bitrate": 0, "startTime": None, "arguments": {},
    }  # fmt: skip
    server = (await services.ask("GET", "/api/server")).json()
    assert set(server) == {"os", "cpu", "mem", "net", "nodejs", "clients", "version"}
    assert server["clients"] == {"accepted": 3, "active": 3, "idle": 0, "rtmp": 1, "http": 2, "ws": 0}
    dropped = await services.ask("DELETE", "/api/streams/live/cam")
    assert (dropped.status_code, dropped.json(), services.dropped) == (200, "ok", ["kicked"])
    assert (await services.ask("DELETE", "/api/streams/live/cam")).status_code == 404


async def test_node_media_servers_names_of_av1() -> None:
    """AV1 Bitstream & Decoding Process §A.3: level 2 + idx / 4, and the number behind it."""
    services = ApiServices()
    held = await services.publish()
    held.tracks(Tracks(replace(VIDEO, codec="av1", codec_string="av01.0.09M.10"), None))
    video = (await services.ask("GET", "/api/streams")).json()["live"]["cam"]["publisher"]["video"]
    assert (video["codec"], video["profile"], video["level"]) == ("AV1", "Main", 4.1)


async def test_node_media_servers_list_is_json_however_many_there_are() -> None:
    """It is written piece by piece: none, one, and more than a piece."""
    services = ApiServices()
    assert (await services.ask("GET", "/api/streams")).json() == {}
    for number in range(1203):
        await services.view(f"s{number % 2}", app=f"a{number % 3}")
    found: dict[str, dict[str, Any]] = (await services.ask("GET", "/api/streams")).json()
    assert sum(len(one["subscribers"]) for names in found.values() for one in names.values()) == 1203
    assert found["a0"]["s0"]["publisher"] is None


async def test_every_route_wants_a_token() -> None:
    """Enumerated from the router, so that a new one cannot be forgotten; other rooms' routes too."""

    async def other(request: Request) -> Response:
        return JSONResponse(request.state.caller.name)

    services = ApiServices(more=[Route("/api/v1/relays", other, methods=["GET", "POST"])])
    asked = 0
    for route in services.door.routes:
        path = route.path.replace("{app}", "live").replace("{stream}", "cam").replace("{id}", "x")
        for method in route.methods or ():
            answer = await services.ask(method, path, token=None)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            asked += 1
            if method not in ("GET", "HEAD"):
                read_only = await services.ask(method, path, token=READER)
                assert (read_only.status_code, read_only.json()["code"]) == (403, "insufficient_scope"), path
    assert asked >= 20
    assert (await services.ask("GET", "/api/nowhere", token=None)).status_code == 401
    assert (await services.ask("POST", "/api/v1/relays")).json() == "admin"


async def test_problems_have_both_forms_and_a_stable_code() -> None:
    """RFC 9457, and the envelope's three keys."""
    services = ApiServices()
    cases = {
        ("GET", "/api/v1/nowhere"): (404, "no_such_route"),
        ("GET", "/api"): (404, "no_such_route"),
        ("POST", "/api/v1/sessions"): (405, "method_not_allowed"),
        ("GET", "/api/v1/sessions?limit=0"): (400, "bad_parameter"),
        ("GET", "/api/v1/sessions?limit=1_0"): (400, "bad_parameter"),
        ("GET", "/api/v1/sessions?limit=501"): (400, "bad_parameter"),
        ("GET", "/api/v1/sessions?limit=1&limit=2"): (400, "bad_parameter"),
        ("GET", "/api/v1/sessions?user=1"): (400, "bad_parameter"),
        ("GET", "/api/v1/sessions?cursor=abc"): (400, "bad_cursor"),
        ("GET", "/api/v1/streams?cursor=WzEuNSwiYSJd"): (400, "bad_cursor"),
        ("DELETE", "/api/v1/sessions/x?ban=-1"): (400, "bad_parameter"),
        ("DELETE", "/api/v1/sessions/x?ban=nan"): (400, "bad_parameter"),
    }
    for (method, path), (status, code) in cases.items():
        answer = await services.ask(method, path)
        body = answer.json()
        assert (answer.status_code, body["code"], body["status"]) == (status, code, status), path
        assert answer.headers["content-type"] == "application/problem+json"
        assert (body["success"], body["data"], body["message"]) == (False, None, body["detail"])
        assert answer.headers["cache-control"] == "no-store"
    wrong = await services.ask("PUT", "/api/v1/streams/live/cam")
    assert wrong.headers["allow"] == "DELETE, GET, HEAD"


async def test_a_fault_of_ours_is_a_problem_too_and_says_nothing_of_the_inside() -> None:
    """The traceback is for the log."""

    async def broken(request: Request) -> Response:
        raise RuntimeError("secret detail")

    services = ApiServices(more=[Route("/api/v1/broken", broken)])
    answer = await services.ask("GET", "/api/v1/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret detail" not in answer.text


async def test_web_pages_are_let_in_by_name_only() -> None:
    """No CORS unless an origin is listed, and never with the browser's own credentials."""
    services = ApiServices()
    listed, foreign = {"origin": "https://desk.example"}, {"origin": "https://evil.example"}
    preflight = {"access-control-request-method": "DELETE"}
    yes = await services.ask("OPTIONS", "/api/v1/sessions/x", token=None, headers={**listed, **preflight})
    assert (yes.status_code, yes.headers["access-control-allow-origin"]) == (204, "https://desk.example")
    assert "access-control-allow-credentials" not in yes.headers
    no = await services.ask("OPTIONS", "/api/v1/sessions/x", token=None, headers={**foreign, **preflight})
    assert (no.status_code, "access-control-allow-origin" in no.headers) == (401, False)
    read = await services.ask("GET", "/api/v1/server", headers=listed)
    assert (read.status_code, read.headers["access-control-allow-origin"]) == (200, "https://desk.example")
    assert read.headers["vary"] == "Origin"


async def test_basic_works_and_no_answer_repeats_a_token() -> None:
    """A token in an answer would end up in somebody's log."""
    services = ApiServices()
    basic = base64.b64encode(f"admin:{TOKEN}".encode()).decode()
    answer = await services.ask("GET", "/api/v1/server", token=None, headers={"authorization": f"Basic {basic}"})
    assert answer.status_code == 200
    wrong = await services.ask("GET", "/api/v1/server", token="hunter2hunter2hunter2")
    assert "hunter2" not in wrong.text + str(wrong.headers)


async def test_the_document_describes_every_operation_and_nothing_else() -> None:
    """It is made from the same table as the routes."""
    services = ApiServices()
    found = (await services.ask("GET", "/api/v1/openapi.json")).json()
    assert found["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    routed = {
        (method, route.path)
        for route in services.door.routes
        for method in (route.methods or set()) - {"HEAD"}
        if route.path != "/api/v1/openapi.json"
    }
    assert described == routed
    names = [operation["operationId"] for methods in found["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    refs = {word for word in json.dumps(found).split('"') if word.startswith("#/components/schemas/")}
    assert {ref.rpartition("/")[2] for ref in refs} <= set(found["components"]["schemas"])
    # Clients are generated from these names: they are not what a class happens to be called.
    assert {
        *("Audio", "Event", "Problem", "Publisher", "Session", "Sessions", "Settings", "Stream", "Streams", "Video"),
        *("Envelope_Session_", "Envelope_Sessions_", "Envelope_Settings_", "Envelope_Stream_", "Envelope_Streams_"),
    } <= set(found["components"]["schemas"])
    assert not [name for name in found["components"]["schemas"] if "View" in name or "List" in name]


async def test_a_stream_tells_how_far_its_key_pictures_are_apart() -> None:
    services = ApiServices()
    held = await services.publish()
    assert (await services.get("streams/live/cam"))["key_interval_ms"] == 0
    for unit in video(25, 5.0, 2.0):
        held.unit(unit)
    assert (await services.get("streams/live/cam"))["key_interval_ms"] == 2000
