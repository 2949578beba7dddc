"""Makes certificates as the tests of TLS want them, and shakes hands with a context, without any socket."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ROUNDS = 10


def make_pair(folder: Path, stem: str, names: list[str], *, kind: str = "ecdsa", days: float = 90) -> tuple[Path, Path]:
    """A certificate for `names` and its key, `stem`.pem and `stem`.key; `days`: until it expires."""
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    private = ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else rsa.generate_private_key(65537, 2048)
    now = dt.datetime.now(dt.UTC)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, stem)])
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=400))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(private, hashes.SHA256())
    )
    cert, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return cert, key


def client(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, ciphers: str = "") -> ssl.SSLContext:
    """One that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    context.set_alpn_protocols(["h2"])
    return context


@dataclass
class Shaken:
    """What came of it, as the client saw it."""

    who: str
    """The common name in the certificate."""
    resumed: bool
    session: ssl.SSLSession | None
    alpn: str | None


def shake(
    server: ssl.SSLContext, trusting: ssl.SSLContext, name: str | None, session: ssl.SSLSession | None = None
) -> Shaken:
    """Hands are shaken, and one octet is sent, before which a client of 1.3 gets its ticket."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(to_server, to_client, server_side=True)
    here = trusting.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    for _ in range(ROUNDS):
        done = 0
        for side in (here, there):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
        if done == 2:
            break
    there.write(b"x")
    assert here.read(1) == b"x"
    shown = here.getpeercert(binary_form=True)
    assert shown is not None
    (common,) = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return Shaken(str(common.value), bool(here.session_reused), here.session, here.selected_alpn_protocol())
