"""Reports of players are read as CTA-5004 writes them, and nothing a stranger writes does harm."""

from __future__ import annotations

import math
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.delivery.cmcd import MAX_REPORT, Report, of_headers, parse, split, stalled

SPEC = (
    b'bl=21300,br=3200,bs,cid="faec5fc2-ac30-11ea-bb37-0242ac130002",d=4004,dl=18500,mtp=48100,ot=v,rtp=12000,sf=h,'
    b'sid="6e2fb550-c457-11e9-bb97-0800200c9a66",st=l,su,tb=6000'
)
"""After the examples of CTA-5004 §4."""


def test_a_report_is_read_with_its_units() -> None:
    # bl is in milliseconds, mtp in kilobits per second.
    assert parse(SPEC) == Report(21.3, 48_100 * 125.0, True, "6e2fb550-c457-11e9-bb97-0800200c9a66")


def test_the_query_form_says_the_same_as_the_header_form() -> None:
    assert parse(quote(SPEC, safe="").encode()) == parse(SPEC)


def test_four_headers_are_one_report() -> None:
    headers = [
        (b"cmcd-request", b"bl=1500,mtp=1000,su"),
        (b"accept", b"*/*"),
        (b"cmcd-status", b"bs,rtp=9000"),
        (b"cmcd-session", b'sid="abc",sf=h'),
    ]
    assert parse(of_headers(headers)) == Report(1.5, 125_000.0, True, "abc")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"bs", True),
        (b"bl=300,bs", True),
        (b"bs,bl=300", True),
        (b"bl%3D300%2Cbs%2Csf%3Dh", True),
        (b"bl=300", False),
        (b"", False),
        (b"obs=1", False),
        (b'sid="bs1"', False),
    ],
)
def test_a_stall_is_seen_without_reading_the_report(raw: bytes, said: bool) -> None:
    # Stalls are counted for every report, also where the others of a second are not read.
    assert stalled(raw) is said


@pytest.mark.parametrize("value", [b"-1", b"1e9", b"99999999999999999", b"", b'"300"', b"nan", b"300.5", b"999999999"])
def test_a_number_that_is_none_is_left_out(value: bytes) -> None:
    assert parse(b"bl=" + value).buffer is None


@pytest.mark.parametrize(
    ("url", "bare", "report"),
    [
        (b"r/p1.ts?CMCD=bl%3D1", b"r/p1.ts", b"bl%3D1"),
        (b"x.m3u8?_HLS_msn=1&CMCD=a&_HLS_part=2", b"x.m3u8?_HLS_msn=1&_HLS_part=2", b"a"),
        (b"x.m3u8?CMCD=a&_HLS_msn=1", b"x.m3u8?_HLS_msn=1", b"a"),
        (b"x.m3u8?_HLS_msn=1&CMCD=", b"x.m3u8?_HLS_msn=1", b""),
        (b"x.m3u8?xCMCD=a", b"x.m3u8?xCMCD=a", b""),
        (b"CMCD=a", b"CMCD=a", b""),
        (b"x&CMCD=a", b"x&CMCD=a", b""),
        (b"x.m3u8", b"x.m3u8", b""),
    ],
)
def test_only_a_parameter_of_that_name_is_taken_off(url: bytes, bare: bytes, report: bytes) -> None:
    # What is left is judged: it must be the URL that the player would have asked for without its report.
    assert split(url) == (bare, report)


@given(st.binary(max_size=300))
def test_nothing_that_is_sent_raises(raw: bytes) -> None:
    report = parse(raw)
    assert report.buffer is None or 0 <= report.buffer <= 86_400
    assert report.throughput is None or 0 <= report.throughput <= 12.5e9
    stalled(raw)
    split(raw)


def test_a_hostile_report_is_not_worth_sending() -> None:
    # No pattern here may take more than linear time.
    for raw in (b"a" * MAX_REPORT, b"a=" * 1024, b'a="' + b"\\" * 2000, b"," * MAX_REPORT, b'a="\\"' * 400):
        best = math.inf
        for _ in range(3):
            begun = time.process_time()
            parse(raw)
            stalled(raw)
            best = min(best, time.process_time() - begun)
        assert best < 1.0  # it is a tenth of a ms; what is not linear takes minutes
