"""The certificate: what is loaded, what is refused, what is noticed."""

from __future__ import annotations

import os
import re
import ssl
import stat
from pathlib import Path

import pytest
import structlog
from cryptography import x509
from structlog.testing import capture_logs

from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.net.tls import Certificates


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    cert, key = tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem"
    write_self_signed(cert, key, ["localhost", "127.0.0.1"])
    return cert, key


def test_a_written_certificate_names_hosts_and_addresses(files: tuple[Path, Path]) -> None:
    """Browsers look at nothing but the alternative names."""
    cert = x509.load_pem_x509_certificate(files[0].read_bytes())
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert (cert.not_valid_after_utc - cert.not_valid_before_utc).days <= 398


def test_the_key_is_its_owners(files: tuple[Path, Path]) -> None:
    """Other users of the machine must not be the server."""
    assert stat.S_IMODE(files[1].stat().st_mode) == 0o600


def test_files_are_not_overwritten_by_accident(files: tuple[Path, Path]) -> None:
    """The certificate that is there may be the real one."""
    before = files[0].read_bytes()
    with pytest.raises(FileExistsError, match=r"pem is there already"):
        write_self_signed(*files, ["localhost"])
    assert files[0].read_bytes() == before
    write_self_signed(*files, ["localhost"], overwrite=True)
    assert files[0].read_bytes() != before


@pytest.mark.parametrize("names", [[], ["schön.example"]])
def test_a_name_that_cannot_stand_is_refused(tmp_path: Path, names: list[str]) -> None:
    """Before anything is written."""
    with pytest.raises(ValueError, match=r"."):
        write_self_signed(tmp_path / "c", tmp_path / "k", names)
    assert list(tmp_path.iterdir()) == []


def certificates(files: tuple[Path, Path]) -> Certificates:
    return Certificates([files], None, ["h2", "http/1.1"])


def refreshed(certificates: Certificates) -> list[str]:
    """What one look at the files has to say."""
    with capture_logs() as lines:
        certificates.refresh(structlog.get_logger(), 1.0)
    return [f"{line['event']} {line.get('reason', '')}" for line in lines]


def test_tls_is_new_and_forward_secret(files: tuple[Path, Path]) -> None:
    """HT12. The client cannot have the handshake done anew (CVE-2011-1473)."""
    context = certificates(files).open(structlog.get_logger(), 0.0)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    for cipher in context.get_ciphers():
        assert cipher["protocol"] == "TLSv1.3" or cipher["name"].startswith("ECDHE"), cipher["name"]
        assert cipher["aead"]


def test_unchanged_files_are_not_read_again(files: tuple[Path, Path]) -> None:
    """The sweep asks each second."""
    some = certificates(files)
    some.open(structlog.get_logger(), 0.0)
    assert refreshed(some) == []


def test_a_new_certificate_is_noticed_and_a_broken_one_refused_once(files: tuple[Path, Path]) -> None:
    """Renewal tools write two files, one after the other: between them the pair does not fit."""
    some = certificates(files)
    some.open(structlog.get_logger(), 0.0)
    other = files[0].parent / "other.pem"
    write_self_signed(other, files[0].parent / "other.key", ["localhost"])
    other.replace(files[0])
    (line,) = refreshed(some)
    assert re.match(r"certificate refused cannot use .*cert\.pem", line)
    assert refreshed(some) == []  # said once
    (files[0].parent / "other.key").replace(files[1])
    assert refreshed(some) == ["certificate loaded "]


def test_a_missing_file_is_said_once_and_its_return_noticed(files: tuple[Path, Path]) -> None:
    """A mount may come and go."""
    some = certificates(files)
    some.open(structlog.get_logger(), 0.0)
    away = files[0].with_suffix(".away")
    files[0].rename(away)
    (line,) = refreshed(some)
    assert line.startswith("certificate refused cannot read")
    assert refreshed(some) == []
    write_self_signed(files[0], files[1], ["localhost"], overwrite=True)
    assert refreshed(some) == ["certificate loaded "]


@pytest.mark.parametrize("what", ["missing", "text", "swapped", "encrypted", "weak"])
def test_what_cannot_be_used_is_one_clear_error(tmp_path: Path, files: tuple[Path, Path], what: str) -> None:
    """The name of the file, at the start, not at the first handshake."""
    cert, key = files
    if what == "missing":
        cert = tmp_path / "none.pem"
    elif what == "text":
        cert.write_text("hello")
    elif what == "swapped":
        cert, key = key, cert
    else:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        private = (
            ec.generate_private_key(ec.SECP256R1()) if what == "encrypted" else rsa.generate_private_key(65537, 1024)
        )
        protect: serialization.KeySerializationEncryption = (
            serialization.BestAvailableEncryption(b"x") if what == "encrypted" else serialization.NoEncryption()
        )
        key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protect))
        if what == "weak":
            os.truncate(cert, 0)
            cert.write_bytes(_weak(private))
    with pytest.raises(OSError, match=cert.name):
        Certificates([(cert, key)]).open(structlog.get_logger(), 0.0)


def _weak(private: object) -> bytes:
    import datetime as dt

    from cryptography.hazmat.primitives import hashes, serialization

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())  # type: ignore[attr-defined]
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(private, hashes.SHA256())  # type: ignore[arg-type]
    )
    return made.public_bytes(serialization.Encoding.PEM)
