"""Takes access units apart into NAL units and puts them together as samples of `avc1` and `hvc1`.

Law: a sample is NAL units behind 4-byte big-endian lengths, without parameter sets, delimiters, filler and
end-of-sequence units (ISO/IEC 14496-15 §5.3, FM08, FM13). An access unit that already is so comes back as the very
object that went in, for this runs for every picture of every publisher. What a NAL unit type means is the codec's
business: it hands in a table of 256 classes, indexed by the first byte of the NAL unit header.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from hlsd.base.errors import MediaError
from hlsd.media.bits import unescape

PICTURE = 1
"""Carries a slice of a coded picture."""
KEY = 2
"""Belongs to a picture at which decoding can start (H.264 IDR; H.265 IRAP)."""
CLEAN = 4
"""Everything that follows this key picture can be decoded after starting at it."""
RASL = 8
"""A leading picture that needs what came before its IRAP picture (H.265 §3.129)."""
STRIP = 16
"""Has no place in a sample."""
PARAMETERS = 32
"""A parameter set; always with STRIP."""
BLA = 64
"""A broken link: its RASL pictures cannot be decoded, wherever decoding started (H.265 §3.17)."""

NAL_LIMIT = 16_384
"""NAL units in one access unit. Slices cut to a packet's size make thousands of them in a key picture, and what bounds
those is the size of a message (`rtmp.max_message`); this only keeps megabytes of nothing from being walked for long:
some 2 µs each in all.
"""
SETS_LIMIT = 512
"""Parameter sets in one access unit: H.264 has 288 ids for them, H.265 96."""
SETS_BYTES = 64 << 10
"""Bytes of all parameter sets in force, or in one access unit. Real ones have hundreds; in MPEG-TS they are sent before
each key picture, and what is in them is read bit by bit."""

_SEI_LIMIT = 64 << 10
"""Bytes of SEI in one access unit that are looked at: a message may be two bytes long."""

_length = struct.Struct(">I").unpack_from
_prefix = struct.Struct(">I").pack
_BUDGET = range(NAL_LIMIT)


def normalise(body: bytes, length_size: int, classes: bytes) -> tuple[bytes, int, tuple[bytes, ...] | None]:
    """An access unit as a sample, the union of its NAL units' classes, and the parameter sets found in it or None.

    The sample is empty when there is no picture in it (parameter sets alone, SEI alone). Byte stream format (Annex B)
    in place of lengths is recognised. Raises MediaError when it is neither.
    """
    if length_size == 4:
        position = 0
        end = len(body)
        seen = 0
        try:
            for _ in _BUDGET:
                (size,) = _length(body, position)
                if not size:
                    break
                seen |= classes[body[position + 4]]
                position += size + 4
                if position >= end:
                    break
        except (struct.error, IndexError):
            position = -1  # cut short: the slow path finds out what it is
        if position == end and not seen & STRIP:
            return (body if seen & PICTURE else b""), seen, None
    return _rebuild(split(body, length_size), classes)


def loose(body: bytes, length_size: int, classes: bytes) -> list[bytes]:
    """What of a body without a picture belongs into the sample of the picture it comes with: SEI messages."""
    return [unit for unit in split(body, length_size) if not classes[unit[0]] & (STRIP | PICTURE)]


def first_slice(sample: bytes, classes: bytes) -> int:
    """Where the header of the first slice stands in a sample; there is one in every sample."""
    position = 4
    while not classes[sample[position]] & PICTURE:
        position += 4 + int.from_bytes(sample[position - 4 : position], "big")
    return position


def messages(sample: bytes, classes: bytes, mask: int, kind: int, header: int) -> list[int]:
    """The payload types of the SEI messages before the first slice of a sample.

    They stand in NAL units whose first byte, masked, is `kind`, behind `header` bytes.
    """
    types: list[int] = []
    position, end = 4, len(sample)
    left = _SEI_LIMIT
    while position < end and not classes[sample[position]] & PICTURE:
        size = int.from_bytes(sample[position - 4 : position], "big")
        if left > 0 and sample[position] & mask == kind:
            types += _payload_types(unescape(sample[position + header : position + min(size, left)]))
            left -= size
        position += size + 4
    return types


def _payload_types(rbsp: bytes) -> list[int]:
    """Of the messages in one NAL unit (H.264 §7.3.2.3.1, H.265 §7.3.5): which one comes first means nothing."""
    types: list[int] = []
    position, end = 0, len(rbsp)
    while position + 1 < end:
        values = [0, 0]  # payloadType and payloadSize, each as many times 255 as go into it, and the rest
        for n in (0, 1):
            while position < end and rbsp[position] == 0xFF:
                values[n] += 255
                position += 1
            if position >= end:
                return types
            values[n] += rbsp[position]
            position += 1
        types.append(values[0])
        position += values[1]
    return types


def _rebuild(units: list[bytes], classes: bytes) -> tuple[bytes, int, tuple[bytes, ...] | None]:
    seen = 0
    kept: list[bytes] = []
    found: list[bytes] = []
    for unit in units:
        unit_class = classes[unit[0]]
        seen |= unit_class
        if not unit_class & STRIP:
            kept.append(_prefix(len(unit)))
            kept.append(unit)
        elif unit_class & PARAMETERS:
            found.append(unit)
    if len(found) > SETS_LIMIT:
        raise MediaError(f"more than {SETS_LIMIT} parameter sets in an access unit")
    check_sets(found)
    sample = b"".join(kept) if seen & PICTURE else b""
    return sample, seen, tuple(found) if found else None


def check_sets(units: Iterable[bytes]) -> None:
    """Raises MediaError if parameter sets are larger than `SETS_BYTES` together."""
    if (size := sum(map(len, units))) > SETS_BYTES:
        raise MediaError(f"parameter sets of {size} bytes where {SETS_BYTES} are allowed")


def split(body: bytes, length_size: int) -> list[bytes]:
    """The NAL units of an access unit, lengths or start codes taken off, empty ones left out."""
    units = _split_lengths(body, length_size)
    if units is None:
        if not body.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
            raise MediaError("lengths of NAL units do not add up to the access unit")
        units = split_start_codes(body)
    return units


def _split_lengths(body: bytes, length_size: int) -> list[bytes] | None:
    units: list[bytes] = []
    position = 0
    end = len(body)
    for _ in _BUDGET:
        if position >= end:
            break
        start = position + length_size
        position = start + int.from_bytes(body[position:start], "big")
        if start > end and not any(body[start - length_size :]):
            position = end  # a few zero bytes at the end are padding, not a length
        elif position > end or start > end:
            return None
        elif position > start:
            units.append(body[start:position])
    return units if position == end else None


def split_start_codes(body: bytes) -> list[bytes]:
    """The NAL units of a byte stream (H.264 and H.265 Annex B), with trailing zero bytes taken off."""
    pieces = body.split(b"\x00\x00\x01", NAL_LIMIT)
    if len(pieces) > NAL_LIMIT:
        raise MediaError(f"more than {NAL_LIMIT} NAL units in an access unit")
    # A NAL unit never ends in a zero byte (§7.4.1), so zeros before a start code belong to the byte stream.
    return [unit for piece in pieces[1:] if (unit := piece.rstrip(b"\x00"))]


def join(units: list[bytes]) -> bytes:
    """NAL units behind 4-byte lengths."""
    return b"".join([part for unit in units for part in (_prefix(len(unit)), unit)])


def merge(
    current: tuple[bytes, ...],
    found: tuple[bytes, ...],
    slot: Callable[[bytes], tuple[int, int]],
    bounds: dict[int, int],
) -> tuple[bytes, ...]:
    """`found`, then those of `current` whose slot (type and id) it does not fill; of a type at most its bound."""
    merged = {slot(unit): unit for unit in found}
    for unit in current:
        merged.setdefault(slot(unit), unit)
    left = dict(bounds)
    kept: list[bytes] = []
    for (kind, _), unit in merged.items():
        room = left.get(kind, 1)
        if room:
            left[kind] = room - (kind in bounds)
            kept.append(unit)
    return tuple(kept)
