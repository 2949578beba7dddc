"""Makes H.264 without an encoder: true parameter sets and slice headers, noise for what they head."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hlsd.media.bits import BitReader, unescape
from tests.footage.bits import BitWriter, Noise, escape, mark

_I, _P, _B = 7, 5, 6  # §7.4.3: all slices of the picture are of this type
RECOVERY_POINT = 6
_AUD = b"\x09\xf0"


@dataclass(frozen=True)
class AvcShape:
    """What the parameter sets say. `width`, `height` in pixels, multiples of 16; `pps` and `sps` are their ids."""

    width: int = 320
    height: int = 176
    sps: int = 0
    pps: int = 0
    rate: Fraction | None = None
    cabac: bool = True
    vui_extra: bool = False

    @property
    def macroblocks(self) -> int:
        """Of a picture."""
        return self.width * self.height // 256


def parameter_sets(shape: AvcShape) -> tuple[bytes, bytes]:
    """SPS and PPS (§7.3.2.1, §7.3.2.2)."""
    sps = BitWriter().u(8, 100).u(8, 0).u(8, 51).ue(shape.sps)
    sps.ue(1, 0, 0).u(1, 0).u(1, 0)  # 4:2:0, 8 bit, no bypass, no scaling matrix
    sps.ue(12 - 4, 0, 12 - 4)  # log2_max_frame_num, pic_order_cnt_type 0, log2_max_pic_order_cnt_lsb
    sps.ue(4).u(1, 0).ue(shape.width // 16 - 1, shape.height // 16 - 1).u(1, 1).u(1, 1).u(1, 0)
    if shape.rate is None and not shape.vui_extra:
        sps.u(1, 0)
    else:
        sps.u(1, 1).u(1, 0).u(1, 0)
        if shape.vui_extra:
            sps.u(1, 1).u(3, 5).u(1, 0).u(1, 0)  # video_signal_type: unspecified format
        else:
            sps.u(1, 0)
        sps.u(1, 0)
        if shape.rate is None:
            sps.u(1, 0)
        else:
            sps.u(1, 1).u(32, shape.rate.denominator).u(32, 2 * shape.rate.numerator).u(1, 1)
        sps.u(1, 0).u(1, 0).u(1, 0).u(1, 0)
    pps = BitWriter().ue(shape.pps, shape.sps).u(1, shape.cabac).u(1, 0).ue(0, 0, 0).u(1, 0).u(2, 0)
    pps.se(0).se(0).se(0).u(1, 1).u(1, 0).u(1, 0)
    return b"\x67" + escape(sps.trailing()), b"\x68" + escape(pps.trailing())


def record(sps: bytes, pps: bytes) -> bytes:
    """The AVCDecoderConfigurationRecord (14496-15 §5.3.3.1.2)."""
    head = bytes((1, sps[1], sps[2], sps[3], 0xFF, 0xE1)) + len(sps).to_bytes(2, "big") + sps
    return head + b"\x01" + len(pps).to_bytes(2, "big") + pps + b"\xfd\xf8\xf8\x00"


@dataclass(frozen=True)
class AvcPicture:
    """One picture of a stream; `order` is its place in display order since the last IDR."""

    number: int
    kind: str
    """idr, i (with a recovery point), p, b (a reference) or n (a B picture that none refers to)."""
    frame: int
    order: int
    size: int
    slices: int = 1
    idr: int = 0
    before: tuple[bytes, ...] = ()
    """NAL units before the recovery point and the slices (SEI messages)."""


def picture(shape: AvcShape, what: AvcPicture, noise: Noise) -> list[bytes]:
    """The picture's NAL units, `size` bytes of slices in all (as far as headers allow): SEI messages, then slices."""
    units = list(what.before)
    if what.kind == "i":
        units.append(recovery_point())
    slices = max(1, min(what.slices, shape.macroblocks))
    for index in range(slices):
        first = shape.macroblocks * index // slices
        head = _slice_head(shape, what, first) + mark(what.number)
        share = what.size * (index + 1) // slices - what.size * index // slices
        units.append(head + (noise.take(share - len(head)) or b"\x80"))
    return units


def _slice_head(shape: AvcShape, what: AvcPicture, first: int) -> bytes:
    """NAL unit header and slice header (§7.3.3), filled up to whole bytes."""
    slice_type = {"idr": _I, "i": _I, "p": _P, "b": _B, "n": _B}[what.kind]
    reference = what.kind != "n"
    bits = BitWriter().ue(first, slice_type, shape.pps).u(12, what.frame & 0xFFF)
    if what.kind == "idr":
        bits.ue(what.idr)
    bits.u(12, 2 * what.order & 0xFFF)
    if slice_type == _B:
        bits.u(1, 1).u(1, 0).u(1, 0).u(1, 0)  # direct_spatial_mv_pred, no override, no list modifications
    elif slice_type == _P:
        bits.u(1, 0).u(1, 0)
    if what.kind == "idr":
        bits.u(2, 0)
    elif reference:
        bits.u(1, 0)
    if shape.cabac and slice_type != _I:
        bits.ue(0)
    bits.se(0).ue(1)  # slice_qp_delta, disable_deblocking_filter_idc 1
    header = 0x65 if what.kind == "idr" else 0x61 if what.kind in {"i", "p"} else 0x41 if reference else 0x01
    return bytes((header,)) + escape(bits.ones())


def with_pps(unit: bytes, pps: int) -> bytes:
    """A slice that refers to another picture parameter set: its header is one byte or two longer, what follows stays.

    The slice header of `picture` is filled up to whole bytes, so the id is put in by writing the header's bits anew.
    """
    head = unescape(unit[1:12])
    bits = BitReader(head)
    first, kind = bits.ue(), bits.ue()
    bits.ue()
    rest = bits.left
    anew = BitWriter().ue(first, kind, pps)
    for _ in range(rest):
        anew.u(1, bits.u(1))
    return unit[:1] + escape(anew.ones()) + unit[12:]


def recovery_point() -> bytes:
    """An SEI message that says that decoding may begin here (§D.1.8)."""
    body = BitWriter().ue(0).u(1, 1).u(1, 0).u(2, 0).zeros()
    return b"\x06" + bytes((RECOVERY_POINT, len(body))) + body + b"\x80"


def user_data(size: int, noise: Noise) -> bytes:
    """An SEI message of user data, as x264 and cameras send them (§D.1.7)."""
    head = b"\x06\x05" + b"\xff" * (size // 255) + bytes((size % 255,))
    return head + (noise.take(size) if size else b"") + b"\x80"


def delimiter() -> bytes:
    """An access unit delimiter."""
    return _AUD
