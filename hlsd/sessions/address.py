"""Decides what it means that a session's request comes from another address than before (§4.2, rule 9).

Pure: a session, the address and the time in; a verdict out. A player changes address when its user leaves the house:
the session goes on. Two addresses that take turns within a target duration are two players with one URL: the one that
came later is refused while the other plays on. Addresses of one network (/24, /56) or of two families (a house has
both) are never taken for two players.
"""

from __future__ import annotations

import enum
import ipaddress
from functools import lru_cache

from hlsd.sessions.session import Session
from hlsd.sessions.settings import SessionSettings

MAX_REAUTH = 5
"""Authorisations for a new address in a minute."""
MAX_KNOWN = 8
"""Authorised addresses that are remembered of one session."""


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


def judge_move(session: Session, ip: str, now: float, target_duration: float, settings: SessionSettings) -> Move:
    """Judges a request of `session` from `ip`, and notes the move if it is accepted."""
    same = network(ip) == network(session.ip)
    if settings.ip_policy == "deny" or (settings.ip_policy == "prefix" and not same):
        return Move.DENY
    rare = session.extra
    move = Move.ACCEPT
    if not rare.addresses:
        rare.addresses[session.ip] = now
    if settings.shared != "allow" and not same and _family(ip) == _family(session.ip):
        if rare.contested == ip and now - session.last < target_duration:
            return Move.SHARED
        if rare.previous_ip == ip and now - rare.switched < target_duration:
            rare.contested = session.ip  # the first one is back: the other one is the stranger
    if settings.ip_policy == "reauth" and ip not in rare.addresses:
        rare.renewals = [at for at in rare.renewals if now - at < 60.0]
        if len(rare.renewals) >= MAX_REAUTH:
            return Move.LIMITED
        rare.renewals.append(now)
        if len(rare.addresses) >= MAX_KNOWN:
            del rare.addresses[next(iter(rare.addresses))]
        rare.addresses[ip] = now
        move = Move.REAUTH
    rare.previous_ip, session.ip, rare.switched = session.ip, ip, now
    session.port = 0
    return move


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


def _family(ip: str) -> bool:
    return ":" in ip
