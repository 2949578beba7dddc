"""Streams that are joined: one clock, one count, one playlist over all; who comes later, leaves, or does not align."""

from __future__ import annotations

import pytest

from hlsd.media.key_vault import KeyVault
from hlsd.media.segment_keys import encrypt
from hlsd.media.unit import TICKS, AccessUnit
from hlsd.ports import Lateness
from hlsd.segmenter.groups.group import Group, Groups
from hlsd.segmenter.groups.member import GroupMember
from hlsd.segmenter.groups.rule import GroupRule, RuleBook
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.runs import settings, text

RULE = GroupRule(match="live/*", members=["720", "480"])


class World:
    """A group whose members are fed in order of arrival."""

    def __init__(self, **changes: object) -> None:
        self.settings = settings(**{"time": 2, "list": 30, **changes})
        self.now = 0.0
        self.groups = Groups([RULE], lambda: self.now)
        self.made = 0

    def begin(self, name: str, first_msn: int = 0, vault: KeyVault | None = None) -> GroupMember:
        group, member = self.groups.of("live", f"cam_{name}") or (None, "")
        assert group is not None
        self.made += 1
        ident, first = f"r{self.made}", first_msn or 100 * self.made
        keys = vault.live("live", f"cam_{name}", ident) if vault is not None else None
        run = Run(ident, self.settings, first_msn=first, terms=group.terms, keys=keys)
        made = group.member(member, Segmenter(run))
        made.tracks(BOTH)
        return made

    @property
    def group(self) -> Group:
        found = self.groups.of("live", "cam_720")
        assert found is not None
        return found[0]


def film(seconds: float, *, gop: float = 2.0, came: float = 0.0, since: float = 0.0) -> list[AccessUnit]:
    """What an encoder sends from `since` seconds of its picture on, on a clock of its own that begins with it.

    `came`: how much later than the other's it all comes, seconds.
    """
    units = interleaved(video(30, seconds, gop=gop), audio(seconds))
    first = round(since * TICKS)
    return [
        unit._replace(dts=unit.dts - first, pts=unit.pts - first, arrived=unit.arrived + came)
        for unit in units
        if unit.dts >= first
    ]


def feed(*streams: tuple[GroupMember, list[AccessUnit]]) -> None:
    """Hands all over in order of arrival."""
    order = [(unit.arrived, number, unit) for number, (_, units) in enumerate(streams) for unit in units]
    for _, number, unit in sorted(order, key=lambda row: row[:2]):
        streams[number][0].unit(unit)


def cuts(member: GroupMember) -> dict[int, tuple[int, float, bool, list[int]]]:
    window = member.inner.window
    return {
        one.msn: (one.duration, one.date, one.discontinuity, [part.duration for part in one.parts])
        for one in (*window.removed, *window.segments)
    }


@pytest.mark.parametrize("late", [-0.12, 0.0, 0.03])
@pytest.mark.parametrize("gop", [1.0, 2.0, 3.0])
def test_members_of_one_encoder_share_numbers_dates_and_ends_of_parts(gop: float, late: float) -> None:
    world = World()
    large, small = world.begin("720"), world.begin("480")
    feed((large, film(20, gop=gop)), (small, film(20, gop=gop, came=late)))
    assert large.aligned
    assert small.aligned
    ours, theirs = cuts(large), cuts(small)
    assert len(ours) >= 5
    assert ours == theirs
    assert large.run.target_duration == small.run.target_duration
    assert large.run.promises == small.run.promises is not None


@pytest.mark.parametrize("since", [6.0, 7.3])
def test_who_comes_later_begins_where_another_one_begins_a_segment(since: float) -> None:
    world = World()
    large = world.begin("720")
    whole = film(30)
    feed((large, [unit for unit in whole if unit.dts < since * TICKS]))
    small = world.begin("480")
    feed((large, [unit for unit in whole if unit.dts >= since * TICKS]), (small, film(30, since=since, came=0.02)))
    assert small.aligned
    ours, theirs = cuts(large), cuts(small)
    assert len(theirs) >= 8
    assert {msn: ours[msn] for msn in theirs} == theirs
    tick = {start.msn: start.key.pts for start in large.starts}
    assert all(tick[start.msn] == start.key.pts for start in small.starts if start.msn in tick)


def test_one_multivariant_playlist_names_all_and_each_reports_of_the_others() -> None:
    world = World()
    small, large = world.begin("480"), world.begin("720")
    feed((large, film(9)), (small, film(9)))
    joined = world.groups.find("live", "cam")
    assert joined is not None
    assert joined.whole
    whole = (joined.multivariant("~x/") or b"").decode()
    assert [line for line in whole.splitlines() if line[0] != "#"] == ["~x/720/index.m3u8", "~x/480/index.m3u8"]
    assert whole.count("AVERAGE-BANDWIDTH=") == whole.count("RESOLUTION=320x180") == whole.count(",FRAME-RATE=") == 2
    first, second = joined.rendition("720"), joined.rendition("480")
    assert first is not None
    assert second is not None
    newest = small.inner.window.open or small.inner.window.segments[-1]
    report = f'#EXT-X-RENDITION-REPORT:URI="../480/index.m3u8",LAST-MSN={newest.msn},LAST-PART={len(newest.parts) - 1}'
    assert report in text(first)
    assert "../720/index.m3u8" in text(second)
    assert "RENDITION-REPORT" not in text(large.inner.live)
    uri = small.inner.window.segments[-1].uri.split("/")
    media = second.media(uri[0], uri[1])
    assert media is not None
    assert media.rendition == "480"
    assert first.media(uri[0], uri[1]) is None
    assert joined.rendition("main") is first
    assert joined.rendition("360") is None


def test_who_leaves_is_offered_no_more_and_who_comes_back_is_again() -> None:
    world = World()
    large, small = world.begin("720"), world.begin("480")
    whole = film(40)

    def between(begin: float, end: float) -> list[AccessUnit]:
        return [unit for unit in whole if begin * TICKS <= unit.dts < end * TICKS]

    feed((large, between(0, 10)), (small, between(0, 10)))
    joined = world.groups.find("live", "cam")
    assert joined is not None
    view = joined.rendition("720")
    assert view is not None
    version, woken = joined.version, list[bool]()
    view.watch(lambda: woken.append(True))
    large.pause()
    assert woken
    assert joined.version > version
    assert view.gone
    assert joined.rendition("720") is None
    assert b"720" not in (joined.multivariant("") or b"")
    ended = [joined.ended]
    feed((small, between(10, 16)))
    large.jump()  # the same run: it was away for less than the grace
    large.tracks(BOTH)
    feed((large, between(16, 30)), (small, between(16, 30)))
    assert joined.rendition("720") is view
    assert b"720" in (joined.multivariant("") or b"")
    ours = {one.date: one.duration for one in large.inner.window.segments[-4:]}
    theirs = {one.date: one.duration for one in small.inner.window.segments}
    assert all(theirs[date] == duration for date, duration in ours.items())
    large.end()
    assert joined.rendition("720") is None
    small.end()
    assert [*ended, joined.ended] == [False, True]
    last = joined.rendition("480")
    assert last is not None
    assert "#EXT-X-ENDLIST" in text(last)


def test_a_new_run_of_a_member_has_the_numbers_of_the_others() -> None:
    world = World()
    large, small = world.begin("720"), world.begin("480")
    whole = film(30)
    feed((large, [u for u in whole if u.dts < 9 * TICKS]), (small, [u for u in whole if u.dts < 9 * TICKS]))
    small.end()
    feed((large, [u for u in whole if 9 * TICKS <= u.dts < 15 * TICKS]))
    again = world.begin("480")
    feed((large, [u for u in whole if u.dts >= 15 * TICKS]), (again, film(30, since=15.0)))
    ours, theirs = cuts(large), cuts(again)
    assert len(theirs) >= 4
    assert {msn: ours[msn] for msn in theirs} == theirs


def test_an_encoder_with_keys_of_its_own_is_put_there_by_the_clock() -> None:
    world = World()
    large, small = world.begin("720"), world.begin("480")
    feed((large, film(30)), (small, film(30, came=0.9)))
    assert large.aligned
    assert not small.aligned
    assert small.placed
    start, theirs = large.starts[-1], small.starts[-1]
    assert abs((theirs.key.pts - start.key.pts) / TICKS - (theirs.key.arrived - start.key.arrived)) < 0.1
    joined = world.groups.find("live", "cam")
    assert joined is not None
    assert (joined.multivariant("") or b"").count(b"STREAM-INF") == 2
    window = small.inner.window
    assert abs(window.segments[-1].date - theirs.key.arrived) < 4.1


def test_who_cannot_keep_what_was_promised_is_not_offered() -> None:
    world = World()
    large = world.begin("720")
    feed((large, film(10)))
    small = world.begin("480")
    more = film(40, gop=5.0)
    feed(
        (large, [u for u in film(40) if u.dts >= 10 * TICKS]),
        (small, [u._replace(dts=u.dts - 10 * TICKS, pts=u.pts - 10 * TICKS) for u in more if u.dts >= 10 * TICKS]),
    )
    joined = world.groups.find("live", "cam")
    assert joined is not None
    offered = joined.multivariant("") or b""
    for name, member in (("720", large), ("480", small)):
        longest = max(one.duration for one in member.inner.window.segments) / TICKS
        fits = member.run.target_duration == world.group.terms.target_duration
        assert (name.encode() in offered) == fits
        assert round(longest) <= member.run.target_duration


def test_a_stream_without_a_rule_is_not_touched() -> None:
    groups = World().groups
    assert groups.of("live", "cam") is None
    assert groups.of("live", "_720") is None
    assert groups.of("live", "cam_1080") is None
    assert groups.of("other", "cam_720") is None
    assert groups.find("live", "cam") is None
    with pytest.raises(ValueError, match="main"):
        GroupRule(match="live/*", members=["main"])
    with pytest.raises(ValueError, match="twice"):
        GroupRule(match="live/*", members=["720", "720"])


def test_a_group_waits_for_those_who_are_about_to_come_and_no_longer() -> None:
    world = World()
    large = world.begin("720")
    feed((large, film(5)))
    joined = world.groups.find("live", "cam")
    assert joined is not None
    whole = [joined.whole]
    world.now = 5.0
    assert [*whole, joined.whole] == [False, True]
    newest = large.inner.window.segments[-1].msn
    assert joined.lateness(newest, None) is Lateness.READY
    assert joined.about[0] == "r1"


def test_what_is_held_for_a_place_is_bounded() -> None:
    world = World()
    large, small = world.begin("720"), world.begin("480")
    large.away = False  # it has said its tracks, and sends nothing
    large._tracks = None
    feed((small, [unit for unit in film(40) if not unit.key or unit.dts > 0]))
    assert small.placed
    assert small.held < 10_000_000


@pytest.mark.parametrize("named", ["live/cam", "live/cam_480", "live/cam_*"])
def test_all_members_are_encrypted_by_keys_of_their_own_if_one_name_of_the_group_is(named: str) -> None:
    vault = KeyVault(b"x" * 32, [named], 3, RuleBook([RULE]).joined)
    assert not vault.seals("live", "other_720")
    assert not vault.seals("other", "cam_720")
    assert vault.recording("live", "cam_720", "r") is not None
    world = World(container="fmp4")
    large, small = (world.begin(name, vault=vault) for name in ("720", "480"))
    feed((large, film(20)), (small, film(20)))
    joined = world.groups.find("live", "cam")
    assert joined is not None
    assert (joined.multivariant("~x/") or b"").count(b"STREAM-INF") == 2
    every: list[dict[str, bytes]] = []
    for name, member in (("720", large), ("480", small)):
        view = joined.rendition(name)
        assert view is not None
        listed = text(view)
        assert "EXT-X-PART" not in listed
        keys, key, opened = dict[str, bytes](), b"", 0
        for line in listed.splitlines():
            if line.startswith("#EXT-X-KEY"):
                uri = line.partition('URI="')[2].rstrip('"')
                found = view.media(*uri.split("/"))
                assert found is not None
                assert found.secret
                key = keys[uri] = bytes(found.body)
            elif line and line[0] != "#":
                sent = view.media(*line.split("/"))
                segment = next(one for one in member.inner.window.segments if one.uri == line)
                assert sent is not None
                assert segment.body is not None
                assert bytes(sent.body) == encrypt(segment.body, key, segment.msn) != bytes(segment.body)
                opened += 1
        assert opened >= 5
        every.append(keys)
    assert len(every[0]) == len(every[1]) >= 2
    assert not set(every[0].values()) & set(every[1].values())
