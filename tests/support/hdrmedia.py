"""Makes ten-bit pictures with a colour description, and the head of a Dolby Vision RPU."""

from __future__ import annotations

from typing import Literal

from tests.support.flvmedia import make_flv

MASTERING = bytes.fromhex("33c286c4 1d4c0bb8 84d03e80 3d134042 00989680 00000001".replace(" ", ""))
"""Display P3 with D65, 1000 nits at most and 0.0001 at least, as `mdcv` and the SEI message write it."""
LIGHT = bytes.fromhex("03e80190")
"""1000 nits at most, 400 on average."""
_DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def make_hdr(
    codec: Literal["h264", "h265"], transfer: str = "", *, mastered: bool = False, more: str = "", seconds: float = 0.2
) -> bytes:
    """An FLV file whose VUI says BT.2020 with this transfer; none: nothing."""
    params = ["keyint=25", "min-keyint=25", "scenecut=0", "bframes=0"]
    if codec == "h265":
        params += ["open-gop=0", "log-level=none", "pools=none"]
    if transfer:
        params += ["colorprim=bt2020", f"transfer={transfer}", "colormatrix=bt2020nc"]
    if mastered and codec == "h265":
        params += ["hdr10=1", f"master-display={_DISPLAY}", "max-cll=1000,400"]
    elif mastered:
        params += [f"mastering-display={_DISPLAY}", "cll=1000,400"]
    if more:
        params.append(more)
    name = "x264-params" if codec == "h264" else "x265-params"
    return make_flv(
        codec,
        audio=False,
        seconds=seconds,
        fps=25,
        gop=25,
        size=(160, 96),
        options=((name, ":".join(params)),),
        pix_fmt="yuv420p10le",
    )


def rpu(*, prefix: int = 25, profile: int = 1, full_range: bool = False) -> bytes:
    """A NAL unit of type 62 as long as its head: rpu_type 2, sequence information, coefficients as integers."""
    bits = f"{prefix:08b}{2:06b}{18:011b}{profile:04b}{0:04b}1" + "0" + "00" + "000011000" + "01" + f"{full_range:b}"
    bits += "1" * (-len(bits) % 8)
    return b"\x7c\x01" + int(bits, 2).to_bytes(len(bits) // 8, "big") + b"\x80"
