"""Takes frames of VP8 (RFC 7741) and VP9 (RFC 9628) out of RTP, for whoever turns them into H.264. Pure.

A frame is the payload of all packets of one RTP time, behind a descriptor in each. Of VP9 in several spatial layers the
lowest is taken, which needs no other. Bounds and losses are as in `depacketiser`.
"""

from __future__ import annotations

from hlsd.ingest.webrtc.depacketiser import PICTURE_LIMIT, Depacketiser
from hlsd.media.nal import NAL_LIMIT


class FrameDepacketiser(Depacketiser):
    """Of codecs without NAL units: a picture's `units` are the parts of one frame."""

    def _part(self, part: bytes, *, first: bool, key: bool) -> None:
        """A part of the frame under way; `first`: it says that it begins one."""
        picture = self._picture
        assert picture is not None
        self._size += len(part)
        begun = bool(picture.units)
        if not part or first == begun or self._size > PICTURE_LIMIT or len(picture.units) >= NAL_LIMIT:
            self._broken = True
            return
        picture.key = picture.key or key
        picture.slices = True
        picture.units.append(part)


class Vp8Depacketiser(FrameDepacketiser):
    """Of VP8."""

    def _take(self, payload: bytes) -> None:
        """One packet's payload (RFC 7741 §4.2)."""
        at = 1
        if payload[0] & 0x80 and len(payload) > 1:  # X
            more, at = payload[1], 2
            if more & 0x80:  # I: the frame's number, of two bytes if its first bit says so
                at += 2 if payload[2:3] >= b"\x80" else 1
            at += (1 if more & 0x40 else 0) + (1 if more & 0x30 else 0)  # L; T or K
        part = payload[at:]
        first = payload[0] & 0x17 == 0x10  # S, "start of VP8 partition", of partition 0
        key = first and bool(part) and not part[0] & 1  # "P: Inverse key frame flag" (§4.3)
        self._part(part, first=first, key=key)


class Vp9Depacketiser(FrameDepacketiser):
    """Of VP9."""

    def _take(self, payload: bytes) -> None:
        """One packet's payload (RFC 9628 §4.2)."""
        head, at = payload[0], 1
        if head & 0x80:  # I: the picture's number
            at += 2 if payload[at : at + 1] >= b"\x80" else 1
        if head & 0x20:  # L: whose layer it is
            if payload[at : at + 1] and payload[at] >> 1 & 7:
                return
            at += 1 if head & 0x10 else 2  # F: without TL0PICIDX
        if head & 0x50 == 0x50:  # P and F: up to three pictures that it refers to, each says whether one follows
            for _ in range(3):
                more = payload[at : at + 1]
                at += 1
                if not more or not more[0] & 1:
                    break
        if head & 0x02:  # V
            at = _behind_structure(payload, at)
        part = payload[at:]
        first = head & 0x08 != 0  # B
        self._part(part, first=first, key=first and _is_key(part))


def _behind_structure(payload: bytes, at: int) -> int:
    """Where what follows a scalability structure begins (§4.2.1)."""
    head = payload[at : at + 1]
    if not head:
        return at
    at += 1
    if head[0] & 0x10:  # Y: the size of each layer
        at += 4 * ((head[0] >> 5) + 1)
    if head[0] & 0x08:  # G: a group of pictures
        count = payload[at : at + 1]
        at += 1
        for _ in range(count[0] if count else 0):
            one = payload[at : at + 1]
            at += 1 + ((one[0] >> 2 & 3) if one else 0)
    return at


def _is_key(frame: bytes) -> bool:
    """Whether a frame begins as a key frame does ("uncompressed_header", VP9 bitstream §6.2)."""
    if not frame or frame[0] >> 6 != 2:
        return False
    profile = frame[0] >> 5 & 1 | frame[0] >> 3 & 2
    rest = frame[0] << (1 if profile == 3 else 0)
    return not rest & 0x0C  # show_existing_frame, frame_type
