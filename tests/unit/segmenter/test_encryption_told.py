"""What is encrypted, and what that costs, is said at the start and by `hlsd check`: of groups as well."""

from __future__ import annotations

from hlsd.segmenter.encryption import told
from hlsd.segmenter.settings import HlsSettings

GROUP = {"match": "live/*", "members": ["720", "480"]}


def test_nothing_is_said_where_nothing_is_encrypted() -> None:
    assert told(HlsSettings.model_validate({"groups": [GROUP]})) == []


def test_that_low_latency_is_off_for_them_is_said() -> None:
    lines = told(HlsSettings.model_validate({"encrypt": ["live/cam"], "low_latency": True}))
    assert lines[0].startswith("hls.encrypt: live/cam: a new key each")
    assert any("no Low-Latency HLS" in line for line in lines)
    assert not any("group" in line for line in lines)
    assert not any(
        "Low-Latency" in line
        for line in told(HlsSettings.model_validate({"encrypt": ["live/cam"], "low_latency": False}))
    )


def test_that_a_member_s_name_encrypts_its_whole_group_is_said() -> None:
    lines = told(HlsSettings.model_validate({"encrypt": ["live/cam_720"], "groups": [GROUP]}))
    (line,) = [line for line in lines if "group" in line]
    assert "all members are encrypted" in line
    assert "live/* (720, 480)" in line
