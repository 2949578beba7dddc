"""Knows whose a datagram is: by the user name fragment of a binding request, and by the address it has proved from.

Law: an address stands for one session, which is the one that proved itself from it last; but it is not taken from a
session that is heard at it now: who can write any sender's address on a datagram, and publish under a name of his own,
would take others off the air.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hlsd.ingest.webrtc.peer import Address
    from hlsd.ingest.webrtc.publisher import WebrtcPublisher

HELD: Final = 5.0
"""Seconds for which an address stays with a session that is connected, after something came from it."""


class PeerTable:
    """That of one port."""

    def __init__(self) -> None:
        self._by_fragment: dict[str, tuple[WebrtcPublisher, bytes]] = {}
        self._fragments: dict[WebrtcPublisher, list[str]] = {}
        self._by_address: dict[Address, WebrtcPublisher] = {}

    def expect(self, publisher: WebrtcPublisher, fragment: str, password: str) -> None:
        """From now on binding requests may name `fragment`.

        "the ICE agent MUST … keep on sending media using the previously validated pair" (RFC 8445 §9): the fragment
        before it holds until a request with the new one has come.
        """
        known = self._fragments.setdefault(publisher, [])
        while len(known) > 1:
            del self._by_fragment[known.pop(0)]
        known.append(fragment)
        self._by_fragment[fragment] = publisher, password.encode()

    def named(self, fragment: str) -> tuple[WebrtcPublisher, bytes] | None:
        """Whose fragment it is, with the password."""
        return self._by_fragment.get(fragment)

    def at(self, address: Address) -> WebrtcPublisher | None:
        """Who has proved itself from there."""
        return self._by_address.get(address)

    def proved(self, publisher: WebrtcPublisher, fragment: str, address: Address, now: float) -> bool:
        """`publisher` has proved itself from `address`; False: that is another one's now."""
        other = self._by_address.get(address)
        if other is not None and other is not publisher:
            peer = other.peer
            if peer is not None and peer.connected and not peer.ended and now - peer.heard < HELD:
                return False
        known = self._fragments.get(publisher, [])
        if len(known) > 1 and fragment == known[-1]:
            for old in known[:-1]:
                del self._by_fragment[old]
            del known[:-1]
        self._by_address[address] = publisher
        return True

    def left(self, publisher: WebrtcPublisher, address: Address) -> None:
        """`publisher` is not awaited at that address any more."""
        if self._by_address.get(address) is publisher:
            del self._by_address[address]

    def forget(self, publisher: WebrtcPublisher) -> None:
        """It is over."""
        for fragment in self._fragments.pop(publisher, ()):
            del self._by_fragment[fragment]
        if publisher.peer is not None:
            for address in publisher.peer.addresses:
                self.left(publisher, address)

    def __len__(self) -> int:
        """How many addresses are known."""
        return len(self._by_address)
