"""Writes a certificate for development: one that nobody but its maker trusts.

What a server does with a certificate is `hlsd.net.tls`'s.
"""

from __future__ import annotations

import datetime as dt
import errno
import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_keys
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIFE: Final = dt.timedelta(days=397)
"""What browsers still accept of a server's certificate."""


def own_names() -> list[str]:
    """What this machine can be called by who sits at it, or near it."""
    names = ["localhost", "127.0.0.1", "::1"]
    host = socket.gethostname().lower()
    if host and host.isascii() and host not in names:
        names.insert(1, host)
    return names


def write_self_signed(
    cert: Path, key: Path, names: Sequence[str], *, rsa: bool = False, overwrite: bool = False
) -> None:
    """Writes a certificate for `names` (host names and addresses) that nobody but its maker trusts, and its key.

    EC P-256, or RSA of 2048 bits; 397 days, the key readable by its owner only.

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
    private: ec.EllipticCurvePrivateKey | rsa_keys.RSAPrivateKey
    private = rsa_keys.generate_private_key(65537, 2048) if rsa else ec.generate_private_key(ec.SECP256R1())
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
