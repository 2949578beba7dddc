"""H.264 whose parameter sets get new ids at each IDR picture, slices and all: as openh264 numbers them by default."""

from __future__ import annotations

from hlsd.media import flv, h264, nal
from tests.support.flvmedia import flv_tags, make_flv


def renumbered(seconds: float, *, cycle: int = 32, gop: int = 30, fps: int = 30) -> list[tuple[int, int, bytes]]:
    """A film (CAVLC, so that a slice may be moved by bits) with ids that rise from IDR to IDR, modulo `cycle`."""
    params = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:cabac=0"
    film = flv_tags(make_flv("h264", seconds=seconds, fps=fps, gop=gop, options=(("x264-params", params),)))
    sets: tuple[bytes, ...] = ()
    tags: list[tuple[int, int, bytes]] = []
    group = -1
    for kind, time, sent in film:
        body = sent
        packet = flv.decode_video(body) if kind == flv.VIDEO else None
        if packet is not None and packet.packet == flv.CONFIG:
            sets = h264.read_record(packet.body)[0].parameter_sets
        elif packet is not None and packet.packet == flv.FRAMES:
            group += packet.key
            number = group % cycle
            units = [with_id(unit, number) if unit[0] & 0x1F in (1, 5) else unit for unit in nal.split(packet.body, 4)]
            if packet.key:
                units = [*(with_id(unit, number) for unit in sets), *units]
            body = flv.video_frame("h264", packet.key, packet.cts, nal.join(units))
        tags.append((kind, time, body))
    return tags


def with_id(unit: bytes, number: int) -> bytes:
    """An SPS, a PPS or a slice (of a picture of one slice) of parameter set `number`."""
    bits = "".join(f"{octet:08b}" for octet in unit[1:].replace(b"\x00\x00\x03", b"\x00\x00"))
    kind = unit[0] & 0x1F
    if kind == h264.SPS:
        bits = bits[:24] + _ue(number) + bits[_behind(bits, 24) :]
    elif kind == h264.PPS:
        bits = _ue(number) * 2 + bits[_behind(bits, _behind(bits, 0)) :]
    else:
        at = _behind(bits, _behind(bits, 0))
        bits = bits[:at] + _ue(number) + bits[_behind(bits, at) :]
    bits = bits.rstrip("0")
    bits += "0" * (-len(bits) % 8)
    return unit[:1] + escaped(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def escaped(rbsp: bytes) -> bytes:
    """With emulation prevention bytes (§7.4.1)."""
    out = bytearray()
    zeros = 0
    for octet in rbsp:
        if zeros >= 2 and octet <= 3:
            out.append(3)
            zeros = 0
        out.append(octet)
        zeros = 0 if octet else zeros + 1
    return bytes(out)


def _ue(number: int) -> str:
    code = f"{number + 1:b}"
    return "0" * (len(code) - 1) + code


def _behind(bits: str, at: int) -> int:
    """Where the Exp-Golomb code that stands at `at` ends."""
    return at + 2 * (bits.index("1", at) - at) + 1
