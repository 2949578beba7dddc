"""The client's side publishes to our server and to odd ones."""

from __future__ import annotations

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtmp.amf0 import Value, encode
from hlsd.ingest.rtmp.chunk import Message
from hlsd.ingest.rtmp.client import ClientConnection, Ready, Refused, RtmpUrl, read_url
from hlsd.ingest.rtmp.connection import Closed
from hlsd.ingest.rtmp.server import PublishEnded, PublishRequested, ServerConnection
from tests.support.rtmp_wire import HANDSHAKE, Speaker

URL = read_url("rtmp://h/live/show?token=A")


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("rtmp://h/live/show", RtmpUrl(False, "h", 1935, "live", "show", "rtmp://h/live")),
        ("rtmps://h/live/show?a=b", RtmpUrl(True, "h", 443, "live", "show?a=b", "rtmps://h/live")),
        ("rtmp://h:19350/a/b/c", RtmpUrl(False, "h", 19350, "a", "b/c", "rtmp://h:19350/a")),
        ("rtmp://[::1]:7/a/b", RtmpUrl(False, "::1", 7, "a", "b", "rtmp://[::1]:7/a")),
        ("rtmp://[::1]/a/b", RtmpUrl(False, "::1", 1935, "a", "b", "rtmp://[::1]/a")),
    ],
)
def test_url_is_split(url: str, parts: RtmpUrl) -> None:
    assert read_url(url) == parts


@pytest.mark.parametrize(
    "url", ["http://h/a/b", "rtmp://h", "rtmp://h/a", "rtmp://h/a/", "rtmp:///a/b", "rtmp://h:x/a/b", ""]
)
def test_other_urls_are_told_so_without_their_secrets(url: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the text is what is tested
        read_url(url + "?token=SECRET" if "?" not in url and url.count("/") < 4 else url)
    assert "SECRET" not in str(error.value)


def _shuttle(client: ClientConnection, server: ServerConnection, step: int) -> tuple[list[object], list[object]]:
    """Carries bytes both ways until neither has any; accepts what is asked."""
    heard: tuple[list[object], list[object]] = ([], [])
    while True:
        up, down = client.data_to_send(), server.data_to_send()
        if not up and not down:
            return heard
        for at in range(0, len(up), step):
            events = server.receive_data(up[at : at + step], 0.0)
            heard[1].extend(events)
            if any(isinstance(event, PublishRequested) for event in events):
                server.accept_publish(0.0)
        while server.more:
            heard[1].extend(server.receive_data(b"", 0.0))
        for at in range(0, len(down), step):
            heard[0].extend(client.receive_data(down[at : at + step], 0.0))


@pytest.mark.thorough
@pytest.mark.parametrize("step", [1, 1000, 10**6])
def test_our_own_server_takes_it(step: int) -> None:
    """Both roles, byte by byte: what one writes the other reads."""
    client, server = ClientConnection(URL, 0.0), ServerConnection(0.0)
    told, asked = _shuttle(client, server, step)
    assert told == [Ready()]
    assert asked == [PublishRequested("live", "show", {"token": "A"}, "FMLE/3.0 (compatible; hlsd)")]
    client.send_tag(9, 2**32 + 7, b"v" * 200_000)
    client.send_tag(8, -1, b"a")
    client.send_tag(18, 0, encode("@setDataFrame", "onMetaData", {}))
    _, media = _shuttle(client, server, step)
    assert [(m.type_id, m.timestamp, len(m.body)) for m in media if isinstance(m, Message)] == [
        (9, 7, 200_000),
        (8, 2**32 - 1, 1),
        (18, 0, 33),
    ]
    client.close()
    assert _shuttle(client, server, step)[1] == [PublishEnded()]
    assert not client.ready


def _answered(*answers: tuple[Value, ...]) -> tuple[ClientConnection, list[object]]:
    """A client whose server says these commands, one after the other."""
    client = ClientConnection(URL, 0.0)
    speaker = Speaker()
    events: list[object] = list(client.receive_data(HANDSHAKE, 0.0))
    for values in answers:
        events += client.receive_data(speaker.say(3, 0, *values), 0.0)
    return client, events


OK: tuple[Value, ...] = ("_result", 1.0, None, {"code": "NetConnection.Connect.Success"})
CREATED: tuple[Value, ...] = ("_result", 4.0, None, 5.0)
STARTED: tuple[Value, ...] = ("onStatus", 0.0, None, {"level": "status", "code": "NetStream.Publish.Start"})


def test_sparse_and_chatty_servers_are_understood() -> None:
    """Servers differ: nginx answers releaseStream with nothing, others with errors, FMS says onBWDone in between."""
    _, events = _answered(OK, CREATED, STARTED)
    assert events == [Ready()]
    refused: tuple[Value, ...] = ("_error", 2.0, None, {"code": "NetConnection.Call.Failed"})
    _, events = _answered(
        ("onBWDone", 0.0, None), OK, refused, ("onFCPublish", 0.0, None, {}), CREATED, STARTED, STARTED
    )
    assert events == [Ready()]


@pytest.mark.parametrize(
    "answers",
    [
        [("_error", 1.0, None, {"level": "error", "code": "X.Y", "description": "no"})],
        [OK, ("_error", 4.0, None, {"code": "X.Y", "description": "no"})],
        [OK, CREATED, ("onStatus", 0.0, None, {"level": "error", "code": "X.Y", "description": "no"})],
        [OK, CREATED, STARTED, ("onStatus", 0.0, None, {"level": "error", "code": "X.Y", "description": "no"})],
    ],
)
def test_refusal_is_told_in_the_servers_words(answers: list[tuple[Value, ...]]) -> None:
    client, events = _answered(*answers)
    assert events[-2:] == [Refused("X.Y", "no"), Closed("refused", "X.Y: no")]
    with pytest.raises(ProtocolError):
        client.send_tag(9, 0, b"v")


@pytest.mark.parametrize("stream", [None, "1", float("nan"), 0.0, -1.0, 2.0**40])
def test_created_stream_must_be_one(stream: Value) -> None:
    _, events = _answered(OK, ("_result", 4.0, None, stream))
    assert [type(event) for event in events] == [Closed]


def test_client_pongs_acknowledges_and_follows_the_chunk_size() -> None:
    """A relay that does not is cut off by its target."""
    client = ClientConnection(URL, 0.0)
    speaker = Speaker()
    client.receive_data(HANDSHAKE, 0.0)
    client.data_to_send()
    wire = speaker.chunker.set_chunk_size(1) + speaker.chunker.message(2, 5, 0, 0, (3000).to_bytes(4, "big"))
    client.receive_data(wire + speaker.chunker.message(2, 4, 0, 0, bytes.fromhex("0006 0a0b0c0d")), 0.0)
    sent = client.data_to_send()
    assert bytes.fromhex("0007 0a0b0c0d") in sent
    assert sent[-16:-4].hex() == "020000000000040300000000"
    client.receive_data(speaker.chunker.message(2, 6, 0, 0, bytes.fromhex("0010000002")), 0.0)
    assert client.data_to_send().hex() == "020000000000040500000000" + "00100000"


def test_stranger_is_no_server() -> None:
    client = ClientConnection(URL, 0.0)
    (closed,) = client.receive_data(b"HTTP/1.1 400 Bad Request\r\n", 0.0)
    assert isinstance(closed, Closed)
    assert "not RTMP" in closed.text


def test_silent_server_is_pinged() -> None:
    client, _ = _answered(OK, CREATED, STARTED)
    client.data_to_send()
    client.tick(19.0)
    assert client.data_to_send() == b""
    client.tick(20.0)
    assert len(client.data_to_send()) == 18
