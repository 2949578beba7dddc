"""Knows every session of this server: the one face of this box, behind which each noun has its file.

Law: an id is verified once and then found in a table. Ending is by one sweep of a wheel, in slices, never by a timer of
a session. A session that is over is remembered for a while: its id begins a new session that names the old one; but if
the server ended it, it is refused. What is banned does not play on: neither what is open, by whatever way, nor what
comes back, moves, or is authorised anew. `admit` never waits: whoever must be asked about a viewer that plays already
is asked meanwhile. Who may have how many, and who is banned, is the directory's to say (`hlsd.sessions.directory`):
it is asked when a viewer comes, is back or goes, never for a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from hlsd.base.clock import Clock
from hlsd.events import Bus
from hlsd.ports import VOD, Denial, Gate, Grant, Playable, PlayRequest
from hlsd.ports import ViewerSession as Viewer
from hlsd.sessions.about import SessionAbout
from hlsd.sessions.claims import Claims
from hlsd.sessions.directory import Revocation, SessionDirectory
from hlsd.sessions.enforcement import Enforcement
from hlsd.sessions.gate import OpenGate
from hlsd.sessions.leases import Leases
from hlsd.sessions.lifecycle import Lifecycle
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.memory import SessionMemory
from hlsd.sessions.opening import SessionOpening
from hlsd.sessions.refusals import NOT_OURS
from hlsd.sessions.renewal import Renewal
from hlsd.sessions.returning import Returning
from hlsd.sessions.schedule import VOD_IDLE, Schedule
from hlsd.sessions.session import Session
from hlsd.sessions.session_events import SessionEvents
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.shared import Shared
from hlsd.sessions.shared_directory import SharedDirectory
from hlsd.sessions.signing import Signer
from hlsd.sessions.store import SessionStore
from hlsd.sessions.sweep import Sweep
from hlsd.sessions.table import SessionTable
from hlsd.stats import Stats


class Registry:
    """The sessions of one server (`hlsd.ports.Sessions`).

    `idle(app, name)` says after how many seconds without a request a session of that stream is over;
    `stream(app, name)` finds the stream, `about(app, name)` tells its id and codecs for events; `grace` is how many
    seconds a publisher may take to come back. `directory` is the one of this server alone unless there is another, or a
    `store` that several processes share; `closed(app)` says whether who comes is turned away while that is away, and
    `farewell` is awaited when all has been said to it.
    """

    def __init__(  # noqa: PLR0913 - what a server has
        self,
        signer: Signer,
        clock: Clock,
        idle: Callable[[str, str], float],
        *,
        max_sessions: int,
        gate: Gate | None = None,
        bus: Bus | None = None,
        stats: Stats | None = None,
        settings: SessionSettings | None = None,
        stream: Callable[[str, str], Playable | None] | None = None,
        grace: float = 0.0,
        about: Callable[[str, str], tuple[str, str]] | None = None,
        directory: SessionDirectory | None = None,
        store: SessionStore | None = None,
        closed: Callable[[str], bool] = lambda _app: False,
        farewell: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.settings = settings = settings or SessionSettings()
        self.stats = stats or Stats()
        self.bus = bus or Bus()
        self.gate: Gate = gate or OpenGate()
        self._clock = clock
        self._grace = grace
        self._table = table = SessionTable(max_sessions)
        self._events = SessionEvents(self.bus, clock, about)
        schedule = Schedule(clock.monotonic(), idle, settings.update_interval)
        knows = SessionAbout(schedule, self._events.facts)
        self.common: SharedDirectory | None = None
        """What this process and others have in common; None if it serves all sessions."""
        if store is not None:
            self.common = SharedDirectory(store, clock, knows, self.stats.faults, closed=closed, farewell=farewell)
        self.directory: SessionDirectory = self.common or directory or LocalDirectory(settings, clock, signer.who)
        self._shared = shared = Shared(
            clock,
            settings,
            signer,
            self.gate,
            self.directory,
            stream,
            table=table,
            memory=SessionMemory(max_sessions, settings.resume_window),
            schedule=schedule,
            events=self._events,
            claims=Claims(signer.who, knows.about if self.common is not None else None),
            stats=self.stats,
            lives=self.common,
        )
        self._lifecycle = life = Lifecycle(shared)
        renewal = Renewal(shared, life)
        self._leases = leases = Leases(shared, life, renewal)
        self._opening = opening = SessionOpening(shared, life, renewal)
        self._returning = Returning(shared, life, renewal, opening, leases)
        self._enforcement = Enforcement(shared, life)
        self._sweep = Sweep(shared, life, renewal, self._enforcement, leases)
        self._open: dict[bytes, Session] = table.by_sid
        self.ledger = life.ledger
        self.facts = self._events.facts
        """What events and the API say of a session."""
        self.find: Callable[[bytes], Viewer | None] = table.by_sid.get
        """The open session of that id, for whatever stream; it is the caller who compares the path."""
        self.charge: Callable[[Viewer | None, int, int], None] = self.ledger.charge

    async def start(self) -> None:
        """Learns who is banned."""
        await self.directory.start()

    async def stop(self) -> None:
        """`shutdown`, and nobody is asked any more."""
        self.shutdown()
        try:
            await self._events.stop()
            await self._leases.stop()
        finally:
            self._enforcement.stop()
            await self.directory.stop()

    # -- who is here

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._open.values())

    def get(self, sid: str) -> Session | None:
        """The open session whose `id` is `sid`, or who has it in the path."""
        return self._table.get(sid)

    def in_any_life(self, public: str) -> Session | None:
        """The open session of a public id, whichever of its lives that is."""
        return self._table.in_any_life(public)

    def played(self, session: Session) -> None:
        """A session that is over had got media, as is known only now: events tell of it."""
        self._lifecycle.played(session)

    def claim_all(self) -> None:
        """Claims every place anew: whoever keeps them has begun again, and knows of nobody."""
        for session in list(self._open.values()):
            self._leases.claim_meanwhile(session)

    def of_stream(self, path: str) -> int:
        """How many sessions `/{app}/{name}` has, by whatever protocol."""
        return self._table.streams[path]

    def count(self, app: str, name: str, protocol: str) -> int:
        """How many sessions a stream has by one protocol."""
        found = self.stats.tallies.get((app, name, protocol))
        return found.sessions if found is not None else 0

    # -- coming

    async def authorise(self, request: PlayRequest) -> Grant | Denial:
        """Whether the viewer may watch."""
        return await self.gate.play(request)

    async def vouch(self, request: PlayRequest, grant: Grant) -> str | Denial:
        """The name of the stream that an authorised viewer may see, or why none; there is no session of it."""
        return await self._opening.vouch(request, grant)

    async def open(self, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A new session for an authorised viewer, or why not; the same one for a player that opens twice.

        It may be one of another stream: whoever is asked may lead the viewer there.
        """
        return await self._opening.open(request, grant)

    async def replace(self, sid: str, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A session for a player that goes on asking with `sid`, which is not accepted: one for all that it asks."""
        return await self._opening.replace(sid, request, grant)

    def admit(  # noqa: PLR0913, PLR0917 - what a request says
        self, sid: str, app: str, name: str, ip: str, agent: str, protocol: str = "hls"
    ) -> Session | Denial:
        """The session `sid` of `/{app}/{name}`: the open one, a resumed or an adopted one; or why not.

        `ip` is where the request comes from; empty where that is checked already.
        """
        key = sid.encode("latin-1", "replace")
        session = self._open.get(key)
        if session is not None:
            if session.app != app or session.name != name:
                return NOT_OURS
            if ip != session.ip and ip:
                return self._returning.moved(session, ip) or session
            return session
        return self._returning.back(key, PlayRequest(app, name, protocol, ip, user_agent=agent))

    def awaits(self, viewer: Viewer) -> bool:
        """Whether the stream of a session, which is not here, may still come: the server began again a moment ago."""
        mine = self._open.get(viewer.sid)
        return mine is not None and mine.adopted and self._clock.monotonic() - mine.opened < self._grace

    def linger(self, viewer: Viewer) -> None:
        """For a minute from now on it is kept, whatever becomes of its stream: it watches what was recorded."""
        mine = self._open.get(viewer.sid)
        if mine is not None and mine.protocol != VOD:
            mine.extra.lingers = self._clock.monotonic() + VOD_IDLE

    # -- going

    def stream_over(self, app: str, name: str) -> None:
        """A stream has ended, or was removed: its viewers are looked for, some in each `sweep_some`."""
        self._enforcement.stream_over(f"/{app}/{name}")

    def close(self, session: Viewer, reason: str, *, ban: float | None = None) -> None:
        """The viewer is gone, or is sent away: the session's account is closed, and events tell.

        If it is the server that ends it, its id is banned for `ban` seconds (`sessions.ban_time`).
        """
        self._lifecycle.close(session, reason, ban=ban)

    def end(self, session: Viewer, reason: str, *, ban: float | None = None) -> None:
        """As `close`, by the server's own will: a connection that the session lives on is closed too."""
        self._lifecycle.end(session, reason, ban=ban)

    def kick(self, sid: str, ban: float | None = None) -> bool:
        """Ends the session of that `id` and bans its viewer from the stream; False if there is none.

        `ban` in seconds (`sessions.ban_time` if None; 0 for none) is for the id and for the user, or the address of an
        unknown user. What else the banned one has open there, by whatever way, ends within a second.
        """
        return self._enforcement.kick(sid, ban)

    def send_away(self, sid: str, reason: str) -> None:
        """Ends the session of that `id` if it is on, here or in another process that shares sessions."""
        session = self._table.get(sid)
        if session is not None:
            session.reject(reason)
        elif self.common is not None:
            self.common.revoke(Revocation(sid, reason, self.settings.ban_time))

    def bound(self, max_sessions: int) -> None:
        """How many there may be, from now on; who is here stays."""
        self._table.most = max_sessions
        self._shared.memory.bound(max_sessions)

    def drain(self) -> None:
        """The server is about to stop: that is why sessions end from now on, and not that their streams do."""
        self._sweep.drain()

    def shutdown(self) -> None:
        """Ends every session; events are told before it returns."""
        guard = self.stats.faults.guard("session_end")
        for session in list(self._open.values()):
            with guard:
                self.end(session, "shutdown")

    def sweep(self) -> None:
        """Looks at every session whose time may be over, all at once."""
        while not self.sweep_some():
            pass

    def sweep_some(self) -> bool:
        """As `sweep`, for some of them; whether that was all. To be called a few times a second."""
        return self._sweep.turn()
