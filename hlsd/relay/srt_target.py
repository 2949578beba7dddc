"""Reads what the URL of an SRT server asks for: `srt://host:port?streamid=…&passphrase=…&pbkeylen=16&latency=200`.

Names and units are libsrt's: `latency` in milliseconds, where ffmpeg counts microseconds. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote

from hlsd.ingest.srt.handshake import LONGEST_ID
from hlsd.ingest.srt.key_material import LENGTHS, LONGEST_PASSPHRASE, SHORTEST_PASSPHRASE
from hlsd.relay.address import Address

LATENCY: Final = 120
LONGEST_LATENCY: Final = 8000
_KNOWN: Final = frozenset({"streamid", "passphrase", "pbkeylen", "latency", "mode", "transtype"})


class SrtTarget(NamedTuple):
    """`latency` in ms; `key_length` in bytes."""

    stream_id: str
    passphrase: str
    key_length: int
    latency: int


def read_target(address: Address) -> SrtTarget:
    """What the arguments say. Raises ValueError, with nothing secret in it."""
    told: dict[str, str] = {}
    for piece in address.query.split("&"):
        key, _, value = piece.partition("=")
        if key and key not in _KNOWN:
            raise ValueError(f"an SRT URL has {', '.join(sorted(_KNOWN))}, and nothing else")
        told[key] = unquote(value)
    if told.get("mode", "caller") != "caller" or told.get("transtype", "live") != "live":
        raise ValueError("SRT servers are called, in live mode")
    stream_id, passphrase = told.get("streamid", ""), told.get("passphrase", "")
    if len(stream_id.encode()) > LONGEST_ID:
        raise ValueError(f"a stream id has at most {LONGEST_ID} bytes")
    if passphrase and not SHORTEST_PASSPHRASE <= len(passphrase.encode()) <= LONGEST_PASSPHRASE:
        raise ValueError(f"a passphrase has {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} bytes")
    length, latency = _number(told, "pbkeylen", 0), _number(told, "latency", LATENCY)
    if length not in {0, *LENGTHS}:
        raise ValueError("pbkeylen is 16, 24 or 32")
    if latency > LONGEST_LATENCY:
        raise ValueError(f"latency is in milliseconds, at most {LONGEST_LATENCY}")
    return SrtTarget(stream_id, passphrase, length or LENGTHS[0], latency)


def _number(told: dict[str, str], key: str, default: int) -> int:
    value = told.get(key, "")
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError(f"{key} is a number")
    return int(value)
