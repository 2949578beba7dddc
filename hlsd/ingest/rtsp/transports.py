"""Reads what a SETUP offers to send or take media by (RFC 2326 §12.39). Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TWO: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_MOST: Final = 8


class Transport(NamedTuple):
    """One that can be served. `pair`: channels of the connection where `tcp`, else the client's ports; RTP, RTCP."""

    tcp: bool
    pair: tuple[int, int] | None
    record: bool = False


def read_transports(header: str) -> list[Transport]:
    """Those that can be served, in the client's order."""
    found = [one for text in header.split(",")[:_MOST] if (one := _read(text.strip())) is not None]
    return list(found)


def _read(text: str) -> Transport | None:
    spec, *rest = text.split(";")
    facts: dict[str, str] = {}
    for piece in rest:
        key, _, value = piece.partition("=")
        facts.setdefault(key.strip().lower(), value.strip().strip('"'))
    spec = spec.strip().upper()
    if "multicast" in facts:
        return None
    record = facts.get("mode", "").lower() in ("record", "receive")
    if spec == "RTP/AVP/TCP":
        pair = _two(facts.get("interleaved", ""), 255)
        return Transport(True, pair, record) if pair or "interleaved" not in facts else None
    if spec in ("RTP/AVP", "RTP/AVP/UDP"):
        pair = _two(facts.get("client_port", ""), 65535)
        return Transport(False, pair, record) if pair and all(pair) else None
    return None


def _two(text: str, most: int) -> tuple[int, int] | None:
    matched = _TWO.fullmatch(text)
    if matched is None:
        return None
    first = int(matched[1])
    second = int(matched[2]) if matched[2] else first + 1
    return (first, second) if first != second and max(first, second) <= most else None
