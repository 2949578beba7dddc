"""Decides what it means that a session's request comes from another address than before (contract §4.2, rule 9).

Pure: a session, the address and the time in; a verdict out. A viewer changes address when its user leaves the house,
has two lines, or sits behind a carrier that has many. One rule: where playing needs no credential, nobody is refused
for it, since whoever has the URL could have a session of its own. Where it needs one, at most `max_networks` networks
of each family (a house has IPv4 and IPv6) use a session within `network_window`, however they interleave, and each is
authorised when it comes; one more is another player with the same URL, and is refused while the others play on.
"""

from __future__ import annotations

import enum
import ipaddress
from functools import lru_cache

from hlsd.ports import Grant
from hlsd.sessions.rare import Moves
from hlsd.sessions.session import Session
from hlsd.sessions.settings import SessionSettings

MAX_REAUTH = 5
"""Authorisations for a new address in a minute, where that may be somebody else's work (a credential's check)."""
MAX_KNOWN = 8
"""Authorised addresses that are remembered of one session."""
_FREE = frozenset({"none", "list"})
"""Methods of grants for which no credential was asked."""


class Move(enum.Enum):
    """What becomes of a request from another address."""

    ACCEPT = "accepted"
    REAUTH = "reauth"
    """Accepted, and the gate is asked meanwhile."""
    DENY = "denied"
    LIMITED = "limited"
    """Refused: it moves too often to be asked about each time."""
    SHARED = "shared"
    """Refused: another player has the session."""


def is_bound(grant: Grant) -> bool:
    """Whether a credential was asked for, or somebody has said who the viewer is: the session is somebody's."""
    who = grant.identity or grant.user_id or grant.max_sessions or grant.unique
    return bool(who) or grant.method not in _FREE


def judge_move(session: Session, ip: str, now: float, settings: SessionSettings) -> Move:
    """Judges a request of `session` from `ip`, and notes the move if it is accepted."""
    policy, there = settings.ip_policy, network(ip)
    if policy == "deny" or (policy == "prefix" and there != network(session.ip)):
        return Move.DENY
    rare = session.extra
    bound = is_bound(session.grant)
    moves = rare.moved
    if not moves.addresses:
        moves.addresses[session.ip] = now
    shared = bound and settings.shared != "allow"
    if shared and _is_one_too_many(session, there, now, settings):
        return Move.SHARED
    move = Move.ACCEPT
    if policy == "reauth" and (ip not in moves.addresses or (shared and there not in moves.networks)):
        if bound and not _may_ask(moves, now):
            return Move.LIMITED
        if len(moves.addresses) >= MAX_KNOWN:
            del moves.addresses[next(iter(moves.addresses))]
        moves.addresses[ip] = now
        move = Move.REAUTH
    if shared:
        moves.networks[there] = now
    rare.previous_ip, session.ip = session.ip, ip
    session.port = 0
    return move


def _is_one_too_many(session: Session, there: str, now: float, settings: SessionSettings) -> bool:
    """Whether as many networks as may have used the session lately; the present one has until `session.last`."""
    known = session.extra.moved.networks
    here = network(session.ip)
    known[here] = max(known.get(here, session.last), session.last)
    for one in [one for one, at in known.items() if now - at >= settings.network_window]:
        del known[one]
    return there not in known and sum(_family(one) == _family(there) for one in known) >= settings.max_networks


def _may_ask(moves: Moves, now: float) -> bool:
    """Whether the gate may be asked about the session once more."""
    moves.renewals = [at for at in moves.renewals if now - at < 60.0]
    if len(moves.renewals) >= MAX_REAUTH:
        return False
    moves.renewals.append(now)
    return True


@lru_cache(maxsize=4096)
def network(ip: str) -> str:
    """The /24 or /56 of an address; what is none stands for itself."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 56}", strict=False))


def _family(network_: str) -> bool:
    return ":" in network_
