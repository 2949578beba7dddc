"""Knows every session of this server: opens, finds, adopts, resumes and ends them, and keeps their accounts.

Law: an id is verified once and then found in a table. Ending is by one sweep of a wheel, in slices, never by a timer of
a session. A session that is over is remembered for a while: its id begins a new session that names the old one; but if
the server ended it, it is refused. A valid id of before a restart is adopted, on the terms that stand in it; one that
this process issued and does not know any more is not. What is banned does not play on: neither what is open, by
whatever way, nor what comes back, moves, or is authorised anew. `admit` never waits: whoever must be asked about a
viewer that plays already is asked meanwhile.

It is long because it is one state machine, and every road into it is here: coming, coming back, moving, going.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from math import inf
from typing import TypeVar

from hlsd.base.clock import Clock
from hlsd.base.household import household
from hlsd.base.wheel import Wheel
from hlsd.events import UNANSWERED, Action, Bus
from hlsd.ports import Denial, Gate, Grant, Playable, PlayRequest, earlier
from hlsd.ports import Session as Viewer
from hlsd.sessions.accounting import Ledger
from hlsd.sessions.address import Move, is_bound, judge_move
from hlsd.sessions.ban_store import BanStore
from hlsd.sessions.bans import Bans
from hlsd.sessions.gate import OpenGate
from hlsd.sessions.limits import FULL, Limits, Quota
from hlsd.sessions.search import Search
from hlsd.sessions.session import Session
from hlsd.sessions.session_events import Teller
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.signing import PUBLIC, Issue, Signer, Terms
from hlsd.stats import Stats

K = TypeVar("K")

ADOPTED = "adopted"
"""Method of a grant that was made of an id of before a restart, for which a credential was asked."""
NOT_OURS = Denial(403, "session not accepted", "unknown")
SPLIT = Denial(403, "session not accepted", "split")
BANNED = Denial(403, "session not accepted", "banned")
EXPIRED = Denial(403, "session not accepted", "expired")
ELSEWHERE = Denial(403, "session not accepted", "address")

BY_SERVER = frozenset({"kicked", "replaced", "limit", "auth_denied", "expired"})
"""Ends after which the id is not let in again."""
SILENT = frozenset({"idle", "closed", "stream_end", "shutdown"})
"""Ends that are called "abandoned" if nothing was seen."""
SLICE = 200
"""Sessions that are looked at in one turn of the event loop: about 5 ms if all of them end."""
RENEW = 30.0
"""Seconds from one renewal of a grant that has expired to the next, if the gate names no other time."""
MERGE = 10.0
"""Seconds within which a player that opens twice gets the same session."""
MAX_KEPT = 64 * 1024 * 1024
"""Bytes of arguments and tokens, beyond `KEPT_FREE` of each session, that are kept to authorise viewers anew."""
KEPT_FREE = 1024
_BANNED, _ENDED = "ban", "ended"
"""Lists of the keeper."""
_TICKS = 4.0
"""Of the wheel in a second: a session is looked at a quarter of a second late at most."""


class _Filed:
    """In which tick each session is filed, kept in the session: a table of them would be 80 bytes for each."""

    def __init__(self) -> None:
        self._count = 0

    def get(self, session: Session, /) -> int | None:
        return session.filed

    def pop(self, session: Session, default: None, /) -> int | None:
        filed = session.filed
        if filed is None:
            return default
        session.filed = None
        self._count -= 1
        return filed

    def __setitem__(self, session: Session, tick: int, /) -> None:
        self._count += session.filed is None
        session.filed = tick

    def __len__(self) -> int:
        return self._count


class Registry:
    """The sessions of one server (`hlsd.ports.Sessions`).

    `idle(app, name)` says after how many seconds without a request a session of that stream is over;
    `stream(app, name)` finds the stream, `about(app, name)` tells its id and codecs for events; `grace` is how many
    seconds a publisher may take to come back.
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
        keeper: BanStore | None = None,
    ) -> None:
        self.settings = settings or SessionSettings()
        self.stats = stats or Stats()
        self.ledger = Ledger(self._begins)
        self.bus = bus or Bus()
        self.gate: Gate = gate or OpenGate()
        self._signer = signer
        self._clock = clock
        self._idle = idle
        self._stream = stream
        self._grace = grace
        self._max = max_sessions
        self._sessions: dict[bytes, Session] = {}
        self._public: dict[bytes, Session] = {}
        """The same by the public part of their ids."""
        self._kept = 0
        """Bytes that count for `MAX_KEPT`."""
        now = clock.monotonic()
        self._began = clock.wall()
        self._wheel: Wheel[Session] = Wheel(now * _TICKS, _Filed())
        self._past: dict[bytes, Session] = {}
        """Sessions that are over, in the order in which they ended."""
        self._twins: dict[tuple[str, ...], Session] = {}
        """Sessions by the player's own idea of them, in the order of their opening."""
        self._successors: dict[tuple[bytes, str, str], Session] = {}
        """Sessions by the id that their player goes on asking with, its address and agent."""
        self.draining = False
        """The server is about to stop: that is why sessions end from now on, and not that their streams do."""
        self._search = Search(self._sessions.values, self._ban_key)
        self._limits = Limits(self.settings, signer.who)
        self.bans = Bans(now)
        self._ended = Bans(now)
        """Ids that the server ended: not to be taken for those of before a restart, or of another node."""
        self._keeper = keeper
        for which, banned, until in keeper.open() if keeper is not None else ():
            (self._ended if which == _ENDED else self.bans).add(self._ban_read(banned), now + until - self._began)
        self._marks = 0
        self._epoch = 0.0
        self._end_rejected = self._rejected  # one bound method for all
        self._teller = Teller(self.bus, clock, about)
        self.facts = self._teller.facts
        """What events and the API say of a session."""
        self.find: Callable[[bytes], Viewer | None] = self._sessions.get
        """The open session of that id, for whatever stream; it is the caller who compares the path."""
        self.charge: Callable[[Viewer | None, int, int], None] = self.ledger.charge

    # -- who is here

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def get(self, sid: str) -> Session | None:
        """The open session whose `id` is `sid`, or who has it in the path."""
        raw = sid.encode("latin-1", "replace")
        session = self._public.get(raw[:PUBLIC])
        return session if session is not None and (session.id == sid or session.sid == raw) else None

    def of_stream(self, path: str) -> int:
        """How many sessions `/{app}/{name}` has, by whatever protocol."""
        return self._limits.streams[path]

    def count(self, app: str, name: str, protocol: str) -> int:
        """How many sessions a stream has by one protocol."""
        found = self.stats.tallies.get((app, name, protocol))
        return found.sessions if found is not None else 0

    # -- coming

    async def authorise(self, request: PlayRequest) -> Grant | Denial:
        """Whether the viewer may watch."""
        return await self.gate.play(request)

    async def open(self, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A new session for an authorised viewer, or why not; the same one for a player that opens twice.

        It may be one of another stream: whoever is asked may lead the viewer there.
        """
        twin = self._twin(request, grant, self._clock.monotonic())
        if twin is not None:
            return twin
        room = self._room(request, grant)
        if isinstance(room, Denial):
            return room
        key = _twin_key(request)
        session = await self._asked(request, grant)
        if isinstance(session, Denial):
            return session
        # again: others may have come while somebody was asked
        room = self._room(replace(request, name=session.name), session.grant)
        if isinstance(room, Denial):
            return room
        if not self._sealed(session, soft=room.soft):
            return EXPIRED
        for other in room.leave:
            self.end(other, "replaced")
        self._add(session)
        if request.playback_id:
            session.extra.merge = key
            self._twins[key] = session
        return session

    async def replace(self, sid: str, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A session for a player that goes on asking with `sid`, which is not accepted: one for all that it asks."""
        key = (sid.encode("latin-1", "replace"), request.ip, request.user_agent)
        session = self._successors.get(key)
        if session is not None and session.app == request.app:
            asked = (session.rare.asked if session.rare is not None else "") or session.name
            if asked == (request.asked or request.name) and session.grant.identity == grant.identity:
                return session
        made = await self.open(request, grant)
        if isinstance(made, Session) and not made.over and made.extra.succeeds is None:
            made.extra.succeeds = key
            self._successors[key] = made
        return made

    def admit(self, sid: str, app: str, name: str, ip: str, agent: str) -> Session | Denial:
        """The session `sid` of `/{app}/{name}`: the open one, a resumed or an adopted one; or why not.

        `ip` is where the request comes from; empty where that is checked already.
        """
        key = sid.encode("latin-1", "replace")
        session = self._sessions.get(key)
        if session is not None:
            if session.app != app or session.name != name:
                return NOT_OURS
            if ip != session.ip and ip:
                return self._moved(session, ip) or session
            return session
        now = self._clock.monotonic()
        if self.bans.holds(key, now):
            return BANNED
        past = self._past.get(key)
        if past is not None and past.app == app and past.name == name:
            return self._resume(past, ip, agent, now)
        if self._ended.holds(key, now):
            return NOT_OURS  # it may try to be let in anew
        issue = self._signer.read(key, f"/{app}/{name}")
        if issue is None or not self._adoptable(issue):
            return NOT_OURS
        return self._adopt(key, PlayRequest(app, name, "hls", ip, user_agent=agent), issue)

    def awaits(self, viewer: Viewer) -> bool:
        """Whether the stream of a session, which is not here, may still come: the server began again a moment ago."""
        mine = self._sessions.get(viewer.sid)
        return mine is not None and mine.adopted and self._clock.monotonic() - mine.opened < self._grace

    # -- going

    def stream_over(self, app: str, name: str) -> None:
        """A stream has ended, or was removed: its viewers are looked for, some in each `sweep_some`."""
        self._search.streams.add(f"/{app}/{name}")

    def close(self, session: Viewer, reason: str, *, ban: float | None = None) -> None:
        """The viewer is gone, or is sent away: the session's account is closed, and events tell.

        If it is the server that ends it, its id is banned for `ban` seconds (`sessions.ban_time`).
        """
        mine = self._sessions.get(session.sid)
        if mine is None or mine is not session:
            return
        now = self._clock.monotonic()
        if mine.drop is not None:
            mine.last = now  # it lived on a connection, which was read from until now
        if not mine.started and reason in SILENT:
            reason = "abandoned"
        self._unlist(mine)
        self._wheel.drop(mine)
        self._limits.remove(mine)
        self.ledger.close(mine)
        mine.reason, mine.ended = reason, now
        mine.tally.sessions -= 1
        app = self.stats.app(mine.app)
        app.closed[mine.protocol, reason.partition(":")[0]] += 1
        if mine.started:
            app.session_duration[mine.protocol].observe(max(0.0, mine.last - mine.started))
        self._forget(mine)
        if mine.drop is None:
            if reason in BY_SERVER:
                self._ban(mine.sid, self.settings.ban_time if ban is None else ban)
                self._end_for_good(mine.sid)
            if len(self._past) >= self._max:
                self._bury(next(iter(self._past)))
            self._past[mine.sid] = mine
        if mine.started:
            if mine.asking:
                self._teller.tell(Action.POST_PLAY, mine)
            self._teller.tell(Action.DONE_PLAY, mine)

    def end(self, session: Viewer, reason: str, *, ban: float | None = None) -> None:
        """As `close`, by the server's own will: a connection that the session lives on is closed too."""
        mine = self._sessions.get(session.sid)
        if mine is None or mine is not session:
            return
        try:
            self.close(mine, reason, ban=ban)
        finally:
            if mine.drop is not None:
                with self.stats.faults.guard("session_end"):
                    mine.drop(reason)

    def kick(self, sid: str, ban: float | None = None) -> bool:
        """Ends the session of that `id` and bans its viewer from the stream; False if there is none.

        `ban` in seconds (`sessions.ban_time` if None; 0 for none) is for the id and for the user, or the address of an
        unknown user. What else the banned one has open there, by whatever way, ends within a second.
        """
        session = self.get(sid)
        if session is None:
            return False
        seconds = self.settings.ban_time if ban is None else ban
        banned = self._ban_key(session)
        self._ban(banned, seconds)
        self.end(session, "kicked", ban=seconds)
        if seconds > 0:
            self._search.bans.add(banned)
        return True

    def shutdown(self) -> None:
        """Ends every session; events are told before it returns."""
        guard = self.stats.faults.guard("session_end")
        for session in list(self._sessions.values()):
            with guard:
                self.end(session, "shutdown")

    async def stop(self) -> None:
        """`shutdown`, and nobody is asked any more."""
        self.shutdown()
        try:
            await self._teller.stop()
        finally:
            if self._keeper is not None:
                self._keeper.close()

    def sweep(self) -> None:
        """Looks at every session whose time may be over, all at once."""
        while not self.sweep_some():
            pass

    def sweep_some(self) -> bool:
        """As `sweep`, for `SLICE` of them; whether that was all. To be called a few times a second."""
        now = self._clock.monotonic()
        if not self._search.turn(self._found):
            return False
        if not self._wheel.turn(now * _TICKS, lambda session: self._see_to(session, now), SLICE):
            return False
        self.bans.sweep(now)
        self._ended.sweep(now)
        for key, past in list(_first(self._past, SLICE)):
            if now - past.ended < self.settings.resume_window:
                break
            self._bury(key)
        for twin, session in list(_first(self._twins, SLICE)):
            if now - session.opened < MERGE:
                break
            del self._twins[twin]
        if self._keeper is not None:
            self._keeper.turn(self._holding)
        return True

    def _ban(self, key: Hashable, seconds: float) -> None:
        if seconds > 0:
            self.bans.add(key, self._clock.monotonic() + seconds)
            if self._keeper is not None:
                self._keeper.add(_BANNED, key, seconds)

    def _holding(self) -> Iterator[tuple[str, Hashable, float]]:
        """What the keeper is to keep, by the wall clock."""
        epoch = self._clock.wall() - self._clock.monotonic()
        for which, bans in ((_ENDED, self._ended), (_BANNED, self.bans)):
            for key, until in bans.items():
                yield which, key, until + epoch

    def _end_for_good(self, sid: bytes) -> None:
        """The id is good for nothing any more, for as long as it could be taken over here or after a restart."""
        seconds = self.settings.adopt_window
        if seconds > 0:
            self._ended.add(sid, self._clock.monotonic() + seconds)
            if self._keeper is not None:
                self._keeper.add(_ENDED, sid, seconds)

    # -- inside: coming

    def _made(self, sid: bytes, request: PlayRequest, grant: Grant) -> Session:
        now = self._clock.monotonic()
        epoch = self._clock.wall() - now
        if abs(epoch - self._epoch) > 0.001:  # the clock was set; else all share one number
            self._epoch = epoch
        return Session(sid, request, grant, now=now, epoch=self._epoch, end=self._end_rejected)

    async def _asked(self, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A viewer about whom everybody was asked who wants to be: maybe one of another stream than was asked for."""
        session = self._made(self._signer.mint(request.path), request, grant)
        session.asking = True
        verdict = await self._teller.ask(session)
        session.asking = False
        if verdict is None or isinstance(verdict, Denial):
            return verdict or session
        if verdict.name and verdict.name != request.name:
            request = replace(request, name=verdict.name, asked=request.asked or request.name)
            session = self._made(self._signer.mint(request.path), request, grant)
        session.grant = extended(grant, verdict)
        if verdict.auth_duration > 0:
            session.extra.again = True
        return session

    def _add(self, session: Session) -> None:
        self._sessions[session.sid] = session
        self._public[session.sid[:PUBLIC]] = session
        self._kept += _weight(session)
        session.tally = self.stats.tally(session.app, session.name, session.protocol)
        session.tally.sessions += 1
        self.stats.app(session.app).opened[session.protocol] += 1
        self._limits.add(session)
        self._file(session)

    def _file(self, session: Session) -> None:
        """Has it looked at when something may be due."""
        at = min(session.last + self._idle(session.app, session.name), session.until, session.renew_at)
        if self.settings.update_interval:
            at = min(at, session.updated + self.settings.update_interval)
        self._wheel.put(session, at * _TICKS)

    def _bind(self, session: Session, *, again: bool = False) -> bool:
        """Fixes when its grant ends or is to be renewed (`again`: it just was); False if it has ended."""
        grant, mode = session.grant, self.settings.expire
        now = self._clock.monotonic()
        session.renew_at = now + grant.auth_duration if grant.auth_duration > 0 else inf
        if grant.expires and mode != "at_start":
            at = now + grant.expires - self._clock.wall()
            if mode == "renew":
                session.renew_at = min(session.renew_at, max(at, now + RENEW if again else at))
            else:
                session.until = min(session.until, at)
        if grant.ends:
            session.until = min(session.until, now + grant.ends - self._clock.wall())
        return session.until > now

    def _back(self, session: Session) -> Session | Denial:
        """Lets in a viewer whose player asks for media with a good id: whoever must be asked is asked meanwhile."""
        if len(self.bans) and self.bans.holds(self._ban_key(session), self._clock.monotonic()):
            return BANNED
        room = self._fits(session.path, session.ip, session.grant, self._limits.who(session))
        if isinstance(room, Denial):
            return room
        if not self._bind(session):
            return EXPIRED
        for other in room.leave:
            self.end(other, "replaced")
        self._add(session)
        if self._teller.curious:
            session.asking = True
            if not self._teller.meanwhile(self._ask_meanwhile(session)):
                self.close(session, "limit")
                return FULL
        return session

    def _resume(self, past: Session, ip: str, agent: str, now: float) -> Session | Denial:
        """The viewer of a session that is over is back."""
        if past.reason in BY_SERVER:
            return NOT_OURS  # its ban is over: it may try to be let in anew
        if now - past.ended >= self.settings.resume_window:
            return NOT_OURS
        if past.reason == "stream_end" and self._stream is not None and self._stream(past.app, past.name) is None:
            return past  # there is nothing to begin again
        session = self._made(past.sid, replace(past.request(), port=0, user_agent=agent), past.grant)
        if past.rare is not None:
            session.extra.who = past.rare.who
            session.extra.networks = past.rare.networks
        session.extra.resumed_from = past.id
        session.extra.mark = self._mark()
        if ip and ip != past.ip:
            if not past.ip:
                session.ip = ip
            elif (denial := self._moved(session, ip)) is not None:
                return denial
        back = self._back(session)
        if isinstance(back, Session):
            self._bury(past.sid)
        return back

    def _adopt(self, sid: bytes, request: PlayRequest, issue: Issue) -> Session | Denial:
        """Goes on with an id of before a restart, or of another node, on the terms that stand in it."""
        terms = issue.terms
        grant = Grant(
            method=ADOPTED if terms.bound else "none",
            max_sessions=terms.most,
            unique=terms.unique,
            ends=terms.ends,
        )
        session = self._made(sid, request, grant)
        session.extra.issued = float(issue.at)
        session.extra.mark = self._mark()
        session.extra.who = terms.who
        back = self._back(session)
        if back is session and not session.over and not self._renew(session):
            session.renew_at = self._clock.monotonic() + 1.0  # the rules may be others by now, and other addresses bad
            self._file(session)
        return back

    def _sealed(self, session: Session, *, soft: bool) -> bool:
        """Fixes how long a new session lasts, and gives it the id that says so; False if it is over already."""
        if soft:
            session.until = self._clock.monotonic() + self.settings.soft_limit
            session.extra.until_reason = "limit"
        if not self._bind(session):
            return False
        grant = session.grant
        asked_again = is_bound(grant) or grant.auth_duration or grant.expires or self._teller.asks
        if not asked_again or self._kept + _weight(session) > MAX_KEPT:
            session.slim()
        terms = self._terms(session)
        if terms.bound or terms.ends:
            session.seal(self._signer.mint(session.path, terms, like=session.sid))
        return True

    def _terms(self, session: Session) -> Terms:
        """What the id of a session must say for itself when nobody remembers the session."""
        grant = session.grant
        ends = grant.ends
        if self.settings.expire != "at_start":  # what could be renewed cannot be without the credential
            ends = earlier(ends, grant.expires)
        if session.until < inf:
            ends = earlier(ends, session.until + session.epoch)
        bound = is_bound(grant)
        return Terms(ends, self._signer.who(grant.user_id), grant.max_sessions, grant.unique, bound)

    def _unlist(self, session: Session) -> None:
        del self._sessions[session.sid]
        if self._public.get(session.sid[:PUBLIC]) is session:
            del self._public[session.sid[:PUBLIC]]
        if session.drop is not None:  # it does not come back
            self._kept -= _weight(session)

    def _bury(self, sid: bytes) -> None:
        """Forgets a session that is over."""
        past = self._past.pop(sid, None)
        if past is not None:
            self._kept -= _weight(past)

    def _ban_key(self, session: Session) -> tuple[str, str, str]:
        return _banned_key(session.path, self._limits.who(session), session.ip)

    def _ban_read(self, banned: Hashable) -> Hashable:
        """A ban of the file; older versions named users in the clear."""
        match banned:
            case (str(path), "user", str(user)):
                return path, "who", self._signer.who(user)
            case (str(path), "ip", str(ip)):
                return _banned_key(path, "", ip)
        return banned

    def _mark(self) -> str:
        """What tells two lives of one id apart: never twice, not over a restart either."""
        self._marks = max(self._marks + 1, int(self._clock.wall()))
        return f".{self._marks:x}"

    def _adoptable(self, issue: Issue) -> bool:
        """Whether an id that nobody here remembers may be of before the start, or of another node."""
        if issue.here or self._clock.wall() - issue.at > self.settings.adopt_window:
            return False  # what this process has issued and does not know, it has forgotten
        return issue.at <= self._began or self.settings.secret is not None

    def _room(self, request: PlayRequest, grant: Grant) -> Quota | Denial:
        """What it takes to let a viewer in who stands at the door."""
        who = self._signer.who(grant.user_id)
        now = self._clock.monotonic()
        if len(self.bans) and self.bans.holds(_banned_key(request.path, who, request.ip), now):
            return BANNED
        return self._fits(request.path, request.ip, grant, who)

    def _fits(self, path: str, ip: str, grant: Grant, who: str) -> Quota | Denial:
        room = self._limits.judge(path, ip, grant, who)
        if len(self._sessions) - len(room.leave) >= self._max:
            return FULL
        return room.denial or room

    def _twin(self, request: PlayRequest, grant: Grant, now: float) -> Session | None:
        """The session that this very player has just opened, if the gate says that it is the same viewer."""
        if not request.playback_id:
            return None
        twin = self._twins.get(_twin_key(request))
        if twin is None or twin.over or now - twin.opened >= MERGE:
            return None
        # who was asked besides may have given it a name that the gate does not know
        same = twin.grant.identity == grant.identity and grant.user_id in {"", twin.grant.user_id}
        return twin if same else None

    def _moved(self, session: Session, ip: str) -> Denial | None:
        """A request of `session` comes from another address."""
        if not session.ip:
            session.ip = ip
            return None
        now = self._clock.monotonic()
        if len(self.bans) and self.bans.holds(_banned_key(session.path, self._limits.who(session), ip), now):
            return BANNED
        indexed = self.settings.max_per_ip and self._sessions.get(session.sid) is session
        if indexed:
            self._limits.remove(session)
        move = judge_move(session, ip, now, self.settings)
        if indexed:
            self._limits.add(session)
        self.stats.app(session.app).ip_changes[move.value] += 1
        if move is Move.REAUTH:
            if not self._renew(session) and self._sessions.get(session.sid) is session:
                session.renew_at = min(session.renew_at, now + 1.0)
                self._file(session)
        elif move is Move.SHARED:
            return SPLIT if self.settings.shared == "split" else ELSEWHERE
        elif move is not Move.ACCEPT:
            return ELSEWHERE
        return None

    # -- inside: going

    def _found(self, session: Session, why: str) -> None:
        """Has a session looked at in time to which something has happened.

        Who was given the end of the playlist asks no more: there is no need to wait for him as long as for others.
        """
        gone = self._stream is not None and self._stream(session.app, session.name) is None
        if why == "kicked" or gone:
            session.until = self._clock.monotonic()
            session.extra.until_reason = why
        self._file(session)

    def _see_to(self, session: Session, now: float) -> float | None:
        """As `_look`; what goes wrong with one session costs no other its end."""
        try:
            return self._look(session, now)
        except Exception as error:  # noqa: BLE001 - see above; nobody else would ever look at it again
            self.stats.faults.task("session_sweep", error)
            return None if session.over else (now + 1.0) * _TICKS

    def _look(self, session: Session, now: float) -> float | None:
        """What is due of a session; when to look again (ticks), or None if it is over."""
        if session.until <= now:
            reason = (session.rare.until_reason if session.rare else "") or "expired"
            self.end(session, self._shown(reason))
            return None
        if session.renew_at <= now:
            session.renew_at = inf if self._renew(session) else now + 1.0
            if session.over:
                return None
        again = min(session.until, session.renew_at, self._update(session, now))
        if session.over:
            return None
        if session.drop is not None:
            over = now + 60.0  # its connection says when it is over
        elif session.held or session.flows:
            over = now + 1.0
        else:
            over = session.last + self._idle(session.app, session.name)
            if over <= now:
                self.close(session, self._shown("idle" if self._stands(session) else "stream_end"))
                return None
        return min(again, over) * _TICKS

    def _update(self, session: Session, now: float) -> float:
        """Tells of a session that goes on, if it is time; when it will be time again."""
        interval = self.settings.update_interval
        if not interval:
            return inf
        if now >= session.updated + interval:
            session.updated = now
            if session.started and not session.asking:
                self._teller.tell(Action.UPDATE_PLAY, session)
        return session.updated + interval

    def _shown(self, reason: str) -> str:
        return "shutdown" if self.draining and reason in SILENT else reason

    def _stands(self, session: Session) -> bool:
        """Whether its stream goes on."""
        if self._stream is None:
            return True
        live = self._stream(session.app, session.name)
        return live is not None and not live.ended and not live.gone

    def _forget(self, session: Session) -> None:
        rare = session.rare
        if rare is not None:
            if rare.merge is not None and self._twins.get(rare.merge) is session:
                del self._twins[rare.merge]
            if rare.succeeds is not None and self._successors.get(rare.succeeds) is session:
                del self._successors[rare.succeeds]

    # -- inside: telling and asking

    def _begins(self, viewer: Viewer) -> None:
        """Its first byte of media goes out."""
        session = self._sessions.get(viewer.sid)
        if session is None or session is not viewer or session.started:
            return
        session.started = session.updated = self._clock.monotonic()
        self.stats.app(session.app).started[session.protocol] += 1
        if not session.asking:
            self._teller.tell(Action.POST_PLAY, session)

    async def _ask_meanwhile(self, session: Session) -> None:
        verdict = await self._teller.ask(session)
        if session.over:
            return
        if isinstance(verdict, Denial):
            self.end(session, "auth_denied")
            return
        session.asking = False
        if verdict is not None:
            if verdict.auth_duration > 0:
                session.extra.again = True
            self._regrant(session, extended(session.grant, verdict))
        if session.started and not session.over:
            self._teller.tell(Action.POST_PLAY, session)

    def _rejected(self, session: Session, reason: str) -> None:
        """A handler has called `reject`; in a `pre…` it is who asked that sees to it."""
        if not session.asking:
            self.end(session, "kicked" if reason not in BY_SERVER else reason)

    def _renew(self, session: Session) -> bool:
        """Has it asked about a viewer again who must be; False if too many are being asked about."""
        if isinstance(self.gate, OpenGate) and not (session.rare is not None and session.rare.again):
            return True
        return self._teller.meanwhile(self._renew_meanwhile(session))

    async def _renew_meanwhile(self, session: Session) -> None:
        request = session.request()
        if request.asked:  # a credential is for the name that was asked for
            request = replace(request, name=request.asked)
        verdict = await self.gate.renew(request, session.grant)
        if session.over:
            return
        if isinstance(verdict, Denial):
            self.end(session, "expired" if verdict.reason == "expired" else "auth_denied")
            return
        if session.rare is not None and session.rare.again:
            said = await self._teller.ask(session)
            if self._sessions.get(session.sid) is not session:
                return
            if isinstance(said, Denial) and said.reason != UNANSWERED:
                self.end(session, "auth_denied")
                return
            verdict = extended(verdict, said if isinstance(said, Grant) else session.grant)
        self._regrant(session, verdict)

    def _regrant(self, session: Session, grant: Grant) -> None:
        """Goes on under another grant."""
        self._limits.remove(session)
        session.grant = grant
        self._limits.add(session)
        if len(self.bans) and self.bans.holds(self._ban_key(session), self._clock.monotonic()):
            self.end(session, "kicked")  # it turns out to be somebody who is banned
        elif not self._bind(session, again=True):
            self.end(session, "expired")
        else:
            self._file(session)


def extended(grant: Grant, said: Grant) -> Grant:
    """`grant` with what a sync webhook knows besides; the name is not its business any more."""
    return replace(
        grant,
        user_id=said.user_id or grant.user_id,
        max_sessions=said.max_sessions or grant.max_sessions,
        unique=said.unique or grant.unique,
        auth_duration=said.auth_duration or grant.auth_duration,
        expires=earlier(grant.expires, said.expires),
        ends=earlier(grant.ends, said.ends),
        identity=grant.identity or said.identity,
    )


def _twin_key(request: PlayRequest) -> tuple[str, ...]:
    return (request.path, request.ip, request.user_agent, request.playback_id)


def _banned_key(path: str, who: str, ip: str) -> tuple[str, str, str]:
    """A ban names a user, or the address of an unknown one, for one stream."""
    return (path, "who", who) if who else (path, "ip", household(ip))


def _weight(session: Session) -> int:
    """Bytes that a session keeps of what its viewer came with, beyond what any may."""
    bearer = len(session.rare.bearer) if session.rare is not None else 0
    return max(0, len(session.query_string) + bearer - KEPT_FREE)


def _first(table: dict[K, Session], most: int) -> Iterator[tuple[K, Session]]:
    for number, entry in enumerate(table.items()):
        if number == most:
            return
        yield entry
