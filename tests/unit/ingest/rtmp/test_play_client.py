"""The playing client against odd servers."""

from __future__ import annotations

import pytest

from hlsd.ingest.rtmp.amf0 import Value, encode
from hlsd.ingest.rtmp.chunk import Message
from hlsd.ingest.rtmp.client import Ready, Refused, read_url
from hlsd.ingest.rtmp.connection import Closed
from hlsd.ingest.rtmp.play_client import PlayConnection
from tests.support.rtmp_wire import HANDSHAKE, Speaker

URL = read_url("rtmp://h/live/show?token=A")
OK: tuple[Value, ...] = ("_result", 1.0, None, {"code": "NetConnection.Connect.Success"})
CREATED: tuple[Value, ...] = ("_result", 4.0, None, 1.0)
RESET: tuple[Value, ...] = ("onStatus", 0.0, None, {"level": "status", "code": "NetStream.Play.Reset"})
STARTED: tuple[Value, ...] = ("onStatus", 0.0, None, {"level": "status", "code": "NetStream.Play.Start"})


def status(code: str, level: str = "status") -> tuple[Value, ...]:
    return ("onStatus", 0.0, None, {"level": level, "code": code, "description": "no"})


def answered(*answers: tuple[Value, ...], step: int = 10**6) -> tuple[PlayConnection, Speaker, list[object]]:
    client, speaker = PlayConnection(URL, 0.0), Speaker()
    events: list[object] = list(client.receive_data(HANDSHAKE, 0.0))
    for values in answers:
        said = speaker.say(3, 0, *values)
        for at in range(0, len(said), step):
            events += client.receive_data(said[at : at + step], 0.0)
    return client, speaker, events


def test_it_asks_for_the_key_with_its_arguments_and_says_it_is_live() -> None:
    """A signature stands in the key; `-2000` takes live and recorded alike."""
    client, speaker, events = answered(OK, CREATED, RESET, STARTED)
    assert events == [Ready()]
    said = speaker.hear(client.data_to_send()[3073:])
    assert [values[0] for _, values in said] == ["connect", "createStream", "play"]
    assert said[0][1][2]["app"] == "live"  # type: ignore[call-overload, index]
    assert said[2] == (1, ["play", 5.0, None, "show?token=A", -2000.0])


@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_media_comes_out_whatever_stream_it_was_sent_on(step: int) -> None:
    """Some servers send it on message stream 0; all three kinds are media."""
    client, speaker, _ = answered(OK, CREATED, STARTED)
    wire = b"".join(
        speaker.chunker.message(6, kind, 40 * number, msid, b"x" * 300)
        for number, (kind, msid) in enumerate([(18, 1), (9, 1), (8, 0), (9, 7)])
    )
    events: list[object] = []
    for at in range(0, len(wire), step):
        events += client.receive_data(wire[at : at + step], 0.0)
    tags = [event for event in events if isinstance(event, Message)]
    assert [(tag.type_id, tag.timestamp, len(tag.body)) for tag in tags] == [
        (18, 0, 300),
        (9, 40, 300),
        (8, 80, 300),
        (9, 120, 300),
    ]


@pytest.mark.parametrize("code", ["NetStream.Play.StreamNotFound", "NetStream.Play.Failed", "NetStream.Failed"])
@pytest.mark.parametrize("level", ["status", "error"])
def test_a_stream_that_is_not_there_is_a_refusal(code: str, level: str) -> None:
    """A relay must tell "not there" from "connection lost": the first it need not try again at once."""
    _, _, events = answered(OK, CREATED, status(code, level))
    assert isinstance(events[-1], Closed)
    assert events[-1].reason == "refused"


@pytest.mark.parametrize("code", ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.Complete"])
def test_the_end_of_the_publication_ends_it(code: str) -> None:
    _, _, events = answered(OK, CREATED, STARTED, status(code))
    assert isinstance(events[-1], Closed)
    assert events[-1].reason == "closed"


def test_a_refused_connect_is_told_in_the_servers_words() -> None:
    refused: tuple[Value, ...] = ("_error", 1.0, None, {"level": "error", "code": "X.Y", "description": "no"})
    _, _, events = answered(refused)
    assert events == [Refused("X.Y", "no"), Closed("refused", "X.Y: no")]


def test_answers_to_what_was_not_asked_mean_nothing() -> None:
    """FMS says onBWDone, others send metadata before Start."""
    client, speaker, events = answered(("onBWDone", 0.0, None), OK, ("onFCSubscribe", 0.0, None, {}), CREATED, STARTED)
    assert events == [Ready()]
    (tag,) = client.receive_data(speaker.chunker.message(5, 18, 0, 1, encode("|RtmpSampleAccess", True, True)), 0.0)
    assert isinstance(tag, Message)


def test_goodbye_deletes_the_stream() -> None:
    client, speaker, _ = answered(OK, CREATED, STARTED)
    speaker.hear(client.data_to_send()[3073:])
    client.close()
    assert [values[0] for _, values in speaker.hear(client.data_to_send())] == ["deleteStream"]
    assert not client.ready
