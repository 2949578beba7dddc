"""One stream's life: LIVE, GRACE, ENDED; hls-rules TL01, EN03."""

from __future__ import annotations

import pytest

from hlsd.media.unit import TICKS, AccessUnit, Tracks
from hlsd.ports import PublishRequest
from hlsd.streams.claim import Claim
from hlsd.streams.stream import Stream, StreamState
from tests.support.frames import AUDIO, BOTH, VIDEO, audio, interleaved, video


class Recorder:
    """An output that writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def tracks(self, tracks: Tracks) -> None:
        self.calls.append(tracks)

    def unit(self, unit: AccessUnit) -> None:
        self.calls.append(unit)

    def jump(self) -> None:
        self.calls.append("jump")

    def pause(self) -> None:
        self.calls.append("pause")

    def end(self) -> None:
        self.calls.append("end")


def request() -> PublishRequest:
    """A publisher at the door."""
    return PublishRequest("live", "a", "rtmp", "127.0.0.1", 1, drop=lambda _: None)


def make() -> tuple[Stream, Recorder, list[str]]:
    """A stream with one output, and where its holds report that they have left."""
    stream, output = Stream("live", "a", 0.0), Recorder()
    stream.attach("hls", output)
    return stream, output, []


def publish(stream: Stream, left: list[str], now: float = 1.0) -> Claim:
    """A publisher comes in."""
    return stream.publish(request(), now, lambda _, reason: left.append(reason))


def test_outputs_hear_everything_in_order() -> None:
    """`Output`: "Calls come in order"."""
    stream, output, left = make()
    hold = publish(stream, left)
    units = interleaved(video(30, 0.2), audio(0.2))
    hold.tracks(BOTH)
    for unit in units:
        hold.unit(unit)
    hold.jump()
    stream.release(2.0)
    stream.finish(3.0)
    assert output.calls == [BOTH, *units, "jump", "pause", "end"]


def test_a_late_output_is_told_the_tracks_first() -> None:
    """`Output.tracks`: "also called first thing on attaching, if they are known"."""
    stream, _, left = make()
    publish(stream, left).tracks(BOTH)
    late = Recorder()
    stream.attach("record", late)
    assert late.calls == [BOTH]


def test_a_revoked_publication_does_nothing() -> None:
    """R3: "never interleaved": late packets of a replaced publisher reach nobody and change no figure."""
    stream, output, left = make()
    old = publish(stream, left)
    old.tracks(BOTH)
    stream.release(2.0)
    new = publish(stream, left, 3.0)
    before = list(output.calls)
    old.tracks(Tracks(VIDEO))
    old.unit(video(30, 0.1)[0])
    old.jump()
    old.received(1000)
    old.repaired("jump")
    old.end("closed")
    assert output.calls == before
    assert left == []
    assert stream.tracks == BOTH
    assert stream.stats.received_bytes == 0
    assert not stream.stats.repairs
    assert stream.claim is new
    assert stream.state is StreamState.LIVE


def test_the_next_publication_begins_later_and_behind_a_jump() -> None:
    """TL01, TL02: output DTS never falls over a reconnect."""
    stream, output, left = make()
    first = publish(stream, left)
    assert first.origin == 0
    first.tracks(BOTH)
    for unit in video(30, 2.0):
        first.unit(unit)
    stream.release(2.0)
    second = publish(stream, left, 3.0)
    assert second.origin > 2.0 * TICKS - 3100
    assert output.calls[-2:] == ["pause", "jump"]
    stream.release(4.0)
    assert publish(stream, left, 5.0).origin > second.origin, "also if it sent nothing"


def test_release_and_finish_are_said_once() -> None:
    """Pause and end reach an output once each however often the hub calls."""
    stream, output, left = make()
    publish(stream, left)
    stream.release(2.0)
    stream.release(2.5)
    stream.finish(3.0)
    assert output.calls == ["pause", "end"]
    assert (stream.state, stream.state_since) == (StreamState.ENDED, 3.0)


def test_finish_while_live_pauses_first() -> None:
    """EN02: the open segment is finished before ENDLIST."""
    stream, output, left = make()
    publish(stream, left)
    stream.finish(3.0)
    assert output.calls == ["pause", "end"]
    assert stream.claim is None


def test_figures_count_what_came() -> None:
    """Frames, bytes and repairs, for the front page and metrics."""
    stream, _, left = make()
    hold = publish(stream, left)
    hold.tracks(Tracks(VIDEO, AUDIO))
    for unit in interleaved(video(30, 1.0), audio(1.0)):
        hold.unit(unit)
    hold.received(1234)
    hold.repaired("wrap")
    assert (stream.stats.video_frames, stream.stats.audio_frames) == (30, len(audio(1.0)))
    assert stream.stats.received_bytes == 1234
    assert stream.stats.repairs == {"wrap": 1}
    assert stream.path == "/live/a"


def test_the_bit_rate_is_smoothed_over_a_few_seconds() -> None:
    """One IDR second does not double the figure on the front page."""
    stream, _, left = make()
    hold = publish(stream, left)
    now = 10.0
    stream.measure(now)
    for _ in range(20):
        now += 1
        hold.received(125_000)
        stream.measure(now)
    assert stream.stats.bitrate == pytest.approx(1_000_000)
    hold.received(250_000)
    stream.measure(now + 1)
    assert 1_000_000 < stream.stats.bitrate < 1_500_000
    stream.measure(now + 1)
    assert stream.stats.bitrate < 1_500_000, "twice in the same instant divides by nothing"
