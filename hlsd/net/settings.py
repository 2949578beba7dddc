"""Says how certificates are named in the sections of ports that speak TLS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class CertificateFiles(BaseModel):
    """One certificate and its key."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    cert: str = Field(min_length=1, description="File of the certificate, PEM, with the chain behind it.")
    key: str = Field(min_length=1, description="File of its private key, PEM, not encrypted.")


CERTIFICATES: list[CertificateFiles] = Field(
    default=[],
    description="Further certificates, { cert, key } each; a client gets the one for the host it names (SNI), be it by "
    "*.example.org, and of one by ECDSA and one by RSA what it can check. The first of all is for who names no host "
    "that is known.",
)
CERTIFICATES_DIR: str = Field(
    default="",
    description="Folder with further ones: name.pem or name.crt with name.key, and name/fullchain.pem with "
    "name/privkey.pem, as certbot has them in live. New and renewed ones are found within seconds.",
)


def pairs_of(
    cert: str | Path | None, key: str | Path | None, more: Iterable[CertificateFiles]
) -> list[tuple[str, str]]:
    """The files of all that are named, the default first."""
    first = [(str(cert), str(key))] if cert and key else []
    return first + [(one.cert, one.key) for one in more]
