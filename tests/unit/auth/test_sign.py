"""Node-Media-Server's sign: its published vectors, and everything that only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.auth import sign
from hlsd.auth.verdict import Fault, Pass
from hlsd.base.stream_name import bare

SECRET = "nodemedia2017privatekey"
FAR = 4102444800
GOOD = f"{FAR}-6cf004fcee7fba7d00f99617aea4e0cc"
NOW = 1_700_000_000.0

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789._~-", min_size=1, max_size=20)


def check(value: str, path: str = "/live/stream", *, secrets: tuple[str, ...] = (SECRET,), now: float = NOW) -> bool:
    return isinstance(sign.check(value, path, secrets, now, 30.0), Pass)


@pytest.mark.parametrize(
    ("expires", "digest"),
    [(1503458721, "80c1d1ad2e0c2ab63eebb50eed64201a"), (FAR, "6cf004fcee7fba7d00f99617aea4e0cc")],
)
def test_signs_are_those_of_node_media_server(expires: int, digest: str) -> None:
    """Signers in other people's web sites cannot be changed for us."""
    assert sign.make("/live/stream", expires, SECRET) == f"{expires}-{digest}"
    assert check(f"{expires}-{digest}", now=expires - 1.0)


def test_hex_may_be_in_capitals() -> None:
    assert check(GOOD.upper())


def test_a_sign_holds_through_its_second_and_the_skew_and_no_longer() -> None:
    assert check(GOOD, now=FAR + 30.0)
    late = sign.check(GOOD, "/live/stream", [SECRET], FAR + 30.5, 30.0)
    assert isinstance(late, Fault)
    assert late.expired
    assert not late.guess, "who was let in once is nobody who guesses"


def test_any_of_several_secrets_is_good() -> None:
    """A secret is replaced by way of both."""
    assert check(GOOD, secrets=("another one", SECRET))
    assert not check(GOOD, secrets=("another one",))
    assert not check(GOOD, secrets=())


@pytest.mark.parametrize(
    "value",
    [
        "", "-", GOOD + "-", "-" + GOOD, GOOD.replace("-", "--"), GOOD[:-1], GOOD + "0", " " + GOOD, GOOD + "\n",
        "+" + GOOD,
        "0x" + GOOD, GOOD.replace("4102444800", "4102444800.0"), GOOD.replace("4102444800", "٤١٠٢٤٤٤٨٠٠"),
        "1e12" + GOOD[10:], "9" * 5000 + GOOD[10:], GOOD.replace("6", "６"),
    ],
)  # fmt: skip
def test_what_is_no_sign_is_refused(value: str) -> None:
    assert not check(value)


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/live/a", "/live/a"), ("/live/a.m3u8", "/live/a"), ("/live/a.flv", "/live/a"),
        ("/live/a/index.m3u8", "/live/a"), ("/live/a/master.m3u8", "/live/a"),
        ("/live/a.b", "/live/a.b"), ("/live/a.flv.m3u8", "/live/a.flv"),
    ],
)  # fmt: skip
def test_the_path_loses_one_known_suffix(path: str, stream: str) -> None:
    assert bare(path) == stream


@given(names, names, st.integers(0, 10**11), st.text(min_size=1, max_size=40))
def test_what_is_made_is_accepted_until_it_expires(app: str, name: str, expires: int, secret: str) -> None:
    path = f"/{app}/{name}"
    value = sign.make(path, expires, secret)
    assert isinstance(sign.check(value, path, [secret], float(expires), 0.0), Pass)
    assert isinstance(sign.check(value, path, [secret], expires + 1.0, 0.0), Fault)


@given(names, names)
def test_a_sign_for_one_stream_opens_no_other(app: str, name: str) -> None:
    path = f"/{app}/{name}"
    if path != "/live/stream":
        assert not check(GOOD, path)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 6))
def test_no_flipped_bit_is_accepted(at: int, bit: int) -> None:
    flipped = GOOD[:at] + chr(ord(GOOD[at]) ^ (1 << bit)) + GOOD[at + 1 :]
    if flipped.lower() != GOOD:
        assert not check(flipped)


@given(st.text(max_size=80))
def test_nothing_a_stranger_writes_raises_or_is_accepted(value: str) -> None:
    assert not check(value)
