"""Tells what a proxy has hidden of a request that it hands on: whose it is, and below which path it was asked for.

Pure. Law: X-Forwarded-For and X-Forwarded-Prefix are believed only from a peer that the operator has named. Of the
first, the viewer is the rightmost address that is no proxy of ours: what stands further left is a stranger's own words.
The second goes into addresses that browsers follow, so it is a plain path or nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

MAX_HOPS = 16
"""Addresses of one header that are looked at."""
MAX_PREFIX = 256
"""Characters of a path prefix."""

_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")


def path_prefix(text: str) -> str | None:
    """A path prefix without its last slash, empty for none; None if `text` is no such path.

    Names of unreserved characters between single slashes: nothing in it is a scheme, a host, a way up, a query, markup
    or the end of a header's line.
    """
    text = text.removesuffix("/")
    return text if not text or (len(text) <= MAX_PREFIX and _PREFIX.fullmatch(text)) else None


class Proxies:
    """The proxies of one server: addresses and networks. `prefix` is what they take off paths unless they say it.

    IPv4 in IPv6's clothes (`::ffff:192.0.2.1`, as a socket for both says it) is what it is without them. Raises
    ValueError for what is neither an address nor a network. `unnamed`: a peer without an address is one too, as those
    of a Unix socket are.
    """

    def __init__(self, trusted: Iterable[str] = (), prefix: str = "", *, unnamed: bool = False) -> None:
        networks = [ipaddress.ip_network(one, strict=False) for one in trusted]
        single = [str(one.network_address) for one in networks if one.num_addresses == 1]
        self._prefix = prefix
        mapped = [f"::ffff:{one}" for one in single if ":" not in one]
        self._exact = frozenset([*single, *mapped, *([""] if unnamed else ())])
        self._networks = tuple(one for one in networks if one.num_addresses > 1)
        self.viewer = lru_cache(maxsize=4096)(self._viewer)
        """See `_viewer`."""
        self._listed = lru_cache(maxsize=4096)(self._lists)

    def __contains__(self, ip: object) -> bool:
        return ip in self._exact or (bool(self._networks) and isinstance(ip, str) and self._listed(ip))

    def prefix(self, peer: str, forwarded: bytes | None) -> str:
        """What stands before our paths where the client of `peer` sees them, `X-Forwarded-Prefix: forwarded`."""
        if forwarded is None or peer not in self:
            return self._prefix
        said = path_prefix(forwarded.decode("latin-1").strip(" \t"))
        return self._prefix if said is None else said

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
        address = getattr(address, "ipv4_mapped", None) or address
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
