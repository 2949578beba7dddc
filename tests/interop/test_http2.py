"""HTTP/2 and TLS as other people's programs speak them: curl and nghttp2's h2load."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.tls.settings import HttpsSettings
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import viewers
from tests.support.web import web_app

SID = "A" * 22
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_h2load = pytest.mark.skipif(
    shutil.which("h2load") is None, reason="h2load is not installed (package nghttp2-client)"
)
SEGMENT = bytes(range(256)) * 4000


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[str]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_self_signed(cert, key, ["localhost"])
    http = HttpSettings(bind="127.0.0.1", port=0)
    cam = MemoryPlayable(low_latency=True)
    cam.add_media("r1", "a.ts", SEGMENT)
    app = web_app(MemoryDirectory(cam=cam), viewers(), http)
    server = HttpsServer(
        HttpsSettings(bind="127.0.0.1", port=0, cert=str(cert), key=str(key)), http, app, structlog.get_logger()
    )
    await server.start()
    yield f"https://localhost:{server.port}"
    await server.stop(2)


async def run(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(90):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode(errors="replace")


@needs_curl
@pytest.mark.parametrize(("flag", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
@pytest.mark.parametrize("tls", ["--tls-max=1.2", "--tlsv1.3"])
async def test_curl_gets_what_it_asks_for(origin: str, tmp_path: Path, flag: str, version: str, tls: str) -> None:
    """The certificate is checked by name; TLS 1.2 and 1.3; both versions of HTTP."""
    code, said = await run(
        "curl", "-sS", "--noproxy", "*", "--cacert", str(tmp_path / "cert.pem"), flag, *tls.split("="),
        "-o", str(tmp_path / "got"), "-w", "%{http_version} %{http_code}", f"{origin}/live/cam/~{SID}/r1/a.ts",
    )  # fmt: skip
    assert (code, said) == (0, f"{version} 200")
    assert (tmp_path / "got").read_bytes() == SEGMENT


@needs_curl
async def test_old_tls_is_refused(origin: str) -> None:
    """HT12: nothing below 1.2."""
    code, _ = await run("curl", "-sSk", "--noproxy", "*", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0", origin)
    assert code == 35


@needs_curl
async def test_curl_uploads_over_http2(origin: str, tmp_path: Path) -> None:
    """A body that is not wanted ends its stream, not the connection: the second request goes over the same."""
    (tmp_path / "body").write_bytes(bytes(1_000_000))
    code, said = await run(
        "curl", "-sSk", "--noproxy", "*", "--http2", "-X", "POST", "--data-binary", f"@{tmp_path / 'body'}",
        "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", f"{origin}/live/cam.m3u8",
        "--next", "-sSk", "--noproxy", "*", "--http2", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n",
        f"{origin}/healthz",
    )  # fmt: skip
    assert code == 0, said
    assert said.split() == ["405", "1", "200", "0"]


@needs_h2load
@pytest.mark.parametrize(
    ("count", "clients", "streams", "path"),
    [
        (10_000, 1, 10, f"/live/cam/~{SID}/index.m3u8"),
        (5_000, 50, 20, f"/live/cam/~{SID}/index.m3u8"),
        (300, 5, 3, f"/live/cam/~{SID}/r1/a.ts"),
        (2_000, 10, 5, "/healthz"),
    ],
)
async def test_h2load_loses_nothing(origin: str, count: int, clients: int, streams: int, path: str) -> None:
    """10,000 requests on one connection; many connections; large bodies through small windows; pages."""
    code, said = await run("h2load", f"-n{count}", f"-c{clients}", f"-m{streams}", origin + path)
    assert code == 0, said
    assert "Application protocol: h2" in said
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said)
    assert found is not None, said
    assert found.groups() == (str(count), "0", "0", "0"), said
