"""What a request asks for: paths, queries, codings, ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.delivery.request import (
    BadRequest,
    Span,
    Target,
    accepts_gzip,
    etag_matches,
    is_ours,
    parse_directive,
    parse_path,
    parse_query,
    parse_range,
)


@pytest.mark.parametrize(
    ("path", "kind", "name", "variant"),
    [
        (b"/live/cam.m3u8", "multivariant", "cam", "cam/"),
        (b"/live/cam/index.m3u8", "multivariant", "cam", ""),
        (b"/live/cam/master.m3u8", "multivariant", "cam", ""),
        (b"/live/a.b.m3u8", "multivariant", "a.b", "a.b/"),
        (b"/live/%63am.m3u8", "multivariant", "cam", "cam/"),
        (b"/live/index.m3u8", "multivariant", "index", "index/"),
        (b"/live/cam", "page", "cam", ""),
        (b"/live/cam/", "page", "cam", ""),
        (b"/live/cam.flv", "foreign", "cam.flv", ""),
        (b"/live/cam/~abc/index.m3u8", "playlist", "cam", ""),
        (b"/live/cam/~abc/r1/7.ts", "media", "cam", ""),
        (b"/live/cam/~abc/main/index.m3u8", "playlist", "cam", ""),
        (b"/live/cam/~abc/main/r1/7.ts", "media", "cam", ""),
    ],
)
def test_every_url_form_names_its_target(path: bytes, kind: str, name: str, variant: str) -> None:
    """One suffix is cut, not everything behind the first dot: names may hold dots."""
    target = parse_path(path)
    assert target is not None
    assert (target.kind, target.app, target.name, target.variant) == (kind, "live", name, variant)


def test_what_names_no_rendition_is_what_it_was_before_there_were_any() -> None:
    """A player that holds an address of before an update goes on with it."""
    for rendition, step in (("", b""), ("main", b"main/"), ("v480", b"v480/")):
        playlist, media = (parse_path(b"/live/cam/~abc/" + step + rest) for rest in (b"index.m3u8", b"r1/s7.ts"))
        assert playlist == Target("playlist", "live", "cam", sid="abc", rendition=rendition)
        assert media == Target("media", "live", "cam", sid="abc", run="r1", resource="s7.ts", rendition=rendition)


@pytest.mark.parametrize(
    "path",
    [
        b"/live/..",
        b"/live/..%2f..%2fetc",
        b"/live/%2e%2e.m3u8",
        b"/live/%252e%252e/index.m3u8",
        b"/live/.hidden",
        b"/live/.m3u8",
        b"/live/a..b.m3u8",
        b"/live/cam%00.m3u8",
        b"/live/cam%0d%0a.m3u8",
        b"/live/c am.m3u8",
        b"/live/caf%C3%A9.m3u8",
        b"/live/%zz.m3u8",
        b"/live//cam.m3u8",
        b"/live/~x.m3u8",
        b"/live/cam/~/index.m3u8",
        b"/live/cam/~abc/r1/",
        b"/live/cam/~abc/../7.ts",
        b"/live/cam/~abc/r1/~7.ts",
        b"/live/cam/~abc/~main/index.m3u8",
        b"/live/cam/~abc/../index.m3u8",
        b"/live/<img onerror=alert(1)>",
        b"/live/" + b"a" * 129,
    ],
)
def test_a_name_that_is_not_allowed_is_refused(path: bytes) -> None:
    """Names reach file systems, logs and headers later on."""
    with pytest.raises(BadRequest):
        parse_path(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/live/cam/other.m3u8",
        b"/live/cam.m3u8/",  # its relative URIs would lead into nowhere
        b"/live/cam.flv/",
        b"/live/cam/~a/other.m3u8",
        b"/live/cam/~a/main/r/s/7.ts",
        b"/live/cam/main/r/s/7.ts",
        b"/a/b/c/d/e",
    ],
)
def test_a_path_of_no_known_form_names_nothing(path: bytes) -> None:
    """It becomes 404, not a guess."""
    assert parse_path(path) is None


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        (b"/", False),
        (b"/healthz", False),
        (b"/_/page.js", False),
        (b"/%5f/page.js", False),
        (b"/api/v1", False),
        (b"/live/", False),
        (b"//cam", False),
        (b"*", False),
        (b"/live/cam", True),
        (b"/apis/cam", True),
    ],
)
def test_reserved_places_are_no_streams(path: bytes, ours: bool) -> None:
    """The page's files and the API must not be shadowed by an app of that name."""
    assert is_ours(path) is ours


def test_known_parameters_are_read_and_others_ignored() -> None:
    """DD13: order, position and strangers do not matter."""
    assert parse_query(b"a=1&_HLS_part=2&utm=x&_HLS_msn=7&&_HLS_skip=YES&=") == {
        "_HLS_part": "2",
        "_HLS_msn": "7",
        "_HLS_skip": "YES",
    }


@pytest.mark.parametrize("query", [b"_HLS_msn=1&_HLS_msn=2", b"_HLS_msn=1&%5fHLS_msn=1", b"flat=1&x=1&flat=0"])
def test_a_parameter_given_twice_is_refused(query: bytes) -> None:
    """A cache and the origin could read different ones."""
    with pytest.raises(BadRequest):
        parse_query(query)


@pytest.mark.parametrize(
    "value", ["", "-1", "+1", "1.0", "0x1", " 1", "1 ", "١", "9007199254740993", "1" * 5000, "1e3"]
)
def test_a_directive_is_a_plain_decimal_integer(value: str) -> None:
    """DD06: 400, never 500, also for numbers that Python refuses to convert."""
    with pytest.raises(BadRequest):
        parse_directive("_HLS_msn", value)


@pytest.mark.parametrize(
    ("header", "zipped"),
    [
        (None, False),
        (b"", False),
        (b"gzip", True),
        (b"GZIP", True),
        (b"gzip, deflate, br, zstd", True),
        (b"deflate", False),
        (b"identity", False),
        (b"*", True),
        (b"*;q=0", False),
        (b"gzip;q=0", False),
        (b"gzip;q=0.000", False),
        (b"gzip;q=0, *", False),
        (b"*;q=0, gzip", True),
        (b"gzip; q=0.5", True),
        (b"x-gzip", True),
        (b"gzip;q=none", False),
        (b"gzipped", False),
    ],
)
def test_accept_encoding_is_obeyed(header: bytes | None, zipped: bool) -> None:
    """HT01; a client that says q=0 cannot read it."""
    assert accepts_gzip(header) is zipped


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        (None, False),
        (b'"v1"', True),
        (b'W/"v1"', True),
        (b'"v0", "v1"', True),
        (b"*", True),
        (b'"v2"', False),
        (b"v1", False),
    ],
)
def test_if_none_match_compares_weakly(header: bytes | None, matches: bool) -> None:
    """RFC 9110 §13.1.2: weak comparison."""
    assert etag_matches(header, '"v1"') is matches


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "whole"),
        (b"bytes=0-", Span(0, 100)),
        (b"bytes=0-0", Span(0, 1)),
        (b"bytes=10-19", Span(10, 20)),
        (b"Bytes = 1-2", "whole"),
        (b"BYTES=1-2", Span(1, 3)),
        (b"bytes=99-", Span(99, 100)),
        (b"bytes=90-500", Span(90, 100)),
        (b"bytes=-5", Span(95, 100)),
        (b"bytes=-500", Span(0, 100)),
        (b"bytes=-0", "outside"),
        (b"bytes=100-", "outside"),
        (b"bytes=100-200", "outside"),
        (b"bytes=" + b"9" * 6000 + b"-", "outside"),
        (b"bytes=0-" + b"9" * 6000, Span(0, 100)),
        (b"bytes=5-4", "whole"),
        (b"bytes=0-1,4-5", "whole"),
        (b"bytes=-", "whole"),
        (b"bytes=a-b", "whole"),
        (b"items=0-1", "whole"),
    ],
)
def test_a_range_is_one_span_or_ignored_or_outside(header: bytes | None, expected: object) -> None:
    """HT10; what RFC 9110 lets a server ignore is ignored rather than refused."""
    assert parse_range(header, 100) == expected


@given(st.integers(0, 200), st.integers(0, 250), st.integers(0, 250))
def test_a_span_lies_inside_and_begins_where_asked(size: int, first: int, last: int) -> None:
    """A wrong length breaks the connection for every request behind it."""
    span = parse_range(b"bytes=%d-%d" % (first, last), size)
    if isinstance(span, Span):
        assert span == Span(first, min(last + 1, size))
        assert 0 <= span.start < span.stop <= size
    else:
        assert span == ("whole" if last < first else "outside")
