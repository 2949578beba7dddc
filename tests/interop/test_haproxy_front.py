"""conf/haproxy/hlsd.cfg as it is shipped, in front of two servers: a node that stops costs nobody a request."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import httpx
import pytest

from hlsd.delivery.tls.certificate import write_self_signed
from tests.support.eventually import eventually
from tests.support.http2client import trusting
from tests.support.ports import free_port
from tests.support.services import running

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed (tests/apt-packages.txt)")
SHIPPED = Path(__file__).resolve().parents[2] / "conf" / "haproxy" / "hlsd.cfg"


def configured(folder: Path, port: int, nodes: list[int]) -> Path:
    """The shipped file with this test's port, certificate and nodes."""
    write_self_signed(folder / "cert.pem", folder / "key.pem", ["localhost"])
    (folder / "haproxy.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    text, binds = re.subn(r"bind :443 ", f"bind 127.0.0.1:{port} ", SHIPPED.read_text())
    assert binds == 1
    text = text.replace("/etc/hlsd/", f"{folder}/").replace("maxconn 100000", "maxconn 500")
    for n, one in enumerate(nodes, 1):
        text, servers = re.subn(rf"server edge{n} \S+", f"server edge{n} 127.0.0.1:{one}", text)
        assert servers == 1
    made = folder / "hlsd.cfg"
    made.write_text(text)
    return made


async def test_a_node_that_stops_costs_those_who_come_no_request(tmp_path: Path) -> None:
    assert HAPROXY is not None
    proxy = tmp_path / "proxy"
    proxy.mkdir()
    port = free_port()
    async with running(tmp_path / "a") as first, running(tmp_path / "b") as second:
        made = configured(proxy, port, [one.services["http"].port for one in (first, second)])
        checked = await asyncio.create_subprocess_exec(HAPROXY, "-c", "-f", str(made), stderr=asyncio.subprocess.PIPE)
        _, words = await checked.communicate()
        assert (checked.returncode, b"WARNING" in words) == (0, False), words.decode()
        process = await asyncio.create_subprocess_exec(HAPROXY, "-db", "-f", str(made))
        try:
            async with httpx.AsyncClient(verify=trusting("http/1.1"), base_url=f"https://localhost:{port}") as client:

                async def answers() -> bool:
                    try:
                        return (await client.get("/readyz")).status_code == 200
                    except httpx.TransportError:
                        return False

                await eventually(answers, 10.0, "haproxy answers")
                stopping = asyncio.create_task(first.stop(2.0))
                said = [(await client.get("/healthz")).status_code for _ in range(40)]
                await stopping
                said += [(await client.get("/healthz")).status_code for _ in range(40)]
                assert said == [200] * 80
        finally:
            process.terminate()
            await process.wait()
