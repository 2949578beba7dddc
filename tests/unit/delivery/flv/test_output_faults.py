"""What raises on the way to FLV viewers costs its own viewer, or those of its variant a pause up to a key frame."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hlsd.delivery.flv import variant as form_module
from hlsd.delivery.flv.output import FlvOutput
from hlsd.delivery.flv.settings import FlvSettings
from hlsd.delivery.flv.variant import FAULTS, FlvVariant
from hlsd.delivery.flv.wrappings import FlvWrapping, MessageWrapping
from hlsd.media import flv
from hlsd.media.flv import FileReader
from hlsd.media.unit import AccessUnit, Kind, Tracks
from hlsd.ports import PublishRequest
from hlsd.streams.claim import Claim
from hlsd.streams.stream import Stream
from tests.support.flvmedia import make_flv
from tests.support.mischief import Mischief
from tests.support.units import units_of
from tests.support.watchers import Watcher, turns

FLV = FlvWrapping(legacy=False)
OTHER = FlvWrapping(legacy=True)


@pytest.fixture(scope="module")
def film() -> tuple[Tracks, list[AccessUnit]]:
    return units_of(make_flv("h264", seconds=4, gop=15, size=(96, 64)))


def live(tracks: Tracks) -> tuple[Stream, Claim, FlvOutput]:
    stream = Stream("live", "cam", 0.0)
    output = FlvOutput(stream, FlvSettings.model_validate({"gather": 0}), stream.faults)
    request = PublishRequest("live", "cam", "rtmp", "127.0.0.1", 1, drop=lambda _: None)
    hold = stream.publish(request, 0.0, lambda _hold, _reason: None)
    hold.tracks(tracks)
    return stream, hold, output


def pictures(watcher: Watcher) -> list[bytes]:
    found = []
    for tag in FileReader().feed(bytes(watcher.sent)):
        packet = flv.decode_video(tag.body) if tag.type == flv.VIDEO else None
        if packet is not None and packet.packet == flv.FRAMES:
            found.append(packet.body)
    return found


def sent(units: list[AccessUnit]) -> list[bytes]:
    return [unit.payload for unit in units if unit.kind is Kind.VIDEO]


def key_after(units: list[AccessUnit], number: int) -> int:
    return next(n for n, unit in enumerate(units) if n > number and unit.kind is Kind.VIDEO and unit.key)


async def push(hold: Claim, units: list[AccessUnit]) -> None:
    for unit in units:
        hold.unit(unit)
        await turns()


async def test_the_output_begins_anew_and_its_viewers_stay(
    film: tuple[Tracks, list[AccessUnit]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks, units = film
    stream, hold, output = live(tracks)
    watcher = Watcher().watch(output, FLV)
    broken = 40

    def schedule(_self: FlvOutput, _kind: Kind) -> None:
        raise Mischief

    await push(hold, units[:broken])
    with monkeypatch.context() as patch:
        patch.setattr(FlvOutput, "_schedule", schedule)
        hold.unit(units[broken])
    await push(hold, units[broken + 1 :])
    again = key_after(units, broken)
    assert pictures(watcher) == sent(units[:broken]) + sent(units[again:])
    assert watcher.reasons == watcher.left == []
    assert stream.faults.outputs["flv"] == 1
    late = Watcher().watch(output, FLV)
    await turns()
    assert pictures(late), "and who comes now begins with the newest key frame"


async def test_a_variant_that_fails_goes_on_at_a_key_frame_and_other_variants_notice_nothing(
    film: tuple[Tracks, list[AccessUnit]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks, units = film
    stream, hold, output = live(tracks)
    watcher, other = Watcher().watch(output, FLV), Watcher().watch(output, OTHER)
    add = FlvVariant.add
    broken = 40

    def failing(self: FlvVariant, burst: object) -> None:
        if self.wrapping is FLV:
            raise Mischief
        add(self, burst)  # type: ignore[arg-type]

    await push(hold, units[:broken])
    with monkeypatch.context() as patch:
        patch.setattr(FlvVariant, "add", failing)
        await push(hold, units[broken : broken + 1])
    await push(hold, units[broken + 1 :])
    again = key_after(units, broken)
    assert pictures(watcher) == sent(units[:broken]) + sent(units[again:])
    assert pictures(other) == sent(units)
    assert stream.faults.outputs["flv"] == 1


async def test_new_headers_that_a_failing_form_missed_are_told_at_its_next_key_frame(
    film: tuple[Tracks, list[AccessUnit]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks, units = film
    _, hold, output = live(tracks)
    watcher = Watcher().watch(output, FLV)
    await push(hold, units[:10])
    assert tracks.video is not None
    other = Tracks(replace(tracks.video, record=tracks.video.record + b"\0"), tracks.audio)

    def failing(_self: FlvVariant, _burst: object) -> None:
        raise Mischief

    with monkeypatch.context() as patch:
        patch.setattr(FlvVariant, "add", failing)
        hold.unit(units[10])
        hold.tracks(other)
        await turns()
    await push(hold, units[11:])
    records = [tag.body for tag in FileReader().feed(bytes(watcher.sent)) if tag.type == flv.VIDEO]
    assert flv.video_config("h264", other.video.record if other.video else b"") in records


async def test_a_variant_that_fails_again_and_again_sends_its_viewers_away_to_come_anew(
    film: tuple[Tracks, list[AccessUnit]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks, units = film
    _, hold, output = live(tracks)
    watcher, other = Watcher().watch(output, FLV), Watcher().watch(output, OTHER)
    key = units[key_after(units, -1)]
    add = FlvVariant.add

    def failing(self: FlvVariant, burst: object) -> None:
        if self.wrapping is FLV:
            raise Mischief
        add(self, burst)  # type: ignore[arg-type]

    monkeypatch.setattr(FlvVariant, "add", failing)
    await push(hold, [key] * (FAULTS + 1))
    assert watcher.reasons == watcher.left == ["error:output"]
    assert other.reasons == []
    monkeypatch.undo()
    back = Watcher().watch(output, FLV)
    await push(hold, units)
    assert pictures(back)[1:] == sent(units), "behind the cached key frame"


async def test_a_viewer_that_cannot_be_served_goes_and_the_others_are_served(
    film: tuple[Tracks, list[AccessUnit]],
) -> None:
    tracks, units = film
    stream, hold, output = live(tracks)
    first, bad, last = [Watcher().watch(output, FLV) for _ in range(3)]
    await push(hold, units[:20])

    def broken(_data: bytes) -> None:
        raise Mischief

    bad.write = broken  # type: ignore[method-assign, assignment]
    await push(hold, units[20:])
    assert pictures(first) == pictures(last) == sent(units)
    assert bad.left == bad.reasons == ["error:internal"]
    assert stream.faults.outputs["viewer"] == 1
    assert output.viewers == 2


async def test_a_round_that_fails_between_two_turns_of_the_loop_does_not_stop_the_form(
    film: tuple[Tracks, list[AccessUnit]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks, units = film
    _, hold, output = live(tracks)
    monkeypatch.setattr(form_module, "BATCH", 2)
    watchers = [Watcher().watch(output, FLV) for _ in range(5)]
    await push(hold, units[:10])
    calls: list[int] = []
    turn = FlvVariant._turn

    def failing(self: FlvVariant) -> None:
        calls.append(1)
        if len(calls) == 2:  # the second batch, which the event loop calls
            raise Mischief
        turn(self)

    with monkeypatch.context() as patch:
        patch.setattr(FlvVariant, "_turn", failing)
        await push(hold, units[10:11])
    await push(hold, units[11:])
    again = key_after(units, 10)
    for watcher in watchers:
        assert pictures(watcher)[-len(sent(units[again:])) :] == sent(units[again:])


async def test_an_output_that_stays_off_sends_its_viewers_away_and_lets_nobody_in(
    film: tuple[Tracks, list[AccessUnit]],
) -> None:
    tracks, units = film
    _, hold, output = live(tracks)
    watcher = Watcher().watch(output, MessageWrapping(legacy=False))
    await push(hold, units[:10])
    output.reset()
    output.halt()
    assert watcher.reasons == ["error:output"]
    hold.stream = None  # the hold of a publisher that has left
    output.tracks(tracks)
    back = Watcher().watch(output, FLV)
    for unit in units[key_after(units, 10) :]:
        output.unit(unit)
        await turns()
    assert pictures(back) == sent(units[key_after(units, 10) :])
