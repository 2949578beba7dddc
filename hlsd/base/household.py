"""Says whose an address is where something is counted by address: bounds, bans, log lines."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def household(ip: str) -> str:
    """Itself, or for IPv6 its /64, within which a host takes new addresses as it likes (RFC 8981); else the text."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return str(address)
