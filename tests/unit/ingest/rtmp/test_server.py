"""The server's side answers every encoder, and gives nobody more than was accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from hlsd.ingest.rtmp.address import read_app
from hlsd.ingest.rtmp.amf0 import UNDEFINED, Value, encode
from hlsd.ingest.rtmp.chunk import Message
from hlsd.ingest.rtmp.connection import Closed, Tag
from hlsd.ingest.rtmp.server import (
    ConnectRequested,
    PlayEnded,
    PlayPaused,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    ServerConnection,
    ServerEvent,
    ServerLimits,
)
from tests.support.rtmp_wire import HANDSHAKE, Speaker, basic, chunked, header, slices

if TYPE_CHECKING:
    from collections.abc import Callable

START = {"level": "status", "code": "NetStream.Publish.Start", "description": "publishing"}


class Talk:
    """A conversation with the server, as one encoder holds it."""

    def __init__(self, *, shake: bool = True, limits: ServerLimits | None = None, step: int = 0) -> None:
        self.server = ServerConnection(0.0, limits)
        self.peer = Speaker()
        self.now = 0.0
        self.step = step
        self.events: list[ServerEvent | Tag | Closed] = []
        self.raw = b""
        if shake:
            self.send(HANDSHAKE)
            assert len(self.raw) == 3073
            self.raw = b""

    def send(self, octets: bytes) -> None:
        for piece in slices(octets, [self.step] * len(octets)) if self.step and octets else [octets]:
            self.events += self.server.receive_data(piece, self.now)
            while self.server.more:
                self.events += self.server.receive_data(b"", self.now)
            self.raw += self.server.data_to_send()

    def say(self, csid: int, msid: int, *values: Value) -> list[tuple[int, list[Value]]]:
        """Sends a command and returns the commands that came back."""
        self.send(self.peer.say(csid, msid, *values))
        return self.answers()

    def answers(self) -> list[tuple[int, list[Value]]]:
        self.raw += self.server.data_to_send()
        raw, self.raw = self.raw, b""
        return self.peer.hear(raw)

    def connect(self, **more: Value) -> list[tuple[int, list[Value]]]:
        return self.say(3, 0, "connect", 1.0, {"app": "live", "tcUrl": "rtmp://h/live", **more})

    def publish(self, msid: int = 1, name: str = "show") -> None:
        """The short way to an accepted publication."""
        self.connect()
        self.say(3, 0, "createStream", 2.0, None)
        self.say(3, msid, "publish", 3.0, None, name, "live")
        self.accept()

    def accept(self) -> list[tuple[int, list[Value]]]:
        self.server.accept_publish(self.now)
        self.send(b"")
        return self.answers()

    def tags(self) -> list[Message]:
        return [event for event in self.events if isinstance(event, Message)]

    def closed(self) -> Closed | None:
        return next((event for event in self.events if isinstance(event, Closed)), None)


@dataclass(frozen=True)
class Encoder:
    """What an encoder says up to publish, where its media goes, and how it leaves."""

    opening: list[tuple[int, int, tuple[Value, ...]]]
    media_csid: int
    leaving: list[tuple[int, int, tuple[Value, ...]]]
    before: Callable[[Speaker], bytes] = lambda _: b""
    key: str = "show?token=A"


CONNECT: dict[str, Value] = {"app": "live", "type": "nonprivate", "flashVer": "FMLE/3.0", "tcUrl": "rtmp://h/live"}
KEY = "show?token=A"
ENCODERS = {
    "ffmpeg": Encoder(
        [
            (3, 0, ("connect", 1.0, CONNECT)),
            (3, 0, ("releaseStream", 2.0, None, KEY)),
            (3, 0, ("FCPublish", 3.0, None, KEY)),
            (3, 0, ("createStream", 4.0, None)),
            (8, 1, ("publish", 5.0, None, KEY, "live")),
        ],
        6,
        [(3, 0, ("FCUnpublish", 6.0, None, KEY)), (3, 0, ("deleteStream", 7.0, None, 1.0))],
    ),
    "obs": Encoder(
        [
            (
                3,
                0,
                ("connect", 1.0, {**CONNECT, "swfUrl": "rtmp://h/live", "flashVer": "FMLE/3.0 (compatible; FMSc/1.0)"}),
            ),
            (3, 0, ("releaseStream", 2.0, None, KEY)),
            (3, 0, ("FCPublish", 3.0, None, KEY)),
            (3, 0, ("createStream", 4.0, None)),
            (4, 1, ("publish", 5.0, None, KEY, "live")),
        ],
        4,
        [(3, 0, ("FCUnpublish", 6.0, None, KEY)), (3, 0, ("deleteStream", 7.0, None, 1.0))],
        before=lambda speaker: speaker.chunker.set_chunk_size(4096),
    ),
    "rtmp2sink": Encoder(
        [
            (3, 0, ("connect", 1.0, {**CONNECT, "fpad": False, "capabilities": 239.0, "objectEncoding": 0.0})),
            (3, 0, ("releaseStream", 0.0, None, KEY)),
            (3, 0, ("FCPublish", 0.0, None, KEY)),
            (3, 0, ("createStream", 2.0, None)),
            (3, 1, ("publish", 0.0, None, KEY, "live")),
        ],
        6,
        [(3, 0, ("FCUnpublish", 0.0, None, KEY)), (3, 0, ("deleteStream", 0.0, None, KEY))],
        before=lambda speaker: (
            speaker.chunker.message(2, 5, 0, 0, (2_500_000).to_bytes(4, "big")) + speaker.chunker.set_chunk_size(128)
        ),
    ),
    "nginx push": Encoder(
        [
            (3, 0, ("connect", 1.0, {"app": "live", "tcUrl": "rtmp://h/live", "flashVer": "LNX.11,1,102,55"})),
            (3, 0, ("createStream", 2.0, None)),
            (5, 1, ("publish", 0.0, None, KEY, "live")),
        ],
        7,
        [],
        before=lambda speaker: (
            speaker.chunker.set_chunk_size(4096)
            + speaker.chunker.message(2, 5, 0, 0, (5_000_000).to_bytes(4, "big"))
            + speaker.chunker.message(2, 4, 0, 0, bytes.fromhex("000000000001"))
        ),
    ),
    "flash": Encoder(
        [
            (3, 0, ("connect", 1.0, {**CONNECT, "objectEncoding": 3.0, "fpad": False, "audioCodecs": 3191.0})),
            (3, 0, ("createStream", 2.0, None)),
            (8, 1, ("publish", 0.0, None, KEY)),
        ],
        4,
        [(8, 1, ("closeStream", 0.0, None))],
    ),
    "haivision": Encoder(
        [
            (3, 0, ("connect", 1.0, CONNECT)),
            (3, 0, ("_checkbw", 2.0, None)),
            (3, 0, ("createStream", 3.0, None)),
            (4, 1, ("publish", 4.0, None, KEY, "live")),
        ],
        4,
        [(3, 0, ("deleteStream", 5.0, None, 1.0))],
    ),
}


@pytest.mark.parametrize("step", [0, 1, 7])
@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_encoder_publishes(name: str, step: int) -> None:
    """Each waits for other answers; the same ones must satisfy all."""
    encoder = ENCODERS[name]
    talk = Talk(step=step)
    talk.send(encoder.before(talk.peer))
    answered: dict[float, list[Value]] = {}
    for csid, msid, values in encoder.opening:
        for _, answer in talk.say(csid, msid, *values):
            if answer[0] in {"_result", "_error"}:
                assert isinstance(answer[1], float)
                answered[answer[1]] = answer
    asked = talk.events.pop()
    assert isinstance(asked, PublishRequested)
    assert asked[:3] == ("live", "show", {"token": "A"})
    numbers = {values[1] for _, _, values in encoder.opening if values[0] != "publish" and values[1]}
    assert set(answered) == numbers
    assert answered[1.0][0] == "_result"
    create = next(values[1] for _, _, values in encoder.opening if values[0] == "createStream")
    assert isinstance(create, float)
    assert answered[create] == ["_result", create, None, 1.0]
    assert talk.accept()[-1] == (1, ["onStatus", 0.0, None, START])

    talk.send(talk.peer.chunker.message(encoder.media_csid, 9, 40, 1, b"\x17" + bytes(5000)))
    talk.send(talk.peer.chunker.message(encoder.media_csid, 8, 41, 1, b"\xaf\x01"))
    assert [(tag.type_id, tag.timestamp, len(tag.body)) for tag in talk.tags()] == [(9, 40, 5001), (8, 41, 2)]
    for csid, msid, values in encoder.leaving:
        talk.say(csid, msid, *values)
    assert talk.events.count(PublishEnded()) == bool(encoder.leaving)
    assert talk.closed() is None


def test_connect_is_answered_in_the_order_that_all_take() -> None:
    """Golden: WindowAckSize, SetPeerBandwidth, SetChunkSize (so that ffmpeg mirrors it), _result."""
    talk = Talk()
    talk.send(talk.peer.say(3, 0, "connect", 1.0, CONNECT))
    assert talk.raw.startswith(
        bytes.fromhex(
            "020000000000040500000000002625a0020000000000050600000000002625a0020200000000000401000000000000ea60"
        )
    )
    ((msid, answer),) = talk.answers()
    assert msid == 0
    assert answer == [
        "_result",
        1.0,
        {"fmsVer": "FMS/3,0,1,123", "capabilities": 31.0},
        {"level": "status", "code": "NetConnection.Connect.Success", "description": "connected", "objectEncoding": 0.0},
    ]


def test_object_encoding_is_echoed_and_four_ccs_only_told_to_those_who_tell_theirs() -> None:
    """Old hardware chokes on fields it does not know."""
    ((_, plain),) = Talk().connect(objectEncoding=3.0)
    assert isinstance(plain[3], dict)
    assert plain[3]["objectEncoding"] == 3.0
    assert "fourCcList" not in plain[3]
    ((_, enhanced),) = Talk().connect(fourCcList=["*"])
    assert isinstance(enhanced[3], dict)
    info = enhanced[3]
    sounds = {"Opus": 1.0, "ac-3": 1.0, "ec-3": 1.0, "fLaC": 1.0, ".mp3": 1.0}  # CanDecode; the rest CanForward
    assert info["videoFourCcInfoMap"] == {"avc1": 4.0, "hvc1": 4.0, "av01": 4.0}
    assert info["audioFourCcInfoMap"] == {"mp4a": 4.0, **sounds}
    assert info["fourCcList"] == ["avc1", "hvc1", "av01", "mp4a", *sounds]
    assert info["capsEx"] == 6.0  # multitrack and ModEx are read
    ((_, capable),) = Talk().connect(capsEx=15.0)
    assert isinstance(capable[3], dict)
    assert capable[3]["capsEx"] == 6.0


def test_fc_publish_is_answered_with_on_fc_publish_once_admitted() -> None:
    """FMLE waits for it; before admission it would be a lie."""
    talk = Talk()
    talk.connect()
    assert talk.say(3, 0, "FCPublish", 3.0, None, "show") == [(0, ["_result", 3.0, None, UNDEFINED])]
    talk.say(3, 0, "createStream", 4.0, None)
    assert talk.say(3, 1, "publish", 5.0, None, "show") == []
    assert [answer[0] for _, answer in talk.accept()] == ["onFCPublish", "onStatus"]


@pytest.mark.thorough
@pytest.mark.parametrize("step", [0, 1, 1448])
def test_all_in_one_breath_is_legal(step: int) -> None:
    """Nothing says that a client must wait; a large key frame behind publish must not meet a stranger's limits."""
    frame = b"\x17" + bytes(200_000)
    speaker = Speaker()
    wire = HANDSHAKE + b"".join(speaker.say(*call[:2], *call[2]) for call in ENCODERS["ffmpeg"].opening)
    wire += speaker.chunker.message(6, 9, 0, 1, frame) + speaker.chunker.message(4, 8, 0, 1, b"\xaf\x00")
    talk = Talk(shake=False, step=step)
    talk.send(wire)
    assert talk.server.awaiting
    assert not talk.tags()
    talk.raw = talk.raw[3073:]
    talk.accept()
    assert [len(tag.body) for tag in talk.tags()] == [200_001, 2]


def test_media_passes_only_where_it_was_accepted() -> None:
    """Another server broadcast the media of publishers it had refused."""
    talk = Talk()
    video = talk.peer.chunker.message(6, 9, 0, 1, b"v")
    talk.connect()
    talk.send(video)
    talk.say(3, 0, "createStream", 2.0, None)
    talk.send(video)
    talk.say(3, 1, "publish", 3.0, None, "show")
    talk.accept()
    talk.send(talk.peer.chunker.message(6, 9, 0, 2, b"other stream"))
    talk.send(talk.peer.chunker.message(6, 9, 0, 0, b"no stream"))
    talk.send(video)
    talk.say(3, 0, "deleteStream", 0.0, None, 1.0)
    talk.send(video)
    assert [tag.body for tag in talk.tags()] == [b"v"]
    assert talk.server.ignored == 5


def test_connection_may_publish_again() -> None:
    """Both deleteStream and closeStream end the publication, not the connection."""
    talk = Talk()
    talk.publish()
    talk.say(3, 1, "closeStream", 0.0, None)
    talk.say(3, 0, "createStream", 4.0, None)
    talk.say(3, 1, "publish", 5.0, None, "again")
    assert talk.accept()[-1][1][0] == "onStatus"
    talk.send(talk.peer.chunker.message(6, 9, 0, 1, b"v"))
    assert [type(event) for event in talk.events] == [PublishRequested, PublishEnded, PublishRequested, Message]


def test_refusal_names_the_stream_and_ends_the_connection() -> None:
    """OBS stops trying only if the status reaches it."""
    talk = Talk()
    talk.connect()
    talk.say(3, 0, "createStream", 2.0, None)
    talk.say(3, 1, "publish", 3.0, None, "show")
    talk.server.refuse_publish("NetStream.Publish.Denied", "wrong key")
    ((msid, answer),) = talk.answers()
    assert msid == 1
    assert answer[3] == {"level": "error", "code": "NetStream.Publish.Denied", "description": "wrong key"}
    assert talk.server.closed is not None
    talk.send(talk.peer.chunker.message(6, 9, 0, 1, b"v"))
    assert not talk.tags()


@pytest.mark.parametrize(
    ("key", "code"),
    [("a/b", "BadName"), ("", "BadName"), (None, "BadName"), (7.0, "BadName"), ("a?sign=1&sign=2", "Denied")],
)
def test_odd_key_is_refused_before_anybody_is_asked(key: Value, code: str) -> None:
    talk = Talk()
    talk.connect()
    talk.say(3, 0, "createStream", 2.0, None)
    ((_, answer),) = talk.say(3, 1, "publish", 3.0, None, key)
    assert isinstance(answer[3], dict)
    assert answer[3]["code"] == f"NetStream.Publish.{code}"
    assert [type(event) for event in talk.events] == [Closed]


def test_second_publish_on_a_connection_leaves_the_first_alone() -> None:
    talk = Talk()
    talk.publish()
    ((msid, answer),) = talk.say(3, 2, "publish", 9.0, None, "other")
    assert (msid, answer[0]) == (2, "onStatus")
    talk.send(talk.peer.chunker.message(6, 9, 0, 1, b"v"))
    assert [tag.body for tag in talk.tags()] == [b"v"]


def test_player_is_told_that_there_is_nothing() -> None:
    talk = Talk()
    talk.connect()
    talk.say(3, 0, "createStream", 2.0, None)
    assert talk.say(8, 0, "getStreamLength", 3.0, None, "show") == [(0, ["_result", 3.0, None, 0.0])]
    talk.say(8, 1, "play", 4.0, None, "show?token=A", -2000.0)
    assert talk.events == [PlayRequested("live", "show", {"token": "A"}, 1)]
    talk.server.refuse_play(1, "NetStream.Play.StreamNotFound", "none")
    ((msid, answer),) = talk.answers()
    assert (msid, answer[0]) == (1, "onStatus")


def codes(answers: list[tuple[int, list[Value]]]) -> list[tuple[int, object]]:
    return [(msid, v[3]["code"]) for msid, v in answers if v[0] == "onStatus" and isinstance(v[3], dict)]


def test_player_pauses_ends_and_plays_again_on_one_connection() -> None:
    """What ffplay, rtmpdump and Flash do; each answer on the stream's own message stream."""
    talk = Talk()
    talk.connect()
    talk.say(3, 0, "createStream", 2.0, None)
    assert talk.say(3, 0, "FCSubscribe", 3.0, None, "show")[0][1][0] == "onFCSubscribe"
    talk.say(8, 1, "play", 4.0, None, "show", -2000.0)
    assert talk.say(8, 1, "pause", 0.0, None, True, 0.0) == []  # not accepted yet
    talk.server.accept_play()
    assert codes(talk.answers()) == [(1, "NetStream.Play.Reset"), (1, "NetStream.Play.Start")]
    assert talk.server.playing
    assert codes(talk.say(8, 1, "play", 0.0, None, "other")) == [(1, "NetStream.Play.Failed")]
    assert codes(talk.say(8, 1, "pause", 0.0, None, True, 0.0)) == [(1, "NetStream.Pause.Notify")]
    assert codes(talk.say(8, 1, "pause", 0.0, None, False, 0.0)) == [(1, "NetStream.Unpause.Notify")]
    talk.say(3, 0, "deleteStream", 0.0, None, 1.0)
    assert talk.events[1:] == [PlayPaused(True), PlayPaused(False), PlayEnded()]
    talk.say(3, 0, "createStream", 5.0, None)
    talk.say(8, 1, "play", 6.0, None, "again")
    assert isinstance(talk.events[-1], PlayRequested)
    talk.server.accept_play()
    talk.answers()
    talk.server.end_play("NetStream.Play.UnpublishNotify", "over")
    assert codes(talk.answers()) == [(1, "NetStream.Play.UnpublishNotify")]


def test_a_player_may_be_silent_for_hours_and_acknowledge_for_days() -> None:
    """Neither the deadline for publish nor the bound on strangers' bytes is for it."""
    talk = Talk()
    talk.connect()
    talk.say(3, 0, "createStream", 2.0, None)
    talk.say(8, 1, "play", 4.0, None, "show")
    talk.server.accept_play()
    assert talk.server.tick(100_000.0) == []
    for _ in range(2000):
        talk.send(talk.peer.chunker.message(2, 3, 0, 0, bytes(60)))
    assert talk.server.closed is None


def test_one_connection_publishes_and_plays() -> None:
    """Conference clients did; each message stream has its own life."""
    talk = Talk()
    talk.publish()
    talk.say(3, 0, "createStream", 7.0, None)
    talk.say(8, 2, "play", 0.0, None, "other")
    talk.server.accept_play()
    assert codes(talk.answers()) == [(2, "NetStream.Play.Reset"), (2, "NetStream.Play.Start")]
    talk.say(3, 0, "deleteStream", 0.0, None, 2.0)
    assert talk.events[-1:] == [PlayEnded()]
    assert talk.server.publishing
    talk.say(3, 0, "deleteStream", 0.0, None, 1.0)
    assert talk.events[-1:] == [PublishEnded()]
    assert not talk.server.publishing


def test_unknown_call_fails_and_unknown_message_is_skipped() -> None:
    """Cameras send both; the session goes on."""
    talk = Talk()
    talk.publish()
    ((_, answer),) = talk.say(3, 0, "FCSomething", 9.0, None)
    assert (answer[0], answer[1]) == ("_error", 9.0)
    assert talk.say(3, 0, "onSomething", 0.0, None) == []
    for type_id in (0, 7, 16, 19, 99, 255):
        talk.send(talk.peer.chunker.message(5, type_id, 0, 1, b"\0\1\2"))
    assert talk.closed() is None


def test_malformed_commands_cost_themselves_and_in_number_the_connection() -> None:
    talk = Talk()
    talk.publish()
    amf3 = talk.peer.chunker.message(3, 17, 0, 0, b"\0\2\0\1x\x11\x0a")
    broken = talk.peer.chunker.message(3, 20, 0, 0, b"\2\0\5x")
    talk.send(amf3 * 50 + broken * 8)
    assert talk.closed() is None
    talk.send(broken)
    closed = talk.closed()
    assert closed is not None
    assert closed.reason == "error:protocol"


def test_commands_of_type_17_are_read_behind_one_byte() -> None:
    talk = Talk()
    body = b"\0" + encode("connect", 1.0, {"app": "live", "objectEncoding": 3.0})
    talk.send(talk.peer.chunker.message(3, 17, 0, 0, body))
    assert talk.answers()[0][1][0] == "_result"


def test_amf3_data_and_aggregates_arrive_as_plain_tags() -> None:
    talk = Talk()
    talk.publish()
    talk.send(talk.peer.chunker.message(4, 15, 3, 1, b"\0" + encode("onMetaData", {})))
    sub = b"\x09\0\0\1" + bytes(7) + b"v" + bytes(4)
    talk.send(talk.peer.chunker.message(4, 22, 1000, 1, sub))
    assert talk.tags() == [Message(4, 18, 3, 1, encode("onMetaData", {})), Message(4, 9, 1000, 1, b"v")]


@pytest.mark.parametrize("body", ["", "00", "0006", "0006ff", "001a", "0003"])
def test_short_control_bodies_are_harmless(body: str) -> None:
    """One of these ended another server's whole process."""
    talk = Talk()
    talk.publish()
    for type_id in (2, 3, 4, 5, 6):
        talk.send(talk.peer.chunker.message(2, type_id, 0, 0, bytes.fromhex(body)))
    assert talk.closed() is None


def test_ping_is_answered_with_its_own_four_bytes() -> None:
    talk = Talk()
    talk.publish()
    talk.send(talk.peer.chunker.message(2, 4, 0, 0, bytes.fromhex("0006 01020304")))
    assert talk.raw == bytes.fromhex("020000000000060400000000 0007 01020304")


@pytest.mark.parametrize("window", [1, 1000, 2_500_000])
def test_acknowledgements_come_at_half_the_window_and_once_a_read(window: int) -> None:
    """Some senders stop without them; one a byte would be an attack by ourselves."""
    talk = Talk()
    talk.publish()
    talk.send(talk.peer.chunker.message(2, 5, 0, 0, window.to_bytes(4, "big")))
    talk.raw = b""
    sent = 0
    while sent < 6_000_000:
        talk.send(talk.peer.chunker.message(6, 9, 0, 1, bytes(99_000)))
        sent += 99_000
    acks = len(talk.raw) // 16
    assert talk.raw[:12].hex() == "020000000000040300000000"
    assert int.from_bytes(talk.raw[-4:], "big") <= talk.server.received
    assert acks == 61 if window < 2000 else 4 <= acks <= 5


def test_stranger_costs_64_kib_at_most() -> None:
    """Before anything is accepted neither one message nor all together may be larger."""
    talk = Talk()
    talk.connect()
    talk.send(header(0, 4, 0, 65_537, 9, 1))
    assert talk.closed() is not None
    talk = Talk()
    talk.connect()
    for _ in range(100):
        talk.send(talk.peer.chunker.message(6, 9, 0, 1, bytes(1000)))
    closed = talk.closed()
    assert closed is not None
    assert "64 KiB" in closed.text


def test_publisher_may_send_large_frames_but_not_boundless_ones() -> None:
    talk = Talk(limits=ServerLimits(max_message=1_000_000))
    talk.publish()
    talk.send(talk.peer.chunker.message(6, 9, 0, 1, bytes(1_000_000)))
    assert len(talk.tags()) == 1
    talk.send(header(0, 6, 0, 1_000_001, 9, 1))
    assert talk.closed() is not None


def test_held_bytes_are_bounded() -> None:
    """While admission thinks the caller stops reading; one that does not is stopped here."""
    talk = Talk()
    talk.connect()
    talk.say(3, 0, "createStream", 2.0, None)
    talk.say(3, 1, "publish", 3.0, None, "show")
    for _ in range(20):
        talk.send(bytes(64 * 1024))
    assert talk.closed() is not None


def test_replies_are_bounded_per_turn() -> None:
    """A flood of calls must not fill memory with answers to a peer that does not read."""
    talk = Talk()
    talk.publish()
    call = talk.peer.chunker.message(3, 20, 0, 0, encode("x", 1.0))
    talk.server.receive_data(call * 20_000, 0.0)
    assert talk.server.more
    assert len(talk.server.data_to_send()) < 300_000


def test_command_ahead_of_connect_ends_the_connection() -> None:
    talk = Talk()
    talk.say(3, 0, "createStream", 2.0, None)
    assert talk.closed() is not None


def test_streams_are_bounded() -> None:
    talk = Talk()
    talk.connect()
    for number in range(20):
        talk.say(3, 0, "createStream", float(number), None)
    assert talk.closed() is not None


@pytest.mark.parametrize(
    ("say", "at", "words"),
    [(0, 10.0, "no handshake"), (1, 15.0, "no connect"), (2, 15.0, "no publish"), (3, 30.0, "no media")],
)
def test_deadlines(say: int, at: float, words: str) -> None:
    """Silent peers must not hold a place for ever, at any stage."""
    talk = Talk(shake=say > 0)
    if say == 2:
        talk.connect()
    elif say == 3:
        talk.publish()
    assert not talk.server.tick(at - 0.1)
    (closed,) = talk.server.tick(at)
    assert isinstance(closed, Closed)
    assert words in closed.text
    assert closed.reason == ("idle" if say == 3 else "timeout")
    assert talk.server.tick(at + 1) == []


def test_admission_may_take_its_time_and_media_keeps_a_publisher() -> None:
    talk = Talk()
    talk.connect()
    talk.say(3, 0, "createStream", 2.0, None)
    talk.say(3, 1, "publish", 3.0, None, "show")
    assert talk.server.tick(1000.0) == []
    talk.now = 1000.0
    talk.accept()
    talk.now = 1029.0
    talk.send(talk.peer.chunker.message(6, 9, 0, 1, b"v"))
    assert talk.server.tick(1058.0) == []
    assert len(talk.server.tick(1059.0)) == 1


def test_silence_is_pinged_once_an_interval() -> None:
    talk = Talk()
    talk.publish()
    talk.raw = b""
    for second in range(1, 25):
        talk.server.tick(float(second))
    pings = talk.server.data_to_send()
    assert len(pings) == 2 * 18
    assert pings[:14] == bytes.fromhex("020000000000060400000000 0006")


@pytest.mark.parametrize(
    "opening", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x06" + bytes(1536), bytes(5000)]
)
def test_stranger_to_the_protocol_is_closed_at_once(opening: bytes) -> None:
    talk = Talk(shake=False)
    talk.send(opening)
    closed = talk.closed()
    assert closed is not None
    assert closed.reason == "error:protocol"


def test_garbage_behind_the_handshake_is_an_event_and_no_exception() -> None:
    for seed in range(256):
        talk = Talk()
        talk.send(bytes((seed * 31 + n * 7) & 0xFF for n in range(4000)) * 40)
        assert talk.closed() is None or talk.server.closed is not None


def test_messages_in_one_byte_chunks_are_commands_too() -> None:
    talk = Talk()
    talk.send(chunked(header(0, 2, 0, 4, 1), 2, (1).to_bytes(4, "big")))
    body = encode("connect", 1.0, {"app": "live"})
    talk.send(chunked(header(0, 3, 0, len(body), 20), 3, body, 1))
    assert talk.answers()[0][1][0] == "_result"
    assert basic(3, 3) == b"\xc3"


def test_commands_and_aggregates_cost_what_is_in_them() -> None:
    """Four thousand values take a millisecond, however few chunks they come in."""
    talk = Talk()
    talk.publish()
    before = talk.server.effort
    talk.send(talk.peer.chunker.message(3, 20, 0, 0, encode("x", 0.0) + b"\x05" * 4000))
    assert talk.server.effort - before > 2000
    before = talk.server.effort
    part = bytes((8, 0, 0, 2)) + bytes(7) + b"\xaf\x01" + bytes(4)
    talk.send(talk.peer.chunker.message(6, 22, 0, 1, part * 500))
    assert talk.server.effort - before >= 500


def test_a_conversation_that_asks_waits_with_connect_and_all_behind_it() -> None:
    """What was sent behind connect is there when the answer is yes, and no deadline passes meanwhile."""
    talk = Talk()
    talk.server = ServerConnection(0.0, asks=True)
    talk.send(HANDSHAKE)
    talk.raw = b""
    sent: dict[str, Value] = {"app": "live?token=a", "tcUrl": "rtmp://h/live", "flashVer": "F", "pageUrl": "https://p/"}
    assert talk.say(3, 0, "connect", 1.0, sent) == []
    assert talk.events == [ConnectRequested("live", {"token": "a"}, "F", "https://p/")]
    assert talk.server.awaiting
    assert talk.say(3, 0, "createStream", 2.0, None) == []
    assert talk.server.tick(1000.0) == []
    talk.server.accept_connect()
    talk.send(b"")
    assert [values[0] for _, values in talk.answers()] == ["_result", "_result"]
    assert not talk.server.awaiting


def test_a_connect_that_is_refused_reads_why() -> None:
    talk = Talk()
    talk.server = ServerConnection(0.0, asks=True)
    talk.send(HANDSHAKE)
    talk.raw = b""
    talk.connect()
    talk.server.refuse_connect("not allowed")
    ((_, values),) = talk.answers()
    assert values[0] == "_error"
    assert values[3] == {
        "level": "error", "code": "NetConnection.Connect.Rejected", "description": "not allowed",
    }  # fmt: skip
    assert talk.server.closed == Closed("refused", "NetConnection.Connect.Rejected: not allowed")


@pytest.mark.parametrize(
    ("app", "url", "told"),
    [
        ("live", "rtmp://h/live?a=1", ("live", {"a": "1"})),
        ("", "rtmp://h/live/cam?a=1", ("live", {"a": "1"})),
        ("live/key-of-somebody?a=2", "rtmp://h/live?a=1", ("live", {"a": "2"})),
        ("../etc", "", ("", {})),
        ("", "", ("", {})),
        ("live?" + "a" * 5000, "", ("live", {})),
        ("live?" + "&".join(f"a{n}=1" for n in range(70)), "", ("live", {})),
    ],
)
def test_who_hears_of_connections_is_told_the_app_and_no_more_of_the_path(
    app: str, url: str, told: tuple[str, dict[str, str]]
) -> None:
    """Behind the app may stand a key."""
    assert read_app(app, url) == told
