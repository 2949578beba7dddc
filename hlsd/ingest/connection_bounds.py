"""Bounds the connections of the RTMP ports: how many, from where, and how many of them may be strangers.

A stranger has not asked to publish or to play yet. Law: whoever is past that keeps its place whatever strangers do; and
where there are too many strangers (of one address, at all, or for the files that are left) the one that has said
nothing for the longest makes room, so that an encoder, which speaks at once, finds its way in through any number of
silent ones. Connections count from before the TLS handshake. Who is turned away is told in one line a minute. Times in
seconds.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Final

from structlog.typing import FilteringBoundLogger

from hlsd.ingest.settings import RtmpSettings
from hlsd.net.kernel import RESERVE

SPARE: Final = 48
"""Files that strangers leave free, of the `RESERVE` that viewers leave free: less than that, so that publishers come in
when viewers have all the others."""
PATIENCE: Final = 2.0
"""How long a stranger that speaks is not made to go for another one."""
PERIOD: Final = 60.0
"""Seconds between two lines about who was turned away."""
MAX_TOLD: Final = 256
"""Addresses that are counted for such a line."""


class PeerState(Enum):
    """What a connection has got to."""

    SILENT = 0
    """Nothing has come from it, or it was told to go."""
    SPEAKING = 1
    SETTLED = 2
    """It has asked to publish, or publishes."""
    PLAYING = 3
    """It plays, or asks to: bounded by files only, since viewers are sessions with bounds of their own."""


class Place:
    """That of one connection."""

    __slots__ = ("_bounds", "group", "since", "sock", "state")

    def __init__(self, bounds: ConnectionBounds, group: str, sock: socket.socket, now: float) -> None:
        self._bounds = bounds
        self.group = group
        self.sock = sock
        self.since = now
        self.state: PeerState | None = None
        """None: it is not there, or no more."""

    def speaks(self) -> None:
        """Something came from a stranger."""
        if self.state is PeerState.SILENT:
            self._bounds.move(self, PeerState.SPEAKING)

    def settles(self) -> None:
        """It asks to publish or to play."""
        if self.state in (PeerState.SILENT, PeerState.SPEAKING):
            self._bounds.move(self, PeerState.SETTLED)

    def plays(self) -> bool:
        """It asks to play; whether there is room for one more viewer."""
        if self.state is None or self._bounds.full_of_viewers:
            return False
        self._bounds.move(self, PeerState.PLAYING)
        return True

    def strays(self, *, publishing: bool = False, leaving: bool = False) -> None:
        """It does not play any more, or, unless it is `publishing`, publish; `leaving`: it was told to go."""
        if self.state is not None:
            self._bounds.move(
                self, PeerState.SETTLED if publishing else PeerState.SILENT if leaving else PeerState.SPEAKING
            )


class _Places:
    """Connections by what they have got to, the oldest of each first."""

    __slots__ = ("of",)

    def __init__(self) -> None:
        self.of: dict[PeerState, dict[Place, None]] = {state: {} for state in PeerState}

    def move(self, place: Place, state: PeerState | None) -> None:
        """Files it under another state; None: nowhere."""
        if place.state is not None:
            self.of[place.state].pop(place, None)
        if state is not None:
            self.of[state][place] = None

    @property
    def strangers(self) -> int:
        """How many have not asked for anything yet."""
        return len(self.of[PeerState.SILENT]) + len(self.of[PeerState.SPEAKING])

    @property
    def bounded(self) -> int:
        """How many there are, viewers not counted."""
        return self.strangers + len(self.of[PeerState.SETTLED])

    def __bool__(self) -> bool:
        return any(self.of.values())


def shut(place: Place) -> None:
    """Ends a connection whose hand is being shaken: whoever does it sees the end of the connection."""
    with contextlib.suppress(OSError):  # it ended by itself
        place.sock.shutdown(socket.SHUT_RDWR)


class ConnectionBounds:
    """All connections of the RTMP ports. `files`: how many the process may open; `end` ends who has to make room.

    `ended` counts whom the bounds turned away: "refused" at once, "displaced" (a stranger that had to make room),
    "no_files" (nobody could be accepted).
    """

    def __init__(
        self,
        settings: RtmpSettings,
        files: int,
        log: FilteringBoundLogger,
        ended: Counter[str] | None = None,
        end: Callable[[Place], None] = shut,
    ) -> None:
        self._end = end
        self._log = log
        self._usable = usable = max(4, files - RESERVE)
        self.bound(settings)
        self._most_players = max(1, usable // 2)
        self._high = files - SPARE
        self._all = _Places()
        self._groups: dict[str, _Places] = {}
        self.ended: Counter[str] = Counter() if ended is None else ended
        self._why: Counter[str] = Counter()
        self._whose: Counter[str] = Counter()
        self._told: float | None = None

    def bound(self, settings: RtmpSettings) -> None:
        """The bounds of the settings, for who comes from now on."""
        self._per_ip = settings.max_connections_per_ip
        self._strangers_per_ip = settings.max_handshakes_per_ip
        self.most = min(settings.max_connections, self._usable // 2)
        self.most_strangers = max(1, min(settings.max_handshakes, self._usable // 4))

    @property
    def strangers(self) -> int:
        """How many have not asked for anything yet."""
        return self._all.strangers

    @property
    def full_of_viewers(self) -> bool:
        """Whether players have the files that are for them: the other half is for publishers."""
        return len(self._all.of[PeerState.PLAYING]) >= self._most_players

    def enter(self, ip: str, sock: socket.socket, now: float) -> Place | None:
        """A place for a new connection, which is `sock`, or None."""
        name = group_of(ip)
        places, why = self._bound(self._groups.get(name), sock.fileno())
        if why:
            self._note(why, name)
            if not self._make_room(places, now):
                self.ended["refused"] += 1
                return None
        place = Place(self, name, sock, now)
        self._all.move(place, PeerState.SILENT)
        self._groups.setdefault(name, _Places()).move(place, PeerState.SILENT)
        place.state = PeerState.SILENT
        return place

    def _bound(self, group: _Places | None, fd: int) -> tuple[_Places, str]:
        """Which bound a newcomer meets, and among whom one would have to make room for it."""
        if group is not None:
            if self._per_ip and group.bounded >= self._per_ip:
                return group, "rtmp.max_connections_per_ip"
            if self._strangers_per_ip and group.strangers >= self._strangers_per_ip:
                return group, "rtmp.max_handshakes_per_ip"
        if fd >= self._high:
            return self._all, "no files left"
        if self._all.bounded >= self.most:
            return self._all, "rtmp.max_connections"
        if self._all.strangers >= self.most_strangers:
            return self._all, "rtmp.max_handshakes"
        return self._all, ""

    def _make_room(self, places: _Places, now: float) -> bool:
        """Ends the stranger that has been silent for the longest, or that speaks and does not get on."""
        victim = next(iter(places.of[PeerState.SILENT]), None)
        if victim is None:
            victim = next(iter(places.of[PeerState.SPEAKING]), None)
            if victim is None or now - victim.since < PATIENCE:
                return False
        self.ended["displaced"] += 1
        self.leave(victim)
        self._end(victim)
        return True

    def leave(self, place: Place) -> None:
        """The connection is over. Safe to call twice."""
        if place.state is not None:
            self.move(place, None)
            if not self._groups[place.group]:
                del self._groups[place.group]

    def move(self, place: Place, state: PeerState | None) -> None:
        """The connection has come further, or has been sent back."""
        self._all.move(place, state)
        self._groups[place.group].move(place, state)
        place.state = state

    def shut_out(self) -> None:
        """There was no file left to accept anybody with."""
        self.ended["no_files"] += 1
        self._note("no files left", "")

    def _note(self, why: str, whose: str) -> None:
        self._why[why] += 1
        if whose in self._whose or len(self._whose) < MAX_TOLD:
            self._whose[whose] += 1

    def tell(self, now: float) -> None:
        """Says who was turned away and why: at once, then in one line a minute."""
        if not self._why or (self._told is not None and now - self._told < PERIOD):
            return
        self._told = now
        why, _ = self._why.most_common(1)[0]
        ip, most = self._whose.most_common(1)[0] if self._whose else ("", 0)
        self._log.warning("rtmp connections turned away", count=self._why.total(), reason=why, ip=ip, count_of_ip=most)
        self._why.clear()
        self._whose.clear()


def group_of(ip: str) -> str:
    """Whose connections count together: an IPv4 address, the /64 of an IPv6 one, which one household has for itself."""
    ip = ip.removeprefix("::ffff:")
    if ":" not in ip:
        return ip
    try:
        return str(ipaddress.ip_network(f"{ip.partition('%')[0]}/64", strict=False))
    except ValueError:
        return ip
