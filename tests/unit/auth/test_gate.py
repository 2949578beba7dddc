"""The gate: its order, its one word for every refusal, its patience, and what it says of those it lets in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import OKPAlgorithm

from hlsd.auth import sign, tokens
from hlsd.auth.gate import BARRED, DENIED, AuthGate, gate_of
from hlsd.auth.settings import AuthSettings
from hlsd.net.proxies import Proxies
from hlsd.ports import Denial, Grant, PlayRequest, PublishRequest
from hlsd.stats import OTHER, Stats
from tests.support.backend import Says, Service
from tests.support.clock import FakeClock

SECRET = "nodemedia2017privatekey"
LONG = "a secret of more than thirty-two characters"
NOW = 1_700_000_000


@asynccontextmanager
async def gate(clock: FakeClock | None = None, **rules: Any) -> AsyncIterator[AuthGate]:
    made = AuthGate(
        AuthSettings(**rules), clock or FakeClock(NOW), salt=b"salt", trusted=Proxies(["127.0.0.1", "10.0.0.0/8"])
    )
    try:
        yield made
    finally:
        await made.close()


_ARGUMENTS = ("sign", "jwt", "token", "u")


def viewer(name: str = "cam", *, ip: str = "192.0.2.1", app: str = "live", **more: Any) -> PlayRequest:
    query: dict[str, str] = {str(key): more.pop(key) for key in _ARGUMENTS if key in more}
    return PlayRequest(app, name, "hls", ip, query=query, **more)


def publisher(name: str = "cam", *, ip: str = "192.0.2.1", app: str = "live", **query: str) -> PublishRequest:
    return PublishRequest(app, name, "rtmp", ip, 1, lambda _: None, query=query)


def signed(path: str = "/live/cam", expires: int = NOW + 60) -> str:
    return sign.make(path, expires, SECRET)


def token(**claims: Any) -> str:
    return tokens.make({"exp": NOW + 60, "hlsd": [{"action": "play", "path": "/live/*"}]} | claims, LONG)


def test_without_rules_there_is_no_gate() -> None:
    assert gate_of(AuthSettings(), FakeClock(), salt=b"", server_id="", trusted=Proxies()) is None


async def test_each_switch_and_each_app_is_its_own() -> None:
    async with gate(publish=True, secrets=[SECRET], apps={"vip": {"play": True, "publish": False}}) as door:
        assert isinstance(await door.play(viewer()), Grant)
        assert await door.publish(publisher()) == DENIED
        assert isinstance(await door.publish(publisher(sign=signed())), Grant)
        assert await door.play(viewer(app="vip")) == DENIED
        assert isinstance(await door.publish(publisher(app="vip")), Grant)
        assert isinstance(await door.play(viewer(app="vip", sign=signed("/vip/cam"))), Grant)


async def test_every_refusal_is_the_same_to_the_stranger() -> None:
    """A different word for "wrong" and "not for you" is what guessing needs."""
    rules: dict[str, Any] = {
        "play": True, "secrets": [SECRET], "jwt_secrets": [LONG], "deny_ips": ["198.51.100.0/24"],
        "allow_ips": ["192.0.2.0/24"], "allow_referers": ["site.example", "none"],
    }  # fmt: skip
    requests = [
        viewer(), viewer(sign="nonsense"), viewer(sign=signed("/live/other")), viewer(sign=signed(expires=NOW - 100)),
        viewer(sign=signed(), ip="198.51.100.1"), viewer(sign=signed(), ip="203.0.113.1"),
        viewer(sign=signed(), referer="https://evil.example/"), viewer(jwt="a.b.c"), viewer(bearer=token(exp=NOW - 99)),
        viewer(jwt=token(hlsd=[])), viewer(jwt=token(), bearer=token(sub="x")), viewer(sign=signed(), jwt="a.b.c"),
        viewer(sign="", jwt=token()),
    ]  # fmt: skip
    async with gate(**rules) as door:
        with structlog.testing.capture_logs() as lines:
            answers = [await door.play(request) for request in requests]
        assert all(isinstance(answer, Denial) for answer in answers)
        assert {(answer.status, answer.words) for answer in answers if isinstance(answer, Denial)} == {
            (403, "not allowed")
        }
        causes = [line["cause"] for line in lines if line["event"] == "play denied"]
        assert len(causes) == len(requests)
        assert len(set(causes)) >= 9, "the operator is told apart what the stranger is not"
        for request in requests:
            for secret in [*request.query.values(), request.bearer]:
                assert not secret or secret not in repr(lines)
        assert isinstance(await door.play(viewer(sign=signed())), Grant)
        assert isinstance(await door.play(viewer(bearer=token())), Grant)
        assert isinstance(await door.play(viewer(sign=signed(), token=token())), Grant)


async def test_lists_are_asked_before_credentials_and_the_back_end_last() -> None:
    async with Service() as service, gate(
        play=True, secrets=[SECRET], callback_url=service.url, deny_ips=["198.51.100.1"]
    ) as door:  # fmt: skip
        await door.play(viewer(sign=signed(), ip="198.51.100.1"))
        await door.play(viewer(sign="wrong"))
        await door.play(viewer())
        assert service.questions == []
        assert isinstance(await door.play(viewer(sign=signed())), Grant)
        assert len(service.questions) == 1
        service.says = Says(403)
        assert await door.play(viewer(sign=signed(), ip="192.0.2.7")) == DENIED


async def test_denied_addresses_stay_out_where_everybody_else_may() -> None:
    async with gate(deny_ips=["198.51.100.0/24"]) as door:
        assert await door.play(viewer(ip="198.51.100.9")) == DENIED
        assert await door.publish(publisher(ip="::ffff:198.51.100.9")) == DENIED
        assert await door.play(viewer()) == Grant()


async def test_publishers_may_have_a_list_of_their_own() -> None:
    async with gate(publish=True, play=True, allow_ips=["192.0.2.0/24"], allow_publish_ips=["203.0.113.0/24"]) as door:
        assert isinstance(await door.play(viewer()), Grant)
        assert await door.publish(publisher()) == DENIED
        assert isinstance(await door.publish(publisher(ip="203.0.113.5")), Grant)


async def test_a_key_opens_its_stream_and_the_log_never_shows_a_name_that_may_be_one() -> None:
    async with gate(publish=True, keys={"cam": "s3cret-key"}) as door:
        assert door.hides_names("live")
        found = await door.publish(publisher("s3cret-key"))
        assert isinstance(found, Grant)
        assert (found.name, found.method) == ("cam", "key")
        found = await door.publish(publisher("cam", key="s3cret-key"))
        assert isinstance(found, Grant)
        assert found.name == ""
        with structlog.testing.capture_logs() as lines:
            assert await door.publish(publisher("s3cret-keY")) == DENIED
            assert await door.publish(publisher("cam")) == DENIED
        assert "s3cret" not in repr(lines)
    async with gate(publish=True, play=True, keys={"cam": "s3cret-key"}, secrets=[SECRET]) as door:
        with structlog.testing.capture_logs() as lines:
            assert await door.play(viewer("s3cret-key")) == DENIED
        assert "s3cret" not in repr(lines)


async def test_a_token_is_good_as_bearer_whoever_shows_it() -> None:
    """RFC 6750 §2.1; a way in by HTTP (WHIP) has nothing else. What is shown is in no log and no repr."""

    def borne(text: str, **query: str) -> PublishRequest:
        return replace(publisher(**query), protocol="whip", bearer=text)

    good = token(hlsd=[{"action": "publish", "path": "/live/*"}])
    async with gate(publish=True, play=True, jwt_secrets=[LONG]) as door:
        with structlog.testing.capture_logs() as lines:
            assert isinstance(await door.publish(borne(good)), Grant)
            assert await door.publish(borne(good)) == await door.publish(publisher(jwt=good))
            assert isinstance(await door.publish(borne(good, jwt=good)), Grant)
            for wrong in (borne(""), borne("a.b.c"), borne(token()), borne(good, jwt=token())):
                assert await door.publish(wrong) == DENIED
        assert good not in repr(lines)
    assert good not in repr(borne(good))


async def test_a_grant_names_the_token_without_telling_it_and_one_token_has_one_name() -> None:
    """Limits for each token hang on it: nobody may get a second name by writing the token differently."""
    async with gate(play=True, secrets=[SECRET], jwt_secrets=[LONG]) as door:
        good = signed()
        grants = [
            await door.play(viewer(sign=text, u=str(number))) for number, text in enumerate((good, good.upper(), good))
        ]
        names = {grant.identity for grant in grants if isinstance(grant, Grant)}
        assert len(names) == 1
        (name,) = names
        assert name
        assert name not in good
        borne = [await door.play(request) for request in (viewer(jwt=token()), viewer(bearer=token()))]
        assert len({one.identity for one in borne if isinstance(one, Grant)} - names) == 1
        other = await door.play(viewer(jwt=token(sub="8", max_sessions=3)))
        assert isinstance(other, Grant)
        assert (other.user_id, other.max_sessions, other.expires) == ("8", 3, NOW + 60)
        # An argument that nobody checked says nothing about who this is.
        assert await door.play(viewer(sign=good)) == grants[0]


async def test_a_publisher_shows_a_token_behind_its_key() -> None:
    """Encoders have no headers: OBS puts it behind the stream key."""
    may = tokens.make({"exp": NOW + 60, "hlsd": [{"action": "publish", "path": "/live/cam"}]}, LONG)
    async with gate(publish=True, jwt_secrets=[LONG], keys={"door": "k-door"}) as door:
        for name in ("jwt", "token"):
            found = await door.publish(publisher(**{name: may}))
            assert isinstance(found, Grant)
            assert (found.method, found.name) == ("jwt", "")
        assert await door.publish(publisher("door", jwt=may)) == DENIED
        assert await door.publish(publisher(jwt=token())) == DENIED, "a viewer's token publishes nothing"
        assert await door.publish(publisher("k-door", jwt=may)) == DENIED, "a wrong token is not helped by a key"
        assert isinstance(await door.publish(publisher("k-door")), Grant)


async def test_too_many_wrong_guesses_bar_the_address_and_no_other() -> None:
    clock = FakeClock(NOW)
    async with gate(clock, play=True, secrets=[SECRET], max_failures=5, failure_window=60) as door:
        assert [await door.play(viewer(sign=f"guess-{number}")) for number in range(5)] == [DENIED] * 5
        assert await door.play(viewer(sign=signed())) == BARRED
        assert BARRED.status == 429
        assert isinstance(await door.play(viewer(sign=signed(), ip="192.0.2.2")), Grant)
        clock.advance(61)
        assert isinstance(await door.play(viewer(sign=signed(expires=NOW + 600))), Grant)


async def test_viewers_who_forgot_or_came_late_are_not_guessing() -> None:
    """A stale page at an office must not shut the whole office out."""
    async with gate(play=True, secrets=[SECRET], jwt_secrets=[LONG], max_failures=3) as door:
        for _ in range(10):
            assert isinstance(await door.play(viewer()), Denial)
            assert isinstance(await door.play(viewer(sign=signed(expires=NOW - 500))), Denial)
            assert isinstance(await door.play(viewer(jwt=token(exp=NOW - 500))), Denial)
        assert isinstance(await door.play(viewer(sign=signed())), Grant)
        for _ in range(10):  # a proxy's address is not its viewers'
            await door.play(viewer(sign="wrong", ip="127.0.0.1"))
            await door.play(viewer(sign="wrong", ip="10.1.2.3"))
        assert isinstance(await door.play(viewer(sign=signed(), ip="127.0.0.1")), Grant)
        assert isinstance(await door.play(viewer(sign=signed(), ip="10.1.2.3")), Grant)


async def test_a_flood_of_denials_is_no_flood_of_lines() -> None:
    clock = FakeClock(NOW)
    async with gate(clock, play=True, secrets=[SECRET]) as door:
        with structlog.testing.capture_logs() as lines:
            for _ in range(1000):
                await door.play(viewer())
            clock.advance(1.1)
            await door.play(viewer())
        assert len(lines) < 60
        assert [line["count"] for line in lines if "not logged" in line["event"]] == [950]


async def test_the_back_end_adds_to_what_a_token_says() -> None:
    async with Service() as service, gate(play=True, jwt_secrets=[LONG], callback_url=service.url) as door:
        service.says = Says(200, {}, json.dumps({"max_sessions": 1, "name": "cam-hd", "lifetime": 30}).encode())
        found = await door.play(viewer(jwt=token(sub="7", max_sessions=5)))
        assert isinstance(found, Grant)
        assert (found.user_id, found.max_sessions, found.name, found.method) == ("7", 1, "cam-hd", "callback")
        assert found.expires == NOW + 30
        assert found.auth_duration == 180.0
        asked = service.questions[0].json
        assert (asked["action"], asked["name"], asked["user_id"]) == ("prePlay", "cam", "7")


async def test_publishers_are_asked_about_by_the_public_name() -> None:
    async with Service() as service, gate(publish=True, keys={"cam": "k-1"}, callback_url=service.url) as door:
        assert isinstance(await door.publish(publisher("k-1")), Grant)
        asked = service.questions[0].json
        assert (asked["action"], asked["name"], asked["path"]) == ("prePublish", "cam", "/live/cam")
        service.says = Says(401)
        assert await door.publish(publisher("k-1", ip="192.0.2.8")) == DENIED


async def test_looking_again_keeps_ends_or_changes_what_was_granted() -> None:
    clock = FakeClock(NOW)
    async with Service() as service, gate(
        clock, play=True, secrets=[SECRET], callback_url=service.url, deny_ips=["198.51.100.0/24"]
    ) as door:  # fmt: skip
        service.says = Says(200, {"X-AuthDuration": "15", "X-UserId": "7"})
        request = viewer(sign=signed())
        granted = await door.play(request)
        assert isinstance(granted, Grant)
        clock.advance(600)  # the sign has expired: it said when to begin
        again = await door.renew(request, granted)
        assert isinstance(again, Grant)
        assert again.user_id == "7"
        assert (await door.play(request)) != granted
        service.says = Says(500)
        assert await door.renew(request, granted) == again, "an outage ends nobody"
        service.says = Says(403)
        assert await door.renew(request, granted) == DENIED
        service.says = Says(200)
        moved = viewer(sign=signed(), ip="198.51.100.4")
        assert await door.renew(moved, granted) == DENIED
        adopted = Grant(method="adopted")
        assert await door.renew(viewer(), adopted) == replace(adopted, auth_duration=180.0), "it is asked about again"
        service.says = Says(403)
        assert await door.renew(viewer(), adopted) == DENIED
        assert await door.renew(viewer(ip="198.51.100.4"), adopted) == DENIED


async def test_the_page_is_looked_at_when_playing_begins_and_not_again() -> None:
    """Of a session not every header is kept: that must not end it."""
    async with Service() as service, gate(
        play=True, callback_url=service.url, allow_origins=["https://site.example"], allow_referers=["site.example"]
    ) as door:  # fmt: skip
        page = {"origin": "https://site.example", "referer": "https://site.example/watch"}
        granted = await door.play(viewer(**page))
        assert isinstance(granted, Grant)
        assert isinstance(await door.renew(viewer(), granted), Grant)
        assert await door.play(viewer()) == DENIED


async def test_what_has_an_end_ends() -> None:
    clock = FakeClock(NOW)
    async with gate(clock, play=True, jwt_secrets=[LONG], secrets=[SECRET], sign_expiry="hard") as door:
        for request in (viewer(jwt=token()), viewer(sign=signed())):
            verdict = await door.play(request)
            assert isinstance(verdict, Grant)
            granted = verdict
            assert NOW + 60 <= granted.expires <= NOW + 90
            assert isinstance(await door.renew(request, granted), Grant)
        clock.advance(91)
        ended = await door.renew(request, granted)
        assert isinstance(ended, Denial)
        assert (ended.status, ended.words, ended.reason) == (403, "not allowed", "expired")


async def test_tokens_of_a_published_key_set_are_accepted_and_no_others() -> None:
    key, stranger = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    public: Any = OKPAlgorithm.to_jwk(key.public_key())
    claims = {"exp": NOW + 60, "hlsd": [{"action": "play", "path": "/live/cam"}]}
    published = Says(body=json.dumps({"keys": [json.loads(public) | {"kid": "k1"}]}).encode())
    async with Service(published) as service, gate(play=True, jwt_jwks=service.url) as door:
        good = jwt.encode(claims, key, "EdDSA", headers={"kid": "k1"})
        found = await asyncio.gather(*(door.play(viewer(jwt=good)) for _ in range(20)))
        assert all(isinstance(one, Grant) for one in found)
        for forged in (
            jwt.encode(claims, stranger, "EdDSA", headers={"kid": "k1"}),
            jwt.encode(claims, stranger, "EdDSA", headers={"kid": "k2"}),
            tokens.make(claims, LONG),
        ):
            assert await door.play(viewer(jwt=forged)) == DENIED
        assert await door.play(viewer("other", jwt=good)) == DENIED
        assert len(service.questions) == 1, "a stranger's key id does not make us fetch again and again"


async def test_decisions_are_counted_by_app_method_and_result() -> None:
    # An operator who sees refusals rise asks first by what: a secret changed on one side, old links, or guessing.
    stats, clock = Stats(), FakeClock(NOW)
    stats.admit("live")
    settings = AuthSettings(play=True, secrets=[SECRET], jwt_secrets=[LONG], deny_ips=["198.51.100.7"], max_failures=1)
    door = AuthGate(settings, clock, salt=b"salt", stats=stats)
    grant = await door.play(viewer(sign=signed()))
    assert isinstance(grant, Grant)
    await door.renew(viewer(sign=signed()), grant)
    await door.play(viewer(jwt=token()))
    await door.play(viewer())
    await door.play(viewer(ip="198.51.100.7"))
    await door.play(viewer(sign=signed(expires=NOW - 600)))
    await door.play(viewer("other", sign=signed()))
    await door.play(viewer(sign=signed()))
    await door.play(viewer(app="nobody-publishes-to-it", jwt="bad", ip="192.0.2.9"))
    assert stats.app("live").auth == {
        ("sign", "ok"): 2,
        ("jwt", "ok"): 1,
        ("none", "denied"): 1,
        ("list", "denied"): 1,
        ("sign", "expired"): 1,
        ("sign", "denied"): 1,
        ("none", "limited"): 1,
    }
    assert stats.apps[OTHER].auth == {("jwt", "denied"): 1}
    await door.close()


@pytest.mark.thorough
@given(
    st.sampled_from(["sign", "jwt", "token"]),
    st.text(max_size=100) | st.sampled_from([signed(), token(), signed("/live/door"), f"{NOW + 60}-{'0' * 32}"]),
    st.sampled_from(["cam", "door", "yard"]),
)
def test_only_what_the_signer_made_for_this_stream_opens_it(name: str, text: str, stream: str) -> None:
    async def play() -> Grant | Denial:
        async with gate(play=True, secrets=[SECRET], jwt_secrets=[LONG], max_failures=0) as door:
            return await door.play(viewer(stream, **{name: text}))

    good = {
        ("sign", signed(), "cam"), ("sign", signed("/live/door"), "door"),
        *((carrier, token(), any_stream) for carrier in ("jwt", "token") for any_stream in ("cam", "door", "yard")),
    }  # fmt: skip
    assert isinstance(asyncio.run(play()), Grant) is ((name, text, stream) in good)
