"""A playlist's whole life, looked at after every step: hls-rules MP03 to MP07, MP17, MP19, P06, LL16, DD11."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.media.unit import Tracks
from hlsd.segmenter.live import Live
from hlsd.segmenter.playlist import low_latency_for
from hlsd.segmenter.window import Window
from tests.support.frames import VIDEO
from tests.support.playlistcheck import Snapshot, check_playlist
from tests.support.runs import begin, text

_STEP = st.one_of(
    st.tuples(st.just("part"), st.integers(20_000, 45_090), st.booleans(), st.integers(0, 50)),
    st.tuples(st.just("finish")),
    st.tuples(st.just("discontinuity"), st.booleans()),
)


def merge(full: str, delta: str) -> str:
    """What a client makes of the playlist it has and a delta update (§6.3.7, DD11)."""
    skip = re.search(r"#EXT-X-SKIP:SKIPPED-SEGMENTS=(\d+)\n", delta)
    if skip is None:
        return delta
    first = int(re.findall(r"MEDIA-SEQUENCE:(\d+)", delta)[0])
    old_first = int(re.findall(r"MEDIA-SEQUENCE:(\d+)", full)[0])
    blocks, block = [], []
    body = full[full.index("#EXT-X-DISCONTINUITY-SEQUENCE") :].split("\n", 1)[1]
    for line in body.splitlines():
        if line.startswith("#EXT-X-MAP"):
            continue
        block.append(line)
        if not line.startswith("#"):
            blocks.append(block)
            block = []
    kept = blocks[first - old_first : first - old_first + int(skip[1])]
    assert len(kept) == int(skip[1]), "the delta skips only what the client has"
    lines = [line for one in kept for line in one if not line.startswith("#EXT-X-PART:")]
    return delta.replace(skip[0], "".join(line + "\n" for line in lines))


def without_map(playlist: str) -> str:
    """EXT-X-MAP is carried over by the client, not repeated (DD12)."""
    return re.sub(r"#EXT-X-MAP[^\n]*\n", "", playlist)


@pytest.mark.thorough
@settings(max_examples=12, deadline=None)
@given(
    steps=st.lists(_STEP, min_size=100, max_size=200), listed=st.integers(3, 30), budget=st.sampled_from([10**9, 1500])
)
def test_no_history_breaks_a_promise(  # noqa: PLR0912 - one branch a step
    steps: list[tuple[object, ...]], listed: int, budget: int
) -> None:
    """MP04-MP07, MP17, MP19 between any two versions; full(t0) + delta(t1) = full(t1) (DD11); the hint comes (LL16)."""
    window = Window("r1", 100, ".m4s", listed=listed, max_bytes=budget)
    live = Live(window)
    live.describe(Tracks(VIDEO), 7, "video/mp4", lambda: 30.0)
    live.promise(low_latency_for(0.5, 1 / 30, 2))
    window.target_duration = 2
    init = window.add_init("i0.mp4", b"0")
    discontinuity = False
    inits = 1
    history: list[str] = []
    for step in [*steps, ("finish",)]:
        hint = window.hint
        match step:
            case ("part", int(duration), bool(independent), int(size)):
                if window.open is not None and window.open.duration + duration > 2.49 * 90_000:
                    window.finish()
                if window.open is None:
                    begin(window, discontinuity=discontinuity, init=init)
                    discontinuity = False
                assert window.append(b"x" * size, duration, independent=independent).uri == hint
            case ("finish",):
                if window.open is not None:
                    window.finish()
            case ("discontinuity", bool(another)):
                if window.open is not None:
                    window.finish()
                discontinuity = bool(window.segments)
                if another and discontinuity:
                    init = window.add_init(f"i{inits}.mp4", bytes([inits % 256]))
                    inits += 1
        live.changed()
        now = text(live)
        # The list may be shorter than six where the operator or the memory says so.
        found = check_playlist(now, [Snapshot(0, one) for one in history[-1:]])
        assert [one for one in found if one.rule not in {"MP08", "MP01"}] == []
        if history:
            assert without_map(merge(history[-1], text(live, skip=True))) == stripped(now, text(live, skip=True))
        for uri in re.findall(r'^#EXT-X-MAP:URI="([^"]+)"', now, re.MULTILINE):
            assert live.media(*uri.split("/")) is not None
        for line in now.splitlines():
            if line and not line.startswith("#"):
                gap = re.search(rf"#EXT-X-GAP\n#EXTINF:[^\n]*\n{re.escape(line)}", now)
                assert (live.media(*line.split("/")) is None) == bool(gap)
        history.append(now)
    named = [*window.removed, *window.segments]
    assert window.bytes == sum(one.size for one in named) + sum(map(len, window.inits.values()))


def stripped(now: str, delta: str) -> str:
    """The full playlist without the parts of what the delta skipped, and without EXT-X-MAP."""
    skip = re.search(r"SKIPPED-SEGMENTS=(\d+)", delta)
    lines, seen = [], 0
    for line in without_map(now).splitlines():
        if skip and seen < int(skip[1]) and line.startswith("#EXT-X-PART:"):
            continue
        seen += bool(line) and not line.startswith("#")
        lines.append(line)
    return "\n".join(lines) + "\n"
