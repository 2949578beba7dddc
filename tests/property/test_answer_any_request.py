"""Whatever a stranger sends, the judge answers: no exception, no 5xx but 503, headers that tell the truth."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.delivery.answer import Fall, Reply
from hlsd.delivery.judge import Judge
from hlsd.delivery.request import WANTED_HEADERS, Request
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.wait_queue import Outcome
from tests.support.answers import Answers, Said
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import TrustingSigner, viewers

SID = b"~" + b"A" * 22
PIECES = [
    b"live",
    b"cam",
    b"ll",
    b"new",
    b"none",
    b"index.m3u8",
    b"cam.m3u8",
    b"ll.m3u8",
    SID,
    b"~bad",
    b"r1",
    b"1.ts",
    b"hint.ts",
]
PIECES += [b"..", b".", b"", b"%2e%2e", b"%00", b"%", b"_", b"api", b"\xff", b"cam.flv"]
PATHS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=7).map(lambda parts: b"/" + b"/".join(parts)),
    st.lists(st.binary(max_size=8), max_size=6).map(lambda parts: b"/" + b"/".join(parts)),
    st.binary(max_size=40),
)
KEYS = st.sampled_from([b"_HLS_msn", b"_HLS_part", b"_HLS_skip", b"flat", b"_HLS_x", b"%5FHLS_msn", b""])
VALUES = st.one_of(
    st.integers(-3, 200).map(lambda n: b"%d" % n), st.sampled_from([b"YES", b"v2", b""]), st.binary(max_size=12)
)
QUERIES = st.one_of(
    st.lists(st.tuples(KEYS, VALUES).map(b"=".join), max_size=4).map(b"&".join),
    st.binary(max_size=30),
)
METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "BREW", ""])
HEADERS = st.dictionaries(
    st.sampled_from(sorted(WANTED_HEADERS)),
    st.one_of(
        st.binary(max_size=24),
        st.sampled_from([b"gzip", b"bytes=0-3", b"bytes=9-", b"*", b"text/html", b"https://a.example"]),
    ),
    max_size=4,
)


def directory() -> MemoryDirectory:
    plain, low, new = MemoryPlayable(), MemoryPlayable(low_latency=True), MemoryPlayable(begun=False)
    for stream in (plain, low):
        stream.add_media("r1", "1.ts", b"0123456789")
        stream.hint = ("r1", "hint.ts")
    return MemoryDirectory(cam=plain, ll=low, new=new)


def replies(answers: Answers, request: Request, said: Said | None = None) -> list[Reply]:
    """Every reply that a request can come to."""
    said = said or answers.ask(request)
    if isinstance(said, Reply):
        return [said]
    if isinstance(said, Fall):
        return []
    found = replies(answers, request, answers.after(request, said, Outcome.RELEASED))
    for outcome in (Outcome.EXPIRED, Outcome.REFUSED):
        again = answers.ask(request)
        assert not isinstance(again, Reply | Fall)
        found += replies(answers, request, answers.after(request, again, outcome))
    return found


@pytest.mark.thorough
@given(METHODS, PATHS, QUERIES, HEADERS, st.sampled_from([["*"], ["https://a.example"], []]))
@settings(max_examples=600, deadline=None)
def test_any_request_is_answered_in_good_order(
    method: str, path: bytes, query: bytes, headers: dict[bytes, bytes], origins: list[str]
) -> None:
    """HT03, HT05, HT08, HT15 and R15 for every request at once."""
    answers = Answers(directory(), viewers(), HttpSettings(allow_origin=origins))
    for reply in replies(answers, Request(method, path, query, headers)):
        names = [name for name, _ in reply.headers]
        found = dict(reply.headers)
        assert reply.status in {200, 204, 206, 302, 304, 400, 403, 404, 405, 414, 416, 503}
        assert len(names) == len(set(names))
        assert all(name == name.lower() for name in names)
        assert not any(b"\r" in value or b"\n" in value or b"\0" in value for _, value in reply.headers)
        assert b"cache-control" in found
        assert (b"access-control-allow-origin" in found) is (
            origins == ["*"] or headers.get(b"origin") in {origin.encode() for origin in origins}
        )
        if origins == ["https://a.example"]:
            assert b"Origin" in found[b"vary"]
        if method != "HEAD" and reply.status not in {204, 304}:
            assert int(found[b"content-length"]) == len(reply.body)
        else:
            assert not reply.body
        if reply.status >= 400:
            assert found[b"content-type"].startswith(b"text/plain")
            assert b"#EXT" not in bytes(reply.body)


@pytest.mark.thorough
@given(PATHS, QUERIES, HEADERS)
@settings(max_examples=300, deadline=None)
def test_head_never_waits_and_makes_no_session(path: bytes, query: bytes, headers: dict[bytes, bytes]) -> None:
    """HT07: a probe is no viewer."""
    signer = TrustingSigner()
    answers = Answers(directory(), viewers(signer=signer), HttpSettings())
    assert isinstance(answers.ask(Request("HEAD", path, query, headers)), Reply | Fall)
    assert not signer.minted


@given(st.binary(min_size=0, max_size=64), st.integers(0, 80), st.integers(0, 80))
@settings(deadline=None)
def test_ranges_put_together_are_the_resource(body: bytes, cut_a: int, cut_b: int) -> None:
    """A download manager resumes by ranges; a byte lost or doubled is a broken picture."""
    stream = MemoryPlayable()
    stream.add_media("r1", "1.ts", body)
    judge = Judge(MemoryDirectory(cam=stream), viewers(), HttpSettings())
    first, second = sorted((cut_a, cut_b))

    def fetch(span: bytes) -> bytes:
        answer = judge.answer(Request("GET", b"/live/cam/" + SID + b"/r1/1.ts", b"", {b"range": span}))
        assert isinstance(answer, Reply)
        return b"" if answer.status == 416 else bytes(answer.body)

    whole = (fetch(b"bytes=0-%d" % (first - 1)) if first else b"") + (
        (fetch(b"bytes=%d-%d" % (first, second - 1)) if second > first else b"") + fetch(b"bytes=%d-" % second)
    )
    assert whole == body
