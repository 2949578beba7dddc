"""What goes out of every kind of event in every shape, byte for byte: receivers were written for it.

`python -m tests.unit.notify.test_payload_golden` writes the golden file anew; what changes there changes for receivers.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import structlog

from hlsd.base.faults import Faults
from hlsd.base.match import Match
from hlsd.cluster.event_drain import EventDrain
from hlsd.events import Action, Bus, Event
from hlsd.events.facts import job_facts, receiver_facts, record_facts, snapshot_facts, transcode_facts, wish_facts
from hlsd.media.unit import Tracks
from hlsd.notify.event_ring import EventRing
from hlsd.notify.eventlog import EventLog
from hlsd.notify.payloads import form_of
from hlsd.ports import Grant, PlayRequest, PublishRequest
from hlsd.ports.connecting import ConnectRequest
from hlsd.relay.plan import FixedUrl, Plan
from hlsd.relay.pull import Pull
from hlsd.relay.push import Push
from hlsd.relay.template import TemplateSubject
from hlsd.sessions.session import Session, facts
from hlsd.sessions.store import LifeEvent
from hlsd.stats import RelayStats
from hlsd.streams.connections import ConnectionDesk
from tests.support.clock import FakeClock
from tests.support.frames import BOTH, VIDEO
from tests.unit.test_hub import HubScene

GOLDEN = Path(__file__).parents[2] / "golden" / "payloads.jsonl"
SHAPES = ("hlsd", "srs", "nginx-rtmp", "flussonic")
AT = 1_700_000_071.5
QUERY = {"u": "42&2", "token": "hush", "SIGN": "1-2", "addr": "10.0.0.1", "ü": ""}


def viewers() -> list[Event]:
    """A viewer at the door, begun, going on and gone; one by a proxy; one with an earlier life."""
    session = Session(
        b"c2Vzc2lvbi1pZC0x-and-the-part-of-it-that-opens-it",
        PlayRequest("live", "stream", "hls", "192.0.2.7", 51234, QUERY, "Agent/1 ü", "https://site/?token=x&y=1"),
        Grant(user_id="42", method="jwt"),
        now=1000.0,
        epoch=1_699_999_000.0,
    )
    told = [Event(Action.PRE_PLAY, session.id, 1, AT, facts(session), session.query)]
    session.started, session.last = 1001.0, 1062.5
    session.in_bytes, session.playlist_bytes, session.media_bytes = 4210, 262_144, 18_612_224
    session.requests, session.segments = 97, 31
    codec = "hvc1.1.6.L93.B0,mp4a.40.2"
    told += [
        Event(action, session.id, seq, AT, facts(session, "1m7yzee2r", codec), session.query)
        for seq, action in ((2, Action.POST_PLAY), (3, Action.UPDATE_PLAY))
    ]
    session.over, session.reason = True, "idle"
    session.extra.resumed_from, session.extra.previous_ip = "c2Vzc2lvbi1pZC0w", "198.51.100.4"
    session.extra.issued = 1_699_990_000.0
    told.append(Event(Action.DONE_PLAY, session.id, 4, AT, facts(session, "1m7yzee2r", codec), session.query))
    for ip, port in (("2001:db8::7", 0), ("::1", 60_116), ("192.0.2.8", 0)):
        other = Session(
            b"c2Vzc2lvbi1pZC0y", PlayRequest("live", "b", "flv", ip, port), Grant(), now=1000.0, epoch=1_699_999_000.0
        )
        told.append(Event(Action.PRE_PLAY, "c2Vzc2lvbi1pZC0y", 1, AT, facts(other), {}))
    return told


async def publishers() -> list[Event]:
    """A publication from the door to the end, and the run of its stream."""
    scene = HubScene()
    scene.hub._events._interval = 2.0
    told: list[Event] = []
    scene.hub.bus.listen(told.append)
    for ip, tracks in (("127.0.0.1", BOTH), ("2001:db8::7", Tracks(VIDEO))):
        request = PublishRequest(
            "live", "a", "rtmp", ip, 51_234, lambda _: None, QUERY, "FMLE/3.0", "https://page/?key=1"
        )
        publication: Any = await scene.hub.publish(request)
        publication.received(1000)
        publication.left_out(("G.711 A-law",))
        publication.tracks(tracks)
        for _ in range(3):
            scene.pass_time(1)
        publication.received(234)
        publication.end("closed")
    scene.pass_time(20)
    return told


async def connections() -> list[Event]:
    """A connection from the door to the end."""
    bus, clock = Bus(), FakeClock()
    told: list[Event] = []
    bus.listen(told.append)
    for ip, agent in (("192.0.2.7", "FMLE/3.0"), ("2001:db8::7", "")):
        request = ConnectRequest("live", "rtmp", ip, 51_234, lambda _: None, QUERY, agent, "https://page/?key=1")
        connected: Any = await ConnectionDesk(bus, clock).connect(request)
        clock.advance(1.25)
        connected.done("closed", 4210)
    return told


async def relays() -> list[Event]:
    """What a pull and a push tell."""
    told: list[Event] = []
    bus, clock = Bus(), FakeClock()
    bus.listen(told.append)
    room: Any = SimpleNamespace(
        bus=bus, clock=clock, server_id="edge-1", log=structlog.get_logger(), faults=Faults(), admission=None
    )
    target = FixedUrl("rtmp://origin.example/live/a")
    subject = TemplateSubject("live", "a", {})
    for mode in ("pull", "static"):
        pull = Pull(room, Plan("rule1", mode, Match("live/*"), [target]), subject, RelayStats(), lambda _: None)
        pull.shown, pull.received_bytes = "rtmp://origin.example/live/***", 1234
        pull._tell(Action.RELAY_START)
        clock.advance(1.25)
        pull._tell(Action.RELAY_STOP, reason="closed")
    push = Push(room, Plan("api", "push", Match("live/a"), [target]), target, subject, RelayStats())
    push._tell(Action.RELAY_START)
    push.shown, push.sent_bytes = "rtmp://target.example/live/***", 77
    push._tell(Action.RELAY_STOP, reason="stream_end")
    return told


def snapshots() -> list[Event]:
    """A timed picture."""
    facts = snapshot_facts(
        app="live",
        name="a",
        stream_id="1m7yzee2r",
        file="live/a-221320.jpg",
        width=640,
        height=360,
        size=18_432,
        taken=1_700_000_000.0,
    )
    return [Event(Action.SNAPSHOT_DONE, "of-a-rule-and-stream", 1, AT, facts)]


def receivers() -> list[Event]:
    """A receiver that is over; a stream of a vehicle that is wanted, and one that nobody watches."""
    facts = receiver_facts(
        ip="192.0.2.7:15060", app="live", name="a", since=1_700_000_000.0, at=1_700_000_015.0, received=1234,
        reason="idle", detail="no media for 15 s",
    )  # fmt: skip
    wish = wish_facts("live", "014482607571_1")
    return [
        Event(Action.RECEIVER_DONE, "a-receiver", 1, AT, facts),
        Event(Action.STREAM_WANTED, "a-wish", 1, AT, wish),
        Event(Action.STREAM_UNWATCHED, "another-wish", 1, AT, wish),
    ]


def transcodings() -> list[Event]:
    """A stream that is offered as it came, and a rendition that was given up."""
    told: Any = {"app": "live", "name": "a", "stream_id": "1m7yzee2r"}
    full = transcode_facts(**told, rendition="", reason="full", detail="as many are encoded as transcode.max allows")
    late = transcode_facts(**told, rendition="480p", reason="pace", detail="it cannot keep pace")
    return [
        Event(Action.TRANSCODE_REFUSED, "refused", 1, AT, full),
        Event(Action.TRANSCODE_SHED, "shed", 1, AT, late),
    ]


def recordings() -> list[Event]:
    """The file of a recording: opened, done, and one that the disk ended."""
    told: Any = {
        "app": "live",
        "name": "a",
        "stream_id": "1m7yzee2r",
        "rule": "all",
        "codec": "avc1.64001f,mp4a.40.2",
        "file": "live/a/2023/11/14/221320.000_0011223344556677.mp4",
        "url": "/live/a/r/0011223344556677.m3u8",
        "since": 1_700_000_000.0,
    }
    ended: Any = told | {"at": 1_700_000_060.25, "duration": 60.04, "size": 18_432_000}
    return [
        Event(Action.RECORD_START, "a-file", 1, AT, record_facts(**told)),
        Event(Action.RECORD_DONE, "a-file", 2, AT, record_facts(**ended, reason="rotated")),
        Event(
            Action.RECORD_LOST, "another", 1, AT, record_facts(**ended, reason="disk", detail="No space left on device")
        ),
        Event(Action.RECORD_STORED, "a-file", 3, AT, record_facts(**ended)),
    ]


def jobs() -> list[Event]:
    """A job that is done, and one that failed."""
    told: Any = {"app": "vod", "ident": "17000000000000000000007", "since": 1_700_000_000.0, "at": 1_700_000_060.0}
    done: Any = {"state": "done", "code": "", "detail": "", "url": "/vod/17000000000000000000007/v/index.m3u8"}
    failed: Any = {"state": "failed", "code": "bad_media", "detail": "it is no film", "url": ""}
    return [
        Event(Action.JOB_DONE, "a-job", 1, AT, job_facts(**told, **done, duration_ms=61_400, size=18_432_000)),
        Event(Action.JOB_DONE, "a-job", 1, AT, job_facts(**told, **failed, duration_ms=0, size=0)),
    ]


def switched() -> list[Event]:
    """A viewer that had two renditions."""
    request = PlayRequest("live", "a", "hls", "192.0.2.7", 51_234)
    session = Session(b"c2Vzc2lvbi1pZC0z", request, Grant(), now=1000.0, epoch=1_699_999_000.0)
    session.media_bytes = 500
    session.of_renditions["480p"] = 400
    return [Event(Action.DONE_PLAY, session.id, 2, AT, facts(session), {})]


async def _at_once() -> None:
    """What is told here is kept."""


def fixes() -> list[Event]:
    """Of a cluster: a session was sent more than its end said."""
    store: Any = None
    drain = EventDrain(store, Bus(), Faults(), safe=_at_once, send_away=lambda _sid, _why: None)
    said = {"facts": viewers()[0].facts, "query": {"u": "42&2", "token": "***"}}
    fix = LifeEvent(
        "c2Vzc2lvbi1pZC0x.2.fix.t1.512",
        "c2Vzc2lvbi1pZC0x",
        2,
        "fix",
        AT,
        0.0,
        (512, 500, 64, 1, 1),
        "",
        json.dumps(said),
    )
    return [drain._event(fix)[0]]


def lines(events: list[Event]) -> list[str]:
    """Each event in each shape, one JSON object a line."""
    found = []
    names: dict[str, str] = {}
    for number, event in enumerate(events, 1):
        known = names.setdefault(event.id, f"id-{len(names)}")
        told: Any = dict(event.facts)
        if told.get("stream_id"):
            told["stream_id"] = "run"  # it is drawn by chance
        steady: Any = replace(event, id=known, event_id=f"0f6c-{number}", facts=told)
        shapes = {name: form_of(name, "edge-1", send_secrets=False, batch=False).body(steady) for name in SHAPES}
        if event.action.startswith("pre"):
            shapes |= {
                f"{name}, secrets": form_of(name, "edge-1", send_secrets=True, batch=False).body(steady)
                for name in SHAPES
            }
        shapes["log"] = EventLog(Path("unused"), size=1, files=0, server_id="edge-1")._line(steady)
        ring = EventRing(number, server_id="edge-1")
        ring.add(steady)
        shapes["api"] = json.dumps(ring.after(0, 1)).encode()
        found += [
            json.dumps({"action": event.action.value, "shape": shape, "body": body.decode()})
            for shape, body in shapes.items()
            if body is not None
        ]
    return found


async def everything() -> list[str]:
    return lines(
        [
            *viewers(),
            *await publishers(),
            *await relays(),
            *snapshots(),
            *recordings(),
            *receivers(),
            *transcodings(),
            *switched(),
            *fixes(),
            *jobs(),
            *await connections(),
        ]
    )


async def test_every_event_goes_out_as_it_always_did() -> None:
    """A field that moves or changes its type breaks a bill somewhere."""
    told = await everything()
    emitted = set(Action) - {Action.TEST}
    assert {json.loads(line)["action"] for line in told} == {action.value for action in emitted}
    assert told == GOLDEN.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{line}\n" for line in asyncio.run(everything())), encoding="utf-8")
