"""Public keys over loopback HTTP and from a file: fetched, kept, and not asked for as often as a stranger likes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt.algorithms import OKPAlgorithm

from hlsd.auth import jwks
from hlsd.auth.jwks import KeySet
from tests.support.backend import Question, Says, Service
from tests.support.clock import FakeClock

ALL = frozenset({"EdDSA"})


def document(*kids: str) -> bytes:
    made: Any = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key())
    return json.dumps({"keys": [json.loads(made) | {"kid": kid} for kid in kids]}).encode()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def key_set(source: str, client: httpx.AsyncClient, clock: FakeClock) -> KeySet:
    return KeySet(source, ALL, 600.0, lambda: client, clock.monotonic)


async def kids(keys: KeySet) -> list[str | None]:
    return [key.key_id for key in await keys.current()]


async def test_many_first_questions_are_one_fetch(client: httpx.AsyncClient) -> None:
    async with Service(Says(body=document("a"))) as service:
        keys = key_set(service.url, client, FakeClock())
        assert await asyncio.gather(*(kids(keys) for _ in range(50))) == [["a"]] * 50
        assert len(service.questions) == 1


async def test_a_refresh_makes_nobody_wait_and_a_source_that_is_down_takes_no_key_away(
    client: httpx.AsyncClient,
) -> None:
    clock = FakeClock()
    async with Service(Says(body=document("a"))) as service:
        keys = key_set(service.url, client, clock)
        assert await kids(keys) == ["a"]
        for says in (Says(500), Says(302, {"Location": service.url}), Says(body=b"{"), Says(body=b'{"keys": []}'),
                     Says(body=b" " * (jwks.MAX_BYTES + 1)), Says(cut=True)):  # fmt: skip
            service.says = says
            clock.advance(601.0)
            before = keys.fetches
            with structlog.testing.capture_logs() as lines:
                assert await kids(keys) == ["a"]
                assert keys._task is not None
                await keys._task
            assert keys.fetches == before + 1
            assert lines[0]["log_level"] == "warning"
            assert await kids(keys) == ["a"]
        service.says = Says(body=document("b"))
        clock.advance(601.0)
        assert await kids(keys) == ["a"], "the old ones serve until the new ones are there"
        assert keys._task is not None
        await keys._task
        assert await kids(keys) == ["b"]


async def test_unknown_key_ids_cannot_make_us_ask_without_end(client: httpx.AsyncClient) -> None:
    clock = FakeClock()
    async with Service(Says(body=document("a"))) as service:
        keys = key_set(service.url, client, clock)
        await keys.current()
        for _ in range(100):
            await keys.sooner()
        assert len(service.questions) == 1
        service.says = Says(body=document("a", "b"))
        clock.advance(jwks.SOONEST)
        assert len(await keys.sooner()) == 2
        for _ in range(100):
            await keys.sooner()
        assert len(service.questions) == 2


async def test_without_any_key_the_source_is_asked_no_oftener_either(client: httpx.AsyncClient) -> None:
    clock = FakeClock()
    async with Service(Says(500)) as service:
        keys = key_set(service.url, client, clock)
        for _ in range(20):
            assert await kids(keys) == []
            await keys.sooner()
        assert len(service.questions) == 1
        clock.advance(jwks.SOONEST)
        await keys.current()
        assert len(service.questions) == 2


async def test_a_file_is_a_source_too(client: httpx.AsyncClient, tmp_path: Path) -> None:
    clock = FakeClock()
    path = tmp_path / "keys.json"
    path.write_bytes(document("a"))
    keys = key_set(str(path), client, clock)
    assert await kids(keys) == ["a"]
    path.unlink()
    clock.advance(700.0)
    await keys.sooner()
    assert await kids(keys) == ["a"]


async def test_closing_gives_up_a_fetch_under_way(client: httpx.AsyncClient) -> None:
    asked, never = asyncio.Event(), asyncio.Event()

    async def decide(_: Question) -> Says:
        asked.set()
        await never.wait()
        return Says()

    async with Service() as service:
        service.decide = decide
        keys = key_set(service.url, client, FakeClock())
        waiting = asyncio.create_task(keys.current())
        await asked.wait()
        await keys.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        never.set()
