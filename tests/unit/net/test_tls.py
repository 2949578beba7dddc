"""Certificates of a port: who is shown which, what is found in a folder, what can be resumed and for how long."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from hlsd.net.identity import Pair, pairs_in
from hlsd.net.tls import ROTATION, Certificates
from tests.support.tls_pairs import client, make_pair, shake

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
LOG = structlog.get_logger()


def opened(*pairs: tuple[Path, Path], folder: Path | None = None) -> tuple[Certificates, list[str]]:
    """Certificates, and what they had to complain of."""
    some = Certificates(pairs, folder, ["h2", "http/1.1"])
    with capture_logs() as lines:
        some.open(LOG, 0.0)
    return some, [line.get("reason", line["event"]) for line in lines]


def refreshed(some: Certificates, now: float = 1.0) -> list[str]:
    with capture_logs() as lines:
        some.refresh(LOG, now)
    return [line["event"] for line in lines]


@pytest.mark.thorough
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_client_is_shown_the_certificate_of_the_name_it_asks_for(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Exact before wildcard; a wildcard stands for one label (RFC 9525 §6.3); else the first."""
    some, _ = opened(
        make_pair(tmp_path, "first", ["first.example"]),
        make_pair(tmp_path, "wild", ["*.example.org", "example.org"]),
        make_pair(tmp_path, "exact", ["a.example.org"]),
    )
    asked = {
        "a.example.org": "exact",
        "A.Example.ORG": "exact",
        "b.example.org": "wild",
        "example.org": "wild",
        "x.b.example.org": "first",
        "org": "first",
        "unknown.example": "first",
        None: "first",
    }
    found = {name: shake(some.listening, client(version), name) for name in asked}
    assert {name: one.who for name, one in found.items()} == asked
    assert {one.alpn for one in found.values()} == {"h2"}


def test_of_ecdsa_and_rsa_a_client_gets_what_it_can_check(tmp_path: Path) -> None:
    """Old televisions know RSA only; the others get what costs a tenth."""
    some, _ = opened(
        make_pair(tmp_path, "rsa", ["a.example"], kind="rsa"), make_pair(tmp_path, "ec", ["a.example", "b.example"])
    )
    old = client(ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256")
    new = client(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert shake(some.listening, old, "a.example").who == "rsa"
    assert shake(some.listening, new, "a.example").who == "ec"
    assert shake(some.listening, client(), "a.example").who == "ec"
    with pytest.raises(ssl.SSLError):
        shake(some.listening, old, "b.example")


def test_what_cannot_be_used_is_said_and_the_others_serve(tmp_path: Path) -> None:
    """One typing error in a list of twenty is not to silence nineteen."""
    good = make_pair(tmp_path, "good", ["good.example"])
    broken = make_pair(tmp_path, "broken", ["broken.example"])
    broken[1].write_text("no key")
    late = make_pair(tmp_path, "late", ["good.example", "late.example"], days=-1)
    some, lines = opened(broken, late, (tmp_path / "none.pem", tmp_path / "none.key"), good)
    assert len(lines) == 3
    assert any("broken.pem" in line for line in lines)
    assert any("none.pem" in line for line in lines)
    assert "certificate has expired" in lines
    assert shake(some.listening, client(), "good.example").who == "good"  # a valid one before one that has expired
    assert shake(some.listening, client(), "late.example").who == "late"  # and one that has before one of other names
    assert shake(some.listening, client(), None).who == "good"
    assert refreshed(some) == []  # said once


def test_without_any_that_can_be_used_nothing_is_opened(tmp_path: Path) -> None:
    """The error of the first, or that the folder holds none."""
    with pytest.raises(OSError, match=r"cannot read .*none\.pem"):
        Certificates([(tmp_path / "none.pem", tmp_path / "none.key")]).open(LOG, 0.0)
    with pytest.raises(OSError, match="no certificate with its key"):
        Certificates([], tmp_path).open(LOG, 0.0)


def test_a_folder_holds_pairs_by_name_and_as_certbot_has_them(tmp_path: Path) -> None:
    """What lies there alone is no pair: it is being written, or is a chain."""
    make_pair(tmp_path, "b", ["b.example"])
    live = tmp_path / "a.example"
    live.mkdir()
    cert, key = make_pair(live, "x", ["a.example"])
    cert.rename(live / "fullchain.pem")
    key.rename(live / "privkey.pem")
    (tmp_path / "README").write_text("certbot's")
    (tmp_path / "alone.pem").write_text("a certificate without its key")
    assert pairs_in(tmp_path) == [
        Pair(live / "fullchain.pem", live / "privkey.pem"),
        Pair(tmp_path / "b.pem", tmp_path / "b.key"),
    ]
    some, lines = opened(folder=tmp_path)
    assert lines == []
    assert [shake(some.listening, client(), name).who for name in ("a.example", "b.example")] == ["x", "b"]


def test_new_renewed_and_removed_files_of_a_folder_are_found(tmp_path: Path) -> None:
    """By the sweep, with the same context listening on; a pair that is away for a moment is being replaced."""
    make_pair(tmp_path, "a", ["a.example"])
    some, _ = opened(folder=tmp_path)
    listening = some.listening
    make_pair(tmp_path, "b", ["b.example"])
    assert refreshed(some) == ["certificate loaded"]
    assert shake(listening, client(), "b.example").who == "b"
    make_pair(tmp_path, "b", ["b.example", "c.example"])
    assert refreshed(some) == ["certificate loaded"]
    assert shake(listening, client(), "c.example").who == "b"
    (tmp_path / "b.pem").unlink()
    refreshed(some)
    assert shake(listening, client(), "b.example").who == "b"
    refreshed(some)
    assert shake(listening, client(), "b.example").who == "a"
    assert [one.label for one in some.identities] == ["a.example"]


def test_a_broken_renewal_leaves_its_name_what_it_had_though_another_is_renewed(tmp_path: Path) -> None:
    """Contexts in memory outlive their files."""
    a, b = make_pair(tmp_path, "a", ["a.example"]), make_pair(tmp_path, "b", ["b.example"])
    some, _ = opened(a, b)
    a[0].write_text("half a file")
    make_pair(tmp_path, "b", ["b.example", "c.example"])
    assert refreshed(some) == ["certificate refused", "certificate loaded"]
    assert [shake(some.listening, client(), f"{name}.example").who for name in "abc"] == ["a", "b", "b"]


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_session_is_resumed_after_a_renewal_and_for_every_name_of_the_port(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """The key of tickets is the listening context's, which a new certificate does not replace."""
    a, b = make_pair(tmp_path, "a", ["a.example"]), make_pair(tmp_path, "b", ["b.example"])
    some, _ = opened(a, b)
    trusting = client(version)
    first = shake(some.listening, trusting, "a.example")
    assert not first.resumed
    again = shake(some.listening, trusting, "a.example", first.session)
    assert (again.resumed, again.alpn) == (True, "h2")
    make_pair(tmp_path, "a", ["a.example"])
    assert refreshed(some) == ["certificate loaded"]
    assert shake(some.listening, trusting, "a.example", first.session).resumed
    assert shake(some.listening, trusting, "b.example", first.session).resumed
    assert shake(some.listening, trusting, "b.example").who == "b"  # and who resumes nothing is shown what he asks for


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_the_key_of_tickets_changes_and_an_old_ticket_costs_a_full_handshake(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """Forward secrecy of TLS 1.2 is worth as much as the key of its tickets is young (RFC 9325 §3.4)."""
    some, _ = opened(make_pair(tmp_path, "a", ["a.example"]))
    trusting = client(version)
    session = shake(some.listening, trusting, "a.example").session
    refreshed(some, ROTATION - 1)
    assert shake(some.listening, trusting, "a.example", session).resumed
    refreshed(some, ROTATION)
    after = shake(some.listening, trusting, "a.example", session)
    assert (after.resumed, after.who) == (False, "a")
    assert shake(some.listening, trusting, "a.example", after.session).resumed


def test_a_ticket_of_1_3_is_given_once_a_connection_and_lives_for_two_hours(tmp_path: Path) -> None:
    """What docs/http2.md says of them."""
    some, _ = opened(make_pair(tmp_path, "a", ["a.example"]))
    assert some.listening.num_tickets == 1
    session = shake(some.listening, client(), "a.example").session
    assert session is not None
    assert session.ticket_lifetime_hint == 7200


FORK = """
import os, ssl, sys, structlog
from pathlib import Path
from hlsd.net.tls import Certificates
from tests.support.tls_pairs import client, make_pair, shake
listening = Certificates([make_pair(Path(sys.argv[1]), "a", ["a.example"])]).open(structlog.get_logger(), 0.0)
trusting = client()
session = shake(listening, trusting, "a.example").session
child = os.fork()
if child == 0:
    os._exit(0 if shake(listening, trusting, "a.example", session).resumed else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.thorough
def test_processes_share_the_key_of_a_context_that_was_made_before_they_were_forked(tmp_path: Path) -> None:
    """The only way to share one that Python's `ssl` leaves (docs/http2.md)."""
    checkout = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        check=False,
    )
    assert done.returncode == 0
