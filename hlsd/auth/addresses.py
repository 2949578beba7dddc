"""Is a list of networks (CIDR) and whether an address lies in one of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_network(text: str) -> Network:
    """`192.0.2.0/24`, `2001:db8::/32` or a single address; ValueError for anything else, host bits included."""
    return ipaddress.ip_network(text.strip(), strict=True)


def read_address(text: str) -> Address | None:
    """The address, IPv4 where it is IPv4 in IPv6's clothes, without a zone; None if it is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


class Networks:
    """Networks by family; asking costs a look at each."""

    __slots__ = ("_four", "_six")

    def __init__(self, texts: Iterable[str]) -> None:
        networks = [read_network(text) for text in texts]
        self._four = tuple(one for one in networks if isinstance(one, ipaddress.IPv4Network))
        self._six = tuple(one for one in networks if isinstance(one, ipaddress.IPv6Network))

    def __bool__(self) -> bool:
        return bool(self._four or self._six)

    def hold(self, text: str) -> bool:
        """Whether the address lies in one of them; what is no address does not."""
        if not (self._four or self._six):
            return False
        found = read_address(text)
        if isinstance(found, ipaddress.IPv4Address):
            return any(found in one for one in self._four)
        return found is not None and any(found in one for one in self._six)


def block(text: str) -> str:
    """What an address is counted by: itself, or for IPv6 its /64, which one customer has to himself."""
    found = read_address(text)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return text if found is None else str(found)
