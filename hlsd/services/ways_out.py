"""Who makes the services that viewers are served by, live and kept, and what makes pictures and sound for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.delivery.flv.service import FlvService
from hlsd.delivery.whep.room import WhepRoom
from hlsd.delivery.whep.service import WhepService
from hlsd.record.service import RecordService
from hlsd.snapshots.service import SnapshotService
from hlsd.streams.stream import StreamState
from hlsd.timeshift.service import TimeshiftService
from hlsd.transcode.service import TranscodeService
from hlsd.vod.start import vod_service

if TYPE_CHECKING:
    from hlsd.ports import Service
    from hlsd.services.services import Services


def flv(services: Services) -> Service:
    """Viewers by HTTP-FLV and WebSocket-FLV."""
    return FlvService(services.audience, services.node.judge, services.node.clock)


def whep(services: Services) -> Service:
    """Viewers by WebRTC."""
    node = services.node
    desk = node.sound if node.settings.transcode.audio else None
    faults, gop = node.stats.faults, services.audience.gop
    room = WhepRoom(node.webrtc, node.entrance, node.sessions, desk, gop, node.clock, faults, node.log)
    servers = node.settings.webrtc.ice_servers
    open_to_all = [one.link for one in servers if not one.username]
    return WhepService(room, node.judge, faults, [one.link for one in servers], open_to_all)


def record(services: Services) -> Service:
    """What is kept of streams."""
    node = services.node
    return RecordService(
        node.settings.record,
        node.state,
        node.clock,
        node.bus,
        node.log,
        node.stats.faults,
        on_air=node.on_air,
        entrance=node.entrance,
        sessions=node.sessions,
        judge=node.judge,
        pictures=lambda: made.spare if isinstance(made := services.by_name["snapshot"], SnapshotService) else None,
        vault=node.vault,
    )


def timeshift(services: Services) -> Service:
    """Viewers of what was live a while ago."""
    node, record = services.node, services.by_name["record"]
    assert isinstance(record, RecordService)
    return TimeshiftService(
        node.settings.dvr,
        record,
        node.clock,
        node.bus,
        node.stats.faults,
        on_air=lambda app, name: (found := node.hub.find(app, name)) is not None and not found.ended,
        entrance=node.entrance,
        sessions=node.sessions,
        judge=node.judge,
        vault=node.vault,
    )


def snapshot(services: Services) -> Service:
    """Pictures of streams."""
    node = services.node
    return SnapshotService(
        node.settings.snapshot,
        find=lambda app, name: (
            found if (found := node.hub.get(app, name)) is not None and found.state is not StreamState.ENDED else None
        ),
        on_air=lambda: [stream for stream in node.hub.streams if stream.claim is not None],
        entrance=node.entrance,
        judge=node.judge,
        state=node.state,
        gated=lambda: not node.gate.open,
        clock=node.clock,
        bus=node.bus,
        log=node.log,
        faults=node.stats.faults,
    )


def transcode(services: Services) -> Service:
    """Renditions of streams."""
    node = services.node
    return TranscodeService(node.settings.transcode, node.clock, node.bus, node.log, node.stats.faults)


def vod(services: Services) -> Service:
    """Films."""
    return vod_service(services.node, services.by_name)


def sound(services: Services) -> Service:
    """The process that makes AAC of every sound; the node has it, since ways in ask for it."""
    return services.node.sound
