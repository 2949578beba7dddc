"""Says from which addresses a way in takes media that brings no credential. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator

_KNOWN: Final = 256
"""Addresses whose verdict is remembered."""


def _network(text: str) -> str:
    ipaddress.ip_network(text, strict=True)
    return text


AddressRange = Annotated[str, AfterValidator(_network)]
"""An address or a network, as in 192.0.2.0/24. Raises ValueError."""


class Allowed:
    """Those networks; none at all where there are none."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(one) for one in networks]
        self._known: dict[str, bool] = {}

    def __contains__(self, ip: str) -> bool:
        found = self._known.get(ip)
        if found is None:
            try:
                address = ipaddress.ip_address(ip.partition("%")[0])
            except ValueError:
                return False
            found = any(address.version == one.version and address in one for one in self._networks)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[ip] = found
        return found
