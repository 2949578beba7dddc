"""The past of any stream, looked at while it grows: hls-rules MP02 to MP07, MP13 to MP19, MP21, DD10 to DD12, EN01.

Recordings are drawn with their seams, gaps and overlaps, and cut and numbered as they would be; what is asked for is
listed after each step, and compared with what it was before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from hlsd.media.unit import TICKS
from hlsd.record.fragments import Fragment, Fragments, Mark
from hlsd.record.segments import Segments, spans
from hlsd.timeshift.forms import Form
from hlsd.timeshift.listing import Edge, choose, render
from hlsd.timeshift.tape import TapeEnd, TapeFacts, TapeFile, TapeTail, first_number, pack, placed, segments_of, unpack
from tests.support import gears
from tests.support.frames import WALL
from tests.support.playlistcheck import Snapshot, check_playlist, parse_media
from tests.support.seeds import rng as seeded

FRAGMENT = TICKS * 104 // 100
FACTS = TapeFacts("avc1.42c00d", 320, 180, 25.0)
LIVE = {"MP10"}
"""What is a rule for live playlists only."""


@dataclass
class Recorded:
    """One file: where it begins, its fragments, and how many of them have been written."""

    ident: str
    started: float
    fragments: list[Fragment] = field(default_factory=list)


def drawn(plan: list[tuple[float, list[tuple[float, list[float]]]]]) -> list[Recorded]:
    """The files, in the order in which they begin; one may begin before the one before it has ended."""
    wall = WALL
    files: list[Recorded] = []
    for number, (gap, parts) in enumerate(plan):
        wall = max(wall + gap, files[-1].started + 0.1 if files else wall)
        one = Recorded(f"{number:016x}", wall)
        at, offset = 0, 1000
        for seam, (pause, lengths) in enumerate(parts):
            wall += pause if seam else 0.0
            for gop, length in enumerate(lengths):
                left = max(FRAGMENT // 20, round(length * TICKS))
                first = True
                while left > 0:
                    size = min(left, FRAGMENT)
                    mark = Mark(wall, bool(seam)) if first and not gop else None
                    one.fragments.append(Fragment(offset, 1000, at, at + size, first, mark))
                    at, offset, left, first = at + size, offset + 1000, left - size, False
                    wall += size / TICKS
        files.append(one)
    return files


def skips(full: str, delta: str) -> int:
    """How many segments a delta update leaves out: all others are as in the whole playlist (DD10, DD12)."""
    found = re.search(r"#EXT-X-SKIP:SKIPPED-SEGMENTS=(\d+)\n", delta)
    if found is None:
        assert delta == full
        return 0
    count = int(found[1])
    heads = [text[: text.index("#EXT-X-DISCONTINUITY-SEQUENCE")] for text in (full, delta)]
    assert heads[0] == heads[1]
    whole, part = parse_media(full), parse_media(delta)
    said = [(one.uri, one.duration_text, one.date, one.gap, one.init, one.discontinuity) for one in whole.segments]
    left = [(one.uri, one.duration_text, one.date, one.gap, one.init, one.discontinuity) for one in part.segments]
    assert said[count:] == left
    assert sum(one.duration for one in whole.segments[count:]) >= 60.0 - 1e-3
    return count


class Growing:
    """A tape as it grows, and what was listed of it."""

    def __init__(self) -> None:
        self.closed: list[TapeFile] = []
        self.end: TapeEnd | None = None
        self.history: dict[Form, list[Snapshot]] = {}
        self.numbers: dict[str, int] = {}
        self.ended: set[Form] = set()
        self.files: list[TapeFile] = []
        self.now = 0.0

    def step(self, one: Recorded, count: int, forms: list[Form], now: float, *, whole: bool, growing: bool) -> None:
        while self.files and self.now < now - 5.0:  # what is delayed goes on while nothing comes
            self.now += 5.0
            for form in forms:
                if form.kind == "delayed":
                    self.look(form, self.files, Edge(round(self.now * 1000), growing))
        self.now = now
        segments = segments_of(spans(one.fragments[:count], whole=whole), one.started)
        end = self.end or TapeEnd(first_number(one.started), 0, 0)
        file = placed(one.ident, end, FACTS, segments)
        files = [*self.closed, file] if file is not None else list(self.closed)
        self.files = files
        for form in forms:
            self.look(form, files, Edge(round(now * 1000), growing))
        if whole and file is not None:
            kept = TapeFile(one.ident, first=file.first, tags=file.tags, skip=file.skip, facts=FACTS, began_ms=0)
            kept.restore(unpack(pack(file.segments)))  # as it is from the table
            assert [kept.text(n) for n in range(len(kept.segments))] == [
                file.text(n) for n in range(len(file.segments))
            ]
            self.closed.append(kept)
            self.end = TapeEnd(file.next, file.next_tags, file.ended_ms)

    def look(self, form: Form, files: list[TapeFile], edge: Edge) -> None:
        chosen = choose(form, files, edge, 3600.0)
        if chosen is None:
            assert form not in self.history, "what was listed is not nothing again"
            return
        text = render(files, chosen)
        before = self.history.setdefault(form, [])
        if before and before[-1].text == text:
            return
        assert form not in self.ended, "nothing follows the end"
        found = [one for one in check_playlist(text, before[-1:]) if one.rule not in LIVE]
        assert found == [], (form, text, before[-1:])
        if chosen.ended and form.kind in {"archive", "since"}:
            self.ended.add(form)
        playlist = parse_media(text)
        for segment in playlist.segments:
            assert self.numbers.setdefault(segment.uri, segment.msn) == segment.msn, "one number for ever, in all forms"
        if before:
            assert playlist.first >= parse_media(before[-1].text).first
            skips(text, render(files, chosen, skip=True))
        before.append(Snapshot(0.0, text))


@pytest.mark.parametrize("number", range(gears.TAPES.drawn()))
def test_whatever_is_recorded_its_past_is_lawful_while_it_grows(number: int) -> None:
    rng = seeded(f"timeshift {number}")
    plan = [
        (
            rng.choice([0.0, rng.uniform(-20.0, 400.0)]),
            [
                (rng.choice([0.0, rng.uniform(0.0, 900.0)]), [rng.uniform(0.4, 14.0) for _ in range(rng.randint(1, 8))])
                for _ in range(rng.randint(1, 3))
            ],
        )
        for _ in range(rng.randint(1, 4))
    ]
    files = drawn(plan)
    last = files[-1].started + files[-1].fragments[-1].end / TICKS
    since = int(rng.uniform(WALL - 10, last))
    length = rng.randint(1, 1200)
    forms = [
        Form("window", span=60),
        Form("window", span=1200),
        Form("delayed", rng.randint(0, 500)),
        Form("since", since),
        Form("archive", since, length),
    ]
    tape, step = Growing(), rng.randint(5, 25)
    now = 0.0
    for one in files:
        count = len(one.fragments)
        for written in [*range(step, count, step), count]:
            now = max(now, one.started + one.fragments[written - 1].end / TICKS + 1.0)
            tape.step(one, written, forms, now, whole=False, growing=True)
        tape.step(one, count, forms, now, whole=True, growing=True)
    every = [number for file in tape.closed for number in range(file.first, file.next)]
    assert every == list(range(every[0], every[-1] + 1)), "no number is left out, none is given twice"


def test_what_was_deleted_between_two_files_keeps_its_numbers() -> None:
    files, end = [], TapeEnd(100, 0, 0)
    for number in range(3):
        one = drawn([(0.0, [(0.0, [2.0] * 12), (5.0, [2.0] * 6)])])[0]
        one = Recorded(f"{number:016x}", WALL + 60 * number, one.fragments)
        moved = [
            fragment if fragment.mark is None else Fragment(
                fragment.offset, fragment.size, fragment.start, fragment.end, fragment.key,
                Mark(fragment.mark.wall + 60 * number, fragment.mark.seam),
            )
            for fragment in one.fragments
        ]  # fmt: skip
        file = placed(one.ident, end, FACTS, segments_of(spans(moved, whole=True), one.started))
        assert file is not None
        files.append(file)
        end = TapeEnd(file.next, file.next_tags, file.ended_ms)
    form, edge = Form("window", span=3600), Edge(round((WALL + 200) * 1000), growing=True)
    whole = choose(form, files, edge, 3600.0)
    assert whole is not None
    before = parse_media(render(files, whole))
    left = choose(form, [files[0], files[2]], edge, 3600.0)
    assert left == whole
    text = render([files[0], files[2]], left)
    assert [one for one in check_playlist(text) if one.rule not in LIVE | {"MP15", "MP16"}] == []
    after = parse_media(text)
    gaps = [one for one in after.segments if one.gap]
    assert [one.msn for one in gaps] == list(range(files[1].first, files[1].next))
    for was, now in zip(before.segments, after.segments, strict=True):
        assert was.discontinuity_number == now.discontinuity_number or now.gap
        assert was.uri == now.uri or now.gap


@pytest.mark.parametrize("gop", [0.5, 2.0, 4.166, 8.333, 10.0, 13.0, 40.0])
def test_no_segment_is_longer_than_the_target_duration(gop: float) -> None:
    (one,) = drawn([(0.0, [(0.0, [gop] * max(3, int(60 / gop)))])])
    for segment in segments_of(spans(one.fragments, whole=True), one.started):
        assert int(segment.ticks / TICKS + 0.5) <= 10


def test_a_damaged_file_harms_nothing_but_its_own_dates() -> None:
    (one,) = drawn([(0.0, [(0.0, [2.0] * 12)])])
    wild = [
        fragment if number < 5 else Fragment(
            fragment.offset + (number - 5 << 40), 1 << 40, fragment.start + (1 << 39), fragment.end + (1 << 39),
            fragment.key,
            Mark(1e15, seam=number % 2 == 0),
        )
        for number, fragment in enumerate(one.fragments)
    ]  # fmt: skip
    segments = segments_of(spans(wild, whole=True), one.started)
    file = placed("0" * 16, TapeEnd(1, 0, 0), FACTS, unpack(pack(segments)))
    assert file is not None
    chosen = choose(Form("window", span=3600), [file], Edge(round(WALL * 1000), growing=True), 3600.0)
    assert chosen is not None
    assert "#EXTINF" in render([file], chosen)


def test_a_delta_update_is_small_and_true() -> None:
    (one,) = drawn([(0.0, [(0.0, [2.0] * 1800)])])
    segments = segments_of(spans(one.fragments, whole=True), one.started)
    end = TapeEnd(100, 0, 0)
    early, late = (placed(one.ident, end, FACTS, some) for some in (segments[:-1], segments))
    assert early is not None
    assert late is not None
    form, edge = Form("since", int(WALL)), Edge(round((WALL + 3590) * 1000), growing=True)
    was, now = (choose(form, [file], edge, 21_600.0) for file in (early, late))
    assert was is not None
    assert now is not None
    full, delta = render([late], now), render([late], now, skip=True)
    assert len(full) > 50_000
    assert len(delta) < 2_500
    skipped = int(re.findall(r"SKIPPED-SEGMENTS=(\d+)", delta)[0])
    assert skipped == len(segments) - 10 - 1, "what ends more than six target durations before the end"
    assert skips(full, delta) == skipped
    assert render([early], was, skip=True).count("#EXTINF") == 11


@pytest.mark.parametrize("seed", range(10))
def test_a_file_that_is_taken_up_bit_by_bit_is_as_it_is_taken_up_at_once(seed: int) -> None:
    """Whoever watches has it grow each second: all of it was dated anew each time."""
    random = seeded(f"tail{seed}")
    plan = [(0.0, [(random.choice([0.0, 7.3, -3.0]), [random.choice([0.5, 2.0, 9.0])] * random.randint(1, 40))] * 3)]
    (one,) = drawn(plan)
    ended = round((one.started + random.choice([-5.0, 0.0, 20.0, 1e6])) * 1000)
    end = TapeEnd(100, 3, ended)
    fragments = Fragments()
    segments, tail = Segments(fragments), TapeTail(one.ident, one.started, end, FACTS)
    for fragment in one.fragments:
        fragments.append(fragment)
        segments.grow(whole=False)
        tail.grow(segments)
    assert tail.count == len(segments)
    at_once = placed(one.ident, end, FACTS, segments_of(segments, one.started))
    assert (at_once is None) == (tail.grown is None)
    if at_once is not None and tail.grown is not None:
        assert tail.grown.segments == at_once.segments
        assert tail.grown.tagged == at_once.tagged
        assert (tail.grown.first, tail.grown.skip, tail.grown.longest) == (at_once.first, at_once.skip, at_once.longest)
