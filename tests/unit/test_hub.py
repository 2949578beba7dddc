"""Streams by name: admission, takeover, grace, the end and the run after it; EN03, EN04, TL01, MP04, R1-R3, R5, R17."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
import structlog

from hlsd.base.stream_name import RESERVED_APPS
from hlsd.delivery.flv.output import FlvOutput
from hlsd.delivery.flv.settings import FlvSettings
from hlsd.ingest.settings import PublishSettings
from hlsd.media.unit import TICKS
from hlsd.ports import Denial, Grant, OutputFactory, Publication, PublishRequest, Refuse, RefuseCode
from hlsd.segmenter.journal import SequenceJournal
from hlsd.segmenter.listing import AUTO_BYTES
from hlsd.segmenter.live import Live
from hlsd.segmenter.outputs import HlsOutputs
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.sessions.gate import OpenGate
from hlsd.stats import Stats
from hlsd.streams.hub import Hub
from hlsd.streams.stream import Stream, StreamState
from tests.support.clock import FakeClock
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.playlistcheck import parse_media
from tests.support.runs import segmenter, settings, text


class HubScene:
    """A hub with its journal, a clock by hand and a list of who was turned away."""

    def __init__(
        self,
        takeover: Literal["stale", "always", "never"] = "stale",
        *,
        max_streams: int = 100,
        max_memory: int = 10**9,
        grace: float = 10.0,
        update_interval: float = 0.0,
        over: Callable[[str, str], None] = lambda _app, _name: None,
    ) -> None:
        self.clock = FakeClock()
        self.stats = Stats()
        self.outputs: list[OutputFactory] = [
            HlsOutputs(settings(), self.clock, SequenceJournal(None), self.stats),
        ]
        self.dropped: list[tuple[int, str]] = []
        self.told: list[str] = []
        self.hub = Hub(
            PublishSettings(takeover=takeover, stale_after=5.0, grace=grace, update_interval=update_interval),
            self.clock,
            lambda: self.outputs,
            max_streams=max_streams,
            max_memory=max_memory,
            stats=self.stats,
            over=over,
        )
        self.ports = 0

    async def publish(
        self,
        name: str = "a",
        app: str = "live",
        held: Callable[[], int] = lambda: 0,
        away: Callable[[], bool] = lambda: False,
    ) -> Publication | Refuse:
        """Another publisher at the door; `dropped` tells its number and why it was turned away."""
        self.ports += 1
        number = self.ports
        return await self.hub.publish(
            PublishRequest(
                app,
                name,
                "rtmp",
                "127.0.0.1",
                number,
                lambda why: self.dropped.append((number, why)),
                tell=self.told.append,
                held=held,
                away=away,
            )
        )

    async def admitted(self, name: str = "a", app: str = "live") -> Publication:
        """One who must be let in."""
        found = await self.publish(name, app)
        assert not isinstance(found, Refuse), found
        return found

    def stream(self, name: str) -> Stream:
        """One that there is."""
        found = self.hub.get("live", name)
        assert found is not None
        return found

    def main(self, name: str) -> Segmenter:
        """Its HLS."""
        run = self.stream(name).run
        assert isinstance(run, Run)
        assert isinstance(run.main, Segmenter)
        return run.main

    def live(self, name: str = "a") -> Live | None:
        """What viewers find."""
        found = self.hub.find("live", name)
        assert found is None or isinstance(found, Live)
        return found

    def pass_time(self, seconds: float) -> None:
        """Sweeps once a second, as the app does."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            self.hub.sweep()

    def playlist(self, name: str = "a") -> str:
        """Of the current run."""
        live = self.hub.find("live", name)
        assert live is not None
        return text(live)


def send(publication: Publication, seconds: float, *, tracks: bool = True) -> None:
    """So much media from the publication's origin on."""
    if tracks:
        publication.tracks(BOTH)
    at = publication.origin
    for unit in interleaved(video(30, seconds, start=at), audio(seconds, start=at)):
        publication.unit(unit)
    publication.received(1000)


async def refused(scene: HubScene, name: str, app: str = "live") -> RefuseCode:
    """Why."""
    verdict = await scene.publish(name, app)
    assert isinstance(verdict, Refuse)
    assert verdict.reason
    return verdict.code


@pytest.mark.parametrize("name", ["a", "A-Z_0.9~x", "x" * 128])
async def test_good_names_are_let_in(name: str) -> None:
    """Contract §1."""
    await HubScene().admitted(name)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".a", "a..b", "~sid", "a b", "ä", "a\n", "a%20", "x" * 129, "a?b"])
async def test_bad_names_are_refused(name: str) -> None:
    """Contract §1: nothing that means something in a path, as app or as stream."""
    scene = HubScene()
    assert await refused(scene, name) is RefuseCode.BAD_NAME
    assert await refused(scene, "a", name) is RefuseCode.BAD_NAME
    assert list(scene.hub.streams) == []


@pytest.mark.parametrize("app", sorted(RESERVED_APPS))
async def test_the_servers_own_paths_are_no_apps(app: str) -> None:
    """A stream at /metrics would shadow the server's own page, or be shadowed by it."""
    assert await refused(HubScene(), "a", app) is RefuseCode.BAD_NAME


async def test_a_name_in_use_is_busy_until_its_publisher_is_silent() -> None:
    """R3, takeover "stale": a dead peer must not lock the owner out, a living one must not be thrown out."""
    scene = HubScene()
    first = await scene.admitted()
    scene.pass_time(2)
    first.received(10)
    scene.pass_time(4)
    assert await refused(scene, "a") is RefuseCode.BUSY
    scene.pass_time(2)
    second = await scene.admitted()
    assert scene.dropped == [(1, "replaced")]
    send(second, 5.0)
    before = scene.playlist()
    send(first, 9.0)
    assert scene.playlist() == before


async def test_takeover_always_replaces_and_never_never_does() -> None:
    """R3: as configured."""
    always = HubScene("always")
    await always.admitted()
    await always.admitted()
    assert always.dropped == [(1, "replaced")]
    never = HubScene("never")
    await never.admitted()
    never.pass_time(100)
    assert await refused(never, "a") is RefuseCode.BUSY
    assert never.dropped == []


async def test_who_is_away_and_may_come_back_locks_nobody_out() -> None:
    """A name is as free as that of a publisher whose connection is lost, and whose stream is in its grace."""
    takeovers: tuple[Literal["stale", "never"], ...] = ("stale", "never")
    for takeover in takeovers:
        scene = HubScene(takeover)
        here = [True]
        await scene.publish(away=lambda here=here: not here[0])  # type: ignore[misc]
        assert await refused(scene, "a") is RefuseCode.BUSY
        here[0] = False
        await scene.admitted()
        assert scene.dropped == [(1, "replaced")]


async def test_limits_refuse_new_names_and_not_old_ones() -> None:
    """R7: "node cap refuses new publishers"; a stream in its grace may come back though the scene is full."""
    scene = HubScene(max_streams=2)
    one = await scene.admitted("a")
    await scene.admitted("b")
    assert await refused(scene, "c") is RefuseCode.LIMIT
    one.end("closed")
    await scene.admitted("a")
    full = HubScene(max_memory=1)
    send(await full.admitted("a"), 5.0)
    assert await refused(full, "b") is RefuseCode.LIMIT


async def test_a_full_memory_costs_old_segments_first_and_then_the_largest_stream() -> None:
    """limits.max_memory is the bound of the node: who holds the most goes, told why; the others stay on air."""
    scene = HubScene(max_memory=16_000_000)
    small, large = await scene.admitted("small"), await scene.admitted("large")
    send(small, 60.0)
    at = large.origin
    large.tracks(BOTH)
    for n, unit in enumerate(video(30, 120.0, size=30_000, start=at)):
        large.unit(unit)
        if not n % 30:
            scene.pass_time(1)
            assert scene.hub.media_bytes() <= 16_000_000
    assert scene.dropped == []  # the shortest playlist of each fits in
    assert len(scene.main("large").window.removed) < 6
    scene.hub.rules.max_memory = 4_000_000
    scene.pass_time(1)
    assert scene.dropped == [(2, "limit")]
    assert "limits.max_memory = 4 MiB" in scene.told[0]
    assert "of 2 streams this one holds the most" in scene.told[0]
    scene.pass_time(3)
    assert scene.dropped == [(2, "limit")]
    assert await refused(scene, "another") is RefuseCode.LIMIT


async def test_what_waits_before_the_window_and_is_kept_beside_it_counts() -> None:
    """Twelve publishers of half messages and unfinished openings held half a gigabyte where 64 MiB were allowed."""
    scene = HubScene(max_memory=16_000_000)
    waiting = 0
    quiet = await scene.publish("quiet", held=lambda: waiting)
    assert not isinstance(quiet, Refuse)
    small = await scene.admitted("small")
    small.tracks(BOTH)
    (unit, *_) = video(30, 1.0, size=1000, start=small.origin)
    segmenter_, cast = scene.main("small"), FlvOutput(scene.stream("small"), FlvSettings())
    small.unit(unit)
    assert segmenter_.held == len(unit.payload)
    assert cast.held >= len(unit.payload)
    assert scene.hub.media_bytes() == segmenter_.held + cast.held + len(unit.payload)  # its newest key picture
    waiting = 17_000_000
    assert await refused(scene, "another") is RefuseCode.LIMIT
    scene.pass_time(1)
    assert scene.dropped == [(1, "limit")]
    assert scene.hub.media_bytes() < 16_000_000


async def test_a_window_may_grow_with_the_bit_rate_unless_a_setting_says_how_far() -> None:
    """48 Mbit/s with 8 s between key pictures needs more than any fixed default; it was thrown out after 24 s."""
    scene = HubScene()
    publication = await scene.admitted()
    send(publication, 9.0)
    window = scene.main("a").window
    assert window.max_bytes == AUTO_BYTES
    for _ in range(30):
        publication.received(6_000_000)
        scene.pass_time(1)
    assert window.max_bytes >= 2 * 6_000_000 * 2 * window.duration()
    fixed = segmenter(max_stream_bytes=4 << 20)
    fixed.allow(48e6)
    assert fixed.window.max_bytes == 4 << 20


async def test_a_publisher_back_within_the_grace_goes_on_with_the_same_playlist() -> None:
    """R1, TL01: MSN contiguous, one DISCONTINUITY, nobody hears of an end."""
    scene = HubScene()
    first = await scene.admitted()
    send(first, 9.0)
    first.end("closed")
    before = parse_media(scene.playlist())
    run = scene.stream("a").id
    scene.pass_time(9)
    send(await scene.admitted(), 5.0)
    after = parse_media(scene.playlist())
    assert scene.stream("a").id == run
    assert [segment.discontinuity for segment in after.segments].count(True) == 1
    assert after.segments[-1].msn > before.segments[-1].msn
    assert [segment.msn for segment in after.segments] == list(range(after.first, after.first + len(after.segments)))


async def test_the_grace_ends_in_endlist_and_then_in_nothing() -> None:
    """EN03, EN04: 10 s, then ENDLIST, kept for at least the playlist's duration, then gone."""
    scene = HubScene()
    first = await scene.admitted()
    send(first, 30.0)
    live = scene.hub.find("live", "a")
    assert live is not None
    first.end("closed")
    scene.pass_time(9)
    assert "#EXT-X-ENDLIST" not in scene.playlist()
    scene.pass_time(1)
    assert "#EXT-X-ENDLIST" in scene.playlist()
    kept = sum(segment.duration for segment in parse_media(scene.playlist()).segments)
    scene.pass_time(kept)
    assert scene.hub.find("live", "a") is live
    scene.pass_time(3)
    assert scene.hub.find("live", "a") is None
    assert live.gone
    assert scene.hub.media_bytes() == 0
    assert list(scene.hub.streams) == []


async def test_a_short_stream_is_seen_to_end_before_it_goes() -> None:
    """EN01, EN04: a clip of 2 s is kept for less than the grace; its viewers must still see ENDLIST."""
    scene = HubScene()
    first = await scene.admitted()
    send(first, 2.0)
    first.end("closed")
    scene.pass_time(10)
    assert scene.hub.find("live", "a") is not None
    assert "#EXT-X-ENDLIST" in scene.playlist()
    scene.pass_time(10)
    assert scene.hub.find("live", "a") is None


async def test_a_run_after_the_end_is_a_new_one_with_higher_numbers() -> None:
    """R2, MP04, MP19, EN01: another run URI; the old segments stay for those who still read them (EN04)."""
    scene = HubScene()
    first = await scene.admitted()
    send(first, 9.0)
    first.end("closed")
    scene.pass_time(11)
    old = parse_media(scene.playlist())
    assert old.ended
    send(await scene.admitted(), 9.0)
    new = parse_media(scene.playlist())
    assert new.first > old.segments[-1].msn
    assert not new.ended
    assert not {segment.uri for segment in new.segments} & {segment.uri for segment in old.segments}
    live = scene.live()
    assert live is not None
    for segment in (*old.segments, *new.segments):
        assert live.media(*segment.uri.split("/")) is not None
    scene.pass_time(30)
    assert live.media(*old.segments[0].uri.split("/")) is None
    assert live.previous is None, "the ended run is let go"
    assert scene.hub._channels["live", "a"].past is None


async def test_many_runs_of_one_name_leave_nothing_behind() -> None:
    """Bounded everything: an encoder that restarts a hundred times keeps two runs in memory at most."""
    scene = HubScene(grace=0.0)
    last = 0
    for _ in range(20):
        publication = await scene.admitted()
        send(publication, 5.0)
        now = parse_media(scene.playlist())
        assert now.first > last
        last = now.segments[-1].msn
        publication.end("closed")
        scene.pass_time(1)
        chain, live = 0, scene.live()
        while live is not None:
            chain += 1
            assert live.previous is None or isinstance(live.previous, Live)
            live = live.previous
        assert chain <= 2
    scene.pass_time(60)
    assert scene.hub.media_bytes() == 0
    assert scene.hub._channels == {}


async def test_draining_ends_no_playlist_and_lets_nobody_in() -> None:
    """R5: publishers are told, new ones are refused; what players read goes on in the server that comes after."""
    scene = HubScene()
    for name in ("a", "b"):
        send(await scene.admitted(name), 5.0)
    live = scene.hub.find("live", "a")
    assert live is not None
    ends: list[bool] = []
    live.watch(lambda: ends.append(live.ended))
    scene.hub.drain()
    assert sorted(scene.dropped) == [(1, "shutdown"), (2, "shutdown")]
    assert await refused(scene, "c") is RefuseCode.DRAINING
    scene.hub.abandon("live", "a")
    scene.pass_time(60)  # however long it drains
    assert ends
    assert not any(ends)
    assert not any("#EXT-X-ENDLIST" in scene.playlist(name) for name in ("a", "b"))


async def test_a_stream_that_is_expected_wakes_who_waits_for_it() -> None:
    """After a restart viewers are back before their publisher; those who left are not remembered."""
    scene = HubScene()
    woken: list[str] = []

    def hear() -> None:
        woken.append("came")

    expected = scene.hub.expected("live", "a")
    expected.watch(hear)
    assert scene.hub.expected("live", "a") is expected
    await scene.admitted("b")
    assert not expected.gone
    await scene.admitted("a")
    assert (expected.gone, woken) == (True, ["came"])
    other = scene.hub.expected("live", "c")
    other.watch(hear)
    other.unwatch(hear)
    assert ("live", "c") not in scene.hub._channels


async def test_a_removed_stream_lets_its_held_requests_go() -> None:
    """R17, DD09: 404 rather than a time-out."""
    scene = HubScene()
    publication = await scene.admitted()
    live = scene.hub.find("live", "a")
    assert live is not None
    told: list[bool] = []
    live.watch(lambda: told.append(live.gone))
    publication.end("closed")
    scene.pass_time(30)
    assert told[-1:] == [True]
    assert told.count(True) == 1


async def test_a_dropped_publisher_calls_back_in_vain() -> None:
    """`PublishRequest.drop`: the connection closes and says `end`; the new publisher's hold stays."""
    scene = HubScene("always")
    holds: list[Publication] = []

    def drop(_: str) -> None:
        holds[0].end("closed")

    first = await scene.hub.publish(PublishRequest("live", "a", "rtmp", "127.0.0.1", 1, drop))
    assert not isinstance(first, Refuse)
    holds.append(first)
    second = await scene.admitted()
    assert scene.hub.summaries() == []
    send(second, 3.0)
    (stream,) = scene.hub.streams
    assert stream.state is StreamState.LIVE
    scene.hub.drop(stream, "kicked")
    assert scene.dropped == [(1, "kicked")]
    assert [one.state for one in scene.hub.streams] == [StreamState.GRACE]


async def test_summaries_say_what_is_live_by_path() -> None:
    """The front page: in order of path, with codecs, size and frame rate; nothing that has no tracks yet."""
    scene = HubScene()
    send(await scene.admitted("b"), 5.0)
    one = await scene.admitted("a")
    send(one, 5.0)
    await scene.admitted("mute")
    found = scene.hub.summaries()
    assert [summary.name for summary in found] == ["a", "b"]
    first = found[0]
    assert (first.codecs, first.width, first.height) == ("avc1.42c00d,mp4a.40.2", 320, 180)
    assert first.frame_rate == pytest.approx(30, rel=0.001)
    assert first.publishing
    one.end("closed")
    assert [summary.publishing for summary in scene.hub.summaries()] == [False, True]
    scene.pass_time(11)
    assert [summary.name for summary in scene.hub.summaries()] == ["b"]


async def test_a_wall_clock_set_back_an_hour_changes_nothing() -> None:
    """R11: the grace runs on the monotonic clock, the numbers rise."""
    scene = HubScene()
    first = await scene.admitted()
    send(first, 9.0)
    last = parse_media(scene.playlist()).segments[-1].msn
    scene.clock.step(-3600.0)
    first.end("closed")
    scene.pass_time(11)
    assert "#EXT-X-ENDLIST" in scene.playlist()
    again = await scene.admitted()
    send(again, 5.0)
    assert parse_media(scene.playlist()).first > last
    assert again.origin < 100 * TICKS


class KeyGate(OpenGate):
    """A gate whose publishers show a key for a name."""

    async def publish(self, request: PublishRequest) -> Grant | Denial:
        return Grant(name="cam") if request.name == "the-key" else Denial(403, "not allowed")

    def hides_names(self, app: str) -> bool:
        return True


async def test_a_key_becomes_a_name_and_is_in_no_line_of_the_log() -> None:
    """A stream key in a log is a stream that anybody with the log can take."""
    scene = HubScene()
    scene.hub.rules._gate = KeyGate()
    with structlog.testing.capture_logs() as lines:
        held = await scene.publish("the-key")
        refused = await scene.publish("the-kex")
        assert not isinstance(held, Refuse)
        assert held.name == "cam"
        assert scene.hub.find("live", "cam") is not None
        assert scene.hub.find("live", "the-key") is None
        assert isinstance(refused, Refuse)
        assert (refused.code, refused.reason) == (RefuseCode.DENIED, "not allowed")
        scene.hub.drain()
        await scene.publish("the-key")
    assert {line["event"] for line in lines} >= {"publish started", "publish refused", "publish ended"}
    assert "the-ke" not in repr(lines)
