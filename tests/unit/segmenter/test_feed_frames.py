"""Frames of the feed: whatever octets come, they are frames within their bounds or a ProtocolError."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.base.errors import ProtocolError
from hlsd.segmenter.feed.frames import HEAD, MAX_WORDS, FeedFrame, FeedReader, FrameKind, encode
from hlsd.segmenter.feed.mirror import Mirror
from hlsd.segmenter.feed.teller import Teller
from hlsd.segmenter.live import Live
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.runs import segmenter

FRAMES = st.lists(
    st.tuples(
        st.sampled_from([FrameKind.INIT, FrameKind.PART, FrameKind.WHOLE]),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=300),
        st.booleans(),
    ),
    max_size=8,
)


def _line() -> bytes:
    """What a newcomer hears of a run of three seconds."""
    output = segmenter(time=1, list=3, low_latency=True)
    output.tracks(BOTH)
    for unit in interleaved(video(25, 4, 1.0), audio(4)):
        output.unit(unit)
    teller = Teller(output.live, output.window)
    return b"".join(teller.news())


@settings(max_examples=40, deadline=None)
@given(FRAMES, st.lists(st.integers(1, 64), min_size=1, max_size=9))
def test_frames_come_out_as_they_went_in_however_they_are_cut(
    frames: list[tuple[FrameKind, int, bytes, bool]], sizes: list[int]
) -> None:
    line = b"".join(octets for frame in frames for octets in encode(FeedFrame(*frame)))
    reader, found, at, turn = FeedReader(), list[FeedFrame](), 0, 0
    while at < len(line):
        size = sizes[turn % len(sizes)]
        found += reader.feed(line[at : at + size])
        at, turn = at + size, turn + 1
    assert [(one.kind, one.version, bytes(one.body), one.last) for one in found] == frames


@pytest.mark.parametrize(
    "head",
    [
        HEAD.pack(0, 0, 1, 0),
        HEAD.pack(11, 0, 1, 0),
        HEAD.pack(FrameKind.PING, 2, 1, 0),
        HEAD.pack(FrameKind.HELLO, 0, 1, MAX_WORDS + 1),
        HEAD.pack(FrameKind.CLOSE, 0, 1, 4096),
        HEAD.pack(FrameKind.PART, 0, 1, 2048),
    ],
)
def test_a_head_beyond_its_bounds_ends_the_line(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        FeedReader(max_media=1024).feed(head)


@pytest.mark.thorough
def test_what_is_damaged_is_an_error_or_another_window_and_never_anything_else() -> None:
    """400 lines with some octets changed, cut off or repeated: a mirror shows a version or raises ProtocolError."""
    line, draw, refused = _line(), random.Random(3), 0
    heads = [at for at in range(len(line)) if line[at : at + 2] in (b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x02\x01")]
    for _ in range(400):
        damaged = bytearray(line)
        for _ in range(draw.randrange(1, 4)):
            at = draw.choice((draw.randrange(len(line)), min(len(line) - 1, draw.choice(heads) + draw.randrange(60))))
            damaged[at] = draw.randrange(256)
        if draw.random() < 0.2:
            del damaged[draw.randrange(len(damaged)) :]
        came: list[Live] = []
        mirror = Mirror(1 << 26, came.append)
        try:
            mirror.take(FeedReader(1 << 24).feed(bytes(damaged)))
        except ProtocolError:
            refused += 1
        for live in came:
            live.playlist()
            live.multivariant("x/")
            live.lateness(10**9, 3)
    assert refused > 20


def test_a_stream_larger_than_it_may_be_ends_the_line() -> None:
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        Mirror(1000, lambda _: None).take(FeedReader().feed(_line()))


def test_a_version_that_is_not_whole_is_not_shown() -> None:
    came: list[Live] = []
    mirror, line = Mirror(1 << 26, came.append), _line()
    reader = FeedReader()
    mirror.take(reader.feed(line[:-1]))
    assert not came
    mirror.take(reader.feed(line[-1:]))
    assert [live.playlist() is not None for live in came] == [True]


def test_a_line_that_begins_anew_with_the_same_run_goes_on_with_those_who_wait() -> None:
    came: list[Live] = []
    mirror, line, told = Mirror(1 << 26, came.append), _line(), list[int]()
    mirror.take(FeedReader().feed(line))
    came[0].watch(lambda: told.append(came[0].version))
    mirror.reset()
    mirror.take(FeedReader().feed(line))
    assert len(came) == len(told) == 1
    assert not came[0].gone
