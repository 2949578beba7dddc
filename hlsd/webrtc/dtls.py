"""Shakes hands by DTLS over datagrams that somebody else carries, and has the keys of SRTP for it (RFC 5764).

The handshake is OpenSSL's, through memory. Law: bytes in, datagrams out; no socket, and of the clock only what OpenSSL
looks at for its retransmissions. Whoever is at the other end is known by the fingerprint in its offer and by nothing
else (RFC 8122): its certificate is signed by itself.
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.bindings._rust import _openssl
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from hlsd.base.errors import ProtocolError

MTU: Final = 1200
"""Bytes of a datagram that every path carries."""
LIMIT: Final = 64 << 10
"""Bytes that a peer may send before its handshake is over: a ClientHello of today has 1.5 KiB."""
DTLS_1_2: Final = 0xFEFD
"""The least version that is spoken: the one before it is deprecated (RFC 8996)."""
_RECORD: Final = 13
_HASHES: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "sha-1": hashes.SHA1,
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}
_PROFILES: Final = {b"SRTP_AEAD_AES_128_GCM": (16, 12), b"SRTP_AEAD_AES_256_GCM": (32, 12),
                    b"SRTP_AES128_CM_SHA1_80": (16, 14)}  # fmt: skip
"""Bytes of key and salt, by profile, the better ones first."""


class SrtpKeys(NamedTuple):
    """What a handshake was for: key with salt, of what we get and of what we send."""

    profile: str
    inbound: bytes
    outbound: bytes


def is_dtls(datagram: bytes) -> bool:
    """Whether it is DTLS among STUN and RTP on the same port (RFC 7983 §7)."""
    return len(datagram) >= _RECORD and 20 <= datagram[0] <= 63


class DtlsIdentity:
    """Our certificate: made when it is first needed, good for as long as the server runs."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hlsd")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(secrets.randbits(64) | 1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = "sha-256 " + certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        """As an answer has it."""
        self.context = context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(DTLS_1_2)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        _ask_for_any_certificate(context)
        context.set_cipher_list(b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES")
        context.set_tlsext_use_srtp(b":".join(_PROFILES))
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # A renegotiation has no use here, and would be work that a peer can ask for as often as it likes.
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION)


class DtlsHandshake:
    """One association, as server or as client; `expected` are the fingerprints of the offer: (hash, `AA:BB:…`)."""

    def __init__(self, identity: DtlsIdentity, *, client: bool, expected: tuple[tuple[str, str], ...]) -> None:
        self._expected = expected
        self._client = client
        self._connection = connection = SSL.Connection(identity.context, None)
        connection.set_ciphertext_mtu(MTU)
        if client:
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        self.keys: SrtpKeys | None = None
        """Once hands are shaken."""
        self.closed = False
        """The peer has said that it goes."""
        self._taken = 0

    def begin(self) -> list[bytes]:
        """What a client says first; a server waits."""
        return self._turn()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Takes a datagram; returns those that answer it. Raises ProtocolError: the association is over."""
        if self.keys is None:
            self._taken += len(datagram)
            if self._taken > LIMIT:
                raise ProtocolError("a DTLS handshake without end")
        self._connection.bio_write(datagram)
        return self._turn()

    def tick(self) -> list[bytes]:
        """What is to be sent again, as nothing has come. Raises as `receive`. Call some times a second."""
        if self.keys is not None:
            return []
        left = self._connection.DTLSv1_get_timeout()
        if left is None or left > 0:
            return []
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise ProtocolError("DTLS: nothing comes back") from error
        return self._sent()

    def close(self) -> list[bytes]:
        """What tells the peer that it is over."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            return []
        return self._sent()

    def _turn(self) -> list[bytes]:
        connection = self._connection
        try:
            if self.keys is None:
                connection.do_handshake()
                self._check()
                self.keys = self._export()
            while True:  # all records of the datagram: what is left would wait here, and grow
                connection.recv(4096)  # nobody has anything to say by it but that it goes
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error as error:
            raise ProtocolError(f"DTLS: {_reason(error)}") from error
        return self._sent()

    def _check(self) -> None:
        """RFC 8122 §6.2: the certificate must be one that the offer names."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        for name, fingerprint in self._expected:
            algorithm = _HASHES.get(name)
            if certificate is not None and algorithm is not None:
                actual = certificate.fingerprint(algorithm()).hex(":").upper()
                if secrets.compare_digest(actual.encode(), fingerprint.encode()):
                    return
        raise ProtocolError("DTLS: the certificate is not the one of the offer")

    def _export(self) -> SrtpKeys:
        profile = self._connection.get_selected_srtp_profile()
        if profile not in _PROFILES:
            raise ProtocolError("DTLS: no protection profile of SRTP in common")
        key, salt = _PROFILES[profile]
        # "client_write_SRTP_master_key, server_write_SRTP_master_key, client_write_SRTP_master_salt,
        # server_write_SRTP_master_salt" (RFC 5764 §4.2)
        made = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        client = made[:key] + made[2 * key : 2 * key + salt]
        server = made[key : 2 * key] + made[2 * key + salt :]
        inbound, outbound = (server, client) if self._client else (client, server)
        return SrtpKeys(profile.decode(), inbound, outbound)

    def _sent(self) -> list[bytes]:
        """What OpenSSL has written, cut into datagrams: memory keeps no bounds, records do."""
        written = b""
        try:
            while True:
                written += self._connection.bio_read(16_384)
        except SSL.WantReadError:
            pass
        datagrams: list[bytes] = []
        begun = at = 0
        while at + _RECORD <= len(written):
            end = at + _RECORD + int.from_bytes(written[at + 11 : at + 13], "big")
            if end - begun > MTU and at > begun:
                datagrams.append(written[begun:at])
                begun = at
            at = end
        if len(written) > begun:
            datagrams.append(written[begun:])
        return datagrams


def _ask_for_any_certificate(context: SSL.Context) -> None:
    """Has the peer show a certificate, whoever signed it; `_check` compares it.

    pyOpenSSL makes a callback of Python's out of memory that is written and run, which a unit with
    MemoryDenyWriteExecute forbids, ours too. What is needed is a function that returns 1; OpenSSL has one.
    """
    mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    lib, ffi = _openssl.lib, _openssl.ffi
    if lib.RAND_status() == 1:
        always = ffi.cast("int (*)(int, X509_STORE_CTX *)", ffi.addressof(lib, "RAND_status"))
        lib.SSL_CTX_set_verify(context._context, mode, always)  # noqa: SLF001
    else:
        context.set_verify(mode, lambda *_: True)


def _reason(error: SSL.Error) -> str:
    """OpenSSL's words, of which a peer can read what is wrong."""
    told = error.args[0] if error.args else ()
    words = [str(one[-1]) for one in told if one] if isinstance(told, list | tuple) else [str(told)]
    return "; ".join(words)[:200] or "it failed"
