"""Makes the TLS of every port of ours: loads the certificate, reads it again when its files change.

TLS 1.2 at least, forward secrecy and AEAD only, RSA keys of 2048 and EC keys of 256 bits at least (RFC 9325, hls-rules
HT12). A handshake takes the certificate of its instant; one that cannot be used never replaces one that can.
"""

from __future__ import annotations

import errno
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# level 2 is what refuses RSA below 2048 and EC below 224 bits; 1.3 brings its own suites, all of them forward secret
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
_Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """The certificate and key in two PEM files. `alpn`: protocol names in order of preference, if any."""

    def __init__(self, cert: str | Path, key: str | Path, alpn: Sequence[str] = ()) -> None:
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
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        cert, key = self._files
        try:
            # a password prompt would stop the server: an encrypted key is refused
            context.load_cert_chain(cert, key, password=lambda: b"")
        except OSError as error:  # ssl.SSLError is one
            reason = getattr(error, "reason", None) or error.strerror or str(error)
            raise OSError(error.errno or errno.EINVAL, f"cannot use {cert} with {key}: {reason}") from error
        return context
