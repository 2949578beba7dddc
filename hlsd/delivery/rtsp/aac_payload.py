"""Cuts frames of AAC into payloads of RTP: `mpeg4-generic`, mode AAC-hbr (RFC 3640 §3.3.6). Pure."""

from __future__ import annotations

from hlsd.delivery.whep.packetiser import PAYLOAD


def aac_payloads(frame: bytes) -> list[bytes]:
    """One packet a frame; of one that does not fit, fragments, each behind the size of the whole (§3.2.3)."""
    head = b"\x00\x10" + (len(frame) << 3).to_bytes(2, "big")
    room = PAYLOAD - len(head)
    return [head + frame[at : at + room] for at in range(0, len(frame), room)]
