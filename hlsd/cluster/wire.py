"""Is how processes say to each other what a store of sessions hears and tells: as JSON, in messages with a bound.

A message is a kind, the number of the question that it is or answers (0: none), and its length, before it. Pure; what
cannot be read raises ProtocolError.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, Final

from hlsd.base.errors import ProtocolError
from hlsd.ports import Denial
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation
from hlsd.sessions.store import LifeReport, ReportAnswer

HEAD: Final = struct.Struct(">BII")
MAX_MESSAGE: Final = 16 << 20
"""Bytes: 500 reports, each with all that may be said about a session."""

CLAIM, REPORT, AMEND, RELEASE, REVOKE, REVOKED, SAID, PING = range(1, 9)
"""Kinds. A process asks CLAIM, REPORT and PING, which are answered by SAID, and tells AMEND, RELEASE and REVOKE; the
store tells REVOKED."""


def message(kind: int, number: int, body: object) -> bytes:
    """As it goes over the wire."""
    said = json.dumps(body, separators=(",", ":")).encode()
    return HEAD.pack(kind, number, len(said)) + said


def read(body: bytes) -> Any:  # noqa: ANN401 - what json gives
    """What stands in a message."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise ProtocolError("a message that is no JSON") from error


def claim_out(claim: PlaceClaim) -> list[object]:
    """A claim, for JSON."""
    return [*claim[:7], claim.sid.decode("latin-1"), claim.about]


def claim_in(said: Any) -> PlaceClaim:  # noqa: ANN401 - what json gives
    """The reverse."""
    try:
        place, path, ip, who, token, most, unique, sid, about = said
        return PlaceClaim(place, path, ip, who, token, int(most), bool(unique), sid.encode("latin-1"), about)
    except (ValueError, TypeError, AttributeError) as error:
        raise ProtocolError("no claim") from error


def lease_out(lease: Lease | Denial) -> list[object]:
    """What is said to a claim, for JSON."""
    return [lease.status, lease.words, lease.reason] if isinstance(lease, Denial) else [0, *lease]


def lease_in(said: Any) -> Lease | Denial:  # noqa: ANN401 - what json gives
    """The reverse."""
    try:
        return Lease(*said[1:]) if not said[0] else Denial(*said)
    except (TypeError, IndexError, KeyError) as error:
        raise ProtocolError("no lease") from error


def revocation_out(revocation: Revocation) -> list[object]:
    """A revocation, for JSON."""
    what = revocation.what
    if isinstance(what, bytes):
        return ["sid", what.decode("latin-1"), *revocation[1:]]
    return ["id" if isinstance(what, str) else "viewer", what, *revocation[1:]]


def revocation_in(said: Any) -> Revocation:  # noqa: ANN401 - what json gives
    """The reverse."""
    try:
        kind, name, reason, ban, dead = said
        what: str | bytes | tuple[str, str, str]
        if kind == "sid":
            what = name.encode("latin-1")
        elif kind == "viewer":
            path, how, who = name
            what = (str(path), str(how), str(who))
        else:
            what = str(name)
        return Revocation(what, str(reason), float(ban), float(dead))
    except (ValueError, TypeError, AttributeError) as error:
        raise ProtocolError("no revocation") from error


def reports_in(said: Any) -> list[LifeReport]:  # noqa: ANN401 - what json gives
    """Reports, of JSON."""
    try:
        return [
            LifeReport(sid, token, int(life), _counts(counts), float(left), bool(active), *rest)
            for sid, token, life, counts, left, active, *rest in said
        ]
    except (ValueError, TypeError) as error:
        raise ProtocolError("no reports") from error


def answers_in(said: Any, most: int) -> list[ReportAnswer]:  # noqa: ANN401 - what json gives
    """Answers, of JSON: so many."""
    try:
        answers = [ReportAnswer(*one) for one in said]
    except TypeError as error:
        raise ProtocolError("no answers") from error
    if len(answers) != most:
        raise ProtocolError("answers to something else")
    return answers


def _counts(said: Sequence[int]) -> tuple[int, int, int, int, int]:
    out, media, came, requests, segments = said
    return int(out), int(media), int(came), int(requests), int(segments)
