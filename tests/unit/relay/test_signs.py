"""Signatures in the URLs of relays."""

from __future__ import annotations

import pytest

from hlsd.relay.signs import SIGNS, Scheme

SECRET = "nodemedia2017privatekey"


@pytest.mark.parametrize(
    ("scheme", "path", "expires", "sign"),
    [
        ("nms", "/live/stream", 1503458721, "sign=1503458721-80c1d1ad2e0c2ab63eebb50eed64201a"),
        ("nms", "/live/stream.flv", 1503458721, "sign=1503458721-80c1d1ad2e0c2ab63eebb50eed64201a"),
        ("nms", "/live/stream", 4102444800, "sign=4102444800-6cf004fcee7fba7d00f99617aea4e0cc"),
        ("aliyun", "/live/stream", 1503458721, "auth_key=1503458721-0-0-9e51fe4d351b85d7ceac2f06e7bb7d64"),
        ("tencent", "/live/stream", 0x599CF5A1, "txSecret=9599667a6f9faa78ee992c6cd6f0027b&txTime=599CF5A1"),
        ("tencent", "/live/stream.flv", 0x599CF5A1, "txSecret=9599667a6f9faa78ee992c6cd6f0027b&txTime=599CF5A1"),
        ("none", "/live/stream", 1, ""),
    ],
)
def test_signatures_are_those_of_the_vectors(scheme: Scheme, path: str, expires: int, sign: str) -> None:
    """An origin compares them byte by byte."""
    assert SIGNS[scheme](path, expires, SECRET) == sign
