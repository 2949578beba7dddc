"""Who may use the API: tokens from anywhere, nobody else but a program of this machine that comes by itself."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.api.access import BURST, MAX_ADDRESSES, REFILL, Access, Credential
from hlsd.api.problems import ApiError, Code
from hlsd.api.settings import ApiSettings
from hlsd.base.errors import ConfigError
from hlsd.net.proxies import Proxies

TOKEN = "correct horse battery"
READER = "a reader's token, long"
SETTINGS = ApiSettings.model_validate(
    {
        "token": TOKEN,
        "tokens": [{"name": "reader", "hash": f"sha256:{hashlib.sha256(READER.encode()).hexdigest()}"}],
        "allow_origin": ["https://desk.example"],
    }
)


def ask(method: str = "GET", peer: str = "127.0.0.1", *, version: str = "1.1", **headers: Any) -> Credential:
    named = {"host": "127.0.0.1:8000"} | {name.replace("_", "-"): value for name, value in headers.items()}
    lists = {name: value if isinstance(value, list) else [value] for name, value in named.items()}
    return Credential(method, peer, lists, version)


def code(access: Access, asked: Credential, now: float = 0.0) -> Code | None:
    """What it is refused with, or None."""
    try:
        access.judge(asked, now)
    except ApiError as error:
        return error.code
    return None


@pytest.fixture
def access() -> Access:
    return Access(SETTINGS, {}, Proxies(["127.0.0.1"]))


def basic(user: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("127.0.0.1:8000", "127.0.0.1"),
        ("localhost", "127.9.9.9"),
        ("[::1]:80", "::1"),
        ("LOCALHOST", "::ffff:127.0.0.1"),
    ],
)
def test_a_program_of_this_machine_needs_no_token_where_the_operator_says_so(host: str, peer: str) -> None:
    """Curl on the server itself is the operator; but a bare proxy looks just like it, so it has to be said."""
    trusting = Access(SETTINGS.model_copy(update={"loopback": True}), {}, Proxies(["127.0.0.1"]))
    assert code(trusting, ask("DELETE", peer, host=host)) is None
    assert code(Access(SETTINGS, {}), ask("GET", peer, host=host)) is Code.UNAUTHORIZED


@pytest.mark.parametrize(
    "asked",
    [
        ask(peer="192.0.2.1"),
        ask(peer="10.0.0.1"),
        ask(peer=""),
        ask(x_forwarded_for="127.0.0.1"),
        ask(forwarded="for=127.0.0.1"),
        ask(x_real_ip="127.0.0.1"),
        ask(via="1.1 proxy"),
        ask(version="1.0"),
        ask(host="live.example.org"),
        ask(host="127.0.0.1.example.org"),
        ask(host=["127.0.0.1", "127.0.0.1"]),
        ask(host=""),
        ask(host="[::1"),
        ask(origin="https://evil.example"),
        ask(origin="null"),
        ask(origin="http://127.0.0.1:9000"),
        ask(sec_fetch_site="cross-site"),
        ask(sec_fetch_site="same-site"),
        ask(origin="https://desk.example"),
    ],
    ids=lambda asked: f"{asked.peer or 'nobody'} {dict(asked.headers)} {asked.http_version}",
)
def test_whatever_may_speak_for_a_stranger_needs_one(asked: Credential) -> None:
    """Proxies on the same machine, rebound names and foreign pages all come from a loopback address."""
    trusting = Access(SETTINGS.model_copy(update={"loopback": True}), {}, Proxies(["127.0.0.1"]))
    assert code(trusting, asked) is Code.UNAUTHORIZED


def test_our_own_page_may_ask_on_this_machine() -> None:
    """The dashboard, opened at the server itself."""
    asked = ask("DELETE", origin="http://127.0.0.1:8000", sec_fetch_site="same-origin")
    assert code(Access(ApiSettings(loopback=True), {}), asked) is None


def test_loopback_alone_is_no_credential() -> None:
    """`proxy_pass http://127.0.0.1:8000` over HTTP/1.1 adds no header, and its Host is ours: the whole Internet."""
    assert code(Access(ApiSettings(), {}), ask()) is Code.UNAUTHORIZED


def test_the_token_of_the_state_folder_is_the_operator_whoever_else_guesses_from_there() -> None:
    """Behind a bare proxy everybody has one address: strangers who guess there must not keep the operator out."""
    access = Access(ApiSettings(), {}, local="of this run, long enough")
    local = ask("DELETE", authorization="Bearer of this run, long enough")
    assert access.judge(local, 0.0).name == "local"
    for _ in range(BURST + 5):
        assert code(access, ask(authorization="Bearer wrong")) in (Code.UNAUTHORIZED, Code.TOO_MANY_FAILURES)
    assert code(access, ask(authorization="Bearer wrong")) is Code.TOO_MANY_FAILURES
    assert code(access, local) is None
    assert code(Access(ApiSettings(), {}), ask(authorization="Bearer ")) is Code.UNAUTHORIZED, "none has an empty one"


def test_a_token_is_taken_as_bearer_and_as_password_of_its_name(access: Access) -> None:
    """Tools that only know Basic are tools too."""
    far = "192.0.2.1"
    assert access.judge(ask(peer=far, authorization=f"Bearer {TOKEN}"), 0).name == "admin"
    assert access.judge(ask(peer=far, authorization=f"bearer  {READER}"), 0).name == "reader"
    assert access.judge(ask(peer=far, authorization=basic("reader", READER)), 0).name == "reader"
    assert code(access, ask(peer=far, authorization=basic("admin", READER))) is Code.UNAUTHORIZED


def test_a_reader_may_not_change_anything(access: Access) -> None:
    """Scopes are what a token is given out for."""
    reads = ask("DELETE", "192.0.2.1", authorization=f"Bearer {READER}")
    assert code(access, reads) is Code.INSUFFICIENT_SCOPE
    assert code(access, ask("HEAD", "192.0.2.1", authorization=f"Bearer {READER}")) is None


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic", "Basic !!", "Basic YWRtaW4=", basic("admin", ""), "Digest x", f"Basic {TOKEN}"],
)
def test_wrong_credentials_are_refused_even_on_this_machine(access: Access, header: str) -> None:
    """Who shows a token is judged by it: a typing error must not look as if it had worked."""
    assert code(access, ask(authorization=header)) is Code.UNAUTHORIZED


def test_two_authorization_headers_are_none(access: Access) -> None:
    """Two readers could take different ones."""
    both = [f"Bearer {TOKEN}", f"Bearer {READER}"]
    assert code(access, ask(peer="192.0.2.1", authorization=both)) is Code.UNAUTHORIZED


@given(st.integers(0, len(TOKEN) - 1), st.integers(0, 6))
def test_no_token_with_a_flipped_bit_is_taken(place: int, bit: int) -> None:
    """One bit is as wrong as all of them."""
    letters = list(TOKEN)
    letters[place] = chr(ord(letters[place]) ^ 1 << bit)
    assert code(Access(SETTINGS, {}), ask(authorization="Bearer " + "".join(letters))) is Code.UNAUTHORIZED


@pytest.mark.thorough
@given(st.text(max_size=40))
def test_no_header_breaks_the_door(header: str) -> None:
    """Whatever stands in it is a refusal, never an error."""
    assert code(Access(SETTINGS, {}), ask(authorization=header)) is Code.UNAUTHORIZED


def test_guessing_is_slowed_for_its_address_only(access: Access) -> None:
    """Ten guesses, then one in six seconds; others are not in it, nor who shows nothing."""
    wrong = ask(peer="192.0.2.1", authorization="Bearer wrong")
    right = ask(peer="192.0.2.1", authorization=f"Bearer {TOKEN}")
    assert [code(access, wrong) for _ in range(BURST)] == [Code.UNAUTHORIZED] * BURST
    assert code(access, wrong) is Code.TOO_MANY_FAILURES
    assert code(access, right) is Code.TOO_MANY_FAILURES  # or the limit would tell a right guess from a wrong one
    assert code(access, ask(peer="192.0.2.1")) is Code.UNAUTHORIZED
    assert code(access, ask(peer="192.0.2.2", authorization=f"Bearer {TOKEN}")) is None
    assert code(access, right, now=REFILL) is None


def test_a_client_behind_a_trusted_proxy_is_limited_by_its_own_address(access: Access) -> None:
    """Or one guesser would lock out everybody who comes through the proxy."""
    for _ in range(BURST + 1):
        code(access, ask(x_forwarded_for="198.51.100.1, 203.0.113.5", authorization="Bearer wrong"))
    good = f"Bearer {TOKEN}"
    assert code(access, ask(x_forwarded_for="203.0.113.5", authorization=good)) is Code.TOO_MANY_FAILURES
    assert code(access, ask(x_forwarded_for="203.0.113.6", authorization=good)) is None


def test_a_network_of_proxies_is_trusted_as_one_proxy_is() -> None:
    """`trusted_proxies = ["10.0.0.0/8"]`: a guesser behind the balancer must not lock out everybody else behind it."""
    access = Access(SETTINGS, {}, Proxies(["10.0.0.0/8"]))
    for _ in range(BURST + 1):
        code(access, ask(peer="10.1.2.3", x_forwarded_for="203.0.113.5, 10.9.9.9", authorization="Bearer wrong"))
    good = f"Bearer {TOKEN}"
    guesser = ask(peer="10.4.5.6", x_forwarded_for="203.0.113.5", authorization=good)
    assert code(access, guesser) is Code.TOO_MANY_FAILURES
    assert code(access, ask(peer="10.1.2.3", x_forwarded_for="203.0.113.6", authorization=good)) is None


def test_an_ipv6_customer_is_one_address(access: Access) -> None:
    """A /64 has more addresses than there are guesses."""
    for number in range(BURST):
        code(access, ask(peer=f"2001:db8::{number:x}", authorization="Bearer wrong"))
    assert code(access, ask(peer="2001:db8::ffff", authorization=f"Bearer {TOKEN}")) is Code.TOO_MANY_FAILURES


def test_guessers_are_remembered_within_a_bound(access: Access) -> None:
    """Memory does not grow with the number of attackers."""
    for number in range(MAX_ADDRESSES + 50):
        code(access, ask(peer=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", authorization="Bearer wrong"))
    assert len(access._guesses) == MAX_ADDRESSES


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
def test_a_foreign_page_may_change_nothing_even_with_a_token(access: Access, method: str) -> None:
    """A browser sends the Basic credentials it remembers for whoever asks it to."""
    foreign = ask(method, "192.0.2.1", origin="https://evil.example", authorization=basic("admin", TOKEN))
    listed = ask(method, "192.0.2.1", origin="https://desk.example", authorization=f"Bearer {TOKEN}")
    assert code(access, foreign) is Code.FOREIGN_ORIGIN
    assert code(access, listed) is None


def test_401_tells_how_and_asks_people_only_for_a_password(access: Access) -> None:
    """A script that gets a Basic challenge would open a dialogue in the page it runs in."""

    def challenge(**headers: str) -> str:
        with pytest.raises(ApiError) as caught:
            access.judge(ask(peer="192.0.2.1", **headers), 0)
        return caught.value.headers["www-authenticate"]

    assert challenge() == 'Bearer realm="hlsd"'
    assert "Basic" in challenge(accept="text/html,*/*")


def test_a_token_may_stand_in_the_environment() -> None:
    """Secrets of a container come that way; one that is missing must not pass for an empty token."""
    settings = ApiSettings.model_validate({"tokens": [{"name": "ci", "token_env": "CI_TOKEN", "scopes": ["write"]}]})
    found = Access(settings, {"CI_TOKEN": "sixteen characters"})
    assert code(found, ask("DELETE", "192.0.2.1", authorization="Bearer sixteen characters")) is None
    for env in ({}, {"CI_TOKEN": ""}, {"CI_TOKEN": "short"}):
        with pytest.raises(ConfigError, match="CI_TOKEN"):
            Access(settings, env)


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "short"},
        {"tokens": [{"name": "a"}]},
        {"tokens": [{"name": "a", "token": "sixteen characters", "hash": "sha256:" + "0" * 64}]},
        {"tokens": [{"name": "a", "token": "short"}]},
        {"tokens": [{"name": "a", "hash": "md5:00"}]},
        {"tokens": [{"name": "a", "token": "sixteen characters", "scopes": ["root"]}]},
        {"tokens": [{"name": "a", "token": "sixteen characters"}, {"name": "a", "token": "seventeen characters"}]},
        {"allow_origin": ["*"]},
        {"allow_origin": ["https://a.example/path"]},
    ],
)
def test_settings_that_would_open_a_hole_are_refused(wrong: dict[str, object]) -> None:
    """Before anything listens."""
    with pytest.raises(ValueError, match=r"."):
        ApiSettings.model_validate(wrong)
