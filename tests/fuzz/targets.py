"""Every reader of strangers' bytes as a function of bytes that returns, or raises a refusal that its callers know.

`seeds` are what honest peers say; whoever fuzzes changes them. Each target is whole by itself: it makes its reader,
gives it the bytes in two pieces (the first byte says where they are cut), and asks for what its callers rely on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from hlsd.base import stream_name
from hlsd.base.errors import HlsdError
from hlsd.delivery import cmcd
from hlsd.delivery.flv.websocket import ClientFrames
from hlsd.delivery.http2.hpack_reader import HpackReader, TooMuchHeader, UnreadableHeader
from hlsd.delivery.request import BadRequest, parse_path, parse_query, parse_range
from hlsd.ingest.jt1078.frames import JtFrames
from hlsd.ingest.jt1078.packets import JtReader, read_datagram
from hlsd.ingest.mpeg.elementary import PACKET_LIMIT, PICTURE_LIMIT
from hlsd.ingest.mpeg.ps_demuxer import PsDemuxer
from hlsd.ingest.mpeg.rtp_payload import RtpPayload
from hlsd.ingest.mpeg.ts_demuxer import TsDemuxer
from hlsd.ingest.recorder.chunks import ChunkReader
from hlsd.ingest.recorder.matroska import MatroskaReader
from hlsd.ingest.recorder.movie import MovieReader
from hlsd.ingest.recorder.texts import BadText, read_text
from hlsd.ingest.rtmp import amf0
from hlsd.ingest.rtmp.server import ConnectRequested, PublishRequested, ServerConnection
from hlsd.ingest.rtsp.announced import read_description
from hlsd.ingest.rtsp.conversation import Announced, Described, RtspConversation
from hlsd.ingest.rtsp.credentials import read_shown
from hlsd.ingest.rtsp.reception import PublisherReception
from hlsd.ingest.rtsp.transports import read_transports
from hlsd.ingest.srt import conclusion, packet
from hlsd.ingest.srt.handshake import read_handshake
from hlsd.ingest.srt.key_material import read_key_material
from hlsd.ingest.srt.link import Link, LinkTerms
from hlsd.ingest.srt.stream_id import read_stream_id
from hlsd.ingest.webrtc.depacketiser import Depacketiser, H265Depacketiser
from hlsd.ingest.webrtc.jitter import Ordered
from hlsd.media import aac, av1, flv, h264, h265, nal, scte35
from hlsd.media.enhanced import VIDEO_MULTITRACK, other_tracks, skip_modifiers
from hlsd.record.boxes import BadBox
from hlsd.record.shape import scan
from hlsd.relay.address import read_address
from hlsd.relay.hls_playlist import read_playlist
from hlsd.relay.http_response import ResponseReader
from hlsd.relay.rtsp_watch import RtspWatch
from hlsd.timeshift.forms import BadForm, read_form
from hlsd.webrtc import rtcp, rtp, sdp, stun
from tests.fuzz.said import PLAYLIST, SDP, TAGS, TALK, TEXT, VARIANTS

GOLDEN: Final = Path(__file__).parents[1] / "golden"
REFUSALS: Final = (HlsdError, BadForm, BadRequest, BadText, BadBox, TooMuchHeader, UnreadableHeader)
"""What a reader may raise; whatever else is a fault of ours."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader; `most` is how many bytes of a case are of use."""

    take: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    most: int = 4096

    def run(self, octets: bytes) -> None:
        """One case. Raises what is no refusal."""
        try:
            self.take(octets)
        except REFUSALS:
            return


def halves(octets: bytes) -> tuple[bytes, bytes]:
    """All but the first byte, cut where that says."""
    rest = octets[1:]
    at = len(rest) * octets[0] // 256 if octets else 0
    return rest[:at], rest[at:]


def _rtmp(octets: bytes) -> None:
    server = ServerConnection(0.0)
    for piece in halves(octets):
        for happened in server.receive_data(piece, 0.0):
            if isinstance(happened, ConnectRequested):
                server.accept_connect()
            elif isinstance(happened, PublishRequested):
                server.accept_publish(0.0)
        server.data_to_send()


def _rtmp_seeds() -> list[bytes]:
    from tests.support.rtmp_wire import HANDSHAKE, command

    talk = HANDSHAKE + command(3, 0, "connect", 1.0, {"app": "live", "tcUrl": "rtmp://h/live"})
    talk += command(3, 0, "createStream", 2.0, None) + command(8, 1, "publish", 0.0, None, "cam", "live")
    return [b"\x80" + talk, b"\xff" + talk[:4000]]


def _flv(octets: bytes) -> None:
    reader = flv.FileReader()
    for piece in halves(octets):
        for tag in reader.feed(piece):
            _refused(flv.decode_video if tag.type == 9 else flv.decode_audio, tag.body)


def _flv_seeds() -> list[bytes]:
    from tests.support.flvmedia import make_flv

    return [b"\x80" + make_flv(codec, seconds=0.2, gop=3)[:3000] for codec in ("h264", "h265", "av1")]


def _tags(octets: bytes) -> None:
    for read in (flv.decode_video, flv.decode_audio, lambda body: skip_modifiers(b"\x97" + body)):
        _refused(read, octets)
    _refused(lambda body: other_tracks(b"\x96" + body, VIDEO_MULTITRACK), octets)


def _refused(read: Callable[[bytes], object], octets: bytes) -> None:
    try:
        read(octets)
    except REFUSALS:
        return


def _pictures(octets: bytes) -> None:
    for codec in (h264, h265, av1):
        _refused(codec.read_record, octets)
        _refused(lambda body, codec=codec: codec.normalise(body, 4), octets)  # type: ignore[misc]
    for read in (h264.parse_sps, h265.parse_sps, av1.parse_sequence_header, aac.read_record, nal.split_start_codes):
        _refused(read, octets)
    _refused(scte35.read_splice, octets)


def _picture_seeds() -> list[bytes]:
    sps = bytes.fromhex("6764001facd9405005bb016a02020280000003008000001e478c18cb")
    hevc = bytes.fromhex("420101016000000300900000030000030078a003c08010e596566924cae010000003001000000301e080")
    record = bytes.fromhex("0164001fffe1001c") + sps + bytes.fromhex("01000568ebecb22c")
    splice = bytes.fromhex("fc302500000000000000fff01405400000077feffefe87a2c000fe00a4cb80000000000000f4e1b8c3")
    return [
        sps,
        hevc,
        record,
        splice,
        b"\0\0\0\x05\x65abcd" + b"\0\0\0\x01" + sps,
        bytes.fromhex("1190"),
        b"\x81\x04\x0c\0",
    ]


def _ts(octets: bytes) -> None:
    demuxer = TsDemuxer()
    for piece in halves(octets):
        demuxer.feed(piece)
        assert demuxer.held <= PICTURE_LIMIT + PACKET_LIMIT
    demuxer.flush()


def _ts_seeds() -> list[bytes]:
    from tests.support.tsfilm import make_ts

    return [b"\x80" + make_ts(codec, seconds=0.3, gop=4)[: 188 * 16] for codec in ("h264", "h265")]


def _ps(octets: bytes) -> None:
    demuxer = PsDemuxer()
    for piece in halves(octets):
        demuxer.feed(piece)
        assert demuxer.held <= PICTURE_LIMIT + PACKET_LIMIT
    demuxer.lose()
    demuxer.flush()


def _ps_seeds() -> list[bytes]:
    from tests.support.psfilm import av_film, gb_film

    return [b"\x80" + b"".join(part for _, part in gb_film(0.2, 3, "h264"))[:2500], b"\x80" + av_film()[:2500]]


def _jt1078(octets: bytes) -> None:
    reader, frames = JtReader(), JtFrames(lossy=True)
    for piece in halves(octets):
        for one in reader.feed(piece):
            frames.take(one)
    if (whole := read_datagram(octets[1:])) is not None:
        frames.take(whole)
    RtpPayload().take(octets[1:])


def _jt1078_seeds() -> list[bytes]:
    from tests.support.jt1078 import Terminal

    return [b"\x80" + b"".join(Terminal(digits=digits, body=200).film(0.3, 4))[:2500] for digits in (12, 20)]


def _srt(octets: bytes) -> None:
    link = Link(LinkTerms(1, 0, 0.1, 0.1), lambda _: None, 0.0)
    for number, piece in enumerate(halves(octets)):
        link.receive(piece, number / 1000)
        read_key_material(piece)
        control = packet.read_control(piece)
        if control is not None:
            packet.read_losses(control.body)
            if (told := read_handshake(control.body)) is not None:
                conclusion.judge(told)


@cache
def _srt_clients() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((GOLDEN / "srt_clients.json").read_text())
    return found


def _srt_seeds() -> list[bytes]:
    return [
        b"\xff" + bytes.fromhex(text)
        for client in _srt_clients().values()
        for text in (client["induction"], client["conclusion"], *client["data"][:2], *client["control"])
    ]


def _rtsp(octets: bytes) -> None:
    speaker = RtspConversation("abc", "n0nce", lambda *_: [], lambda *_: (8000, 8001), basic=True)
    for piece in halves(octets):
        speaker.feed(piece)
        for happening in speaker.happenings():
            if isinstance(happening, Announced):
                speaker.accept()
            elif isinstance(happening, Described):
                speaker.accept_play(b"v=0\r\n", ["streamid=0", "streamid=1"])
        speaker.take_out()


def _rtsp_words(octets: bytes) -> None:
    text = octets.decode("latin-1")
    read_shown(text)
    _refused(lambda _: read_transports(text), octets)
    tracks = read_description(octets)
    reception = PublisherReception(tracks)
    for number in range(len(tracks)):
        reception.open(number, lossy=True)


def _datagrams(octets: bytes) -> None:
    if stun.is_stun(octets):
        stun.read_success(octets)
        if (binding := stun.read_request(octets)) is not None:
            stun.proves(binding, b"key")
    list(rtcp.read(octets))
    list(rtcp.heard(octets))
    for depacketiser in (Depacketiser(), H265Depacketiser()):
        _refused(lambda body, to=depacketiser: to.push(Ordered(rtp.read(body, 3), False)), octets)  # type: ignore[misc]


def _datagram_seeds() -> list[bytes]:
    from tests.support.webrtc_sender import header

    sealed = stun.sealed(stun.REQUEST, bytes(12), ((stun.USERNAME, b"a:b"), (0x8022, b"x" * 12)), b"key")
    packets = [
        header(96, 1, 2, 3, wide=4) + body
        for body in (b"\x65abc", b"\x7c\x85abc", b"\x78\0\x02\x65a", b"\x62\x01\x93abc")
    ]
    reports = rtcp.sender_report(1, 1.7e9, 90_000, 5, 500) + rtcp.nack(1, 2, [5, 6, 9]) + rtcp.picture_loss(1, 2)
    return [sealed, *packets, reports, rtcp.maximum_bitrate(1, 500_000, [2])]


def _offers(octets: bytes) -> None:
    _refused(sdp.read_offer, octets)
    _refused(sdp.read_fragment, octets)


def _recording(reader: Callable[[], MatroskaReader | MovieReader | ChunkReader]) -> Callable[[bytes], None]:
    def take(octets: bytes) -> None:
        one = reader()
        for piece in halves(octets):
            one.feed(piece)

    return take


def _golden(folder: str, *names: str, most: int = 3500) -> Callable[[], list[bytes]]:
    return lambda: [b"\x80" + (GOLDEN / folder / name).read_bytes()[:most] for name in names]


def _file(octets: bytes) -> None:
    scan(lambda at, size: octets[at : at + size], len(octets))


@cache
def _file_seeds() -> list[bytes]:
    from tests.support.frames import BOTH, audio, interleaved, video
    from tests.support.recording import recorded

    (file,) = recorded(BOTH, interleaved(video(10, 1), audio(1)))
    return [file[:4000]]


def _frames(octets: bytes) -> None:
    frames = ClientFrames()
    for piece in halves(octets):
        frames.feed(piece)


def _hpack(octets: bytes) -> None:
    reader = HpackReader(16_384)
    for block in halves(octets):
        reader.read(block)


def _request(octets: bytes) -> None:
    text = octets.decode("utf-8", "replace")
    for read in (parse_path, parse_query, cmcd.split, cmcd.parse):
        _refused(read, octets)
    parse_range(octets, 1000)
    stream_name.read_path(text)
    _refused(lambda _: read_form(text, 3600.0), octets)
    _refused(lambda _: read_stream_id(text), octets)
    with suppress(ValueError):  # what it says of any URL that is none
        read_address(text)


def _response(octets: bytes) -> None:
    reader, watch = ResponseReader(), RtspWatch()
    for piece in halves(octets):
        _refused(reader.feed, piece)
        _refused(watch.feed, piece)


TARGETS: Final[dict[str, Target]] = {
    "rtmp": Target(_rtmp, _rtmp_seeds, 6000),
    "amf0": Target(amf0.decode, lambda: [amf0.encode("connect", 1.0, {"app": "live", "n": [None, True, 2.0]})], 600),
    "flv": Target(_flv, _flv_seeds),
    "flv-tags": Target(_tags, lambda: TAGS, 300),
    "pictures": Target(_pictures, _picture_seeds, 400),
    "mpeg-ts": Target(_ts, _ts_seeds),
    "mpeg-ps": Target(_ps, _ps_seeds),
    "jt1078": Target(_jt1078, _jt1078_seeds),
    "srt": Target(_srt, _srt_seeds, 1500),
    "rtsp": Target(_rtsp, lambda: [b"\x80" + TALK, b"\x20" + TALK.replace(b"ANNOUNCE", b"DESCRIBE")]),
    "rtsp-words": Target(
        _rtsp_words, lambda: [SDP, b'Digest username="a", realm="b", uri="/"', b"RTP/AVP;unicast;client_port=5-6"], 1500
    ),
    "webrtc-datagrams": Target(_datagrams, _datagram_seeds, 1500),
    "webrtc-offers": Target(_offers, lambda: [(GOLDEN / "offers/chromium.sdp").read_bytes()], 12_000),
    "matroska": Target(_recording(MatroskaReader), _golden("recordings", "chromium.mkv", "firefox-vp8.webm")),
    "movie": Target(_recording(MovieReader), _golden("recordings", "chromium.mp4")),
    "chunks": Target(_recording(ChunkReader), _golden("recordings", "chromium.chunks", "firefox.chunks")),
    "page-texts": Target(lambda octets: read_text(octets.decode("utf-8", "replace")), lambda: [TEXT], 500),
    "recorded-file": Target(_file, _file_seeds),
    "websocket": Target(_frames, lambda: [b"\x80\x89\x84abcd1234\x82\xfe\0\x80abcd" + bytes(128)], 1000),
    "hpack": Target(_hpack, lambda: [b"\0\x82\x87\x84\x41\x01h\x40\x01a\x03xyz\xbe"], 800),
    "request": Target(
        _request,
        lambda: [
            b"/live/cam/~" + b"A" * 22 + b"/r1/a.ts",
            b"_HLS_msn=7&CMCD=br%3D1%2Csu",
            b"bytes=0-99",
            b"#!::r=live/cam,m=publish,u=a",
            b"rtmps://u:p@[::1]:19/app/x?y",
            b"archive-1700000000-3600.m3u8",
        ],
        600,
    ),
    "playlist": Target(lambda octets: read_playlist(octets, "http://h/x.m3u8"), lambda: [PLAYLIST, VARIANTS], 2000),
    "response": Target(
        _response,
        lambda: [
            b"\x80HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
            b"\x80RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nabc$\0\0\x0c" + bytes(12),
        ],
        1500,
    ),
}
