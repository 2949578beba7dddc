"""How a service of the operator's is asked: signed, once more at most, and no further than it should go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hlsd.operator.client import HttpQuestion, HttpReply, NoAnswer, OperatorClient
from hlsd.operator.signature import verify
from tests.support.backend import Question, Says, Service
from tests.support.clock import FakeClock

SECRET = b"sixteen characters"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as service:
        yield service


@pytest.fixture
async def client() -> AsyncIterator[OperatorClient]:
    client = OperatorClient(FakeClock())
    yield client
    await client.close()


async def test_a_signature_is_over_the_body_or_the_query_string(service: Service, client: OperatorClient) -> None:
    """A GET has no body, and its arguments are what must not be altered."""
    now = FakeClock().wall()
    await client.send(HttpQuestion("POST", service.url, {}, b'{"a":1}'), within=20, secret=SECRET)
    await client.send(HttpQuestion("GET", f"{service.url}?token=abc&ip=1"), within=20, secret=SECRET)
    await client.send(HttpQuestion("POST", service.url, {}, b"{}"), within=20)
    posted, got, plain = service.questions
    assert verify(SECRET, posted.headers["x-hlsd-signature"], b'{"a":1}', now)
    assert verify(SECRET, got.headers["x-hlsd-signature"], b"token=abc&ip=1", now)
    assert "x-hlsd-signature" not in plain.headers


async def test_a_closed_connection_is_made_anew_once(service: Service, client: OperatorClient) -> None:
    cuts = iter([True, False, True, True])

    async def decide(_: Question) -> Says:
        return Says(cut=next(cuts))

    service.decide = decide
    question = HttpQuestion("POST", service.url, {}, b"{}")
    assert isinstance(await client.send(question, within=20), HttpReply)
    assert isinstance(await client.send(question, within=20), NoAnswer)
    assert len(service.questions) == 4


async def test_neither_redirects_nor_cookies_are_followed(service: Service, client: OperatorClient) -> None:
    """A receiver's cookie came back to it with the next viewer's question."""
    service.says = Says(302, {"Location": service.url, "Set-Cookie": "who=first; Path=/"})
    question = HttpQuestion("POST", service.url, {}, b"{}")
    for _ in range(2):
        reply = await client.send(question, within=20)
        assert isinstance(reply, HttpReply)
        assert reply.status == 302
    assert len(service.questions) == 2
    assert "cookie" not in service.questions[1].headers


async def test_the_deadline_is_for_all_of_it(service: Service, client: OperatorClient) -> None:
    never = asyncio.Event()

    async def decide(_: Question) -> Says:
        await never.wait()
        return Says()

    service.decide = decide
    said = await asyncio.wait_for(client.send(HttpQuestion("GET", service.url), within=0.05), 20)
    assert said == NoAnswer("no answer in time")
    never.set()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_went_wrong_is_told_without_what_is_secret(
    service: Service, client: OperatorClient, method: str
) -> None:
    await service.stop()
    url = f"http://user:passw0rd@127.0.0.1:{service.port}/hook?token=t0psecret"
    question = HttpQuestion("GET", url) if method == "GET" else HttpQuestion("POST", url, {}, b"{}")
    said = await client.send(question, within=20, secret=SECRET)
    assert isinstance(said, NoAnswer)
    assert said.reason
    assert "t0psecret" not in said.reason + repr(question)
    assert "passw0rd" not in said.reason + repr(question)
