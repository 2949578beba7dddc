"""The gate between libav and an RTSP server: what is read is read within TLS too."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.relay.rtsp_gate import RtspGate

GOOD = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE\r\n\r\n"
MOVED = b"RTSP/1.0  302 Moved\r\nCSeq: 2\r\nLocation: rtsp://127.0.0.1/x\r\n\r\n"


@contextlib.contextmanager
def server(answers: list[bytes], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answers each thing it is told with the next of `answers`, once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                plain = listener.accept()[0]
                with context.wrap_socket(plain, server_side=True) if context else plain as connection:
                    for answer in answers:
                        connection.recv(4096)
                        connection.sendall(answer)
                    connection.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def conversation(gate: RtspGate, questions: int) -> bytes:
    """What a client hears that asks so often."""
    heard = b""
    with socket.create_connection(("127.0.0.1", gate.port), 10) as client, contextlib.suppress(OSError):
        for _ in range(questions):
            client.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            received = client.recv(4096)
            if not received:
                break
            heard += received
    return heard


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    write_self_signed(certificate, key, ["camera.example"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def test_the_client_hears_nothing_of_a_redirection_and_the_gate_says_why() -> None:
    with server([GOOD, MOVED]) as port:
        gate = RtspGate("127.0.0.1", port, 10)
        assert conversation(gate, 3) == GOOD
    assert gate.why == "the server was hung up on: it does not speak RTSP"


def test_within_tls_it_is_read_as_well(pair: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    """It once let ciphertext pass unread, and a redirection with it."""
    certificate, context = pair
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with server([GOOD, MOVED], context) as port:
        gate = RtspGate("127.0.0.1", port, 10, "camera.example")
        assert conversation(gate, 3) == GOOD
    assert gate.why.startswith("the server was hung up on")


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_of_somebody_else_is_refused(
    pair: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    certificate, context = pair
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with server([GOOD], context) as port:
        gate = RtspGate("127.0.0.1", port, 10, "other.example" if trusted else "camera.example")
        assert conversation(gate, 1) == b""
    assert "cannot be reached" in gate.why
