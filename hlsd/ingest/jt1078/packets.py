"""Takes JT/T 1078 packets out of what a terminal sends (JT/T 1078-2016, Table 19). Pure.

Law: a packet begins with 30 31 63 64 and has a head that can be; what does not is passed over to the next such place.
Who sends `IMPLAUSIBLE` heads that cannot be, or `SKIPPED` bytes without one that can, hears of a ProtocolError: the
upload of attachments begins with the same bytes and is something else. Terminals of 2019 have a SIM of ten bytes, not
of six: which it is shows where the next packet begins, or the datagram ends.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hlsd.base.errors import ProtocolError

MAGIC: Final = b"01cd"
IMPLAUSIBLE: Final = 16
SKIPPED: Final = 256 << 10
LARGEST: Final = 0xFFFF
"""Bytes of a body: "should not exceed 950", and some do."""
_SIM: Final = 8  # where it stands
_SIZES: Final = (6, 10)
"""Bytes of the SIM, BCD: of 2016, of 2019."""
I_FRAME, P_FRAME, B_FRAME, SOUND, TRANSPARENT = range(5)
WHOLE, FIRST, LAST, MIDDLE = range(4)
_HEADS: Final = (30, 30, 30, 26, 18)
"""Bytes before the body by what it is, with a SIM of six."""
_BCD: Final = bytes(int(one >> 4 < 10 and one & 15 < 10) for one in range(256))


class JtPacket(NamedTuple):
    """A packet. `kind`: I_FRAME and so on; `split`: WHOLE and so on; `ms`: its time, of whatever clock."""

    sim: str
    channel: int
    kind: int
    split: int
    payload_type: int
    sequence: int
    ms: int
    body: bytes


class JtReader:
    """One connection's."""

    __slots__ = ("_bad", "_rest", "_sim_size", "_skipped", "resyncs")

    def __init__(self) -> None:
        self.resyncs = 0
        """How often something stood where a packet should begin."""
        self._rest = b""
        self._sim_size = 0
        """Bytes; 0 while it is not known."""
        self._bad = 0
        self._skipped = 0

    @property
    def held(self) -> int:
        """Bytes of a packet that is not whole: at most one of the largest, and a head."""
        return len(self._rest)

    def feed(self, octets: bytes) -> list[JtPacket]:
        """The packets that are whole with these bytes of a stream. Raises ProtocolError."""
        data = self._rest + octets if self._rest else octets
        found: list[JtPacket] = []
        at, end = 0, len(data)
        while end - at >= 4:
            if data[at : at + 4] != MAGIC:
                at = self._seek(data, at)
                continue
            size = self._sim_size or self._judge(data, at, end)
            if size == 0:
                break  # more must come to tell
            length = length_of(data, at, size) if size > 0 else -1
            if length == 0:
                break
            if length < 0:
                self._refuse_head()
                at += 4
                continue
            if self._is_cut(data, at, at + length):
                self.resyncs += 1
                at += 4
                continue
            if at + length > end:
                break
            self._bad = self._skipped = 0
            found.append(read_packet(data, at, size, length))
            at += length
        self._rest = data[at:]
        return found

    def _judge(self, data: bytes, at: int, end: int) -> int:
        """The size of the SIM; 0: it is not clear yet; -1: it can be neither."""
        waits = False
        for size in _SIZES:
            length = length_of(data, at, size)
            if length < 0:
                continue
            if length == 0 or at + length + 4 > end:
                waits = True  # one that goes on with a packet may still be the other
                if at + length == end and length:
                    continue
            elif data[at + length : at + length + 4] == MAGIC:
                self._sim_size = size
                return size
        return 0 if waits else -1

    def _is_cut(self, data: bytes, at: int, behind: int) -> bool:
        """Whether another packet begins within this one, and none where it should end."""
        inner = data.find(MAGIC, at + 4, behind)
        return (
            inner >= 0
            and data[behind : behind + 4] != MAGIC
            and behind != len(data)
            and length_of(data, inner, self._sim_size or _SIZES[0]) >= 0
        )

    def _refuse_head(self) -> None:
        self._bad += 1
        self.resyncs += 1
        if self._bad >= IMPLAUSIBLE:
            raise ProtocolError("packets that begin as JT/T 1078 and are none: an upload of attachments goes elsewhere")

    def _seek(self, data: bytes, at: int) -> int:
        """Where the next packet may begin."""
        place = data.find(MAGIC, at)
        if place < 0:
            place = max(at, len(data) - 3)
        else:
            self.resyncs += 1
        self._skipped += place - at
        if self._skipped > SKIPPED:
            raise ProtocolError(f"no packet of JT/T 1078 in {SKIPPED} bytes")
        return place


def read_datagram(octets: bytes) -> JtPacket | None:
    """The packet of a datagram, which is all of it."""
    if octets[:4] == MAGIC:
        for size in _SIZES:
            if length_of(octets, 0, size) == len(octets):
                return read_packet(octets, 0, size, len(octets))
    return None


def length_of(data: bytes, at: int, sim_size: int) -> int:
    """The bytes of the packet at a place, whose magic is right; 0: too little of it is here, -1: it can be none."""
    shift = sim_size - 6
    if len(data) - at < 16 + shift:
        return 0
    kind, split = data[at + 15 + shift] >> 4, data[at + 15 + shift] & 15
    sim = data[at + _SIM : at + _SIM + sim_size]
    if data[at + 4] >> 6 != 2 or kind > TRANSPARENT or split > MIDDLE or 0 in sim.translate(_BCD):
        return -1
    head = _HEADS[kind] + shift
    if len(data) - at < head:
        return 0
    return head + (data[at + head - 2] << 8 | data[at + head - 1])


def read_packet(data: bytes, at: int, sim_size: int, length: int) -> JtPacket:
    """The packet of that length at a place."""
    shift = sim_size - 6
    mark = data[at + 15 + shift]
    kind = mark >> 4
    head = at + _HEADS[kind] + shift
    ms = 0 if kind == TRANSPARENT else int.from_bytes(data[at + 16 + shift : at + 24 + shift], "big")
    return JtPacket(
        data[at + _SIM : at + _SIM + sim_size].hex(),
        data[at + 14 + shift],
        kind,
        mark & 15,
        data[at + 5] & 0x7F,
        data[at + 6] << 8 | data[at + 7],
        ms,
        data[head : at + length],
    )
