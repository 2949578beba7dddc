"""Tells whose request it is that a proxy hands on: the rightmost address of X-Forwarded-For that is no proxy of ours.

Pure. Law: the header is believed only from a peer that the operator has named, and only as far to the left as each hop
was named too: what stands further left is a stranger's own words.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

MAX_HOPS = 16
"""Addresses of one header that are looked at."""


class Proxies:
    """The proxies of one server: addresses and networks."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._exact = frozenset(trusted)
        self._networks = tuple(ipaddress.ip_network(one, strict=False) for one in self._exact if "/" in one)
        self.viewer = lru_cache(maxsize=4096)(self._viewer)
        """See `_viewer`."""
        self._listed = lru_cache(maxsize=4096)(self._lists)

    def __contains__(self, ip: object) -> bool:
        return ip in self._exact or (bool(self._networks) and isinstance(ip, str) and self._listed(ip))

    def _viewer(self, peer: str, forwarded: bytes) -> str:
        """Whose request it is that came from `peer` with `X-Forwarded-For: forwarded`."""
        if peer not in self:
            return peer
        nearest = peer
        for item in forwarded.decode("latin-1").split(",")[: -MAX_HOPS - 1 : -1]:
            ip = _address(item)
            if ip is None:
                return nearest  # no proxy of ours writes this
            nearest = ip
            if ip not in self:
                return ip
        return nearest

    def _lists(self, ip: str) -> bool:
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _address(item: str) -> str | None:
    """`192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]:443`; None if it is none of these."""
    item = item.strip()
    if item.startswith("["):
        item = item[1:].partition("]")[0]
    elif item.count(":") == 1:
        item = item.partition(":")[0]
    try:
        return str(ipaddress.ip_address(item))
    except ValueError:
        return None
