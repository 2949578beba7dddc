"""Asks the API whatever its OpenAPI document allows, and what it does not: no 5xx, no answer beside the document."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.generation.modes import GenerationMode

from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

TOKEN = "a token of sixteen and more"
HEADERS = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    with HlsdServer(tmp_path_factory.mktemp("schema"), env={"HLSD_API__TOKEN": TOKEN}) as one:
        yield one


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_the_server_keeps_to_its_document(server: HlsdServer, mode: GenerationMode) -> None:
    """Every operation; whatever schemathesis checks: status, content type, schema, authentication, rejected rubbish."""
    base = f"http://127.0.0.1:{server.http_port}"
    document = httpx.get(f"{base}/api/v1/openapi.json", headers=HEADERS).json()
    schema = schemathesis.openapi.from_dict(document)
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        described = document["paths"][operation.path][operation.method]
        if mode is GenerationMode.NEGATIVE and not any(one["in"] == "query" for one in described["parameters"]):
            continue  # nothing can be asked wrongly: any path is well formed

        @settings(
            max_examples=12,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            nonlocal tried
            _tamed(case, mode)
            tried += 1
            case.call_and_validate(base_url=base, headers=HEADERS, timeout=20)

        ask()
    assert tried >= (13 if mode is GenerationMode.POSITIVE else 20)


def _tamed(case: Any, mode: GenerationMode) -> None:
    """A long poll that may take 25 s would take them; a cursor is opaque, and only one that was given out is good."""
    query = case.query
    if isinstance(query, dict):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            query["wait"] = min(0.02, float(query["wait"])) if mode is GenerationMode.POSITIVE else query["wait"]
            if 0.02 < float(query["wait"]) <= 25:
                query["wait"] = -1
        if mode is GenerationMode.POSITIVE:
            query.pop("cursor", None)
