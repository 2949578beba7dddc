"""What delivery asks of a stream: hls-rules §5 DD01 to DD18, P07, LL16, LL25, EN01."""

from __future__ import annotations

import gzip
import re

import pytest

from hlsd.media.unit import Tracks
from hlsd.ports import Lateness
from hlsd.segmenter.live import Live
from hlsd.segmenter.playlist import low_latency_for
from hlsd.segmenter.window import Window
from tests.support.frames import AUDIO, BOTH
from tests.support.runs import begin, fill, text


def make(*, listed: int = 6, part: float = 0.5) -> tuple[Window, Live]:
    """A low-latency run of TD 2 and parts of 0.5 s, nothing in it yet."""
    window = Window("r1", 100, ".ts", listed=listed, max_bytes=10**9)
    live = Live(window)
    live.describe(BOTH, 6, "video/mp2t", lambda: 30.0)
    live.promise(low_latency_for(part, 1 / 30, 2))
    window.target_duration = 2
    return window, live


def under_way(parts: int = 2) -> tuple[Window, Live]:
    """Nine segments finished, the tenth (109) open with so many parts (0: not begun)."""
    window, live = make()
    fill(window, 9)
    if parts:
        begin(window)
        for index in range(parts):
            window.append(b"x", 45_000, independent=index == 0)
    live.changed()
    return window, live


def naive(playlist: str, msn: int, part: int | None) -> Lateness:
    """§5 DD01-DD08 from nothing but the text of the playlist."""
    if "#EXT-X-ENDLIST" in playlist:
        return Lateness.READY
    first = int(re.findall(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", playlist)[0])
    target = float(re.findall(r"PART-TARGET=([\d.]+)", playlist)[0])
    advance = round(3 / target) if target < 1 else 3
    parts: dict[int, int] = {}
    finished = first - 1
    for line in playlist.splitlines():
        if line.startswith("#EXT-X-PART:"):
            parts[finished + 1] = parts.get(finished + 1, 0) + 1
        elif line and not line.startswith("#"):
            finished += 1
    newest = max([finished, *parts])
    if msn > newest + 2:
        return Lateness.TOO_FAR
    if msn <= finished and part is not None and part >= parts.get(msn, 10**9 if msn < finished else 0) and part > 0:
        msn, part = msn + 1, 0
    wanted = part or 0
    if msn < newest or msn <= finished:
        return Lateness.READY
    there = parts.get(msn, 0)
    if wanted < there:
        return Lateness.READY
    return Lateness.TOO_FAR if wanted > there - 1 + advance else Lateness.WAIT


@pytest.mark.parametrize("parts", [0, 1, 2, 3])
def test_lateness_is_what_the_text_of_the_playlist_says(parts: int) -> None:
    """DD01-DD08: every question around the live edge, against a second reading of the rules."""
    _, live = under_way(parts)
    now = text(live)
    for msn in range(95, 116):
        for part in (None, *range(16), 10**6):
            assert live.lateness(msn, part) is naive(now, msn, part), (msn, part)


def test_a_part_beyond_a_finished_segment_is_the_first_of_the_next() -> None:
    """DD03: also when the next is finished too and nothing is open yet."""
    _, live = under_way(0)
    assert live.lateness(107, 99) is Lateness.READY
    assert live.lateness(108, 99) is Lateness.WAIT
    assert live.lateness(109, 0) is Lateness.WAIT
    assert live.lateness(109, None) is Lateness.WAIT


def test_what_is_past_is_ready_and_what_is_far_is_refused() -> None:
    """DD04, DD07, DD08."""
    _, live = under_way(2)
    assert live.lateness(1, 5) is Lateness.READY
    assert live.lateness(111, None) is Lateness.WAIT
    assert live.lateness(112, None) is Lateness.TOO_FAR
    assert live.lateness(109, 7) is Lateness.WAIT
    assert live.lateness(109, 8) is Lateness.TOO_FAR


def test_after_the_end_everything_is_ready() -> None:
    """EN01: "directives ignored"."""
    window, live = under_way()
    window.ended = True
    assert live.lateness(10**9, 10**9) is Lateness.READY


def test_a_version_is_rendered_once_and_its_etag_is_its_own() -> None:
    """DD18, HT16: equal until something changed; gzip of the same bytes; delta and full never share a tag."""
    window, live = under_way()
    one = live.playlist()
    assert one is live.playlist()
    assert one is not None
    assert gzip.decompress(one.gzip) == one.body
    delta = live.playlist(skip=True)
    assert delta is not None
    assert delta.etag != one.etag
    window.append(b"x", 45_000, independent=False)
    live.changed()
    after = live.playlist()
    assert after is not None
    assert after.etag != one.etag


def test_there_is_no_playlist_before_the_target_duration_is_fixed() -> None:
    """MP03: nothing is shown that would have to be taken back."""
    window = Window("r1", 100, ".ts", listed=6, max_bytes=10**9)
    live = Live(window)
    live.describe(BOTH, 6, "video/mp2t", lambda: 30.0)
    assert live.playlist() is None
    assert live.multivariant("x") is None


def test_every_listed_uri_is_served_and_nothing_else() -> None:
    """P07, LL25, MP11: in the very instant it is listed; the hint is not there yet."""
    window, live = under_way(3)
    now = text(live)
    listed = [line for line in now.splitlines() if line and not line.startswith("#")]
    listed += re.findall(r'#EXT-X-PART:[^\n]*URI="([^"]+)"', now)
    for uri in listed:
        run, name = uri.split("/")
        media = live.media(run, name)
        assert media is not None
        assert len(media.body) > 0
        assert media.content_type == "video/mp2t"
    hint = window.hint.split("/")
    assert live.media(*hint) is None
    assert live.expects(*hint)
    assert not live.expects("r2", hint[1])
    assert live.media("r2", listed[0].split("/")[1]) is None
    assert live.media("r1", "s109.ts") is None  # still open


def test_a_gap_is_listed_and_not_served() -> None:
    """MP23: "a gap URI may be 404"."""
    window, live = under_way(1)
    part = window.append(b"", 45_000, independent=False)
    live.changed()
    assert f'URI="{part.uri}",GAP=YES' in text(live)
    assert live.media(*part.uri.split("/")) is None
    assert not live.expects(*part.uri.split("/"))


def test_the_multivariant_stays_as_it_was_first_answered() -> None:
    """MV14, MV08: rates measured later do not change it; new tracks do."""
    window, live = under_way()
    first = live.multivariant("v/index.m3u8")
    fill_more(window)
    assert live.multivariant("v/index.m3u8") == first
    live.describe(BOTH, 6, "video/mp2t", lambda: 0.0)  # a reconnect with the same tracks
    assert live.multivariant("v/index.m3u8") == first
    live.describe(Tracks(None, AUDIO), 6, "video/mp2t", lambda: 0.0)
    assert live.multivariant("v/index.m3u8") != first


def fill_more(window: Window) -> None:
    """One fat segment more."""
    window.append(b"x" * 10**6, 45_000, independent=False)
    window.finish()


def test_bandwidth_has_head_room_over_the_peak() -> None:
    """MV08: "BANDWIDTH = 1.2 × highest peak"; 400 bytes in 2 s."""
    _, live = under_way()
    answer = live.multivariant("v")
    assert answer is not None
    assert b"BANDWIDTH=1920,AVERAGE-BANDWIDTH=1600," in answer


def test_a_stream_that_has_just_begun_gets_more_head_room() -> None:
    """MV08 holds for all that follows, MV14 for ever: one segment says little of a film's rate."""
    window, live = make()
    fill(window, 1)
    live.changed()
    answer = live.multivariant("v")
    assert answer is not None
    assert b"BANDWIDTH=3200,AVERAGE-BANDWIDTH=2000," in answer


def test_the_reload_and_the_hinted_part_are_ready_with_the_same_version() -> None:
    """DD01, DD14, DD16: whoever holds both is told once, and then both are there; who wants more waits on."""
    window, live = under_way(2)
    hint = window.hint.split("/")
    seen: list[tuple[Lateness, bool, Lateness]] = []
    live.watch(lambda: seen.append((live.lateness(109, 2), live.media(*hint) is not None, live.lateness(109, 3))))
    assert live.lateness(109, 2) is Lateness.WAIT
    assert live.expects(*hint)
    window.append(b"x", 45_000, independent=False)
    live.changed()
    assert seen == [(Lateness.READY, True, Lateness.WAIT)]


def test_a_hinted_part_that_opens_the_next_segment_is_the_hinted_part() -> None:
    """LL16: an early key frame answers the held request all the same."""
    window, live = under_way(2)
    hint = window.hint.split("/")
    window.finish()
    live.changed()
    assert live.expects(*hint)
    assert live.media(*hint) is None
    begin(window)
    window.append(b"x", 45_000, independent=True)
    live.changed()
    assert not live.expects(*hint)
    assert live.media(*hint) is not None


def test_a_hinted_part_that_will_not_come_is_not_expected() -> None:
    """DD14: "404 if it will not come"; EN01: the hint is withdrawn at the end."""
    window, live = under_way(2)
    hint = window.hint.split("/")
    window.ended = True
    live.changed()
    assert not live.expects(*hint)
    assert live.media(*hint) is None


def test_who_watches_is_told_of_each_version_and_of_the_removal() -> None:
    """R17: nothing is held for a stream that is gone, and nobody is told who no longer watches."""
    _, live = under_way()
    told: list[tuple[int, bool]] = []

    def changed() -> None:
        told.append((live.version, live.gone))

    watched = [live.watched]
    live.watch(changed)
    watched.append(live.watched)
    before = live.version
    live.changed()
    live.remove()
    assert told == [(before + 1, False), (before + 1, True)]
    live.unwatch(changed)
    live.unwatch(changed)
    assert watched == [False, True]
    assert not live.watched
    live.changed()
    assert len(told) == 2


def test_the_ended_run_of_the_name_is_still_served() -> None:
    """EN04: viewers of the ended run read it to its end."""
    window, old = under_way()
    name = window.segments[0].uri.split("/")[1]
    new = Live(Window("r2", 200, ".ts", listed=6, max_bytes=10**9))
    new.follow(old)
    assert new.media("r1", name) is not None
    new.remove()
    assert new.media("r1", name) is None
