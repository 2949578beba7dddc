"""Every URL is of a known kind: a stranger's URL makes no series."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.delivery.kinds import kind_of
from hlsd.stats import HttpStats


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/live/cam.m3u8", "multivariant"),
        (b"/live/cam/index.m3u8", "multivariant"),
        (b"/live/cam/~abc/index.m3u8", "playlist"),
        (b"/live/cam/~abc/r1/p12.ts", "part"),
        (b"/live/cam/~abc/main/index.m3u8", "playlist"),
        (b"/live/cam/~abc/main/r1/p12.ts", "part"),
        (b"/live/cam/~abc/r1/s3.m4s", "segment"),
        (b"/live/cam/~abc/r1/i0.mp4", "init"),
        (b"/live/cam/~abc/r1/x", "other"),
        (b"/live/cam/~abc/r1/", "other"),
        (b"/live/cam/~abc", "other"),
        (b"/live/cam.flv", "flv"),
        (b"/api/v1/streams", "api"),
        (b"/healthz", "api"),
        (b"/metrics", "metrics"),
        (b"/", "page"),
        (b"/live/cam", "page"),
    ],
)
def test_the_kind_of_a_path(path: bytes, kind: str) -> None:
    assert kind_of(path) == kind


@given(st.binary(max_size=60))
def test_any_path_has_a_declared_kind(path: bytes) -> None:
    assert kind_of(path) in HttpStats.KINDS
