"""A preload hint is a promise: what was hinted is what is listed next, whatever becomes of the stream's container."""

from __future__ import annotations

import re

import pytest

from hlsd.media.unit import TICKS, AccessUnit, Tracks
from hlsd.segmenter.live import Live
from tests.support.flvmedia import make_flv
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.runs import feed, segmenter, text
from tests.support.units import units_of

SECONDS = 8


def hevc() -> tuple[Tracks, list[AccessUnit]]:
    """H.265 that goes on where `SECONDS` of H.264 ended."""
    tracks, units = units_of(make_flv("h265", seconds=5.0, gop=30, size=(160, 96)))
    later = [u._replace(dts=u.dts + SECONDS * TICKS, pts=u.pts + SECONDS * TICKS) for u in units]
    return tracks, later


class Waiter:
    """Asks for every part that is ever hinted, and is held until the next version, as a player is."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._asked: str | None = None
        self.got: dict[str, str] = {}
        """Media types by name."""
        self.listed: set[str] = set()
        live.watch(self.look)

    def look(self) -> None:
        """Is told of a new version: takes what it waited for, and asks for what is hinted now."""
        if not self._live.target_duration:
            return
        now = text(self._live)
        self.listed |= set(re.findall(r'#EXT-X-PART:[^\n]*URI="([^"]+)"', now))
        (hint,) = re.findall(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', now)
        if self._asked is not None:
            media = self._live.media(*self._asked.split("/"))
            if media is not None:
                self.got[self._asked] = media.content_type
            else:
                assert self._live.expects(*self._asked.split("/")), f"{self._asked} is 404"
                assert hint == self._asked, f"{self._asked} was hinted, now {hint}"
                return
        self._asked = hint
        assert self._live.expects(*hint.split("/"))


@pytest.mark.thorough
@pytest.mark.parametrize("leaves", [False, True])
def test_the_part_that_was_hinted_comes_when_the_container_changes(*, leaves: bool) -> None:
    """LL16, DD14: H.264 turns H.265 in one run, or with a publisher who comes back in its grace, while it is held.

    §4.4.5.3: the URI "MUST match the URI that will be subsequently added to the Playlist", though the part "MAY have a
    different […] Media Initialization Section". It is fMP4 under the name that was given; the next is called as usual.
    """
    target = segmenter()
    waiter = Waiter(target.live)
    feed(target, interleaved(video(30, SECONDS), audio(SECONDS)), BOTH)
    if leaves:
        target.pause()
    tracks, units = hevc()
    feed(target, units, tracks)
    assert set(waiter.got) <= waiter.listed, "a part that was hinted was listed"
    assert len(waiter.got) > 20
    names = [uri.rpartition("/")[2] for uri in waiter.got]
    types = list(waiter.got.values())
    assert [int(name[1:].partition(".")[0]) for name in names] == list(range(_first(names), _first(names) + len(names)))
    turn = types.index("video/mp4")
    assert set(types[:turn]) == {"video/mp2t"}
    assert set(types[turn:]) == {"video/mp4"}
    assert {name.partition(".")[2] for name in names[: turn + 1]} == {"ts"}
    assert {name.partition(".")[2] for name in names[turn + 1 :]} == {"m4s"}


def _first(names: list[str]) -> int:
    return int(names[0][1:].partition(".")[0])


def test_a_segment_and_its_parts_are_one_container() -> None:
    """HT06, MP18: the segment that begins with the part of the old name is fMP4 by name and type."""
    target = segmenter(list=20)
    feed(target, interleaved(video(30, SECONDS), audio(SECONDS)), BOTH)
    tracks, units = hevc()
    feed(target, units, tracks)
    for segment in target.window.segments:
        kind = "video/mp4" if segment.uri.endswith(".m4s") else "video/mp2t"
        for uri in (segment.uri, *(part.uri for part in segment.parts)):
            media = target.live.media(*uri.split("/"))
            assert media is not None
            assert media.content_type == kind
        assert b"".join(bytes(part.body or b"") for part in segment.parts) == segment.body


def test_a_hint_that_nobody_was_told_binds_nobody() -> None:
    """Before the first playlist a stream may turn into another one."""
    target = segmenter()
    feed(target, interleaved(video(30, 1.0), audio(1.0)), BOTH)
    assert not target.live.target_duration
    tracks, units = hevc()
    feed(target, units, tracks)
    parts = [part.uri for segment in target.window.segments for part in segment.parts]
    assert parts
    assert all(uri.endswith(".m4s") for uri in parts)
