"""The HTTP/2 core, spoken to by another implementation of the RFC (the `h2` package) and by bare frames."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.delivery.http2.budget import REQUEST, TURN
from hlsd.delivery.http2.core import BUCKET, Http2
from hlsd.delivery.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    frame,
)
from hlsd.delivery.http2.headers import encode
from hlsd.delivery.http2.stream import Http2Stream, StreamBody, StreamClosed, StreamRequest

HELLO = PREFACE + frame(SETTINGS, 0, 0)
# :method GET, :scheme https, :path /, :authority www.example.com as in RFC 7541 C.3.1, but https
GET = b"\x82\x87\x84\x41\x0fwww.example.com"


class Pair:
    """A core and a client that speak to each other in memory."""

    def __init__(self, *, max_streams: int = 100, max_header: int = 32 * 1024) -> None:
        self.core = Http2(max_streams=max_streams, max_header=max_header)
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.client.initiate_connection()
        self.now = 1.0
        self.seen: list[object] = []

    def pump(self) -> list[object]:
        """Everything both sides have to say; the core's new events."""
        events: list[object] = []
        while True:
            out = self.client.data_to_send()
            self.core.receive(out, self.now)
            events += self.core.next_events()
            back = self.core.take(1 << 20, self.now)
            if back:
                self.seen += self.client.receive_data(back)
            events += self.core.next_events()
            if not out and not back:
                return events

    def ask(
        self, *more: tuple[str, str], method: str = "GET", path: str = "/live/cam.m3u8", end: bool = True
    ) -> Http2Stream:
        stream = self.client.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "h"), *more]
        self.client.send_headers(stream, head, end_stream=end)
        asked = [event for event in self.pump() if isinstance(event, StreamRequest)]
        return asked[0].stream

    def body(self, stream: int) -> bytes:
        return b"".join(e.data or b"" for e in self.seen if isinstance(e, DataReceived) and e.stream_id == stream)

    def open_windows(self) -> None:
        """Reads all that has come."""
        for event in self.seen:
            if isinstance(event, DataReceived):
                self.client.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)


def _text(event: ResponseReceived) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in event.headers or []]


def failed(core: Http2) -> ErrorCode | None:
    """The error code of the GOAWAY that the core says."""
    out = core.take(1 << 20, 2.0)
    at, code = 0, None
    while at < len(out):
        length = int.from_bytes(out[at : at + 3], "big")
        if out[at + 3] == GOAWAY:
            code = ErrorCode(int.from_bytes(out[at + 13 : at + 17], "big"))
        at += 9 + length
    return code


def test_a_request_and_its_answer() -> None:
    """The other implementation reads what we meant."""
    pair = Pair()
    stream = pair.ask(("accept", "*/*"))
    assert (stream.method, stream.path, stream.authority, stream.headers) == (
        "GET",
        b"/live/cam.m3u8",
        b"h",
        [(b"host", b"h"), (b"accept", b"*/*")],
    )
    pair.core.answer(stream, 200, [(b"content-type", b"text/plain"), (b"x-own", b"1")], b"hello")
    assert any(isinstance(event, StreamClosed) for event in pair.pump())
    heads = [event for event in pair.seen if isinstance(event, ResponseReceived)]
    assert _text(heads[0]) == [(":status", "200"), ("content-type", "text/plain"), ("x-own", "1")]
    assert pair.body(1) == b"hello"
    assert any(isinstance(event, StreamEnded) for event in pair.seen)
    assert (stream.sent, stream.complete) == (5, True)


@pytest.mark.parametrize("status", [200, 204, 206, 302, 304, 400, 403, 404, 416, 500, 503])
def test_every_status_is_read_as_meant(status: int) -> None:
    """Some have a number of their own in the static table, the others are spelt out."""
    pair = Pair()
    pair.core.answer(pair.ask(), status, [])
    pair.pump()
    heads = [event for event in pair.seen if isinstance(event, ResponseReceived)]
    assert _text(heads[0]) == [(":status", str(status))]


def test_a_request_may_come_byte_by_byte() -> None:
    """TCP has no frames."""
    core = Http2()
    for octet in HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, GET):
        core.receive(bytes([octet]), 1.0)
    (event,) = core.next_events()
    assert isinstance(event, StreamRequest)
    assert event.stream.path == b"/"


def test_a_body_goes_out_as_the_windows_allow() -> None:
    """65,535 octets at first; `sent` says how many at every instant, and a reset does not take them back."""
    pair = Pair()
    stream = pair.ask()
    pair.core.answer(stream, 200, [], bytes(200_000))
    pair.pump()
    assert stream.sent == 65_535
    assert pair.core.stuck
    pair.open_windows()
    pair.pump()
    assert 65_535 < stream.sent <= 131_070
    pair.client.reset_stream(1)
    (closed,) = [event for event in pair.pump() if isinstance(event, StreamClosed)]
    assert closed.stream is stream
    assert not stream.complete
    assert stream.sent == len(pair.body(1))


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=5), st.integers(1, 300_000))
@settings(max_examples=40, deadline=None)
def test_bodies_arrive_whole_whatever_the_windows(sizes: list[int], window: int) -> None:
    """Flow control may cut anywhere."""
    pair = Pair()
    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
    streams = [pair.ask() for _ in sizes]
    bodies = [bytes([n + 1]) * size for n, size in enumerate(sizes)]
    for stream, body in zip(streams, bodies, strict=True):
        pair.core.answer(stream, 200, [], body)
    rounds = 0
    while not all(stream.complete for stream in streams):
        pair.now += 60.0  # windows of one octet need many updates: time passes
        before = len(pair.seen)
        pair.pump()
        for event in pair.seen[before:]:
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                pair.client.increment_flow_control_window(event.flow_controlled_length)
                live = any(s.id == event.stream_id for s in streams if not s.complete)
                if live:
                    pair.client.increment_flow_control_window(
                        max(event.flow_controlled_length, 50_000), event.stream_id
                    )
        rounds += 1
        assert rounds < 100
    pair.pump()
    for stream, body in zip(streams, bodies, strict=True):
        assert pair.body(stream.id) == body


def test_a_playlist_overtakes_media() -> None:
    """HT19: a player waits for the playlist, and has buffered media."""
    pair = Pair()
    media, playlist = pair.ask(), pair.ask()
    pair.core.answer(media, 200, [], bytes(60_000))
    pair.core.answer(playlist, 200, [], b"#EXTM3U", urgent=True)
    pair.pump()
    order = [event.stream_id for event in pair.seen if isinstance(event, DataReceived)]
    assert order[0] == playlist.id


def test_two_segments_share_the_connection() -> None:
    """No viewer's tab starves the other stream of the same connection."""
    pair = Pair()
    streams = [pair.ask(), pair.ask()]
    for stream in streams:
        pair.core.answer(stream, 200, [], bytes(60_000))
    pair.pump()
    assert all(stream.sent > 20_000 for stream in streams)


def test_a_window_that_shrinks_below_zero_stops_the_body() -> None:
    """§6.9.2: a change of the initial window "can cause the available space … to become negative"."""
    pair = Pair()
    stream = pair.ask()
    pair.core.answer(stream, 200, [], bytes(100_000))
    pair.pump()
    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    pair.pump()
    assert stream.window < 0
    pair.client.increment_flow_control_window(500_000)
    pair.pump()
    assert stream.sent == 65_535
    pair.client.increment_flow_control_window(200_000, stream.id)
    pair.pump()
    assert stream.complete


def test_a_request_body_is_handed_on_and_its_window_opened_again() -> None:
    """The API takes POST over HTTP/2 too."""
    pair = Pair()
    stream = pair.ask(("content-length", "70000"), method="POST", end=False)
    sent, got = 0, b""
    while sent < 70_000:
        size = min(16_384, 70_000 - sent, pair.client.local_flow_control_window(stream.id))
        pair.client.send_data(stream.id, bytes(size), end_stream=sent + size == 70_000)
        sent += size
        for event in pair.pump():
            if isinstance(event, StreamBody):
                got += event.octets
                pair.core.consumed(stream, len(event.octets))
    assert len(got) == 70_000
    assert stream.asked


@pytest.mark.parametrize("length", ["0", "3", "5"])
def test_a_body_unlike_its_length_is_malformed(length: str) -> None:
    """§8.1.1: else two readers could see two requests."""
    pair = Pair()
    stream = pair.ask(("content-length", length), method="POST", end=False)
    pair.core.receive(frame(DATA, END_STREAM, stream.id, b"four"), 1.0)
    assert [type(event) for event in pair.core.next_events()] == [StreamClosed]


@pytest.mark.parametrize(
    "headers",
    [
        [(":method", "GET"), (":path", "/"), (":authority", "h")],
        [(":path", "/"), (":scheme", "https")],
        [(":method", "GET"), (":scheme", "https"), (":path", "")],
        [(":method", "GET"), (":scheme", "https"), (":path", "relative")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/a b")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/a#b")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":path", "/b")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("accept", "*/*"), (":authority", "h")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":status", "200")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("connection", "close")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("transfer-encoding", "chunked")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("te", "gzip")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("Accept", "*/*")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("x", "a\r\nb: c")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("x", " a")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("content-length", "1x")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("content-length", "5")],
        [(":method", "get"), (":scheme", "https"), (":path", "/")],
        [(":method", "GET"), (":scheme", "https"), (":path", "*")],
        [(":method", "CONNECT"), (":authority", "h:443")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "u@h")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "h, i")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "h"), ("host", "i")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "h"), ("host", "h"), ("host", "h")],
    ],
)
def test_a_malformed_request_costs_its_stream_only(headers: list[tuple[str, str]]) -> None:
    """§8.1.1: a stream error; the next request on the connection is answered."""
    core = Http2()
    if not any(name in (":authority", "host") for name, _ in headers):
        headers = [(":authority", "h"), *headers]  # what is wrong is something else
    block = b"".join(b"\x00" + bytes([len(k)]) + k.encode() + bytes([len(v)]) + v.encode() for k, v in headers)
    core.receive(HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, block), 1.0)
    assert core.next_events() == []
    assert frame(RST_STREAM, 0, 1, int(ErrorCode.PROTOCOL_ERROR).to_bytes(4, "big")) in core.take(9999, 1.0)
    core.receive(frame(HEADERS, END_HEADERS | END_STREAM, 3, GET), 1.0)
    assert [type(event) for event in core.next_events()] == [StreamRequest]
    assert not core.finished


def test_a_request_without_a_host_is_malformed() -> None:
    """§8.3.1: "MUST contain either an ":authority" pseudo-header field or a "Host" header field"."""
    core = Http2()
    core.receive(HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82\x87\x84"), 1.0)
    assert core.next_events() == []
    assert frame(RST_STREAM, 0, 1, int(ErrorCode.PROTOCOL_ERROR).to_bytes(4, "big")) in core.take(9999, 1.0)


@pytest.mark.parametrize("host", [b"WWW.example.com:443", b"www.example.com", b""])
def test_the_authority_is_the_host(host: bytes) -> None:
    """Whoever reads the Host line finds it, also where the client has sent none; two spellings of one host are one."""
    core = Http2()
    line = b"\x00\x04host" + bytes([len(host)]) + host if host else b""
    core.receive(HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + line), 1.0)
    (stream,) = core.streams.values()
    assert stream.authority == b"www.example.com"
    assert [name for name, _ in stream.headers] == [b"host"]


HEAD1 = frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
        (PREFACE + frame(PING, 0, 0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 2, GET), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 0, GET), ErrorCode.PROTOCOL_ERROR),
        (HELLO + HEAD1 + HEAD1, ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
        (HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
        (HELLO + frame(HEADERS, END_STREAM, 1, GET) + frame(PING, 0, 0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(HEADERS, END_STREAM, 1, GET) + frame(CONTINUATION, 4, 3, b""), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(CONTINUATION, END_HEADERS, 1, GET), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(HEADERS, END_HEADERS | 8, 1, b"\xff" + GET), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(HEADERS, END_HEADERS | 0x20, 1, b"\x00"), ErrorCode.FRAME_SIZE_ERROR),
        (HELLO + frame(HEADERS, END_HEADERS | 0x20, 1, b"\0\0\0\1\0" + GET), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(DATA, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR),
        (HELLO + HEAD1 + frame(DATA, 0, 1, b"x"), ErrorCode.STREAM_CLOSED),
        (HELLO + frame(RST_STREAM, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (HELLO + HEAD1 + frame(RST_STREAM, 0, 1, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
        (HELLO + frame(WINDOW_UPDATE, 0, 0, bytes(4)), ErrorCode.FLOW_CONTROL_ERROR),
        (HELLO + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), ErrorCode.FLOW_CONTROL_ERROR),
        (HELLO + frame(WINDOW_UPDATE, 0, 1, b"\0\0\1\0"), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(WINDOW_UPDATE, 0, 0, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
        (HELLO + frame(SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (HELLO + frame(SETTINGS, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
        (HELLO + frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0"), ErrorCode.FLOW_CONTROL_ERROR),
        (HELLO + frame(SETTINGS, 0, 0, b"\0\5\0\0\0\1"), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2"), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (HELLO + frame(PUSH_PROMISE, 4, 1, bytes(4) + GET), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
        (HELLO + frame(PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
        (HELLO + frame(GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (HELLO + b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", ErrorCode.FRAME_SIZE_ERROR),
        (HELLO + frame(HEADERS, END_HEADERS, 1, GET) + frame(HEADERS, END_HEADERS, 1, GET), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_a_broken_connection_ends_with_its_code(octets: bytes, code: ErrorCode) -> None:
    """§5.4.1: GOAWAY, then close; whole or byte by byte."""
    whole, pieces = Http2(), Http2()
    whole.receive(octets, 1.0)
    for octet in octets:
        pieces.receive(bytes([octet]), 1.0)
    for core in (whole, pieces):
        assert core.finished
        assert failed(core) == code
        assert core.streams == {}


@pytest.mark.parametrize(
    "flood",
    [
        lambda n: (
            HEAD1.replace(b"\0\0\0\1", (2 * n + 1).to_bytes(4, "big"), 1)
            + frame(RST_STREAM, 0, 2 * n + 1, b"\0\0\0\x08")
        ),
        lambda _: frame(PING, 0, 0, bytes(8)),
        lambda _: frame(SETTINGS, 0, 0),
        lambda _: frame(SETTINGS, 1, 0),
        lambda _: frame(0xFA, 0, 0, b"?"),
        lambda n: frame(PRIORITY, 0, 2 * n + 1, bytes(5)) * 10,
        lambda _: frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
        lambda n: _head(2 * n + 1) + frame(WINDOW_UPDATE, 0, 2 * n + 1, b"\x7f\xff\xff\xff"),
        lambda n: _head(2 * n + 1) + frame(WINDOW_UPDATE, 0, 2 * n + 1, bytes(4)),
        lambda n: _head(2 * n + 1, b"\x0f\x0d\x015") + frame(DATA, END_STREAM, 2 * n + 1, b"x"),
        lambda n: _head(2 * n + 1, b"\x0f\x0d\x011") + frame(DATA, 0, 2 * n + 1, b"xx"),
        lambda _: frame(SETTINGS, 0, 0, b"\0\4\0\0\0\1" * 16),
        lambda n: frame(GOAWAY, 0, 0, bytes(8)) if n else HEAD1,
        lambda n: frame(DATA, 0, 1, b"x") * 2 if n else _head(1),
        lambda _: frame(WINDOW_UPDATE, 0, 0, b"\0\0\4\0") * 10,
        lambda n: _head(2 * n + 1, b"\x00\x01a\x7f\xe1\x3e" + b"a" * 8160, END_STREAM),
    ],
    ids=[
        "rapid reset",
        "PING",
        "SETTINGS",
        "SETTINGS ack",
        "unknown",
        "PRIORITY",
        "crumbs",
        "windows beyond the limit",
        "windows of nothing",
        "content-length too large",
        "content-length too small",
        "SETTINGS of many values",
        "GOAWAY",
        "crumbs of a body",
        "windows for nothing",
        "long heads",
    ],
)
def test_a_flood_without_use_ends_the_connection(flood: object) -> None:
    """CVE-2023-44487 and its kin: cheap for the sender, so they must be cheap for us."""
    core = Http2()
    core.receive(HELLO, 1.0)
    count = 0
    while not core.finished:
        core.receive(flood(count), 1.0)  # type: ignore[operator]
        core.next_events()
        core.take(1 << 20, 1.0) if not core.finished else None
        count += 1
        assert count <= BUCKET + 1
    assert failed(core) == ErrorCode.ENHANCE_YOUR_CALM


def _head(stream: int, more: bytes = b"", flags: int = 0) -> bytes:
    return frame(HEADERS, END_HEADERS | flags, stream, GET + more)


def test_a_turn_is_bounded_and_the_rest_waits() -> None:
    """However much comes at once: some, `more`, and the rest in its order in the next turns."""
    core = Http2(max_streams=1000)
    core.receive(HELLO + b"".join(_head(2 * n + 1, flags=END_STREAM) for n in range(100)), 1.0)
    turns = [len(core.next_events())]
    core.receive(_head(201, flags=END_STREAM), 1.0)  # more comes: it has to wait behind
    assert core.next_events() == []
    for _ in range(100):
        if core.more:
            core.receive(b"", 1.0)
            turns.append(len(core.next_events()))
    assert sum(turns) == 101
    assert max(turns) <= TURN // REQUEST + 1
    assert list(core.streams) == [2 * n + 1 for n in range(101)]


def test_only_the_last_value_of_a_setting_is_applied() -> None:
    """§6.5: and what lies between is no work, but must be allowed all the same."""
    core = Http2()
    core.receive(HELLO + HEAD1, 1.0)
    (stream,) = core.streams.values()
    core.receive(frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff" + b"\0\4\0\0\0\5"), 1.0)
    assert stream.window == 5
    core.receive(frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff" + b"\0\4\0\0\0\5"), 1.0)
    assert failed(core) == ErrorCode.FLOW_CONTROL_ERROR


def test_answers_without_a_body_do_not_pile_up() -> None:
    """HEAD for ever, and nothing read: each ends its stream at once, so no bound of streams holds it."""
    core = Http2()
    core.receive(HELLO, 1.0)
    n = 0
    while not core.finished:
        core.receive(_head(2 * n + 1, flags=END_STREAM), 1.0)
        for event in core.next_events():
            if isinstance(event, StreamRequest):
                core.answer(event.stream, 204, [(b"x-own", b"x" * 500)])
        n += 1
        assert n < 1000
    assert failed(core) == ErrorCode.ENHANCE_YOUR_CALM


def test_a_client_that_reads_much_may_open_windows_often() -> None:
    """One WINDOW_UPDATE for the stream and one for the connection for every 4 KiB: what Go's client does."""
    core = Http2()
    core.receive(HELLO + HEAD1, 1.0)
    (stream,) = core.streams.values()
    core.answer(stream, 200, [], bytes(50_000_000))
    left = 60_000
    while core.streams and not core.finished:
        left += len(core.take(65_536, 1.0))
        while left >= 4096:
            left -= 4096
            core.receive(frame(WINDOW_UPDATE, 0, 0, (4096).to_bytes(4, "big")), 1.0)
            core.receive(frame(WINDOW_UPDATE, 0, 1, (4096).to_bytes(4, "big")), 1.0)
    assert not core.finished


def test_a_player_that_seeks_is_no_flood() -> None:
    """Ten cancelled requests a second, for ten minutes."""
    core = Http2()
    core.receive(HELLO, 1.0)
    for n in range(6000):
        stream_id = (2 * n + 1).to_bytes(4, "big")
        core.receive(HEAD1[:5] + stream_id + HEAD1[9:] + frame(RST_STREAM, 0, 2 * n + 1, b"\0\0\0\x08"), 1.0 + n / 10)
        core.next_events()
        core.take(1 << 20, 1.0)
    assert not core.finished


@pytest.mark.parametrize("size", [0, 1, 1000, 16_384])
def test_a_continuation_flood_ends_the_connection(size: int) -> None:
    """CVE-2024-27316: a header block without end is neither kept nor read."""
    core = Http2()
    core.receive(HELLO + frame(HEADERS, END_STREAM, 1, GET), 1.0)
    octets = 0
    while not core.finished:
        core.receive(frame(CONTINUATION, 0, 1, bytes(size)), 1.0)
        octets += size + 9
        assert octets < 64 * 1024
    assert failed(core) == ErrorCode.ENHANCE_YOUR_CALM


def test_a_header_list_beyond_the_limit_ends_the_connection() -> None:
    """A small block can name a large line of the table again and again (HPACK bomb)."""
    core = Http2(max_header=16 * 1024)
    block = GET + b"\x40\x01a" + b"\x7f" + _more(4000 - 127) + b"x" * 4000 + b"\xbe" * 100
    core.receive(HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, block), 1.0)
    assert failed(core) == ErrorCode.ENHANCE_YOUR_CALM


def _more(value: int) -> bytes:
    out = []
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def test_more_streams_than_allowed_are_refused() -> None:
    """REFUSED_STREAM tells the client to ask again later; the others go on."""
    core = Http2(max_streams=2)
    core.receive(HELLO + b"".join(frame(HEADERS, 5, n, GET) for n in (1, 3, 5)), 1.0)
    assert sorted(core.streams) == [1, 3]
    assert frame(RST_STREAM, 0, 5, int(ErrorCode.REFUSED_STREAM).to_bytes(4, "big")) in core.take(9999, 1.0)


def test_answers_nobody_reads_do_not_pile_up() -> None:
    """A peer that pings and never reads costs 64 KiB at most."""
    core = Http2()
    core.receive(HELLO, 1.0)
    now = 1.0
    while not core.finished:
        core.receive(frame(PING, 0, 0, bytes(8)) * 100, now)
        now += 10.0
        assert now < 1e5
    assert failed(core) == ErrorCode.ENHANCE_YOUR_CALM


def test_goaway_lets_answers_finish() -> None:
    """Draining: what was asked is answered, nothing more is taken."""
    pair = Pair()
    stream = pair.ask()
    pair.core.goaway()
    pair.pump()
    assert not pair.core.finished
    assert any(isinstance(event, ConnectionTerminated) for event in pair.seen)
    pair.core.answer(stream, 503, [], b"later")
    octets = pair.core.take(9999, 1.0)
    assert b"later" in octets
    assert pair.core.finished


def test_an_answer_before_the_end_of_the_request_says_stop() -> None:
    """§8.1: RST_STREAM with NO_ERROR after the whole answer; what still comes is dropped."""
    pair = Pair()
    stream = pair.ask(method="POST", end=False)
    pair.core.answer(stream, 405, [], b"no")
    pair.pump()
    assert any(isinstance(event, StreamReset) and event.error_code == 0 for event in pair.seen)
    pair.core.receive(frame(DATA, END_STREAM, stream.id, b"late"), 1.0)
    assert not pair.core.finished


def test_a_large_head_is_cut_into_continuations() -> None:
    """A location or a cookie may be long; frames are 16 KiB."""
    pair = Pair()
    stream = pair.ask()
    headers = [(b"x-%d" % n, b"v" * 1000) for n in range(40)]
    pair.core.answer(stream, 200, headers, b"")
    pair.pump()
    heads = [event for event in pair.seen if isinstance(event, ResponseReceived)]
    assert len(heads[0].headers or []) == 41


def test_settings_of_the_peer_are_acknowledged() -> None:
    """And ours announce the limits we hold."""
    pair = Pair(max_streams=7, max_header=8192)
    pair.pump()
    changed = next(event for event in pair.seen if isinstance(event, RemoteSettingsChanged)).changed_settings
    assert changed[SettingCodes.MAX_CONCURRENT_STREAMS].new_value == 7
    assert changed[SettingCodes.MAX_HEADER_LIST_SIZE].new_value == 8192


@given(st.binary(max_size=400), st.integers(1, 50))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(octets: bytes, piece: int) -> None:
    """Whatever a stranger sends ends at most the connection."""
    core = Http2()
    core.receive(HELLO, 1.0)
    for at in range(0, len(octets), piece):
        core.receive(octets[at : at + piece], 1.0)
    core.next_events()
    core.take(9999, 1.0)


@pytest.mark.thorough
@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=30)), max_size=20)
)
@settings(max_examples=300, deadline=None)
def test_no_frames_raise(frames: list[tuple[int, int, int, bytes]]) -> None:
    """Well-formed frames in any order, with answers in between."""
    core = Http2()
    core.receive(HELLO + HEAD1, 1.0)
    for kind, flags, stream, payload in frames:
        core.receive(frame(kind, flags, stream, payload), 1.0)
        for event in core.next_events():
            if isinstance(event, StreamRequest):
                core.answer(event.stream, 200, [], b"x" * 100)
        core.take(50, 1.0)
    core.lost()
    assert core.streams == {}


def test_a_coded_line_is_read_by_the_other_side() -> None:
    """Names of the static table by number, others spelt out; long values with long lengths."""
    assert encode(200, [(b"etag", b'"a"')]) == b'\x88\x0f\x13\x03"a"'
    assert encode(503, [(b"x", b"")]) == b"\x08\x03503\x00\x01x\x00"
