"""The server as a whole: its sweeps outlive what raises in them, stop() closes everything, /readyz says what is off."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from hlsd import app
from hlsd.app import NotRunning, Server
from hlsd.base import upkeep
from hlsd.delivery.flv.service import FlvService
from hlsd.ingest.rtmp_server import RtmpServer
from hlsd.notify.notify import Notify
from hlsd.ports import Publication, PublishRequest, Refuse
from hlsd.segmenter.journal import SequenceJournal
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.sessions.registry import Registry
from hlsd.streams.hub import Hub
from tests.support.eventually import eventually
from tests.support.frames import BOTH, video
from tests.support.mischief import Mischief
from tests.support.services import composed, running


def raising(*_: object, **__: object) -> None:
    raise Mischief


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path) as server:
        yield server


async def get(server: Server, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        who = {"Authorization": f"Bearer {server.node.local_token.value}"}
        return await http.get(f"http://127.0.0.1:{server.services['http'].port}{path}", headers=who)


async def published(server: Server, name: str) -> Publication:
    admitted = await server.hub.publish(PublishRequest("live", name, "test", "", 0, lambda _: None))
    assert not isinstance(admitted, Refuse)
    admitted.tracks(BOTH)
    return admitted


async def test_sweeps_outlive_what_raises_in_them_and_it_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PAUSE", 0.01)
    monkeypatch.setattr(app, "SWEEP", 0.01)
    monkeypatch.setattr(app, "SESSION_SWEEP", 0.01)
    monkeypatch.setattr(Hub, "sweep", raising)
    monkeypatch.setattr(Registry, "sweep_some", raising)
    server = composed(tmp_path)
    await server.start()
    tasks = server.stats.faults.tasks
    await eventually(lambda: min(tasks["stream_sweep"], tasks["session_sweep"]) >= 3)
    swept: list[int] = []
    monkeypatch.setattr(Hub, "sweep", lambda _: swept.append(1))
    await eventually(lambda: swept)
    text = (await get(server, "/metrics")).text
    assert 'hlsd_task_faults_total{task="stream_sweep"} ' in text
    assert 'hlsd_task_faults_total{task="rtmp_sweep"} 0' in text, "what has not failed is there, at nought"
    assert 'hlsd_output_faults_total{output="hls"} 0' in text
    monkeypatch.undo()
    await server.stop(0.5)


async def test_stop_closes_every_room_and_every_store_whatever_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = composed(tmp_path)
    await server.start()
    closed: list[str] = []
    rooms = dict(server.services)
    for name, room in rooms.items():

        async def stop(deadline: float, name: str = name, end: Any = room.stop) -> None:
            await end(deadline)
            closed.append(name)
            raise Mischief

        monkeypatch.setattr(room, "stop", stop)
    monkeypatch.setattr(server.hub, "drain", raising)
    monkeypatch.setattr(server.sessions, "shutdown", raising)
    for owner, method in ((Notify, "stop"), (SequenceJournal, "close")):
        original: Any = getattr(owner, method)

        async def gone(self: Any, original: Any = original, name: str = owner.__name__) -> None:
            await original(self)
            closed.append(name)
            raise Mischief

        def shut(self: Any, original: Any = original, name: str = owner.__name__) -> None:
            original(self)
            closed.append(name)
            raise Mischief

        monkeypatch.setattr(owner, method, gone if owner is Notify else shut)
    await server.stop(0.5)
    assert closed == [*rooms, "Notify", "SequenceJournal"]
    assert server.stats.faults.tasks["stop"] == len(rooms) + 4
    assert not server.services


async def test_a_start_that_raises_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = composed(tmp_path)
    monkeypatch.setattr("hlsd.metrics.lag.LagMeter.start", raising)
    with pytest.raises(Mischief):
        await server.start()
    assert not server.services
    monkeypatch.undo()


async def test_a_service_that_cannot_be_made_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stores are opened before it, and closed again."""
    closed: list[str] = []
    close = SequenceJournal.close

    def noted(journal: SequenceJournal) -> None:
        closed.append("journal")
        close(journal)

    monkeypatch.setattr(SequenceJournal, "close", noted)
    monkeypatch.setattr(RtmpServer, "__init__", raising)
    server = composed(tmp_path)
    with pytest.raises(Mischief):
        await server.start()
    assert closed == ["journal"]
    with pytest.raises(NotRunning, match=r"await server\.start\(\)"):
        server.hub.sweep()


@pytest.mark.thorough
async def test_the_log_names_the_ports_that_listen_and_no_others(tmp_path: Path) -> None:
    """A service without a port of its own is none at port 0: whoever reads the line looks for what is wrong."""
    ports: dict[str, int] = {}

    def ready(server: Server) -> None:
        ports.update(rtmp_port=server.services["rtmp"].port, http_port=server.services["http"].port)
        os.kill(os.getpid(), signal.SIGTERM)

    with capture_logs() as lines:
        await app.serve(composed(tmp_path).settings, ready=ready)
    (started,) = [line for line in lines if line["event"] == "hlsd started"]
    assert {name: port for name, port in started.items() if name.endswith("_port")} == ports


@pytest.mark.thorough
@pytest.mark.parametrize("asked", ["outputs", "sinks", "routes", "operations", "figures"])
async def test_a_service_that_raises_when_it_is_asked_costs_its_own_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Streams have their other outputs, the API its other operations, scrapes their other figures."""
    monkeypatch.setattr(FlvService, asked, raising)
    with capture_logs() as lines:
        async with running(tmp_path) as server:
            for name in ("a", "b"):
                await published(server, name)
                stream = server.hub.get("live", name)
                assert stream is not None
                assert isinstance(stream.run, Run), "HLS is made of it"
                assert ("push" in stream.outlets or "flv" in stream.outlets) is (asked != "outputs")
            assert (await get(server, "/healthz")).status_code == 200
            assert (await get(server, "/api/v1/relays")).status_code == 200, "another service's operation"
            text = (await get(server, "/metrics")).text
            assert "hlsd_relay_" in text, "another service's figures"
            assert server.stats.faults.tasks["flv"] >= 1
    told = [line for line in lines if line.get("part") == "flv"]
    assert [(line["event"], line["asked"]) for line in told] == [("task failed", asked)], "once, however often"
    assert isinstance(told[0]["exc_info"], Mischief), "with its traceback"


@pytest.mark.parametrize(
    "name", ["metrics.lag.LagMeter", "relay.service.RelayService", "delivery.flv.service.FlvService"]
)
async def test_no_service_is_left_out_because_it_did_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The operator who has asked for it hears of it at once, not from viewers an hour later."""
    server = composed(tmp_path)
    monkeypatch.setattr(f"hlsd.{name}.start", raising)
    with pytest.raises(Mischief):
        await server.start()
    assert not server.services
    monkeypatch.undo()
    await server.start()
    assert "http" in server.services, "once it is mended the same server starts"
    await server.stop(0.5)


async def test_a_journal_that_raises_keeps_nobody_off_the_air(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SequenceJournal, "first", raising)
    await published(server, "a")
    assert server.stats.faults.outputs["journal"] == 1
    stream = server.hub.get("live", "a")
    assert stream is not None
    assert isinstance(stream.run, Run)
    assert stream.run.first_msn > 100_000_000, "by the clock"


@pytest.mark.thorough
async def test_readyz_says_what_is_off_and_refuses_only_where_that_is_all(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, _good = await published(server, "bad"), await published(server, "good")
    ready = await get(server, "/readyz")
    assert (ready.status_code, ready.text) == (200, "ready\n")
    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "unit", raising)
        for unit in [unit for unit in video(25, 40.0) if unit.key]:
            bad.unit(unit)
    assert server.stats.faults.off["hls"] == 1
    ready = await get(server, "/readyz")
    assert (ready.status_code, ready.text) == (200, "ready, but output off for some streams: hls\n")
    assert 'hlsd_outputs_off{output="hls"} 1' in (await get(server, "/metrics")).text
    _good.end("closed")
    ready = await get(server, "/readyz")
    assert (ready.status_code, ready.text) == (503, "not ready: output off: hls\n")
    bad.end("closed")
    await published(server, "bad")
    assert (await get(server, "/readyz")).status_code == 200, "tried again with the next publication"


async def test_what_nobody_caught_is_a_fault_but_what_a_network_does_is_none(server: Server) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(server.stray)
    loop.call_soon(raising)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert server.stats.faults.tasks["callback"] == 1


async def test_rtmp_connections_that_were_turned_away_are_among_the_figures(server: Server) -> None:
    """They stood in the log only."""
    server.stats.rtmp_ended.clear()
    rtmp = server.services["rtmp"]
    assert isinstance(rtmp, RtmpServer)
    rtmp.bounds.shut_out()
    assert 'hlsd_rtmp_connections_ended_total{reason="no_files"} 1' in (await get(server, "/metrics")).text


async def test_two_servers_on_one_state_folder_are_told(tmp_path: Path) -> None:
    """They would tell the same events twice, and each would take the other's token of this machine away."""
    with capture_logs() as lines:
        async with running(tmp_path):
            assert not [line for line in lines if "state folder" in line["event"]]
            async with running(tmp_path):
                pass
            assert [line["log_level"] for line in lines if "state folder" in line["event"]] == ["error"]
        lines.clear()
        async with running(tmp_path):
            assert not [line for line in lines if "state folder" in line["event"]]
