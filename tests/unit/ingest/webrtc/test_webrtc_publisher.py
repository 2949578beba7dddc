"""What a session hands on of its sound: to the desk that converts it, with what viewers will have."""

from __future__ import annotations

import pytest
import structlog

from hlsd.base.clock import SystemClock
from hlsd.base.faults import Faults
from hlsd.ingest.webrtc.publisher import PublisherHost, WebrtcPublisher
from hlsd.ingest.webrtc.sdp import read_offer
from hlsd.media.sounds import SoundFormat
from tests.support.collected import Collected
from tests.support.webrtc_sender import SILENCE, offer


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
    host = PublisherHost(SystemClock(), structlog.get_logger(), Faults(), desk)
    publisher = WebrtcPublisher(host, "id", "live", "192.0.2.1", read_offer(offer(audio=name)), over.append)
    publisher.begin(Collected())
    for number in range(3):
        publisher.sound(name.partition("/")[0].upper(), SILENCE, 20 * number)
    assert desk.channels == [channels]
    assert [form.codec for form in desk.taken] == [codec] * 3
    publisher.end("closed")
    assert (desk.closed, over) == (1, [publisher])
