"""Knows whose a datagram is: by the user name fragment of a binding request, and by the address it has proved from.

Law: an address stands for one session, which is the one that proved itself from it last; but it is not taken from a
session that is heard at it now: who can write any sender's address on a datagram, and has a session of his own,
would take others off the air.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from hlsd.webrtc.transport import Address, PeerTransport

HELD: Final = 5.0
"""Seconds for which an address stays with a session that is connected, after something came from it."""


class PortSession(Protocol):
    """A session on the port, whichever way its media goes. What it raises ends it, and no other."""

    @property
    def peer(self) -> PeerTransport | None:
        """Its transport; None while it is being let in."""
        ...

    def take(self, datagram: bytes, address: Address, now: float) -> None:
        """Takes what is no binding request."""
        ...

    def tick(self, now: float) -> None:
        """To be called some fifty times a second."""
        ...

    def second(self, now: float) -> None:
        """To be called once a second."""
        ...

    def shaken(self, now: float) -> None:
        """It is connected."""
        ...

    def end(self, reason: str, why: str = "") -> None:
        """Ends it; nothing happens if it is over."""
        ...


class PeerTable:
    """That of one port."""

    def __init__(self) -> None:
        self._by_fragment: dict[str, tuple[PortSession, bytes]] = {}
        self._fragments: dict[PortSession, list[str]] = {}
        self._by_address: dict[Address, PortSession] = {}

    def expect(self, session: PortSession, fragment: str, password: str) -> None:
        """From now on binding requests may name `fragment`.

        "the ICE agent MUST … keep on sending media using the previously validated pair" (RFC 8445 §9): the fragment
        before it holds until a request with the new one has come.
        """
        known = self._fragments.setdefault(session, [])
        while len(known) > 1:
            del self._by_fragment[known.pop(0)]
        known.append(fragment)
        self._by_fragment[fragment] = session, password.encode()

    def named(self, fragment: str) -> tuple[PortSession, bytes] | None:
        """Whose fragment it is, with the password."""
        return self._by_fragment.get(fragment)

    def at(self, address: Address) -> PortSession | None:
        """Who has proved itself from there."""
        return self._by_address.get(address)

    def proved(self, session: PortSession, fragment: str, address: Address, now: float) -> bool:
        """`session` has proved itself from `address`; False: that is another one's now."""
        other = self._by_address.get(address)
        if other is not None and other is not session:
            peer = other.peer
            if peer is not None and peer.connected and not peer.ended and now - peer.heard < HELD:
                return False
        known = self._fragments.get(session, [])
        if len(known) > 1 and fragment == known[-1]:
            for old in known[:-1]:
                del self._by_fragment[old]
            del known[:-1]
        self._by_address[address] = session
        return True

    def left(self, session: PortSession, address: Address) -> None:
        """`session` is not awaited at that address any more."""
        if self._by_address.get(address) is session:
            del self._by_address[address]

    def forget(self, session: PortSession) -> None:
        """It is over."""
        for fragment in self._fragments.pop(session, ()):
            del self._by_fragment[fragment]
        if session.peer is not None:
            for address in session.peer.addresses:
                self.left(session, address)

    def __len__(self) -> int:
        """How many addresses are known."""
        return len(self._by_address)
