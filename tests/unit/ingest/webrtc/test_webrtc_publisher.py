"""What a session hands on of its sound, to the desk that converts it; and how long it may hold a name without media."""

from __future__ import annotations

import pytest
import structlog

from hlsd.base.clock import SystemClock
from hlsd.base.faults import Faults
from hlsd.ingest.webrtc.publisher import PublisherHost, WebrtcPublisher
from hlsd.media.sounds import SoundFormat
from hlsd.webrtc.sdp import read_offer
from tests.support.collected import Collected
from tests.support.rtmp_room import NotedPublication
from tests.support.webrtc_sender import ADDRESS, SILENCE, Line, offer


class Desk:
    """Notes what it is asked for (`hlsd.ports.SoundDesk`)."""

    record = b""

    def __init__(self) -> None:
        self.channels: list[int] = []
        self.taken: list[SoundFormat] = []
        self.closed = 0

    def converter(self, sink: object, teller: object, channels: int = 0) -> Desk:
        self.channels.append(channels)
        return self

    def warm(self) -> None:
        pass

    def take(self, form: SoundFormat, timestamp: int, octets: bytes, now: float) -> None:
        self.taken.append(form)

    def aside(self) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(("name", "codec", "channels"), [("opus/48000/2", "opus", 2), ("PCMU/8000", "pcm_mulaw", 1)])
def test_how_many_channels_viewers_have_is_known_before_the_first_packet(name: str, codec: str, channels: int) -> None:
    """Opus may go from one channel to two in its stream, and the AAC of it cannot."""
    desk, over = Desk(), list[object]()
    host = PublisherHost(SystemClock(), structlog.get_logger(), Faults(), desk, 15.0)
    publisher = WebrtcPublisher(host, "id", "live", "192.0.2.1", read_offer(offer(audio=name)), over.append)
    publisher.begin(Collected())
    for number in range(3):
        publisher.sound(name.partition("/")[0].upper(), SILENCE, 20 * number)
    assert desk.channels == [channels]
    assert [form.codec for form in desk.taken] == [codec] * 3
    publisher.end("closed")
    assert (desk.closed, over) == (1, [publisher])


def session(line: Line) -> tuple[WebrtcPublisher, NotedPublication]:
    """One that is let in, of whom nothing has been handed on."""
    host = PublisherHost(SystemClock(), structlog.get_logger(), Faults(), None, 15.0)
    publisher = WebrtcPublisher(host, "id", "live", "192.0.2.1", read_offer(offer()), lambda _: None)
    publication = NotedPublication("show")
    publisher.begin(publication)
    publisher.meet(line.peer)
    return publisher, publication


def test_a_session_without_media_does_not_keep_its_name() -> None:
    """Binding requests and reports keep the session alive, and no more."""
    line = Line()
    publisher, publication = session(line)
    for _ in range(14):
        line.run(1.0)
        line.peer.validated(ADDRESS, line.now, nominated=True)
        publisher.second(line.now)
    assert publication.ended == []
    line.run(1.0)
    line.peer.validated(ADDRESS, line.now, nominated=True)
    publisher.second(line.now)
    assert publication.ended == ["idle"]
    assert (line.peer.ended, line.peer.why) == ("idle", "no media for 15 s")


def test_media_of_which_nothing_can_be_made_has_longer_and_not_for_ever() -> None:
    """Pictures without a key picture are waited with for twenty seconds: their sender may refresh them bit by bit."""
    line = Line()
    publisher, publication = session(line)
    line.film(3)
    publisher.second(line.peer.connected + 29.0)
    assert publication.ended == []
    publisher.second(line.peer.connected + 30.0)
    assert publication.ended == ["idle"]


def test_who_is_not_connected_has_the_time_of_a_handshake() -> None:
    line = Line(connect=False)
    publisher, publication = session(line)
    publisher.second(line.now + 100.0)
    assert publication.ended == []


def test_reports_are_not_what_a_publication_has_received() -> None:
    line = Line()
    line.send([line.sender.report(line.sender.ssrc, 1e9, 0)])
    line.run(0.1)
    assert line.peer.heard > line.now - 0.1
    assert line.sink.size == 0
