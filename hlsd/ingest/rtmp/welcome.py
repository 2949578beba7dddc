"""Says what a server answers to connect: what it is, and what it takes (RTMP 1.0 §7.2.1.1, Enhanced RTMP v2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hlsd.ingest.rtmp.amf0 import Value

# Enhanced RTMP v2, FourCcInfoMask and CapsExMask. Pictures and AAC go on as they came, other sound is made AAC of.
_CAN_DECODE, _CAN_FORWARD = 1.0, 4.0
_VIDEO_FOURCCS: Final[dict[str, Value]] = dict.fromkeys(("avc1", "hvc1", "av01"), _CAN_FORWARD)
_AUDIO_FOURCCS: Final[dict[str, Value]] = {
    "mp4a": _CAN_FORWARD,
    **dict.fromkeys(("Opus", "ac-3", "ec-3", "fLaC", ".mp3"), _CAN_DECODE),
}
_MULTITRACK, _MOD_EX = 2, 4
_CAPS_EX = float(_MULTITRACK | _MOD_EX)
"""Both are read; not TimestampNanoOffset (8): an offset is read and left. Nor Reconnect (1): nothing asks for it."""


def welcome(asked: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
    """The properties and the information of a `_result`, for a connect whose object is `asked`."""
    properties: dict[str, Value] = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31.0}
    info: dict[str, Value] = {
        "level": "status",
        "code": "NetConnection.Connect.Success",
        "description": "connected",
        "objectEncoding": 3.0 if asked.get("objectEncoding") == 3.0 else 0.0,
    }
    if not asked.keys().isdisjoint({"fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"}):
        info["fourCcList"] = [*_VIDEO_FOURCCS, *_AUDIO_FOURCCS]
        info["videoFourCcInfoMap"] = _VIDEO_FOURCCS
        info["audioFourCcInfoMap"] = _AUDIO_FOURCCS
        info["capsEx"] = _CAPS_EX
    return properties, info
