"""What has gone wrong for publishers by WebRTC elsewhere, each under its number in docs/browser.md, goes right here."""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from structlog.testing import capture_logs

from hlsd.ingest.normaliser import Normaliser
from hlsd.ingest.webrtc import key_requests
from hlsd.media import nal
from hlsd.media.unit import Kind
from hlsd.webrtc.addresses import reachable, sorted_out
from hlsd.webrtc.dtls import DtlsHandshake, DtlsIdentity
from hlsd.webrtc.sdp import read_offer
from hlsd.webrtc.sdp_answer import AnswerTerms, answer
from tests.support.collected import Collected
from tests.support.eventually import eventually
from tests.support.frames import PPS, SPS
from tests.support.services import running
from tests.support.webrtc_sender import (
    SILENCE,
    Line,
    Sender,
    access_unit,
    aggregate,
    h265_payloads,
    limits_of,
    offer,
    payloads,
    slice_of,
)
from tests.support.whip_call import WhipCall, ask, post, sessions

GOLDEN = Path(__file__).parents[3] / "golden"
MUTE = {"transcode.audio": False, "publish.grace": 0}


@functools.lru_cache(maxsize=4)
def encoded(
    width: int, height: int, profile: str = "baseline", pictures: int = 3, codec: str = "libx264"
) -> list[list[bytes]]:
    """Pictures of an encoder as NAL units, the first a key picture with its parameter sets."""
    encoder = cast("av.VideoCodecContext", av.CodecContext.create(codec, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.thread_count = Fraction(1, 30), Fraction(30), 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": profile}
    quiet = {"x265-params": "log-level=none:pools=none"}
    encoder.options |= {"x264-params": "8x8dct=1"} if codec == "libx264" else quiet
    packets = []
    for number in range(pictures):
        frame = av.VideoFrame.from_ndarray(np.full((height, width), 20 * number, np.uint8), format="gray")
        frame = frame.reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [[unit for unit in nal.split_start_codes(bytes(packet)) if unit] for packet in packets]


@pytest.mark.thorough
async def test_pitfall_01_a_session_s_address_is_an_absolute_path_and_always_there(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        for path in ("/live/cam/whip", "/live/cam2/whip?token=x"):
            reply = await post(server, offer(), path)
            assert re.fullmatch(rf"{path.partition('?')[0]}/[0-9a-f]{{32}}", reply.headers["location"])
            assert (await ask(server, "DELETE", reply.headers["location"])).status_code == 200


def test_pitfall_02_a_tab_that_is_closed_without_a_word_frees_its_name() -> None:
    line = Line(limits=limits_of(silence=15.0))
    line.film(5)
    line.run(14.5)
    before = line.peer.ended
    line.run(1.0)
    assert (before, line.peer.ended) == ("", "idle")
    line = Line()
    line.send(line.sender.shake.close())  # the browser itself closes what its page has left
    line.run(0.1)
    assert line.peer.ended == "closed"


@pytest.mark.thorough
async def test_pitfall_03_whoever_takes_a_stale_name_passes_the_gate(tmp_path: Path) -> None:
    keys = {"auth.publish": True, "auth.keys": {"cam": "k3y"}, "publish.stale_after": 0}
    async with running(tmp_path, MUTE | keys) as server:
        assert (await post(server, offer(), "/live/k3y/whip")).status_code == 201
        assert (await post(server, offer())).status_code == 401
        (publisher,) = sessions(server)
        assert (await post(server, offer(), "/live/k3y/whip")).status_code == 201
        assert sessions(server) != [publisher]


@pytest.mark.thorough
async def test_pitfall_04_the_id_that_ends_a_session_is_secret_and_cookies_are_not_asked_for(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with running(tmp_path, MUTE) as server:
            replies = [await post(server, offer(), f"/live/c{number}/whip") for number in range(3)]
            idents = [reply.headers["location"].rpartition("/")[2] for reply in replies]
            assert len(set(idents)) == 3
            assert all(re.fullmatch("[0-9a-f]{32}", ident) for ident in idents)
            for reply in replies:
                assert reply.headers["access-control-allow-origin"] == "*"
                assert "access-control-allow-credentials" not in reply.headers
                assert (await ask(server, "DELETE", reply.headers["location"])).status_code == 200
    assert lines
    assert not [line for line in lines for ident in idents if ident in repr(line)]


@pytest.mark.thorough
async def test_pitfall_05_behind_nat_the_answer_has_the_address_that_was_set_and_the_log_says_what_never_came(
    tmp_path: Path,
) -> None:
    with capture_logs() as lines:
        settings = {"webrtc.hosts": ["203.0.113.5", "2001:db8::5"], "webrtc.handshake_timeout": 1}
        async with running(tmp_path, MUTE | settings) as server:
            reply = await post(server, offer(candidates=("a=candidate:1 1 udp 1 192.0.2.9 9 typ host",)))
            assert " 203.0.113.5 " in reply.text
            assert " 2001:db8::5 " in reply.text
            assert " 127.0.0.1 " not in reply.text.partition("m=")[2]
            await eventually(lambda: not sessions(server))
    (told,) = [line for line in lines if line["event"] == "publisher ended"]
    assert "no binding request came" in told["reason"]
    assert told["offered"][0].startswith("203.0.113.5 ")
    assert told["candidates"] == 2


def test_pitfall_05_without_a_setting_it_is_where_the_publisher_has_reached_us() -> None:
    assert reachable([], "0.0.0.0", "192.0.2.1", "198.51.100.7")[0] == "192.0.2.1"
    assert reachable([], "192.0.2.2", "192.0.2.1", "198.51.100.7") == ["192.0.2.2"]
    assert "127.0.0.1" not in reachable([], "0.0.0.0", "127.0.0.1", "198.51.100.7")  # by a proxy here
    assert reachable([], "0.0.0.0", "127.0.0.1", "127.0.0.1")[0] == "127.0.0.1"
    assert all(":" not in one for one in reachable([], "0.0.0.0", "::1", "::1"))


def test_pitfall_06_one_bad_address_among_good_ones_costs_itself() -> None:
    good, bad = sorted_out(["203.0.113.5", "my.host.example", "[2001:db8::1]", "1.2.3", ""])
    assert good == ["203.0.113.5", "2001:db8::1"]
    assert bad == ["my.host.example", "1.2.3", ""]


def test_pitfall_07_an_offer_needs_no_candidates() -> None:
    assert b"a=candidate" not in Sender().offer()
    line = Line()
    line.film(5)
    line.run(0.1)
    assert len(line.sink.pictures) == 5


@pytest.mark.parametrize("form", ["alone", "pps-and-slice-together", "sets-with-markers", "sets-once"])
def test_pitfall_08_parameter_sets_come_however_they_like(form: str) -> None:
    line, publication = Line(), Collected()
    normaliser = Normaliser(publication, line.now)

    def take(codec: str, picture: object, ms: int) -> bool:
        normaliser.video_units("h264", ms, 0, picture.units, picture.key, line.now, line.now)  # type: ignore[attr-defined]
        return True

    line.sink.picture = take  # type: ignore[method-assign]
    send, sender = line.send, line.sender
    if form == "alone":
        send(sender.cut([SPS, PPS, *payloads(slice_of(0, key=True))], 0))
    elif form == "pps-and-slice-together":
        send(sender.cut([SPS, aggregate(PPS, slice_of(0, key=True, size=500))], 0))
    elif form == "sets-with-markers":
        for cuts in ([SPS], [PPS], [slice_of(0, key=True, size=500)]):
            send(sender.cut(cuts, 0))
    else:
        send(sender.cut([aggregate(SPS, PPS)], 0))
        send(sender.cut([slice_of(0, key=True, size=500)], 3000))
    for number in range(1, 80):
        send(sender.packets(access_unit(number, key=False), 3000 + number * 3000))
        line.run(1 / 30)
    normaliser.tick(line.now + 20)
    assert publication.units[0].key
    assert len(publication.units) == 80


def test_pitfall_09_without_sender_reports_it_begins_at_once() -> None:
    line = Line()
    line.film(3)
    assert len(line.sink.pictures) >= 2
    assert abs(line.sink.pictures[0][1] - line.sink.sounds[0][1]) < 40


def test_pitfall_09_sender_reports_that_come_later_put_picture_and_sound_together() -> None:
    line = Line()
    sender = line.sender
    for number in range(120):
        # The picture of each instant comes 200 ms after its sound; both count from zero.
        line.send([sender.sound(number * 1600)])
        if number >= 6:
            line.send(sender.packets(access_unit(number - 6, key=number == 6, size=300), (number - 6) * 3000))
        if number == 30:
            line.send(
                [sender.report(0x33333333, 5e8 + 1.0, 30 * 1600), sender.report(0x11111111, 5e8 + 1.0, 30 * 3000)]
            )
        line.run(1 / 30)
    line.run(0.2)
    pictures = [ms for _, ms in line.sink.pictures]
    sounds = [ms for _, ms in line.sink.sounds]
    assert 150 < pictures[0] - sounds[0] < 250
    last = len(pictures) - 1
    assert abs(pictures[last] - sounds[last]) <= 4
    assert all(later > at for at, later in pairwise(pictures))


def test_pitfall_10_packets_of_padding_are_received_and_are_no_media() -> None:
    line = Line()
    for number in range(20):
        cuts = payloads(access_unit(number, key=number == 0)[-1])
        cuts = ([SPS, PPS] if number == 0 else []) + cuts
        line.send(line.sender.cut(cuts[:-1], number * 3000, whole=False))
        line.send([line.sender.padding(number * 3000 - 3000)])
        line.send(line.sender.cut(cuts[-1:], number * 3000))
        line.send([line.sender.padding(number * 3000 + 77)])
        line.run(1 / 30)
    line.run(0.1)
    assert line.sink.numbers == list(range(20))
    assert line.peer.picture is not None
    assert line.peer.picture.order.counts.lost == 0


def test_pitfall_11_what_is_sent_again_broken_is_missing_and_its_picture_does_not_come() -> None:
    line = Line(limits=limits_of(patience=0.3))
    resend = line.sender.resend
    line.sender.resend = lambda sequence: resend(sequence)[:-3] + b"bad"  # type: ignore[method-assign]
    line.film(10, key_each=1000)
    line.send(line.sender.packets(access_unit(10), 30_000)[1:])
    line.run(1 / 30)
    line.film(40, first=11, key_each=1000)
    line.run(0.5)
    assert line.peer.counts.bad >= 3
    numbers = line.sink.numbers
    assert numbers[:10] == list(range(10))
    assert 10 not in numbers
    (after,) = [picture for picture, _ in line.sink.pictures if int(picture.units[-1][2:10]) == numbers[10]]
    assert after.key


def test_pitfall_12_a_sender_that_answers_no_request_is_not_pestered() -> None:
    line = Line(limits=limits_of(key_interval=2.0))
    line.sender._asked = lambda *_: []  # type: ignore[method-assign]
    film = line.film
    for at in range(0, 900, 300):
        film(300, first=at, key_each=300, sound=False)  # a key picture each ten seconds
    assert line.sink.numbers == list(range(900))
    # Three in a row after each key picture, then quiet until the next one.
    assert line.peer.asked["interval"] <= 3 * key_requests.TRIES
    assert line.peer.asked["loss"] == 0


def test_pitfall_13_a_new_size_is_a_new_configuration_at_its_key_picture() -> None:
    publication = Collected()
    normaliser = Normaliser(publication, 0.0)
    line = Line()

    def take(codec: str, picture: object, ms: int) -> bool:
        normaliser.video_units("h264", ms, 0, picture.units, picture.key, line.now, line.now)  # type: ignore[attr-defined]
        return True

    line.sink.picture = take  # type: ignore[method-assign]
    for at, units in enumerate([*encoded(96, 64) * 40, *encoded(160, 96) * 2]):
        line.send(line.sender.packets(units, at * 3000))
        line.run(1 / 30)
    line.run(0.2)
    sizes = [(tracks.video.width, tracks.video.height) for tracks in publication.announced if tracks.video is not None]
    assert sizes == [(96, 64), (160, 96)]
    assert publication.units[-6].key


def test_pitfall_14_stereo_is_asked_for() -> None:

    terms = AnswerTerms("ours", "p" * 24, "sha-256 AA", False, [("192.0.2.1", 1)], 8_000_000, 2_500_000)
    (line,) = [line for line in answer(read_offer(offer()), terms, 1).split("\r\n") if line.startswith("a=fmtp:111")]
    for wanted in ("stereo=1", "sprop-stereo=1", "useinbandfec=1", "usedtx=0", "maxaveragebitrate=128000"):
        assert wanted in line


@pytest.mark.thorough
async def test_pitfall_15_a_microphone_that_sends_seldom_gives_sound_without_a_hole(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        call = WhipCall(server)
        await call.open()
        await call.connect()
        got: list[int] = []
        (publisher,) = sessions(server)
        publication = publisher._publication
        hand_on = publication.unit

        def unit(one: object) -> None:
            if one.kind is Kind.AUDIO:  # type: ignore[attr-defined]
                got.append(one.dts)  # type: ignore[attr-defined]
            hand_on(one)

        publisher._publication = _Spy(publication, unit)
        for number in range(90):
            call.send(call.sender.packets(access_unit(number, key=number % 30 == 0, size=400), number * 3000))
            if number % 12 == 0:  # each 400 ms, as DTX has it
                call.send([call.sender.sound(number * 1600, SILENCE)])
        await eventually(lambda: got and got[-1] - got[0] > 2.2 * 90_000, what="sound of all the time")
        assert {later - at for at, later in pairwise(got)} == {1920}
        call.close()


class _Spy:
    """A publication whose units are looked at."""

    def __init__(self, publication: object, unit: object) -> None:
        self._publication = publication
        self.unit = unit

    def __getattr__(self, name: str) -> object:
        return getattr(self._publication, name)


@pytest.mark.thorough
async def test_pitfall_16_what_counts_is_what_is_sent_not_what_the_offer_says_of_it(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE) as server:
        call = WhipCall(server, sound=False)
        await call.open()
        await call.connect()
        for at, units in enumerate(encoded(96, 64, "high") * 40):
            call.send(call.sender.packets(units, at * 3000))
        await eventually(lambda: any("avc1.64" in row.codecs for row in server.node.directory.summaries()))
        call.close()
    hevc = Line(video="H265/90000", fmtp="level-id=93", audio="")
    publication = Collected()
    normaliser = Normaliser(publication, hevc.now)

    def take(codec: str, picture: object, ms: int) -> bool:
        normaliser.video_units("h265", ms, 0, picture.units, picture.key, hevc.now, hevc.now)  # type: ignore[attr-defined]
        return True

    hevc.sink.picture = take  # type: ignore[method-assign]
    for at, units in enumerate(encoded(320, 180, "main", codec="libx265") * 40):
        hevc.send(hevc.sender.cut([cut for unit in units for cut in h265_payloads(unit, 300)], at * 3000))
        hevc.run(1 / 30)
    normaliser.tick(hevc.now + 5)
    (tracks,) = publication.announced
    assert tracks.video is not None
    assert tracks.video.codec_string.startswith("hvc1.1.")
    assert len(publication.units) == 120
    for profile in ("640034", "4d001f", "42001f", "f4001f"):
        chosen = read_offer(offer(fmtp=f"packetization-mode=1;profile-level-id={profile}")).picture
        assert chosen is not None


def test_pitfall_17_chromium_s_client_hello_in_two_datagrams_is_put_together() -> None:
    first, second = (bytes.fromhex(line) for line in (GOLDEN / "chromium_client_hello.txt").read_text().split())
    server = DtlsHandshake(DtlsIdentity(), client=False, expected=(("sha-256", "AA"),))
    assert server.receive(first) == []
    flight = server.receive(second)
    assert len(flight) >= 1
    assert flight[0][13] == 2  # ServerHello


def test_pitfall_18_and_19_are_the_page_s() -> None:
    # Served over http it says why there is no camera; it draws nothing that a tab in the background would stop.
    page = Path(__file__).parents[4] / "hlsd" / "delivery" / "player" / "publish-page.js"
    text = page.read_text()
    assert "isSecureContext" in text
    assert "httpsPort" in text
    assert "captureStream" not in text
    assert "requestAnimationFrame" not in text


@pytest.mark.thorough
async def test_pitfall_20_a_token_that_the_client_loses_after_its_post_is_not_missed(tmp_path: Path) -> None:
    async with running(tmp_path, MUTE | {"auth.publish": True, "auth.keys": {"cam": "k3y"}}) as server:
        reply = await post(server, offer(), "/live/k3y/whip?lost=token")
        assert "?" not in reply.headers["location"]
        fragment = {"content-type": "application/trickle-ice-sdpfrag", "if-match": "*"}
        body = b"a=ice-ufrag:efgh\r\na=ice-pwd:" + b"q" * 24
        assert (
            await ask(server, "PATCH", reply.headers["location"], content=body, headers=fragment)
        ).status_code == 200
        assert (await ask(server, "DELETE", reply.headers["location"])).status_code == 200
