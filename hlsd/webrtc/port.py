"""Is the UDP port of WebRTC and all sessions on it: every datagram finds its session here, or is forgotten.

One port for all who publish and all who watch: a binding request names its session by our half of its user name, and
its address stands for that session from then on (`peer_table`). Law: what belongs to no session costs a look into a
table and is not answered; what a session raises ends that session.
"""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
from typing import TYPE_CHECKING, Any, Final

from hlsd.webrtc import stun
from hlsd.webrtc.addresses import reachable, sorted_out
from hlsd.webrtc.peer_table import PeerTable, PortSession
from hlsd.webrtc.sdp_answer import AnswerTerms
from hlsd.webrtc.udp_port import UdpPort

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.webrtc.dtls import DtlsIdentity
    from hlsd.webrtc.settings import WebrtcSettings
    from hlsd.webrtc.transport import Address

TURN: Final = 0.02
"""Seconds between two looks at what is due, while there are sessions."""
_MISSING: Final = "packages are missing: pip install 'hlsd[webrtc]' lets browsers, OBS and ffmpeg publish by WHIP"


def is_installed() -> bool:
    """Whether the packages of the extra are there; they are loaded when the first session begins."""
    return all(importlib.util.find_spec(name) is not None for name in ("OpenSSL", "pylibsrtp"))


class WebrtcPort:
    """The port. `bind` and `number`: where HTTP listens. It is open from the first `start` to the last `stop`."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self, settings: WebrtcSettings, clock: Clock, log: Log, faults: Faults, bind: str, number: int
    ) -> None:
        self.closed = "not started yet"
        """Why nobody can come in; empty: who may can."""
        self.stray = 0
        """Datagrams that were nobody's."""
        self.settings = settings
        self._bind = settings.bind or bind
        self._number = settings.port or number
        self._clock = clock
        self._log = log
        self._faults = faults
        self._udp = UdpPort(self._take, clock, faults)
        self._hosts: list[str] = []
        self._identity: DtlsIdentity | None = None
        self._sessions: dict[PortSession, None] = {}
        self._table = PeerTable()
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0.0
        self._users = 0

    @property
    def number(self) -> int:
        """The UDP port, once started; 0: nobody comes."""
        return self._udp.number

    @property
    def send(self) -> Any:  # noqa: ANN401 - as the socket has addresses
        """Sends a datagram to an address, or loses it."""
        return self._udp.send

    @property
    def send_all(self) -> Any:  # noqa: ANN401 - as the socket has addresses
        """The same for many datagrams."""
        return self._udp.send_all

    @property
    def identity(self) -> DtlsIdentity:
        """Our certificate, once `load` has been waited for."""
        assert self._identity is not None
        return self._identity

    # -- life

    def start(self) -> None:
        """Listens, for one more who needs it. Raises OSError when it cannot."""
        self._users += 1
        if self._users > 1:
            return
        if not self.settings.enabled:
            self.closed = "webrtc.enabled is false"
            return
        if not is_installed():
            self.closed = _MISSING
            self._log.warning("WebRTC is off", reason=_MISSING)
            return
        self._hosts, bad = sorted_out(self.settings.hosts)
        for host in bad:
            self._log.warning("webrtc.hosts: not an IP address, left out", host=host)
        self._udp.open(self._bind, self._number)
        self.closed = ""
        self._log.info("webrtc listening", bind=self._bind, port=self.number)

    def stop(self) -> None:
        """One who needed it has ended its sessions; with the last of them it listens no more."""
        self._users -= 1
        if self._users > 0:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.closed = "the server stops"
        self._udp.close()

    async def load(self) -> None:
        """What most servers never need, at the first session: a tenth of a second, in which viewers do not wait."""
        if self._identity is None:
            identity = await asyncio.to_thread(_loaded)
            self._identity = self._identity or identity  # another one may have come meanwhile

    # -- sessions

    def add(self, session: PortSession) -> None:
        """It is let in."""
        self._sessions[session] = None
        if self._timer is None:
            self._wait()

    def terms(self, session: PortSession, local: str, peer: str) -> AnswerTerms:
        """What to answer it with: by these the session is known from now on.

        `local` is the address of ours at which it asked by HTTP, `peer` its own. Limits are the publishers'.
        """
        assert session.peer is not None
        ufrag, password = secrets.token_hex(4), secrets.token_hex(16)
        session.peer.fragment = ufrag
        self._table.expect(session, ufrag, password)
        hosts = reachable(self._hosts, self._bind, local, peer)
        return AnswerTerms(
            ufrag,
            password,
            self.identity.fingerprint,
            session.peer.client,
            [(host, self.number) for host in hosts],
            self.settings.max_bitrate,
            self.settings.start_bitrate,
        )

    def forget(self, session: PortSession) -> None:
        """It is over."""
        if session in self._sessions:
            del self._sessions[session]
        self._table.forget(session)

    @property
    def known(self) -> int:
        """Addresses that stand for a session."""
        return len(self._table)

    # -- datagrams

    def _take(self, datagram: bytes, address: Any, now: float) -> None:  # noqa: ANN401 - as the socket has it
        if stun.is_stun(datagram) and not stun.is_success(datagram):
            self._bind_address(datagram, address, now)
            return
        session = self._table.at(address)
        if session is None or session.peer is None:
            self.stray += 1
            return
        peer = session.peer
        connected = peer.connected
        try:
            session.take(datagram, address, now)
            if peer.connected and not connected:
                session.shaken(now)
        except Exception as error:  # noqa: BLE001 - an error of ours must end this session and no other
            self._faults.task("webrtc", error)
            session.end("error:internal")
        if peer.ended:
            session.end(peer.ended, peer.why)

    def _bind_address(self, datagram: bytes, address: Address, now: float) -> None:
        """A binding request: only who knows the password is answered, and known from then on."""
        request = stun.read_request(datagram)
        known = self._table.named(request.local) if request is not None else None
        if request is None or known is None or not stun.proves(request, known[1]):
            self.stray += 1
            return
        session, password = known
        peer = session.peer
        if peer is None or peer.ended or not peer.admits(now):
            return
        told = stun.success(request, (str(address[0]), address[1]), password)
        # ICE has requests with PRIORITY, the role and FINGERPRINT in them: they are longer than what answers them.
        if len(told) > len(datagram) or not self._table.proved(session, request.local, address, now):
            self.stray += 1
            return
        self._udp.send(told, address)
        before = set(peer.addresses)
        peer.validated(address, now, nominated=request.use_candidate, size=len(datagram) - len(told))
        for gone in before - set(peer.addresses):
            self._table.left(session, gone)

    # -- time

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TURN, self._turn)

    def _turn(self) -> None:
        """What is due in every session."""
        self._wait()  # first, whatever comes of this turn
        now = self._clock.monotonic()
        second = now - self._second >= 1.0
        if second:
            self._second = now
        for session in list(self._sessions):
            peer = session.peer
            if peer is None:
                continue
            try:
                session.tick(now)
                if second:
                    session.second(now)
            except Exception as error:  # noqa: BLE001 - an error of ours must end this session and no other
                self._faults.task("webrtc", error)
                session.end("error:internal")
            if peer.ended:
                session.end(peer.ended, peer.why)
        if not self._sessions and self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _loaded() -> DtlsIdentity:
    from hlsd.webrtc import transport  # noqa: F401, PLC0415 - with it what it stands on
    from hlsd.webrtc.dtls import DtlsIdentity  # noqa: PLC0415

    return DtlsIdentity()
