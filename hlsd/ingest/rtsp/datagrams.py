"""Is the pair of UDP ports that RTP and RTCP of all RTSP clients come and go by.

Law: a datagram is heard only if it comes from the address of the client's RTSP connection, and nothing is sent to any
other: so nobody is flooded by what a stranger asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from hlsd.ingest.datagram_port import plain_ip
from hlsd.webrtc.udp_port import UdpPort

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults

RTP_HEAD: Final = 12
Place = tuple[str, int]
"""An address and a port of a client."""


class Hearer(Protocol):
    """A client that takes datagrams."""

    def datagram(self, track: int, octets: bytes, now: float, *, control: bool) -> None:
        """One of a track has come."""
        ...


class Claimed(NamedTuple):
    """A track of a client; `payload`: the type of its packets where they come here, else -1."""

    hearer: Hearer
    track: int
    payload: int


class RtspDatagrams:
    """Both ports."""

    def __init__(self, clock: Clock, faults: Faults) -> None:
        self.strays = 0
        """Datagrams that are of nobody's."""
        self._clock = clock
        self._media = UdpPort(self._take_media, clock, faults, "rtsp")
        self._control = UdpPort(self._take_control, clock, faults, "rtsp")
        self._by_media: dict[Place, Claimed] = {}
        self._by_control: dict[Place, Claimed] = {}
        self._unheard: dict[Place, Claimed] = {}
        self._mapped = False  # whether the sockets want IPv4 addresses as IPv6 has them

    @property
    def pair(self) -> tuple[int, int]:
        """Our ports."""
        return self._media.number, self._control.number

    def open(self, bind: str, port: int) -> None:
        """Listens. Raises OSError."""
        self._mapped = ":" in bind
        self._media.open(bind, port)
        try:
            self._control.open(bind, self._media.number + 1)
        except OSError:
            self._media.close()
            raise

    def close(self) -> None:
        """Listens no more."""
        self._media.close()
        self._control.close()

    def claim(self, ip: str, pair: tuple[int, int], claimed: Claimed) -> bool:
        """Whether those ports of a client are a track's from now on; not if another one's are the same."""
        media, control = (ip, pair[0]), (ip, pair[1])
        if not self._media.number or media in self._by_media or control in self._by_control:
            return False
        self._by_media[media] = self._by_control[control] = claimed
        if claimed.payload >= 0:
            self._unheard[media] = claimed
        return True

    def forget(self, hearer: Hearer) -> None:
        """A client is gone."""
        for table in (self._by_media, self._by_control, self._unheard):
            for place in [place for place, one in table.items() if one.hearer is hearer]:
                del table[place]

    def send(self, datagram: bytes, place: Place, *, control: bool) -> None:
        """Sends to a client."""
        ip, port = place
        address = (f"::ffff:{ip}" if self._mapped and "." in ip and ":" not in ip else ip, port)
        (self._control if control else self._media).send(datagram, address)

    # -- how

    def _take_media(self, datagram: bytes, address: Any, now: float) -> None:  # noqa: ANN401 - as the socket has it
        place = plain_ip(str(address[0])), int(address[1])
        claimed = self._by_media.get(place)
        if claimed is None:
            claimed = self._behind_nat(datagram, place)
            if claimed is None:
                self.strays += 1
                return
        elif self._unheard:
            self._unheard.pop(place, None)
        claimed.hearer.datagram(claimed.track, datagram, now, control=False)

    def _take_control(self, datagram: bytes, address: Any, now: float) -> None:  # noqa: ANN401 - as the socket has it
        claimed = self._by_control.get((plain_ip(str(address[0])), int(address[1])))
        if claimed is None:
            self.strays += 1
            return
        claimed.hearer.datagram(claimed.track, datagram, now, control=True)

    def _behind_nat(self, datagram: bytes, place: Place) -> Claimed | None:
        """Whose it is, where a router has given its sender another port: the one of that address it can be alone."""
        if len(datagram) < RTP_HEAD:
            return None
        kind = datagram[1] & 0x7F
        found = [(at, one) for at, one in self._unheard.items() if at[0] == place[0] and one.payload == kind]
        if len(found) != 1:
            return None
        told, claimed = found[0]
        del self._unheard[told], self._by_media[told]
        self._by_media[place] = claimed
        return claimed
