"""`hlsd check` and `hlsd cert`: what the ports of TLS would show, and what the command makes for development."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from typer.testing import CliRunner

from hlsd.commands.cli import application
from tests.support.tls_pairs import make_pair


def check(folder: Path, text: str) -> tuple[int, str]:
    file = folder / "hlsd.toml"
    file.write_text(text)
    done = CliRunner().invoke(application, ["check", "-c", str(file)])
    return done.exit_code, done.output


def test_check_names_each_certificate_with_its_names_and_expiry(tmp_path: Path) -> None:
    """Of both ports; what cannot be used stands among them."""
    live = tmp_path / "live"
    live.mkdir()
    make_pair(live, "b", ["*.example.org"], kind="rsa", days=-3)
    cert, key = make_pair(tmp_path, "a", ["a.example", "www.a.example"], days=30.5)
    code, text = check(
        tmp_path,
        f'[https]\ncert = "{cert}"\nkey = "{key}"\ncertificates_dir = "{live}"\n'
        f'[rtmp]\ntls_port = 1936\n[[rtmp.certificates]]\ncert = "{cert}"\nkey = "{key}"\n'
        f'[[rtmp.certificates]]\ncert = "{cert}"\nkey = "{live / "b.key"}"\n',
    )
    assert code == 0
    assert f"# https: {cert}: a.example, www.a.example; ecdsa, until " in text
    assert ", 30 days left" in text
    assert f"# https: {live / 'b.pem'}: *.example.org; rsa, until " in text
    assert "EXPIRED" in text
    assert f"# rtmps: {cert}: a.example" in text
    assert f"# rtmps: cannot use {cert} with {live / 'b.key'}" in text


@pytest.mark.parametrize("section", ["https", "rtmp"])
def test_check_finds_a_port_without_a_certificate_that_can_be_used(tmp_path: Path, section: str) -> None:
    """It would not start. The fault is told with its cause where faults are told, not only in the listing."""
    port = "tls_port = 1936\n" if section == "rtmp" else ""
    file = tmp_path / "hlsd.toml"
    file.write_text(f'[{section}]\n{port}cert = "{tmp_path}/none.pem"\nkey = "{tmp_path}/none.key"\n')
    done = CliRunner().invoke(application, ["check", "-c", str(file)])
    assert done.exit_code == 2
    assert "none.pem" in done.stdout
    assert "none.pem" in done.stderr


def test_check_says_nothing_of_certificates_where_none_is_asked_for(tmp_path: Path) -> None:
    """The default."""
    code, text = check(tmp_path, "")
    assert code == 0
    assert "https:" not in text


@pytest.mark.parametrize(
    ("more", "kind"), [([], ec.EllipticCurvePublicKey), (["--rsa"], rsa.RSAPublicKey)], ids=["ecdsa", "rsa"]
)
def test_cert_makes_ecdsa_unless_rsa_is_asked_for(tmp_path: Path, more: list[str], kind: type[object]) -> None:
    """And names what this machine can be called by."""
    cert = tmp_path / "c.pem"
    done = CliRunner().invoke(application, ["cert", "--cert", str(cert), "--key", str(tmp_path / "k.pem"), *more])
    assert done.exit_code == 0, done.output
    made = x509.load_pem_x509_certificate(cert.read_bytes())
    assert isinstance(made.public_key(), kind)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert {str(one) for one in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
