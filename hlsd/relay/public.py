"""Says which addresses are on the Internet, and which stand for another one.

The tables are our own: those of Python's `ipaddress` differ by version (3fff::/20, 64:ff9b:1::/48 and IPv4-mapped
forms are public to some releases of 3.11), and a guard must not. They are IANA's special-purpose registries: what is
not "Globally Reachable: True" there is not public, nor is what IPv6 has not handed out. Where the registries make
exceptions within a block for anycast services (192.0.0.9, 2001:1::1, …) the whole block stays shut: no media comes from
there. Pure.
"""

from __future__ import annotations

import ipaddress
from typing import Final

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

SPECIAL_V4: Final = tuple(map(ipaddress.IPv4Network, (
    "0.0.0.0/8",  # "This network", RFC 791; Linux connects 0.0.0.0 to itself
    "10.0.0.0/8",  # Private-Use, RFC 1918
    "100.64.0.0/10",  # Shared Address Space, RFC 6598
    "127.0.0.0/8",  # Loopback, RFC 1122
    "168.63.129.16/32",  # not IANA's: Azure's platform answers there, from within every one of its hosts
    "169.254.0.0/16",  # Link Local, RFC 3927; clouds tell secrets there
    "172.16.0.0/12",  # Private-Use, RFC 1918
    "192.0.0.0/24",  # IETF Protocol Assignments, RFC 6890
    "192.0.2.0/24",  # Documentation (TEST-NET-1), RFC 5737
    "192.88.99.0/24",  # Deprecated (6to4 Relay Anycast), RFC 7526
    "192.168.0.0/16",  # Private-Use, RFC 1918
    "198.18.0.0/15",  # Benchmarking, RFC 2544
    "198.51.100.0/24",  # Documentation (TEST-NET-2), RFC 5737
    "203.0.113.0/24",  # Documentation (TEST-NET-3), RFC 5737
    "224.0.0.0/4",  # Multicast, RFC 5771
    "240.0.0.0/4",  # Reserved, RFC 1112; 255.255.255.255 Limited Broadcast, RFC 919
)))  # fmt: skip
GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
"""All that IANA has made Global Unicast (RFC 4291 §2.4). Outside it lie ::, ::1, fc00::/7 (Unique-Local), fe80::/10
(Link-Local), fec0::/10 (Site-Local, RFC 3879), ff00::/8 (Multicast), 100::/64 (Discard-Only), 5f00::/16 (SRv6 SIDs),
64:ff9b:1::/48 (local-use translation, RFC 8215), and the IPv4-compatible (::/96) and -translated (::ffff:0:0:0/96)."""
SPECIAL_V6: Final = tuple(map(ipaddress.IPv6Network, (
    "2001::/23",  # IETF Protocol Assignments, RFC 2928: Teredo 2001::/32, Benchmarking 2001:2::/48, ORCHID(v2), …
    "2001:db8::/32",  # Documentation, RFC 3849
    "2002::/16",  # 6to4, RFC 3056: "Globally Reachable: N/A"; ends at whatever IPv4 address is in it
    "3fff::/20",  # Documentation, RFC 9637
)))  # fmt: skip
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)
"""The upper half of an interface identifier that ends in an IPv4 address (RFC 5214 §6.1)."""


def innermost(ip: IPAddress) -> IPAddress:
    """The IPv4 address to which a connection to an IPv6 one goes: mapped, or by NAT64 (RFC 6052)."""
    if isinstance(ip, ipaddress.IPv6Address) and (ip in _MAPPED or ip in _NAT64):
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip


def is_public(ip: IPAddress) -> bool:
    """Whether the address belongs to the Internet; by the one within it where it stands for that."""
    ip = innermost(ip)
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in SPECIAL_V4)
    if ip not in GLOBAL_V6 or any(ip in network for network in SPECIAL_V6):
        return False
    number = int(ip)
    return number >> 32 & 0xFFFF_FFFF not in _ISATAP or is_public(ipaddress.IPv4Address(number & 0xFFFF_FFFF))
