"""Is what all services of one server stand on, for one life of it: from `start` to `stop`.

Made when the server starts, and not before: it opens the stores of the state folder. Each object has what it needs from
its construction on; who comes later is asked for by a function.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from hlsd.api.access import Access, asked
from hlsd.api.local_token import LocalToken
from hlsd.auth.figures import AuthFigures
from hlsd.auth.gate import AuthGate, gate_of
from hlsd.base.errors import ConfigError
from hlsd.base.figures import Reporter
from hlsd.base.state_lock import StateLock
from hlsd.changing import NodeChanges
from hlsd.delivery.judge import Judge
from hlsd.events import Action
from hlsd.ingest.intake import Intake
from hlsd.ingest.jt1078.names import JtNames
from hlsd.ingest.jt1078.wishes import JtWishes
from hlsd.ingest.script_events import EventLimits
from hlsd.media.key_vault import KeyVault
from hlsd.metrics.node import NodeFigures
from hlsd.notify.figures import NotifyFigures
from hlsd.notify.notify import Notify
from hlsd.ports import OutputFactory, Publication, SinkFactory
from hlsd.relay.service import RelayService
from hlsd.relay.tasks import stored_tasks
from hlsd.segmenter import libav
from hlsd.segmenter.figures import SegmentFigures
from hlsd.segmenter.groups.rule import RuleBook
from hlsd.segmenter.journal import SequenceJournal
from hlsd.segmenter.outputs import HlsOutputs
from hlsd.sessions.ban_store import BanStore
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.sessions.figures import SessionFigures
from hlsd.sessions.gate import ChangingGate
from hlsd.sessions.key_file import KEY_BYTES, load_key
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.registry import Registry
from hlsd.sessions.schedule import idle_of
from hlsd.sessions.signing import Key, Signer
from hlsd.sound.service import SoundService
from hlsd.streams.connections import ConnectionDesk
from hlsd.streams.directory import StreamDirectory
from hlsd.streams.either import EitherSource
from hlsd.streams.figures import StreamFigures
from hlsd.streams.hub import Hub
from hlsd.webrtc.port import WebrtcPort

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Scope

    from hlsd.auth.settings import AuthSettings
    from hlsd.base.clock import Clock
    from hlsd.cluster.membership import Membership
    from hlsd.config import Settings
    from hlsd.events import Bus
    from hlsd.ingest.mpeg.media import MpegMedia
    from hlsd.stats import Stats
    from hlsd.streams.stream import Stream


class Node:
    """`outputs()` and `sinks()` give what services make of each stream, HLS aside, and of its segments.

    `env` holds the secrets that settings name.

    Raises:
        ConfigError: the key of sessions in the state folder is none.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a server is made from
        self,
        settings: Settings,
        clock: Clock,
        stats: Stats,
        bus: Bus,
        outputs: Callable[[], Iterable[OutputFactory]],
        sinks: Callable[[], Iterable[SinkFactory]],
        env: Mapping[str, str],
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.stats = stats
        self.bus = bus
        self.log = structlog.get_logger()
        self.id = settings.server.id or socket.gethostname()
        self.state = state = Path(settings.server.state_dir)
        self.notify = Notify(
            settings.notify,
            bus,
            clock,
            stats.notify,
            state=state,
            server_id=self.id,
            refused=self._refused,
            faults=stats.faults,
        )
        self._lock = StateLock(state)
        self.local_token = LocalToken(state)
        """How programs of this machine are known to the API."""
        self.access = Access(settings.api, env, settings.http.proxies, self.local_token.value)
        self.key = key = self._session_key()
        """What signs the ids of sessions."""
        joined = RuleBook(settings.hls.groups).joined
        self.vault = KeyVault(key.secret, settings.hls.encrypt, settings.hls.key_segments, joined)
        """What segments are encrypted by."""
        journal = SequenceJournal(state / "hlsd.sqlite")
        self.hls = HlsOutputs(settings.hls, clock, journal, stats, sinks=sinks, vault=self.vault)
        self.gate = ChangingGate(self.gate_of(settings.auth))
        """Who may play and publish; open where everybody may."""
        self.hub = Hub(
            settings.publish,
            clock,
            lambda: [self.hls, *outputs()],
            max_streams=settings.limits.max_streams,
            max_memory=settings.limits.max_memory,
            stats=stats,
            bus=bus,
            gate=self.gate,
            over=self._over,
            joined=self.hls.groups.find,
            ready=libav.loaded,
        )
        self.connections = ConnectionDesk(bus, clock)
        """Who hears of connections, and may refuse them."""
        self.session_idle = idle_of(settings.sessions.idle_timeout, self.hub.find)
        """Seconds without a request after which a viewer is gone."""
        signer = Signer([key], clock.wall, self.id)
        self.cluster = self._cluster()
        """What it shares with other nodes; None if it stands alone."""
        bans = BanStore(state / "bans.jsonl", clock.wall)
        self.sessions = Registry(
            signer,
            clock,
            self.session_idle,
            max_sessions=settings.sessions.max_sessions,
            stats=stats,
            bus=bus,
            gate=self.gate,
            settings=settings.sessions,
            stream=self.hub.find,
            grace=settings.publish.grace,
            about=self._about,
            directory=LocalDirectory(settings.sessions, clock, signer.who, store=bans),
            store=self.cluster.store if self.cluster is not None else None,
            closed=settings.cluster.closed,
            farewell=self.cluster.drain.stop if self.cluster is not None else None,
        )
        self.sound = SoundService(settings.transcode, clock, self.log, stats.faults)
        """Where sound that is not AAC becomes AAC."""
        http = settings.http
        self.webrtc = WebrtcPort(settings.webrtc, clock, self.log, stats.faults, http.bind, http.port)
        """Where media comes and goes by UDP."""
        self.relay = self._relay()
        """What fetches streams from other servers and sends them on."""
        vehicles = settings.jt1078
        self.vehicle_names = JtNames(vehicles)
        self.wishes = JtWishes(vehicles, self.vehicle_names, bus, clock, self._on_air, self.sessions.of_stream)
        """What viewers want of vehicles that do not send."""
        self.directory = StreamDirectory(self.hub, EitherSource(self.relay, self.wishes))
        self.entrance = ViewerEntrance(self.sessions, self.directory, stats)
        """Where viewers are let in, by whatever protocol."""
        self.judge = Judge(self.directory, self.sessions, settings.http)
        self.changes = NodeChanges(self, env)
        """What it takes of a changed configuration."""

    async def start(self) -> None:
        """Takes up what was left: events that were not told yet, who is banned."""
        self._mark_state()
        await self.notify.start()
        await self.sessions.start()
        if self.cluster is not None:
            self.cluster.drain.start()

    async def stop(self) -> None:
        """Ends what is left when every service has stopped; whatever raises, every store is brought to its end."""
        guard = self.stats.faults.guard("stop")
        with guard:
            await self.sessions.stop()  # when all they got has been counted, and before events are carried away no more
        with guard:
            await self.bus.close()
        with guard:
            self.hls.leave(self.hub.streams)
        with guard:
            await self.notify.stop()
        with guard:
            await self.changes.stop()
        if isinstance(self.gate.rules, AuthGate):
            with guard:
                await self.gate.rules.close()
        with guard:
            self.hls.close()
        with guard:
            self.local_token.withdraw()
        self._lock.release()

    def _mark_state(self) -> None:
        """One folder is one server's: two would hand out the same events, and each take the other's token away."""
        try:
            alone = self._lock.take()
        except OSError:
            return  # a folder that cannot be written: whoever needs it says what it does without
        if not alone:
            hint = "give each server its own server.state_dir"
            self.log.error("another server uses the same state folder", state_dir=str(self.state), hint=hint)

    def figures(self) -> Sequence[Reporter]:
        """Who reports what no service owns."""
        return (
            NodeFigures(self.stats),
            StreamFigures(self.hub, self.stats, self.settings.limits.max_memory),
            SegmentFigures(self.hub.run, self.stats),
            SessionFigures(self.sessions.ledger, self.stats),
            AuthFigures(self.stats),
            NotifyFigures(self.stats.notify),
            *(self.cluster.figures(self.sessions.common) if self.cluster and self.sessions.common else ()),
        )

    def gate_of(self, auth: AuthSettings) -> AuthGate | None:
        """The gate that such rules ask for; None where they ask for none."""
        return gate_of(
            auth,
            self.clock,
            salt=hmac.digest(self.key.secret, b"names of tokens", "sha256"),
            server_id=self.id,
            trusted=self.settings.http.proxies,
            stats=self.stats,
        )

    def intake(self, publication: Publication, now: float) -> Intake:
        """What takes a publisher's tags."""
        publish, sound = self.settings.publish, self.sound if self.settings.transcode.audio else None
        return Intake(publication, now, sound=sound, events=EventLimits(publish.max_events, publish.max_event_bytes))

    def mpeg_media(self, publication: Publication, now: float) -> MpegMedia:
        """What takes what a publisher's MPEG-TS is made of, and its like."""
        from hlsd.ingest.mpeg.media import MpegMedia  # noqa: PLC0415 - what nobody uses is not loaded

        publish, sound = self.settings.publish, self.sound if self.settings.transcode.audio else None
        return MpegMedia(publication, now, sound, EventLimits(publish.max_events, publish.max_event_bytes))

    def _on_air(self, app: str, name: str) -> bool:
        found = self.hub.find(app, name)
        return found is not None and not found.ended

    def on_air(self) -> list[Stream]:
        """The streams that somebody publishes."""
        return [stream for stream in self.hub.streams if stream.claim is not None]

    def may_read(self, scope: Scope) -> bool:
        """Whether who asks may read the API, by its ASGI scope."""
        return self.access.reads(asked(scope), time.monotonic())

    def _relay(self) -> RelayService:
        settings = self.settings
        ports = {settings.rtmp.port, settings.rtmp.tls_port, settings.http.port, settings.https.port}
        ports = (ports | {settings.srt.port}) - {0}
        return RelayService(
            settings.relay,
            self.hub,
            self.hub.find,
            lambda: self.sessions,
            self.clock,
            self.bus,
            self.log,
            tasks=stored_tasks(self.state / "hlsd.sqlite"),
            server_id=self.id,
            own_ports=lambda: ports,
            on_air=self.on_air,
            rules=self.stats.relays,
            abandon=self.hub.abandon,
            faults=self.stats.faults,
            intake=self.intake,
        )

    def _cluster(self) -> Membership | None:
        """The part that stands on Redis is loaded where it is wanted, and not before."""
        settings = self.settings
        if settings.cluster.redis is None:
            return None
        from hlsd.cluster.membership import Membership  # noqa: PLC0415

        return Membership(
            settings.cluster,
            settings.sessions,
            self.clock,
            self.bus,
            self.stats.faults,
            safe=self.notify.kept,
            send_away=self._send_away,
        )

    def _send_away(self, ident: str, reason: str) -> None:
        """Sessions are made after what they share."""
        self.sessions.send_away(ident, reason)

    def _over(self, app: str, name: str) -> None:
        """A stream has ended, or was removed; sessions are made after the hub, which they ask."""
        self.sessions.stream_over(app, name)
        group = self.hls.groups.stream_over(app, name)
        if group is not None:
            self.sessions.stream_over(*group)

    def _refused(self, action: str, ident: str) -> None:
        """A receiver does not want this client (Node-Media-Server: any status but 200 closes it)."""
        if action == Action.POST_PUBLISH:
            self.hub.reject(ident, "auth_denied")
        else:
            self.sessions.send_away(ident, "auth_denied")

    def _about(self, app: str, name: str) -> tuple[str, str]:
        """A stream's run and codecs, for events; empty once it is gone."""
        run = self.hub.run(app, name) or self.hls.groups.find(app, name)
        return run.about if run is not None else ("", "")

    def _session_key(self) -> Key:
        secret = self.settings.sessions.secret
        if secret is not None:
            return Key(secret.get_secret_value().encode())
        path = self.state / "session.key"
        try:
            return load_key(path)
        except OSError as error:  # as the journal: a disk that is full or read-only must not keep anybody off the air
            reason = str(error)
            self.log.warning("session key not kept: viewers begin anew after a restart", path=str(path), reason=reason)
            return Key(secrets.token_bytes(KEY_BYTES))
        except ValueError as error:
            raise ConfigError(str(error)) from error
