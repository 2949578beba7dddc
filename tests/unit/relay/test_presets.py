"""The addresses of cameras by their make, as the API tells them to the console's form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from hlsd.relay.presets import presets
from hlsd.relay.relays import Relays
from hlsd.relay.routes import operations
from tests.support.api_services import READER, ApiServices

NO_RELAYS = cast("Relays", None)
PATH = "/api/v1/relays/presets"


async def told(file: Path | None, token: str | None = READER) -> tuple[int, Any]:
    """What the API answers whose presets are in that file."""
    answer = await ApiServices(more=operations(NO_RELAYS, file)).ask("GET", PATH, token=token)
    return answer.status_code, answer.json()


async def test_the_api_tells_the_makes_and_their_patterns() -> None:
    status, body = await told(None)
    assert status == 200
    known = presets(None)
    assert body["data"]["items"] == [{"make": make, **known[make]} for make in sorted(known)]
    assert {"hikvision", "dahua"} <= known.keys()


def test_a_pattern_is_filled_in_by_what_the_form_asks_for() -> None:
    for make, patterns in presets(None).items():
        assert patterns.keys() == {"main", "sub"}, make
        for pattern in patterns.values():
            assert set(re.findall(r"{(.*?)}", pattern)) <= {"credentials", "host", "channel"}, make
            assert "{host}" in pattern, make


async def test_who_has_no_token_is_told_nothing() -> None:
    assert (await told(None, token=None))[0] == 401


async def test_a_file_that_cannot_be_read_is_told_by_its_code(tmp_path: Path) -> None:
    broken = tmp_path / "presets.toml"
    broken.write_text("[acme\n")
    for file in (broken, tmp_path / "none.toml"):
        status, body = await told(file)
        assert (status, body["code"], body["success"]) == (500, "no_presets", False)


async def test_what_is_no_pattern_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "presets.toml"
    file.write_text('free = "text"\n[acme]\nmain = "rtsp://{host}/1"\nsub = 2\nelse = "rtsp://x/"\n')
    assert (await told(file))[1]["data"]["items"] == [{"make": "acme", "main": "rtsp://{host}/1"}]
