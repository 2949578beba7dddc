"""Is one certificate with its key: whose names it is good for, until when; and the pairs that a folder holds.

Names are those of the subjectAltName, since no client looks at the common name any more (RFC 9525 §2). "The wildcard
character appears only as the complete content of the left-most label" and stands for one label (§6.3).
"""

from __future__ import annotations

import errno
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509

MAX_FILE: Final = 1024 * 1024
"""Octets of a certificate's file, chain included, or of a key's."""
MAX_PAIRS: Final = 1000
"""Pairs of one port; 21 KiB of memory each."""
_ENDINGS: Final = (".pem", ".crt")
_CERTBOT: Final = ("fullchain.pem", "privkey.pem")
_Stat = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a certificate, with the chain behind it, and of its key."""

    cert: Path
    key: Path

    def stamp(self) -> tuple[_Stat, _Stat]:
        """Changes when one of the files does; OSError says which cannot be read."""
        try:
            one, two = self.cert.stat(), self.key.stat()
        except OSError as error:
            raise OSError(error.errno, f"cannot read {error.filename}: {error.strerror}") from error
        return (one.st_mtime_ns, one.st_size, one.st_ino), (two.st_mtime_ns, two.st_size, two.st_ino)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Has `context` show it, beside those for other kinds of keys.

        Raises:
            OSError: the files cannot be read or do not fit together; the text says which.
        """
        try:
            # a password prompt would stop the server: an encrypted key is refused
            context.load_cert_chain(self.cert, self.key, password=lambda: b"")
        except OSError as error:  # ssl.SSLError is one
            raise self._refused(error, getattr(error, "reason", None) or error.strerror or str(error)) from error

    def read(self) -> Identity:
        """What the certificate says.

        Raises:
            OSError: it cannot be read.
        """
        # Only who has a certificate needs it: ten megabytes.
        from cryptography import x509  # noqa: PLC0415
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415

        try:
            with self.cert.open("rb") as file:
                found = x509.load_pem_x509_certificate(file.read(MAX_FILE))
            names = _names(found)
        except OSError as error:
            raise OSError(error.errno, f"cannot read {self.cert}: {error.strerror}") from error
        except ValueError as error:
            raise self._refused(error, "no certificate that can be read") from error
        kinds = (("ecdsa", ec.EllipticCurvePublicKey), ("rsa", rsa.RSAPublicKey))
        kind = next((kind for kind, of in kinds if isinstance(found.public_key(), of)), "other")
        return Identity(self, names, kind, found.not_valid_after_utc.timestamp(), found.fingerprint(hashes.SHA256()))

    def _refused(self, error: Exception, reason: str) -> OSError:
        number = getattr(error, "errno", None) or errno.EINVAL
        return OSError(number, f"cannot use {self.cert} with {self.key}: {reason}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a certificate says."""

    pair: Pair
    names: tuple[str, ...]
    """Host names in lower case, wildcards among them."""
    kind: str
    """Of its key: ecdsa, rsa, other. A client may be able to check one and not the other."""
    expires: float
    """Seconds since the epoch."""
    fingerprint: bytes

    @property
    def label(self) -> str:
        """Its first name, or its file's."""
        return self.names[0] if self.names else self.pair.cert.stem


def _names(found: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(dict.fromkeys(name.lower() for name in names.get_values_for_type(x509.DNSName)))


def pairs_in(folder: Path) -> list[Pair]:
    """The pairs of a folder, by name: `x.pem` or `x.crt` with `x.key`, certbot's `x/fullchain.pem`, `x/privkey.pem`.

    What lies there without its other half is none, which is how a pair looks that is being written. No more than
    `MAX_PAIRS`.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise OSError(error.errno, f"cannot read {folder}: {error.strerror}") from error
    found = []
    for entry in entries:
        if entry.suffix in _ENDINGS:
            pair = Pair(entry, entry.with_suffix(".key"))
        else:
            pair = Pair(entry / _CERTBOT[0], entry / _CERTBOT[1])
        if pair.cert.is_file() and pair.key.is_file():
            found.append(pair)
    return found[:MAX_PAIRS]
