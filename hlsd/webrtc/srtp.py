"""Takes the protection off what comes and puts it on what goes (SRTP, RFC 3711 and 7714), by libsrtp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pylibsrtp

from hlsd.base.errors import ProtocolError

if TYPE_CHECKING:
    from hlsd.webrtc.dtls import SrtpKeys

WINDOW: Final = 1024
"""Packets behind the newest one that may still come, each of them once."""
SOURCES: Final = 16
"""Sources of one session: two tracks with their retransmissions, and some that took their places."""
_PROFILES: Final = {
    "SRTP_AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "SRTP_AEAD_AES_256_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    "SRTP_AES128_CM_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class Protection:
    """Both directions of one session."""

    def __init__(self, keys: SrtpKeys) -> None:
        profile = _PROFILES[keys.profile]
        self._inbound = _session(keys.inbound, pylibsrtp.Policy.SSRC_ANY_INBOUND, profile)
        self._outbound = _session(keys.outbound, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, profile)
        self._sources: set[bytes] = set()

    def media(self, datagram: bytes) -> bytes | None:
        """The RTP packet, or None: it is forged, damaged, or came before. Raises ProtocolError."""
        try:
            packet = self._inbound.unprotect(datagram)
        except (pylibsrtp.Error, ValueError):
            return None
        if packet[8:12] not in self._sources:
            self._meet(packet[8:12])
        return packet

    def control(self, datagram: bytes) -> bytes | None:
        """The RTCP compound, or None. Raises ProtocolError."""
        try:
            compound = self._inbound.unprotect_rtcp(datagram)
        except (pylibsrtp.Error, ValueError):
            return None
        if compound[4:8] not in self._sources:
            self._meet(compound[4:8])
        return compound

    def protect(self, packet: bytes) -> bytes:
        """What goes out for an RTP packet; the same again for the same packet."""
        return self._outbound.protect(packet)

    def protect_control(self, compound: bytes) -> bytes:
        """What goes out for an RTCP compound."""
        return self._outbound.protect_rtcp(compound)

    def _meet(self, source: bytes) -> None:
        """Libsrtp keeps something of each source for ever."""
        if len(self._sources) >= SOURCES:
            raise ProtocolError("too many sources in one session")
        self._sources.add(source)


def _session(key: bytes, sources: int, profile: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(key=key, ssrc_type=sources, srtp_profile=profile)
    policy.window_size = WINDOW
    # A viewer without RTX is sent the very packet again, which is the very datagram: no key stream is used twice.
    policy.allow_repeat_tx = True
    return pylibsrtp.Session(policy)
