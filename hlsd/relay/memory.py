"""Remembers which names a pull brought and which it did not, so that made-up names cannot crowd out true ones.

Law: a name that failed rests before it is tried again, twice as long each time, up to `LONGEST`; one that was good
before only up to `LONGEST_KNOWN`, since its origin will be back. Both tables are bounded; what was longest unused goes.
Pure; monotonic seconds.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

FIRST: Final = 2.0
"""Seconds for which a name that failed once is not tried again."""
LONGEST: Final = 60.0
LONGEST_KNOWN: Final = 4.0
MOST: Final = 10_000

Key = tuple[str, str]


class PullMemory:
    """The names of one server's pulls on demand."""

    def __init__(self) -> None:
        self._good: OrderedDict[Key, None] = OrderedDict()
        self._failed: OrderedDict[Key, tuple[int, float]] = OrderedDict()

    def known(self, key: Key) -> bool:
        """Whether the name has ever brought media."""
        return key in self._good

    def good(self, key: Key) -> None:
        """The name has brought media."""
        self._failed.pop(key, None)
        self._good[key] = None
        self._good.move_to_end(key)
        if len(self._good) > MOST:
            self._good.popitem(last=False)

    def failed(self, key: Key, now: float) -> None:
        """The name has brought nothing."""
        failures = self._failed.get(key, (0, 0.0))[0] + 1
        longest = LONGEST_KNOWN if key in self._good else LONGEST
        self._failed[key] = (failures, now + min(longest, FIRST * 2.0 ** min(failures - 1, 10)))
        self._failed.move_to_end(key)
        if len(self._failed) > MOST:
            self._failed.popitem(last=False)

    def rests(self, key: Key, now: float) -> bool:
        """Whether the name is not to be tried yet."""
        found = self._failed.get(key)
        return found is not None and found[1] > now

    def sweep(self, now: float) -> None:
        """Forgets failures that nobody has repeated for long."""
        while self._failed:
            key, (_, until) = next(iter(self._failed.items()))
            if until + LONGEST > now:
                return
            del self._failed[key]


def share(bound: int) -> int:
    """How many of so many pulls may be of names that have brought nothing yet: the rest is kept for the others."""
    return max(1, bound * 3 // 4)


def asker_of(ip: str) -> str:
    """Whose wish it is: an IPv4 address, or the /64 of an IPv6 one, which is one customer's."""
    try:
        found = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(found, ipaddress.IPv6Address):
        mapped = int(found) >> 32 == 0xFFFF
        return str(ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)) if mapped else f"{int(found) >> 64:x}::/64"
    return str(found)
