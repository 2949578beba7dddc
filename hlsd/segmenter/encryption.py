"""Says what encryption costs the streams that have it, for `hlsd check` and at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hlsd.segmenter.settings import HlsSettings


def told(hls: HlsSettings) -> list[str]:
    """Lines for the operator; none where nothing is encrypted."""
    if not hls.encrypt:
        return []
    lines = [f"hls.encrypt: {', '.join(hls.encrypt)}: a new key each {hls.key_segments} segments"]
    if hls.groups:
        groups = ", ".join(f"{rule.match} ({', '.join(rule.members)})" for rule in hls.groups)
        lines.append("hls.encrypt: of a group all members are encrypted as soon as it or one of them is named here; "
                     f"hls.groups: {groups}")  # fmt: skip
    if hls.low_latency:
        lines.append("hls.encrypt: no Low-Latency HLS for these: players do not agree on encrypted parts")
    lines.append("hls.encrypt: recordings of these streams cannot be downloaded; FLV, WebRTC, RTMP, SRT, MPEG-TS and "
                 "snapshots of them are in the clear")  # fmt: skip
    return lines
