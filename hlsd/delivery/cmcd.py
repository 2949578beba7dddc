"""Reads what players report about themselves: Common Media Client Data (CTA-5004), in the query or in headers.

Pure: bytes in, values out; what cannot be understood is left out, never an error. A report is a stranger's word: it is
counted, it decides nothing, and nothing of it but numbers goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

HEADERS: Final = frozenset((b"cmcd-request", b"cmcd-object", b"cmcd-status", b"cmcd-session"))
"""The header form: "keys are sharded over four headers" (CTA-5004 §2)."""
MAX_REPORT: Final = 2048
"""Bytes of a report as sent; longer ones are not read."""
MAX_BUFFER: Final = 86_400.0
"""Seconds; more is no buffer."""
MAX_THROUGHPUT: Final = 12.5e9
"""Bytes per second, 100 Gbit/s."""

_PAIR: Final = re.compile(rb'([A-Za-z0-9._-]{1,64})(?:=("(?:[^"\\]|\\.)*"|[^,"]*))?(?:,|$)')
_NUMBER: Final = re.compile(rb"[0-9]{1,12}")
_STALLED: Final = re.compile(rb"(?:^|,|=|%2C)bs(?:,|%2C|&|$)", re.IGNORECASE)


class Report(NamedTuple):
    """What one request says. Seconds and bytes per second; None where it says nothing."""

    buffer: float | None
    """`bl`: media buffered when the object was asked for."""
    throughput: float | None
    """`mtp`: measured between player and server."""
    stalled: bool
    """`bs`: "the buffer was starved at some point between the prior request and this object request"."""
    session: str | None
    """`sid`: the player's own name for the playback, up to 64 characters."""


def split(rest: bytes) -> tuple[bytes, bytes]:
    """Takes the parameter `CMCD` off a URL: what is left, and the parameter's value; nothing of it if there is none.

    Only the first one: a player sends one, and what is left after it is judged like any other URL.
    """
    begin = rest.find(b"CMCD=")
    query = rest.find(b"?")
    if begin < 1 or not 0 <= query < begin or rest[begin - 1] not in b"?&":
        return rest, b""
    end = rest.find(b"&", begin)
    if end < 0:
        return rest[: begin - 1], rest[begin + 5 :]
    return rest[:begin] + rest[end + 1 :], rest[begin + 5 : end]


def of_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The report in a request's headers (names in lower case), as one; b"" if there is none."""
    return b",".join([value for name, value in headers if name in HEADERS])


def stalled(raw: bytes) -> bool:
    """Whether a report, percent-encoded or not, has the key `bs`: without reading the rest of it."""
    return b"bs" in raw and _STALLED.search(raw) is not None


def parse(raw: bytes) -> Report:
    """Reads a report, percent-encoded or not.

    "Each key-value pair is separated by a comma"; a key without a value is true; `bl` is in ms, `mtp` in kbit/s.
    """
    buffer = throughput = session = None
    starved = False
    if len(raw) <= MAX_REPORT:
        text = unquote_to_bytes(raw) if b"%" in raw else raw
        for key, value in _PAIR.findall(text):
            if key == b"bl":
                buffer = _number(value, 0.001, MAX_BUFFER)
            elif key == b"mtp":
                throughput = _number(value, 125.0, MAX_THROUGHPUT)
            elif key == b"bs":
                starved = value in (b"", b"true")
            elif key == b"sid":
                session = value.strip(b'"')[:64].decode("ascii", "replace") or None
    return Report(buffer, throughput, starved, session)


def _number(value: bytes, unit: float, most: float) -> float | None:
    if not _NUMBER.fullmatch(value):
        return None
    number = int(value) * unit
    return number if number <= most else None
