"""A uvicorn that is not the one we know: what is found, what stands in, and what cannot be helped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import uvicorn
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hlsd.base.errors import HlsdError
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.tls.settings import HttpsSettings
from hlsd.net import uvicorn_fit
from hlsd.net.uvicorn_fit import fits, misfit, steps
from tests.support.http2client import trusting
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import viewers
from tests.support.web import web_app


class Renamed(HttpToolsProtocol):
    """A later version in which a callback has another name."""

    on_header = None  # type: ignore[assignment]


class Widened(HttpToolsProtocol):
    """A later version in which a callback gets more."""

    def on_header(self, name: bytes, value: bytes, raw: bytes = b"") -> None:
        super().on_header(name, value)


class Forgetful(HttpToolsProtocol):
    """A later version that keeps other things."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)


def test_the_uvicorn_that_is_locked_fits() -> None:
    """And its steps are there: a start checks both."""
    assert misfit() == ""
    steps()


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (Renamed, "Renamed has no on_header"),
        (Widened, "Widened.on_header takes other arguments"),
        (Forgetful, "Forgetful keeps no client"),
    ],
)
def test_what_does_not_fit_is_named(protocol: type[HttpToolsProtocol], words: str) -> None:
    """Whoever reads the log must know what to wait for in which version."""
    assert misfit(protocol) == words


def test_what_it_does_otherwise_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may stay and mean something else."""
    monkeypatch.setattr(uvicorn_fit, "SOURCE", ("self.pipeline.push(cycle)",))
    assert "self.pipeline.push(cycle)" in misfit()


def test_a_server_without_its_steps_is_a_clear_error() -> None:
    """There is nothing that could stand in: who installed it is told what to install."""

    class Later(uvicorn.Server):
        startup = None  # type: ignore[assignment]

    with pytest.raises(HlsdError, match=r"no coroutine startup.*pip install 'uvicorn=="):
        steps(Later)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process runs with a uvicorn whose callback takes one more argument."""

    def on_header(self: HttpToolsProtocol, name: bytes, value: bytes, raw: bytes = b"") -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    monkeypatch.setattr(HttpToolsProtocol, "on_header", on_header)
    fits.cache_clear()
    yield
    fits.cache_clear()


@pytest.mark.usefixtures("later")
async def test_with_a_uvicorn_that_does_not_fit_viewers_are_served_all_the_same(tmp_path: Path) -> None:
    """An embedder's upgrade must not take the streams off the air; the log says once what is lost."""
    settings = HttpSettings(bind="127.0.0.1", port=0)
    cam = MemoryPlayable()
    cam.add_media("r1", "100.ts", b"0123456789")
    app = web_app(MemoryDirectory(cam=cam), viewers(), settings)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_self_signed(cert, key, ["localhost"])
    with capture_logs() as logs:
        http = HttpServer(settings, app, structlog.get_logger())
        secure = HttpsSettings(bind="127.0.0.1", port=0, cert=str(cert), key=str(key))
        https = HttpsServer(secure, settings, app, structlog.get_logger())
        await http.start()
        await https.start()
        try:
            for base in (f"http://127.0.0.1:{http.port}", f"https://localhost:{https.port}"):
                async with httpx.AsyncClient(base_url=base, verify=trusting("http/1.1"), timeout=10) as client:
                    assert (await client.get("/healthz")).text == "ok\n"
                    answer = await client.get("/live/cam.m3u8?flat=1", follow_redirects=True)
                    assert answer.status_code == 200
                    assert "#EXTM3U" in answer.text
                    segment = await client.get(str(answer.url.copy_with(query=None).join("r1/100.ts")))
                    assert segment.content == b"0123456789"
        finally:
            await https.stop(1)
            await http.stop(1)
    told = [line for line in logs if line["event"].startswith("uvicorn does not fit")]
    assert len(told) == 1
    assert told[0]["reason"] == "HttpToolsProtocol.on_header takes other arguments"
    assert told[0]["version"] == uvicorn.__version__
    assert "ready answers" in told[0]["lost"]
    assert not app.connections.open
