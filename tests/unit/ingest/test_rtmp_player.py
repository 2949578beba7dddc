"""Playing over RTMP on real sockets: started, fed, ended, and each time the session goes with it."""

from __future__ import annotations

from hlsd.ingest.rtmp_player import MAX_ASKING
from hlsd.media.unit import AccessUnit, Tracks
from hlsd.ports import Denial
from tests.support.eventually import eventually
from tests.support.flv_services import FlvServices, flv_services
from tests.support.flvmedia import make_flv
from tests.support.rtmp_player import RtmpViewer
from tests.support.units import units_of


def on_air(services: FlvServices) -> tuple[Tracks, list[AccessUnit]]:
    tracks, units = units_of(make_flv(seconds=2, gop=1000))
    services.feed.tracks(tracks)
    services.feed.push(units)
    return tracks, units


async def test_player_gets_status_then_metadata_headers_and_media() -> None:
    # The order that ffmpeg, librtmp, GStreamer and Flash all take.
    async with flv_services() as services:
        _, units = on_air(services)
        player = await RtmpViewer.connect(services.rtmp.port)
        player.play("cam?token=A")
        await player.until(lambda: len(player.media) > len(units) / 2)
        assert player.codes == ["NetStream.Play.Reset", "NetStream.Play.Start"]
        assert [m.type_id for m in player.media[:5]] == [18, 18, 9, 8, 9]
        assert b"|RtmpSampleAccess" in player.media[0].body
        assert player.media[1].body.startswith(b"\x02\x00\x0aonMetaData")
        asked = services.gate.asked[0]
        assert (asked.protocol, asked.path, asked.query, asked.user_agent) == (
            "rtmp", "/live/cam", {"token": "A"}, "TEST 1",
        )  # fmt: skip
        (session,) = services.sessions
        assert session.media_bytes > sum(len(m.body) for m in player.media) / 2
        player.writer.transport.abort()
        await eventually(lambda: not len(services.sessions) and not services.rtmp.players)


async def test_the_end_of_the_stream_is_told() -> None:
    # ffmpeg ends on UnpublishNotify, OBS's media source tries again.
    async with flv_services() as services:
        on_air(services)
        player = await RtmpViewer.connect(services.rtmp.port)
        player.play("cam")
        await player.until(lambda: player.media)
        output = services.streams.find("live", "cam")
        assert output is not None
        output.end()
        await player.until(lambda: player.over)
        assert player.codes[-1] == "NetStream.Play.UnpublishNotify"
        assert len(services.sessions) == 0


async def test_refusals_are_told_and_the_connection_ends() -> None:
    # Not there, not allowed: two codes, so that a relay knows whether to try again.
    async with flv_services() as services:
        on_air(services)
        for denial, name, code in (
            (None, "none", "NetStream.Play.StreamNotFound"),
            (Denial(403, "not yours"), "cam", "NetStream.Play.Failed"),
        ):
            services.gate.denial = denial
            player = await RtmpViewer.connect(services.rtmp.port)
            player.play(name)
            await player.until(lambda: player.over)  # noqa: B023 - awaited here
            assert player.codes == [code]
        assert len(services.sessions) == 0


async def test_a_kicked_player_is_told_and_cut() -> None:
    async with flv_services() as services:
        on_air(services)
        player = await RtmpViewer.connect(services.rtmp.port)
        player.play("cam")
        await player.until(lambda: player.media)
        (session,) = services.sessions
        assert session.drop is not None
        session.drop("kicked")
        await player.until(lambda: player.over)
        assert player.codes[-1] == "NetStream.Play.Failed"
        assert services.rtmp.players == 0


async def test_delete_stream_ends_the_session_and_another_may_begin() -> None:
    # Players that zap keep their connection.
    async with flv_services() as services:
        on_air(services)
        player = await RtmpViewer.connect(services.rtmp.port)
        for _ in range(3):
            seen = len(player.media)
            player.play("cam")
            await player.until(lambda: len(player.media) > seen + 3)  # noqa: B023 - awaited here
            player.say(3, 0, "deleteStream", 0.0, None, 1.0)
            await eventually(lambda: not len(services.sessions))
        player.writer.close()
        await player.writer.wait_closed()


async def test_a_player_that_ends_while_the_gate_thinks_is_never_fed() -> None:
    # The answer to a playback that is over is void.
    async with flv_services() as services:
        on_air(services)
        services.gate.open.clear()
        player = await RtmpViewer.connect(services.rtmp.port)
        player.play("cam")
        await eventually(lambda: services.gate.asked)
        player.say(3, 0, "deleteStream", 0.0, None, 1.0)
        player.say(3, 0, "_checkbw", 9.0, None)
        await player.until(lambda: any(v[1] == 9.0 for _, v in player.said))
        services.gate.open.set()
        await eventually(lambda: not len(services.sessions))
        assert services.streams.viewers == 0
        assert player.media == []
        player.writer.close()
        await player.writer.wait_closed()


async def test_a_connection_has_a_few_admissions_under_way_and_no_more() -> None:
    """Hundreds of play and deleteStream fit into 64 KiB: each would be a question to the operator's back end."""
    async with flv_services() as services:
        on_air(services)
        services.gate.open.clear()
        player = await RtmpViewer.connect(services.rtmp.port)
        for n in range(20):
            player.play(f"cam?n={n}")
            player.say(3, 0, "deleteStream", 0.0, None, 1.0)
        await player.until(lambda: player.over)
        assert len(services.gate.asked) == MAX_ASKING
        services.gate.open.set()
        await eventually(lambda: not len(services.sessions) and not services.rtmp.players)


async def test_switched_off_there_is_nothing_to_play() -> None:
    async with flv_services(rtmp=False) as services:
        on_air(services)
        player = await RtmpViewer.connect(services.rtmp.port)
        player.play("cam")
        await player.until(lambda: player.over)
        assert player.codes == ["NetStream.Play.StreamNotFound"]
