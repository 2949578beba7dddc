"""Who makes the services that publishers come by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.delivery.flv_publish.endpoint import TS
from hlsd.delivery.flv_publish.service import FilePublishService
from hlsd.delivery.recorder.service import RecorderService
from hlsd.delivery.ts.streams import TsStreams
from hlsd.delivery.whip.service import WhipService
from hlsd.ingest.file_form import flv_form, ts_form
from hlsd.ingest.file_publisher import FilePublishers
from hlsd.ingest.gb28181.service import Gb28181Service
from hlsd.ingest.jt1078.figures import JtCounts, JtFigures
from hlsd.ingest.packet_publisher import PacketHost
from hlsd.ingest.poll_reader import LONG_ROUND, ROUND
from hlsd.ingest.recorder.publisher import RecorderHost
from hlsd.ingest.recorder.room import RecorderRoom
from hlsd.ingest.rtmp_server import RtmpServer
from hlsd.ingest.rtsp.figures import RtspCounts, RtspFigures
from hlsd.ingest.srt.figures import SrtFigures, SrtStats
from hlsd.ingest.ts.figures import TsFigures
from hlsd.ingest.webrtc.room import WebrtcRoom
from hlsd.services.unused import Unused
from hlsd.transcode.service import TranscodeService

if TYPE_CHECKING:
    from hlsd.ports import Service
    from hlsd.ports.converted_pictures import PictureDesk, PictureDesks
    from hlsd.services.services import Services


def rtmp(services: Services) -> Service:
    """Publishers and viewers by RTMP and RTMPS."""
    node = services.node
    return RtmpServer(
        node.settings.rtmp,
        node.hub,
        node.intake,
        node.clock,
        node.log,
        audience=services.audience,
        connections=node.connections,
        round_period=ROUND if node.settings.hls.low_latency else LONG_ROUND,
        faults=node.stats.faults,
        ended=node.stats.rtmp_ended,
        handshakes=services.handshakes,
    )


def whip(services: Services) -> Service:
    """Publishers by WebRTC."""
    node, settings = services.node, services.node.settings
    sound = node.sound if settings.transcode.audio else None
    first = settings.rtmp.publish_timeout
    desk, pictures = node.connections, _pictures(services)
    room = WebrtcRoom(node.webrtc, node.hub, node.clock, node.log, node.stats.faults, sound, first, desk, pictures)
    servers = settings.webrtc.ice_servers
    known, open_to_all = [one.link for one in servers], [one.link for one in servers if not one.username]
    https_port = settings.https.port if settings.https.secure else 0

    def whose(app: str, ident: str) -> str:
        recorder = services.by_name.get("recorder")
        by_socket = recorder.whose(app, ident) if isinstance(recorder, RecorderService) else ""
        return room.whose(app, ident) or by_socket

    return WhipService(room, node.judge, node.sessions.of_stream, whose, known, open_to_all, https_port)


def srt(services: Services) -> Service:
    """Publishers and viewers by SRT."""
    node, settings = services.node, services.node.settings
    if not settings.srt.port:
        return Unused(SrtFigures(SrtStats(), list))
    from hlsd.ingest.srt.publisher import SrtHost  # noqa: PLC0415 - what is turned off is not loaded
    from hlsd.ingest.srt.room import SrtRoom  # noqa: PLC0415
    from hlsd.ingest.srt.service import SrtService  # noqa: PLC0415

    rtmp, faults = settings.rtmp, node.stats.faults
    host = SrtHost(node.clock, node.log, faults, node.mpeg_media, rtmp.publish_timeout, rtmp.idle_timeout)
    streams = TsStreams(node.entrance, node.sessions, faults)
    room = SrtRoom(settings.srt, node.hub, streams, host, rtmp.bind)
    return SrtService(room, streams)


def flv_publish(services: Services) -> Service:
    """Publishers by HTTP whose body is FLV."""
    node, rtmp = services.node, services.node.settings.rtmp
    faults = node.stats.faults
    first, idle = rtmp.publish_timeout, rtmp.idle_timeout
    form = flv_form(node.intake)
    publishers = FilePublishers(node.hub, form, node.clock, node.log, faults, first, idle)
    return FilePublishService(publishers, node.judge, faults, on=node.settings.publish.flv)


def ts_publish(services: Services) -> Service:
    """Publishers by HTTP whose body is MPEG-TS."""
    node, rtmp = services.node, services.node.settings.rtmp
    faults = node.stats.faults
    form = ts_form(node.mpeg_media)
    publishers = FilePublishers(node.hub, form, node.clock, node.log, faults, rtmp.publish_timeout, rtmp.idle_timeout)
    return FilePublishService(publishers, node.judge, faults, on=node.settings.publish.ts, form=TS)


def ts_udp(services: Services) -> Service:
    """MPEG-TS by UDP."""
    if not services.node.settings.ts.udp:
        return Unused(TsFigures([]))
    from hlsd.ingest.ts.service import TsUdpService  # noqa: PLC0415 - what is turned off is not loaded

    return TsUdpService(services.node.settings.ts, _packets(services))


def jt1078(services: Services) -> Service:
    """Vehicles."""
    node = services.node
    if not node.settings.jt1078.port:
        return Unused(JtFigures(lambda: JtCounts(0, 0, 0, 0)))
    from hlsd.ingest.jt1078.service import Jt1078Service  # noqa: PLC0415 - what is turned off is not loaded

    return Jt1078Service(node.settings.jt1078, _packets(services), node.vehicle_names, node.wishes)


def gb28181(services: Services) -> Service:
    """What a SIP platform sends here."""
    return Gb28181Service(services.node.settings.gb28181, _packets(services), services.node.bus)


def rtsp(services: Services) -> Service:
    """Publishers and viewers by RTSP."""
    node, settings = services.node, services.node.settings
    if not settings.rtsp.port:
        return Unused(RtspFigures(lambda: RtspCounts([], 0, 0, 0)))
    from hlsd.delivery.rtsp.streams import RtspStreams  # noqa: PLC0415 - what is turned off is not loaded
    from hlsd.ingest.rtsp.service import RtspService  # noqa: PLC0415

    streams = RtspStreams(node.entrance, node.sessions, services.audience.gop, node.stats.faults)
    return RtspService(settings.rtsp, _packets(services), streams, streams, settings.rtmp.bind)


def _packets(services: Services) -> PacketHost:
    """What those know who publish packets without a word."""
    node = services.node
    return PacketHost(node.hub, node.mpeg_media, node.clock, node.log, node.stats.faults)


def recorder(services: Services) -> Service:
    """Browsers that publish by WebSocket."""
    node, settings = services.node, services.node.settings
    rtmp, mine, faults = settings.rtmp, settings.recorder, node.stats.faults
    sound = node.sound if settings.transcode.audio else None
    first, idle, grace = rtmp.publish_timeout, rtmp.idle_timeout, settings.publish.grace
    pictures = _pictures(services)
    desk = node.connections
    host = RecorderHost(node.hub, node.clock, node.log, faults, sound, first, idle, grace, pictures, desk)
    room = RecorderRoom(host, node.stats.label)
    return RecorderService(room, node.judge, faults, mine.max_bytes, on=mine.enabled)


def _pictures(services: Services) -> PictureDesks:
    """Who converts pictures, if `transcode.video` allows it; asked late, for that service is made after these."""

    def desk() -> PictureDesk | None:
        service = services.by_name.get("transcode")
        on = services.node.settings.transcode.video
        return service if on and isinstance(service, TranscodeService) else None

    return desk


def relay(services: Services) -> Service:
    """What is fetched from elsewhere and sent there; the node has it, since viewers may ask for it."""
    return services.node.relay
