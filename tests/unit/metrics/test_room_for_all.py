"""All figures of a server with all that it can do have room in one scrape."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from hlsd.metrics.bounds import NODE_SERIES
from tests.support.ports import free_port
from tests.support.services import running

TOKEN = "a-token-of-this-test-alone"


@pytest.mark.thorough
async def test_no_series_is_left_out_for_the_bound(tmp_path: Path) -> None:
    ports = {f"{name}.port": free_port() for name in ("http", "rtsp", "srt", "jt1078")}
    settings = {**ports, "snapshot.on_demand": True, "api.token": TOKEN}
    bearer = {"authorization": f"Bearer {TOKEN}"}
    async with running(tmp_path / "state", settings), httpx.AsyncClient(trust_env=False) as web:
        text = (await web.get(f"http://127.0.0.1:{ports['http.port']}/metrics", headers=bearer)).text
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert "hlsd_metrics_series_dropped_total 0" in [line.removesuffix(".0") for line in lines]
    assert len(lines) < NODE_SERIES / 2, "labels come with what happens"
