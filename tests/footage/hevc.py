"""Makes H.265 without an encoder: true parameter sets and slice headers, noise for what they head."""

from __future__ import annotations

from dataclasses import dataclass

from tests.footage.bits import BitWriter, Noise, escape, mark

TYPES = {
    "trail": 1, "n": 0, "tsa": 3, "radl": 7, "radl_n": 6, "rasl": 9, "rasl_n": 8,
    "bla_lp": 16, "bla_radl": 17, "bla": 18, "idr_radl": 19, "idr": 20, "cra": 21,
}  # fmt: skip
"""NAL unit types by name (Table 7-1)."""
_CTB = 64
_PROFILE = bytes.fromhex("016000000090000000000078")  # Main, tier main, level 4


@dataclass(frozen=True)
class HevcShape:
    """What the parameter sets say. Pixels, multiples of 8; the ids of SPS and PPS."""

    width: int = 320
    height: int = 176
    sps: int = 0
    pps: int = 0
    ten_bit: bool = False

    @property
    def blocks(self) -> int:
        """Coding tree blocks of a picture."""
        return -(-self.width // _CTB) * -(-self.height // _CTB)


def _head(kind: int) -> bytes:
    return bytes((kind << 1, 1))


def parameter_sets(shape: HevcShape) -> tuple[bytes, bytes, bytes]:
    """VPS, SPS and PPS (§7.3.2)."""
    profile = bytes((2,)) + b"\x20" + _PROFILE[2:] if shape.ten_bit else _PROFILE
    level = int.from_bytes(profile, "big")
    vps = BitWriter().u(4, 0).u(2, 3).u(6, 0).u(3, 0).u(1, 1).u(16, 0xFFFF).u(96, level)
    vps.u(1, 1).ue(4, 2, 0).u(6, 0).ue(0).u(1, 0).u(1, 0)
    sps = BitWriter().u(4, 0).u(3, 0).u(1, 1).u(96, level).ue(shape.sps, 1, shape.width, shape.height).u(1, 0)
    depth = 2 if shape.ten_bit else 0
    sps.ue(depth, depth, 12 - 4).u(1, 1).ue(4, 2, 0).ue(0, 3, 0, 3, 0, 0)
    sps.u(1, 0).u(1, 0).u(1, 0).u(1, 0).ue(0).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0)
    pps = BitWriter().ue(shape.pps, shape.sps).u(1, 0).u(1, 0).u(3, 0).u(1, 0).u(1, 0).ue(0, 0).se(0)
    pps.u(3, 0).se(0).se(0).u(1, 0).u(2, 0).u(1, 0).u(2, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0).ue(0).u(1, 0).u(1, 0)
    sets = ((32, vps), (33, sps), (34, pps))
    first, second, third = (_head(kind) + escape(bits.trailing()) for kind, bits in sets)
    return first, second, third


def record(sets: tuple[bytes, bytes, bytes]) -> bytes:
    """The HEVCDecoderConfigurationRecord (14496-15 §8.3.3.1.2)."""
    sps = sets[1].replace(b"\x00\x00\x03", b"\x00\x00")
    ten_bit = sps[3] & 0x1F == 2
    depth = 0xFA if ten_bit else 0xF8
    out = bytearray(b"\x01" + sps[3:15] + b"\xf0\x00\xfc\xfd" + bytes((depth, depth)) + b"\x00\x00\x0f\x03")
    for kind, unit in zip((32, 33, 34), sets, strict=True):
        out += bytes((0xA0 | kind,)) + b"\x00\x01" + len(unit).to_bytes(2, "big") + unit
    return bytes(out)


@dataclass(frozen=True)
class HevcPicture:
    """One picture of a stream; `kind` is a name of its NAL unit type; `order` its place in display order."""

    number: int
    kind: str
    inter: str
    """i, p or b."""
    order: int
    size: int
    slices: int = 1


def picture(shape: HevcShape, what: HevcPicture, noise: Noise) -> list[bytes]:
    """The picture's slice segments."""
    units = []
    slices = max(1, min(what.slices, shape.blocks))
    for index in range(slices):
        address = shape.blocks * index // slices
        head = _slice_head(shape, what, address) + mark(what.number)
        share = what.size * (index + 1) // slices - what.size * index // slices
        units.append(head + (noise.take(share - len(head)) or b"\x80"))
    return units


def _slice_head(shape: HevcShape, what: HevcPicture, address: int) -> bytes:
    """NAL unit header and slice segment header (§7.3.6.1)."""
    kind = TYPES[what.kind]
    bits = BitWriter().u(1, not address)
    if 16 <= kind <= 23:
        bits.u(1, 0)
    bits.ue(shape.pps)
    if address:
        bits.u((shape.blocks - 1).bit_length(), address)
    bits.ue({"b": 0, "p": 1, "i": 2}[what.inter])
    if kind not in {19, 20}:
        bits.u(12, what.order & 0xFFF).u(1, 0)
        bits.ue(0 if what.inter == "i" else 1, 1 if what.inter == "b" else 0)
        if what.inter != "i":
            bits.ue(0).u(1, 1)
        if what.inter == "b":
            bits.ue(0).u(1, 1)
    if what.inter != "i":
        bits.u(1, 0)
        if what.inter == "b":
            bits.u(1, 0)
        bits.ue(0)
    bits.se(0)
    return _head(kind) + escape(bits.u(1, 1).zeros())


def delimiter() -> bytes:
    """An access unit delimiter."""
    return b"\x46\x01\x50"
