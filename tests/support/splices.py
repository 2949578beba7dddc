"""Makes splice_info_sections (ANSI/SCTE 35 §9.6), and has two of the standard's own examples."""

from __future__ import annotations

from hlsd.media.crc32 import crc32_mpeg2

INSERT_OUT = "/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo="
"""ANSI/SCTE 35 §14.2."""
SIGNAL_START = "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg=="
"""ANSI/SCTE 35 §14.1."""


def section(kind: int, command: bytes, descriptors: bytes = b"") -> bytes:
    """A section around a command, with the right lengths and CRC."""
    body = b"\0" + bytes(5) + b"\0" + (0xFFF000 | len(command)).to_bytes(3, "big") + bytes((kind,)) + command
    body += len(descriptors).to_bytes(2, "big") + descriptors
    octets = b"\xfc" + (0x3000 | len(body) + 4).to_bytes(2, "big") + body
    return octets + crc32_mpeg2(octets).to_bytes(4, "big")


def insert(event: int, *, out: bool, duration: float | None = None, cancel: bool = False) -> bytes:
    """A splice_insert, immediate, of the whole programme."""
    command = event.to_bytes(4, "big") + (b"\xff" if cancel else b"\x7f")
    if not cancel:
        command += bytes((0x80 * out | 0x40 | 0x20 * (duration is not None) | 0x10 | 0x0F,))
        if duration is not None:
            ticks = round(duration * 90_000)
            command += bytes((0xFE | ticks >> 32,)) + (ticks & 0xFFFFFFFF).to_bytes(4, "big")
        command += bytes((0, 1, 0, 0))
    return section(0x05, command)
