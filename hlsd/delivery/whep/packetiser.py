"""Cuts pictures into payloads of RTP: H.264 (RFC 6184, mode 1) and H.265 (RFC 7798). Pure.

Law: no payload is longer than `PAYLOAD`; parameter sets go before each key picture, so that a viewer can begin with
it, and in the same packets where they fit. What comes out put together again is what went in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

PAYLOAD: Final = 1160
"""Bytes of a payload: with RTP, the number of what is sent again, SRTP, UDP and IPv6 it fits every path (1,280)."""
_START: Final = 0x80
_END: Final = 0x40


def nal_units(sample: bytes) -> list[memoryview]:
    """Those of a sample, which are behind lengths of four bytes."""
    view, found, at, size = memoryview(sample), [], 0, len(sample)
    while at + 4 < size:
        end = at + 4 + int.from_bytes(view[at : at + 4], "big")
        found.append(view[at + 4 : end])
        at = end
    return found


class Packetiser:
    """Of H.264; H.265 differs in its headers."""

    HEADER = 1

    def payloads(self, units: Iterable[bytes | memoryview]) -> list[bytes]:
        """The payloads of a picture, whose units these are, in order."""
        out: list[bytes] = []
        small: list[bytes | memoryview] = []
        size = self.HEADER
        for unit in units:
            if len(unit) <= self.HEADER:
                continue  # a header without anything: no decoder has a use for it
            if size + 2 + len(unit) <= PAYLOAD:
                small.append(unit)
                size += 2 + len(unit)
                continue
            self._join(small, out)
            small, size = [], self.HEADER
            if size + 2 + len(unit) <= PAYLOAD:
                small, size = [unit], size + 2 + len(unit)
            elif len(unit) <= PAYLOAD:
                out.append(bytes(unit))
            else:
                self._split(unit, out)
        self._join(small, out)
        return out

    def _join(self, units: list[bytes | memoryview], out: list[bytes]) -> None:
        if len(units) == 1:
            out.append(bytes(units[0]))
        elif units:
            out.append(self._aggregate_head(units) + b"".join(len(one).to_bytes(2, "big") + one for one in units))

    def _split(self, unit: bytes | memoryview, out: list[bytes]) -> None:
        """Fragments, all but the last one of one length."""
        header, head, kind = self.HEADER, *self._fragment_head(unit)
        room = PAYLOAD - len(head) - 1
        rest = len(unit) - header
        count = -(-rest // room)
        room = -(-rest // count)
        for at in range(header, len(unit), room):
            mark = (_START if at == header else 0) | (_END if at + room >= len(unit) else 0)
            out.append(head + bytes((kind | mark,)) + unit[at : at + room])

    def _aggregate_head(self, units: list[bytes | memoryview]) -> bytes:
        """STAP-A: "The value of NRI MUST be the maximum of all the NAL units carried" (RFC 6184 §5.7)."""
        return bytes((max(unit[0] & 0x60 for unit in units) | 24,))

    def _fragment_head(self, unit: bytes | memoryview) -> tuple[bytes, int]:
        """FU-A: its indicator, and the type that stands behind it (RFC 6184 §5.8)."""
        return bytes((unit[0] & 0xE0 | 28,)), unit[0] & 0x1F


class H265Packetiser(Packetiser):
    """Of H.265, without decoding order numbers."""

    HEADER = 2

    def _aggregate_head(self, units: list[bytes | memoryview]) -> bytes:
        """AP: lowest layer and temporal id of those in it (RFC 7798 §4.4.2)."""
        layer = min((unit[0] & 1) << 5 | unit[1] >> 3 for unit in units)
        temporal = min(unit[1] & 7 for unit in units)
        forbidden = max(unit[0] & 0x80 for unit in units)
        return bytes((forbidden | 48 << 1 | layer >> 5, (layer & 0x1F) << 3 | temporal))

    def _fragment_head(self, unit: bytes | memoryview) -> tuple[bytes, int]:
        """FU: its payload header, and the type that stands behind it (RFC 7798 §4.4.3)."""
        return bytes((unit[0] & 0x81 | 49 << 1, unit[1])), unit[0] >> 1 & 0x3F


def packetiser(codec: str) -> Packetiser | None:
    """For a codec of the house; None where it is not sent by WebRTC."""
    return Packetiser() if codec == "h264" else H265Packetiser() if codec == "h265" else None
