"""Says by which addresses publishers reach our UDP port: those that were set, or what this machine has."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Final

_FAR: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses that are nobody's (RFC 5737, 3849): the way there is looked up, nothing is sent."""
MOST: Final = 8
"""Addresses in one answer."""


def sorted_out(hosts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of a setting that are IP addresses, and those that are not."""
    good: list[str] = []
    bad: list[str] = []
    for host in hosts:
        text = host.strip().strip("[]")
        (good if _address(text) is not None else bad).append(text)
    return good[:MOST], bad


def reachable(hosts: Sequence[str], bound: str, local: str, peer: str) -> list[str]:
    """The addresses for one answer: `local` is where the publisher at `peer` has reached us by HTTP."""
    if hosts:
        return list(hosts)
    wildcard = bound in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
    candidates = [local, *_own()] if wildcard else [bound]
    # A proxy on this machine reaches us by loopback; a publisher elsewhere never does.
    outside = (address := _address(peer)) is not None and not address.is_loopback
    found: list[str] = []
    for text in candidates:
        one = _address(text)
        if one is None or one.is_unspecified or (outside and wildcard and one.is_loopback):
            continue
        if isinstance(one, ipaddress.IPv6Address) and (bound == "0.0.0.0" or one.is_link_local):  # noqa: S104
            continue
        if str(one) not in found:
            found.append(str(one))
    return found[:MOST]


def _own() -> list[str]:
    """Those by which this machine would send far away."""
    found: list[str] = []
    for family, far in _FAR:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            found.append(str(probe.getsockname()[0]))
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
