"""Keeps the server's certificate: loads it, reads it again when its files change, writes one for development.

TLS 1.2 at least, forward secrecy only, RSA keys of 2048 and EC keys of 256 bits at least (RFC 9325, hls-rules HT12). A
handshake takes the certificate of its instant; one that cannot be used never replaces one that can.
"""

from __future__ import annotations

import datetime as dt
import errno
import ipaddress
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

# level 2 is what refuses RSA below 2048 and EC below 224 bits; 1.3 brings its own suites, all of them forward secret
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
_LIFE: Final = dt.timedelta(days=397)
"""What browsers still accept of a server's certificate."""

_Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """The certificate and key in two PEM files. `alpn`: protocol names in order of preference."""

    def __init__(self, cert: str | Path, key: str | Path, alpn: Sequence[str]) -> None:
        self._files = (Path(cert), Path(key))
        self._alpn = list(alpn)
        self._stamp: _Stamp = ()
        self._now: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Loads the files and gives the context to listen with; each handshake then uses the newest certificate.

        Raises:
            OSError: the files cannot be read or do not fit together; the text says which.
        """
        self._stamp = self._stat()
        self._now = self._load()
        context = self._load()
        context.sni_callback = self._choose
        return context

    def refresh(self) -> bool:
        """Reads the files again if they have changed; True if there is a new certificate now.

        Raises:
            OSError: they have changed and cannot be used; the old certificate stays. Raised once for each change.
        """
        try:
            stamp = self._stat()
        except OSError:
            if not self._stamp:
                return False
            self._stamp = ()  # in the middle of being replaced, or gone: said once
            raise
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self._now = self._load()
        return True

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG002
        if self._now is not None:
            connection.context = self._now

    def _stat(self) -> _Stamp:
        try:
            stats = [path.stat() for path in self._files]
        except OSError as error:
            raise OSError(error.errno, f"cannot read {error.filename}: {error.strerror}") from error
        return tuple((found.st_mtime_ns, found.st_size, found.st_ino) for found in stats)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(self._alpn)
        cert, key = self._files
        try:
            # a password prompt would stop the server: an encrypted key is refused
            context.load_cert_chain(cert, key, password=lambda: b"")
        except OSError as error:  # ssl.SSLError is one
            reason = getattr(error, "reason", None) or error.strerror or str(error)
            raise OSError(error.errno or errno.EINVAL, f"cannot use {cert} with {key}: {reason}") from error
        return context


def write_self_signed(cert: Path, key: Path, names: Sequence[str], *, overwrite: bool = False) -> None:
    """Writes a certificate for `names` (host names and addresses) that nobody but its maker trusts, and its key.

    EC P-256, 397 days, the key readable by its owner only.

    Raises:
        FileExistsError: one of the files is there and `overwrite` is False.
        ValueError: no name, or one that cannot stand in a certificate.
        OSError: not writable.
    """
    if not names:
        raise ValueError("a certificate needs a name")
    for path in (cert, key):
        if path.exists() and not overwrite:
            raise FileExistsError(errno.EEXIST, f"{path} is there already")
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    _write(
        key,
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        0o600,
    )
    _write(cert, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, octets: bytes, mode: int) -> None:
    """Whole or not at all: a running server may look at any instant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(octets)
    new.replace(path)
