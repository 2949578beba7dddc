"""A terminal of JT/T 1078, written from the standard (Table 19), with habits of real ones where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hlsd.ingest.mpeg.items import MpegPicture
from tests.support.tsfilm import demuxed, make_ts

I_FRAME, P_FRAME, B_FRAME, SOUND, TRANSPARENT = range(5)
WHOLE, FIRST, LAST, MIDDLE = range(4)
BODY = 950


@dataclass
class Terminal:
    """One terminal. `digits`: of its SIM, 12 in 2016, 20 in 2019; `flags` False: every packet says it is whole."""

    sim: str = "14482607571"
    channel: int = 1
    digits: int = 12
    start: int = 1_786_810_100_000
    flags: bool = True
    body: int = BODY
    sequence: int = 0

    def packet(self, kind: int, split: int, payload_type: int, ms: int, body: bytes) -> bytes:
        """One packet."""
        head = b"\x30\x31\x63\x64\x81" + bytes((0x80 * (split in (WHOLE, LAST)) | payload_type,))
        head += self.sequence.to_bytes(2, "big") + bytes.fromhex(self.sim.zfill(self.digits))
        head += bytes((self.channel, kind << 4 | (split if self.flags else WHOLE)))
        self.sequence = self.sequence + 1 & 0xFFFF
        if kind != TRANSPARENT:
            head += (self.start + ms).to_bytes(8, "big")
        if kind < SOUND:
            head += b"\0\0\0\0"
        return head + len(body).to_bytes(2, "big") + body

    def frame(self, kind: int, payload_type: int, ms: int, body: bytes) -> list[bytes]:
        """The packets of one picture."""
        pieces = [body[at : at + self.body] for at in range(0, len(body), self.body)]
        last = len(pieces) - 1
        splits = [WHOLE if not last else FIRST if n == 0 else LAST if n == last else MIDDLE for n in range(last + 1)]
        return [self.packet(kind, split, payload_type, ms, piece) for split, piece in zip(splits, pieces, strict=True)]

    def film(self, seconds: float = 2.0, gop: int = 15, codec: str = "h264", *, sound: bool = True) -> Iterator[bytes]:
        """The packets of a film, G.711A in 40 ms beside it."""
        pictures = film(seconds, gop, codec)
        heard = 0
        for n, picture in enumerate(pictures):
            ms = (picture.dts - pictures[0].dts) // 90
            yield from self.frame(I_FRAME if n % gop == 0 else P_FRAME, 99 if codec == "h265" else 98, ms, picture.data)
            while sound and heard <= ms:
                yield self.packet(SOUND, WHOLE, 6, heard, b"\xd5" * 320)
                heard += 40


def film(seconds: float, gop: int, codec: str = "h264") -> list[MpegPicture]:
    """Pictures with changing content, in the byte stream format."""
    octets = make_ts("h265" if codec == "h265" else "h264", seconds=seconds, gop=gop)
    return [item for item in demuxed(octets) if isinstance(item, MpegPicture)]
