"""Says what a date range is: a stretch of a stream by the wall clock, with attributes, as EXT-X-DATERANGE tells it.

Law: a line is an attribute list of rfc8216bis §4.2: no line break and no quotation mark in a quoted string, decimals in
plain notation (P03). What is said once of an id is never said otherwise (§4.4.5.1). Times are seconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

TAG: Final = "#EXT-X-DATERANGE:"
LONGEST: Final = 16 * 1024
"""Characters of a line: a splice of 4096 bytes has 8192 digits."""
_QUOTED: Final = re.compile(r'[^"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*')
_NAME: Final = re.compile(r"X-[A-Z0-9-]{1,64}", re.ASCII)

Splicing = Literal["SCTE35-OUT", "SCTE35-IN", "SCTE35-CMD"]


def is_quoted(text: str) -> bool:
    """Whether it may stand in a quoted string."""
    return _QUOTED.fullmatch(text) is not None


def is_client_attribute(name: str) -> bool:
    """Whether it is the name of an attribute that clients define: "the X- prefix" (§4.4.5.1)."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class DateRange:
    """One tag. `splice`: which attribute carries `section`, a splice_info_section; lengths in seconds.

    `event`: the section's own number, by which the end of a break finds its beginning; it does not stand in the tag.
    """

    id: str
    start: float
    kind: str = ""
    """CLASS."""
    duration: float | None = None
    planned: float | None = None
    splice: Splicing | None = None
    section: bytes = b""
    attributes: Mapping[str, str | float] = field(default_factory=dict)
    event: int | None = None

    @property
    def end(self) -> float | None:
        """When it is over; None while that is not known: programme has been left, and nobody has said for how long."""
        lasts = self.duration if self.duration is not None else self.planned
        if lasts is None:
            return None if self.splice == "SCTE35-OUT" else self.start
        return self.start + lasts

    @property
    def line(self) -> str:
        """The tag as it stands in a playlist."""
        parts = [f'ID="{self.id}"']
        if self.kind:
            parts.append(f'CLASS="{self.kind}"')
        parts.append(f'START-DATE="{date_of(self.start)}"')
        if self.duration is not None:
            parts.append(f"DURATION={_decimal(self.duration)}")
        if self.planned is not None:
            parts.append(f"PLANNED-DURATION={_decimal(self.planned)}")
        for name, value in self.attributes.items():
            parts.append(f'{name}="{value}"' if isinstance(value, str) else f"{name}={_decimal(value)}")
        if self.splice is not None:
            parts.append(f"{self.splice}=0x{self.section.hex().upper()}")
        return TAG + ",".join(parts)


def is_line(line: str) -> bool:
    """Whether it may stand in a playlist as the line of a date range."""
    return line.startswith(TAG) and len(line) <= LONGEST and is_quoted(line.replace('"', ""))


def date_of(seconds: float) -> str:
    """ISO 8601, to a millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _decimal(value: float) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".")
