"""Decides where a relay that came by API may connect: the SSRF guard.

Law: a host must be listed, and every address it resolves to must be public or listed as an address or range. The
connection then goes to the address that was judged, never to the name again, so a name that answers differently the
second time (DNS rebinding) gains nothing. Judged is what the system's resolver made of the host, so decimal, octal,
hexadecimal and shortened forms are addresses like any other. What is public says `hlsd.relay.public`. Pure: no look-ups
here.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from hlsd.base.errors import HlsdError
from hlsd.relay.address import PORTS, Address
from hlsd.relay.public import IPAddress, innermost, is_public

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME: Final = re.compile(r"[A-Za-z0-9*?._-]{1,253}")
GUARDED_SCHEMES: Final = frozenset(PORTS) - {"file"}
"""What may come by API: never a file of this machine."""


class Forbidden(HlsdError):
    """The address may not be connected to; the text is fit for whoever asked."""


class _Entry(NamedTuple):
    scheme: str
    name: str
    network: _Network | None


class HostList:
    """The hosts of `relay.allow_hosts`. Raises ValueError for an entry that is none.

    `why` tells who asked why an address that is not public is not among them.
    """

    def __init__(self, entries: Iterable[str], why: str = "relay.allow_hosts does not list it") -> None:
        self.entries = tuple(entries)
        self._why = why
        self._entries = [self._read(entry) for entry in self.entries]

    @staticmethod
    def _read(entry: str) -> _Entry:
        scheme, mark, host = entry.rpartition("://")
        if mark and scheme not in GUARDED_SCHEMES:
            raise ValueError(f"{entry!r}: {scheme!r} is no scheme of relays by API")
        try:
            return _Entry(scheme, "", ipaddress.ip_network(host.strip("[]"), strict=False))
        except ValueError:
            pass
        if not _NAME.fullmatch(host):
            raise ValueError(f"{entry!r} is no host, address or range")
        return _Entry(scheme, host.lower().rstrip("."), None)

    def lists(self, address: Address) -> None:
        """Raises Forbidden unless the host, as it is written, is listed for its scheme."""
        if address.scheme not in GUARDED_SCHEMES:
            raise Forbidden(f"{address.scheme}: is not taken by API")
        if address.scheme in {"udp", "rtp"} and address.query:
            raise Forbidden("an address of UDP that comes by API has no arguments: libav would obey them")
        host = address.host.lower().rstrip(".")
        written = _written(host)
        for scheme, name, network in self._entries:
            if scheme and scheme != address.scheme:
                continue
            if network is not None:
                if written is not None and _within(written, network):
                    return
            elif fnmatch.fnmatchcase(host, name):
                return
        raise Forbidden(f"host {address.host!r} is not in relay.allow_hosts")

    def judge(self, scheme: str, found: Sequence[str]) -> str:
        """The first of the addresses that a name resolved to; Forbidden if one of them may not be connected to."""
        if not found:
            raise Forbidden("the host has no address")
        for text in found:
            ip = innermost(ipaddress.ip_address(text.partition("%")[0]))  # a zone says by which link, not to whom
            if not is_public(ip) and not self._ranges(scheme, ip):
                raise Forbidden(f"the host has an address that is not public, and {self._why}")
        return found[0]

    def _ranges(self, scheme: str, ip: IPAddress) -> bool:
        return any(
            network is not None and (not wanted or wanted == scheme) and _within(ip, network)
            for wanted, _, network in self._entries
        )


def _written(host: str) -> IPAddress | None:
    """The address that a host is in plain writing; None for names and odd forms, which must be listed as names."""
    try:
        return innermost(ipaddress.ip_address(host))
    except ValueError:
        return None


def _within(ip: IPAddress, network: _Network) -> bool:
    return ip.version == network.version and ip in network
