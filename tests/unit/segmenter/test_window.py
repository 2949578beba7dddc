"""The live window: hls-rules MP04 to MP07, MP12, MP17, MP19, LL16, LL19, R7."""

from __future__ import annotations

from hlsd.media.unit import TICKS
from hlsd.segmenter.window import Segment, Window
from tests.support.runs import begin, fill


def make(*, listed: int = 6, max_bytes: int = 10**9, target: int = 2, first: int = 100) -> Window:
    """A window with its target duration fixed."""
    window = Window("r1", first, ".ts", listed=listed, max_bytes=max_bytes)
    window.target_duration = target
    return window


def test_numbers_rise_by_one_from_the_first() -> None:
    """MP04: EXT-X-MEDIA-SEQUENCE is the first listed number, before and after removals."""
    window = make()
    assert (window.media_sequence, window.last_msn) == (100, 99)
    begin(window)
    assert (window.media_sequence, window.last_msn) == (100, 100)
    window.append(b"x", 180_000, independent=True)
    window.finish()
    fill(window, 9)
    assert [segment.msn for segment in window.segments] == list(range(104, 110))
    assert window.media_sequence == 104


def test_the_list_never_falls_below_three_target_durations() -> None:
    """MP07: with segments of half a second, six of them are not enough for AVPlayer to start 3 TD from the end."""
    window = make(listed=3)
    fill(window, 40, parts=1, part=45_000)
    assert window.duration() >= 6.0
    assert len(window.segments) == 12


def test_removed_segments_and_parts_are_served_for_a_further_window() -> None:
    """MP12, LL19: "its duration + longest playlist that held it", then they are gone."""
    window = make()
    fill(window, 30)
    oldest = window.removed[0]
    removed = sum(segment.duration for segment in window.removed)
    listed = sum(segment.duration for segment in window.segments)
    assert removed - oldest.duration < listed + oldest.duration <= removed + oldest.duration
    name = oldest.uri.rpartition("/")[2]
    assert window.find(name) is oldest
    assert window.find(oldest.parts[0].uri.rpartition("/")[2]) is oldest.parts[0]
    fill(window, 1)
    assert window.find(name) is None
    assert window.find(oldest.parts[0].uri.rpartition("/")[2]) is None


def test_nothing_is_kept_of_what_was_dropped() -> None:
    """Nothing grows with time: names and bytes are those of what is served."""
    window = make()
    fill(window, 500)
    kept = [*window.removed, *window.segments]
    assert window.bytes == sum(segment.size for segment in kept)
    assert len(window._named) == len(kept) * 5
    assert len(kept) < 20


def test_parts_share_the_bytes_of_their_segment() -> None:
    """Memory: parts become views once the segment is whole, the same bytes as before (LL12, LL24)."""
    window = make()
    begin(window)
    bodies = [bytes([n]) * 1000 for n in range(5)]
    for body in bodies:
        window.append(body, 9000, independent=False)
    segment = window.finish()
    assert segment.body == b"".join(bodies)
    assert [bytes(part.body or b"") for part in segment.parts] == bodies
    assert all(isinstance(part.body, memoryview) and part.body.obj is segment.body for part in segment.parts)


def test_removed_discontinuities_are_counted() -> None:
    """MP17: raised by one for each removed tag."""
    window = make()
    for index in range(20):
        begin(window, discontinuity=index % 3 == 1)
        window.append(b"x", 180_000, independent=True)
        window.finish()
    gone = 20 - len(window.segments)
    assert window.discontinuity_sequence == sum(index % 3 == 1 for index in range(gone)) > 0


def test_the_hinted_name_is_the_next_parts_name_whatever_it_opens() -> None:
    """LL16: an early key frame must not make the hint a lie."""
    window = make()
    begin(window)
    window.append(b"x", 9000, independent=True)
    hint = window.hint
    window.finish()
    begin(window)
    assert window.append(b"y", 9000, independent=True).uri == hint


def test_a_discarded_open_segment_gives_its_number_back() -> None:
    """TL05: what nobody was told of never was; but part names are not used twice (MP19)."""
    window = make()
    begin(window)
    first = window.append(b"x" * 10, 9000, independent=True)
    window.discard_open()
    assert (window.last_msn, window.bytes, window.open) == (99, 0, None)
    begin(window)
    assert window.append(b"y", 9000, independent=True).uri != first.uri
    assert window.find(first.uri.rpartition("/")[2]) is None


def test_forgotten_parts_are_not_served_and_the_segment_is() -> None:
    """LL08: parts cut before the part target was known are not listed, so not served either."""
    window = make()
    fill(window, 1)
    segment = window.segments[0]
    names = [part.uri.rpartition("/")[2] for part in segment.parts]
    window.forget_parts(segment)
    assert [window.find(name) for name in names] == [None] * 4
    assert window.find(segment.uri.rpartition("/")[2]) is segment


def test_initialisation_sections_go_with_the_last_segment_that_names_them() -> None:
    """MP18: an EXT-X-MAP that is listed, or named by a removed segment still served, is there."""
    window = make()
    first = window.add_init("i0.mp4", b"first")
    for index in range(12):
        begin(window, init=first)
        window.append(b"x", 180_000, independent=True)
        window.finish()
        if index == 5:
            window.add_init("i1.mp4", b"second")  # announced, not used yet
    assert set(window.inits) == {"i0.mp4", "i1.mp4"}
    for _ in range(30):
        begin(window, init="r1/i1.mp4")
        window.append(b"x", 180_000, independent=True)
        window.finish()
        named = {segment.init for segment in (*window.removed, *window.segments)}
        assert named <= {f"r1/{name}" for name in window.inits}
    assert set(window.inits) == {"i1.mp4"}
    assert window.bytes == 6 + sum(segment.size for segment in (*window.removed, *window.segments))


def test_memory_pressure_takes_removed_segments_first_and_one_at_a_time() -> None:
    """R7, MP12: a little too much costs the oldest removed segment, not all of them at once."""
    window = make(max_bytes=9000)
    fill(window, 30, size=250)  # 1000 bytes a segment
    assert len(window.segments) == 6
    assert len(window.removed) == 3
    assert window.bytes == 9000
    assert not window.over_budget()


def test_memory_pressure_then_shortens_the_list_down_to_three_target_durations() -> None:
    """R7, MP07: the floor holds; beyond it the publisher is at fault."""
    window = make(max_bytes=5000)
    fill(window, 30, size=250)
    assert len(window.segments) == 4
    assert len(window.removed) == 1  # MP12: at least one segment more
    window = make(max_bytes=2500)
    fill(window, 30, size=250)
    assert len(window.segments) == 3
    assert window.removed == []
    assert window.over_budget()


def test_a_segment_of_gaps_has_nothing_to_fetch() -> None:
    """MP23: it is an EXT-X-GAP, never a body of no bytes."""
    window = make()
    begin(window)
    window.append(b"", 90_000, independent=False)
    window.append(b"", 90_000, independent=False)
    segment = window.finish()
    assert isinstance(segment, Segment)
    assert segment.gap
    assert segment.duration == 2 * TICKS
    assert window.find(segment.uri.rpartition("/")[2]) is None
    fill(window, 40)  # and it leaves the window like any other
    assert segment not in (*window.segments, *window.removed)
