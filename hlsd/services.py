"""The table of services: every way in and every way out, one line each.

A service is made from the `Node` and has settings, a start, a stop, routes, operations of the API, outputs and figures
(`hlsd.ports.Service`). They start in this order: the recorder before what lets publishers in, HTTP last, so that
`/healthz` answers when everything listens. They stop in it too, ways in before ways out, so that viewers are served
until the last publisher has been let go: the hub does that first, so nobody publishes any more when the recorder stops.

Law: what a service raises when it is asked for its part costs that part, and is counted and told as the service's own
fault; what it raises when it starts, the server does not start with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from hlsd.api.masking import shown
from hlsd.api.readiness import ready_route
from hlsd.api.service import ApiService
from hlsd.console.history import History, points_of
from hlsd.console.service import ConsoleService
from hlsd.delivery.flv.service import FlvService
from hlsd.delivery.flv.streams import FlvStreams
from hlsd.delivery.flv_publish.endpoint import TS
from hlsd.delivery.flv_publish.service import FlvPublishService
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.recorder.service import RecorderService
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.ts.streams import TsStreams
from hlsd.delivery.web import WebApp, create_app
from hlsd.delivery.whep.room import WhepRoom
from hlsd.delivery.whep.service import WhepService
from hlsd.delivery.whip.service import WhipService
from hlsd.ingest.file_form import flv_form, ts_form
from hlsd.ingest.file_publisher import FilePublishers
from hlsd.ingest.gb28181.service import Gb28181Service
from hlsd.ingest.jt1078.service import Jt1078Service
from hlsd.ingest.packet_publisher import PacketHost
from hlsd.ingest.poll_reader import LONG_ROUND, ROUND
from hlsd.ingest.recorder.publisher import RecorderHost
from hlsd.ingest.recorder.room import RecorderRoom
from hlsd.ingest.rtmp_server import RtmpServer
from hlsd.ingest.srt.publisher import SrtHost
from hlsd.ingest.srt.room import SrtRoom
from hlsd.ingest.srt.service import SrtService
from hlsd.ingest.ts.service import TsUdpService
from hlsd.ingest.webrtc.room import WebrtcRoom
from hlsd.metrics.exporter import Exporter
from hlsd.metrics.lag import LagMeter
from hlsd.metrics.reading import Reader
from hlsd.metrics.service import MetricsService
from hlsd.net.figures import TlsFigures
from hlsd.net.handshakes import Handshakes
from hlsd.net.identity import Identity
from hlsd.ports import OutputFactory, Service, SinkFactory
from hlsd.record.service import RecordService
from hlsd.snapshots.service import SnapshotService
from hlsd.streams.stream import StreamState
from hlsd.timeshift.service import TimeshiftService
from hlsd.transcode.service import TranscodeService
from hlsd.vod.start import vod_service

if TYPE_CHECKING:
    from starlette.routing import BaseRoute, Route

    from hlsd.base.figures import Reporter
    from hlsd.node import Node

T = TypeVar("T")


class Services:
    """The services of one node, made and not started.

    `unready()` says why no viewer should be sent here, `impaired()` what viewers of some streams do not get.
    """

    def __init__(
        self,
        node: Node,
        unready: Callable[[], Sequence[str]],
        impaired: Callable[[], Sequence[str]] = tuple,
        fronts: Sequence[Made] | None = None,
    ) -> None:
        self.node = node
        self._ready = ready_route(unready, impaired)
        self.audience = FlvStreams(node.settings.flv, node.entrance, node.sessions, node.stats.faults)
        """Feeds FLV tags to viewers of HTTP, WebSocket and RTMP."""
        https = node.settings.https
        self.handshakes = Handshakes(https.max_handshakes, https.max_handshakes_per_ip)
        """Of TLS, on all ports: they share a processor."""
        self.by_name: dict[str, Service] = {}
        for name, make in SERVICES:
            self.by_name[name] = make(self)  # one may stand on one before it
        self.web = self._web()
        """What HTTP answers, on every port of it."""
        self.by_name |= {name: front(self) for name, front in (FRONTS if fronts is None else fronts)}

    def outputs(self) -> list[OutputFactory]:
        """What all of them make of each stream."""
        return self._of_each("outputs", lambda service: service.outputs())

    def sinks(self) -> list[SinkFactory]:
        """What all of them make of the segments of each stream."""
        return self._of_each("sinks", lambda service: service.sinks())

    def operations(self) -> list[Route]:
        """What all of them add to the API."""
        return self._of_each("operations", lambda service: service.operations())

    def figures(self) -> list[Reporter]:
        """Who reports their figures."""
        return self._of_each("figures", lambda service: service.figures())

    def impaired(self) -> list[str]:
        """What they do not do for now."""
        return self._of_each("impaired", lambda service: service.impaired())

    def _of_each(self, what: str, ask: Callable[[Service], Sequence[T]]) -> list[T]:
        """What each of them says; who raises has said nothing."""
        faults, said = self.node.stats.faults, list[T]()
        for name, service in self.by_name.items():
            with faults.guard(name, asked=what):
                said += ask(service)
        return said

    def certificates(self) -> Iterator[tuple[str, Sequence[Identity]]]:
        """Those of each port."""
        for port, service in (("https", self.by_name.get("https")), ("rtmps", self.by_name.get("rtmp"))):
            if isinstance(service, HttpsServer | RtmpServer):
                yield port, service.identities

    def _web(self) -> WebApp:
        node, settings = self.node, self.node.settings
        routes: list[BaseRoute] = [self._ready]
        routes += self._of_each("routes", lambda service: service.routes())
        return create_app(
            node.directory,
            node.sessions,
            settings.http,
            node.clock,
            entrance=node.entrance,
            judge=node.judge,
            rtmp_port=settings.rtmp.port,
            routes=routes,
            stats=node.stats,
            playables=node.hub.playables,
            listed=lambda app: not settings.auth.rules(app).play,
        )


def _rtmp(services: Services) -> Service:
    node = services.node
    return RtmpServer(
        node.settings.rtmp,
        node.hub,
        node.intake,
        node.clock,
        node.log,
        audience=services.audience,
        round_period=ROUND if node.settings.hls.low_latency else LONG_ROUND,
        faults=node.stats.faults,
        ended=node.stats.rtmp_ended,
        handshakes=services.handshakes,
    )


def _whip(services: Services) -> Service:
    node, settings = services.node, services.node.settings
    sound = node.sound if settings.transcode.audio else None
    first = settings.rtmp.publish_timeout
    room = WebrtcRoom(node.webrtc, node.hub, node.clock, node.log, node.stats.faults, sound, first)
    servers = settings.webrtc.ice_servers
    known, open_to_all = [one.link for one in servers], [one.link for one in servers if not one.username]
    https_port = settings.https.port if settings.https.secure else 0

    def whose(app: str, ident: str) -> str:
        recorder = services.by_name.get("recorder")
        by_socket = recorder.whose(app, ident) if isinstance(recorder, RecorderService) else ""
        return room.whose(app, ident) or by_socket

    return WhipService(room, node.judge, node.sessions.of_stream, whose, known, open_to_all, https_port)


def _whep(services: Services) -> Service:
    node = services.node
    desk = node.sound if node.settings.transcode.audio else None
    faults, gop = node.stats.faults, services.audience.gop
    room = WhepRoom(node.webrtc, node.entrance, node.sessions, desk, gop, node.clock, faults, node.log)
    servers = node.settings.webrtc.ice_servers
    open_to_all = [one.link for one in servers if not one.username]
    return WhepService(room, node.judge, faults, [one.link for one in servers], open_to_all)


def _srt(services: Services) -> Service:
    node, settings = services.node, services.node.settings
    rtmp, faults = settings.rtmp, node.stats.faults
    host = SrtHost(node.clock, node.log, faults, node.mpeg_media, rtmp.publish_timeout, rtmp.idle_timeout)
    streams = TsStreams(node.entrance, node.sessions, faults)
    room = SrtRoom(settings.srt, node.hub, streams, host, rtmp.bind)
    return SrtService(room, streams, on=settings.srt.port > 0)


def _flv_publish(services: Services) -> Service:
    node, rtmp = services.node, services.node.settings.rtmp
    faults = node.stats.faults
    first, idle = rtmp.publish_timeout, rtmp.idle_timeout
    form = flv_form(node.intake)
    publishers = FilePublishers(node.hub, form, node.clock, node.log, faults, first, idle)
    return FlvPublishService(publishers, node.judge, faults, on=node.settings.publish.flv)


def _ts_publish(services: Services) -> Service:
    node, rtmp = services.node, services.node.settings.rtmp
    faults = node.stats.faults
    form = ts_form(node.mpeg_media)
    publishers = FilePublishers(node.hub, form, node.clock, node.log, faults, rtmp.publish_timeout, rtmp.idle_timeout)
    return FlvPublishService(publishers, node.judge, faults, on=node.settings.publish.ts, form=TS)


def _ts_udp(services: Services) -> Service:
    return TsUdpService(services.node.settings.ts, _packets(services))


def _jt1078(services: Services) -> Service:
    node = services.node
    return Jt1078Service(node.settings.jt1078, _packets(services), node.vehicle_names, node.wishes)


def _gb28181(services: Services) -> Service:
    return Gb28181Service(services.node.settings.gb28181, _packets(services), services.node.bus)


def _packets(services: Services) -> PacketHost:
    """What those know who publish packets without a word."""
    node = services.node
    return PacketHost(node.hub, node.mpeg_media, node.clock, node.log, node.stats.faults)


def _recorder(services: Services) -> Service:
    node, settings = services.node, services.node.settings
    rtmp, mine, faults = settings.rtmp, settings.recorder, node.stats.faults
    sound = node.sound if settings.transcode.audio else None
    first, idle, grace = rtmp.publish_timeout, rtmp.idle_timeout, settings.publish.grace
    host = RecorderHost(node.hub, node.clock, node.log, faults, sound, first, idle, grace)
    room = RecorderRoom(host, node.stats.label)
    return RecorderService(room, node.judge, faults, mine.max_bytes, on=mine.enabled)


def _metrics(services: Services) -> Service:
    node = services.node
    reader = Reader(
        lambda: [*node.figures(), TlsFigures(services.handshakes, services.certificates), *services.figures()],
        node.hub.named,
        node.stats,
        max_streams=node.settings.metrics.max_streams,
    )
    exporter = Exporter(reader, node.settings.metrics, node.clock.wall, node.may_read)
    lag = LagMeter(node.stats.loop_lag, node.stats.faults)
    return MetricsService(node.settings.metrics, exporter, lag, node.log)


def _sound(services: Services) -> Service:
    return services.node.sound


def _relay(services: Services) -> Service:
    return services.node.relay


def _record(services: Services) -> Service:
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
        pictures=lambda: (
            snapshot.spare if isinstance(snapshot := services.by_name["snapshot"], SnapshotService) else None
        ),
    )


def _timeshift(services: Services) -> Service:
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
    )


def _flv(services: Services) -> Service:
    return FlvService(services.audience, services.node.judge, services.node.clock)


def _snapshot(services: Services) -> Service:
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
        gated=node.gate is not None,
        clock=node.clock,
        bus=node.bus,
        log=node.log,
        faults=node.stats.faults,
    )


def _transcode(services: Services) -> Service:
    node = services.node
    return TranscodeService(node.settings.transcode, node.clock, node.bus, node.log, node.stats.faults)


def _console(services: Services) -> Service:
    node = services.node
    api = node.settings.api.enabled
    history = History(lambda: points_of(node.hub.streams, node.sessions.of_stream), node.clock.wall)
    return ConsoleService(node.settings.console, history, node.stats.faults, api=api)


def _api(services: Services) -> Service:
    node = services.node
    return ApiService(
        node.settings.api,
        node.hub,
        node.sessions,
        node.notify.ring,
        node.clock,
        node.access,
        node.log,
        config=lambda: shown(node.settings),
        server_id=node.id,
        more=services.operations,
        snapshots=node.settings.snapshot.on_demand,
        congestion=lambda: {name: one.congestion for name, one in services.by_name.items() if one.congestion},
    )


def _https(services: Services) -> Service:
    settings = services.node.settings
    return HttpsServer(settings.https, settings.http, services.web, services.node.log, services.handshakes)


def _http(services: Services) -> Service:
    return HttpServer(services.node.settings.http, services.web, services.node.log)


Made = tuple[str, Callable[[Services], Service]]
"""A service by its name, and who makes it."""

SERVICES: tuple[Made, ...] = (
    ("record", _record),
    ("recorder", _recorder),  # before the page at the same address
    ("rtmp", _rtmp),
    ("whip", _whip),
    ("srt", _srt),
    ("flv_publish", _flv_publish),
    ("ts_publish", _ts_publish),
    ("ts_udp", _ts_udp),
    ("jt1078", _jt1078),
    ("gb28181", _gb28181),
    ("metrics", _metrics),
    ("relay", _relay),
    ("sound", _sound),
    ("timeshift", _timeshift),
    ("flv", _flv),
    ("whep", _whep),  # behind whose newest pictures it begins with
    ("snapshot", _snapshot),
    ("vod", lambda services: vod_service(services.node, services.by_name)),
    ("transcode", _transcode),
    ("console", _console),
    ("api", _api),
)
FRONTS: tuple[Made, ...] = (
    ("https", _https),
    ("http", _http),
)
"""What the routes of all others are answered by."""
