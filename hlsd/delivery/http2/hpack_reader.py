"""Decodes the header blocks of one HTTP/2 connection (RFC 7541), in time that grows with their length only.

The `hpack` package has the Huffman code and the static table; its own decoder copies the rest of a block for every
literal in it and takes any number of table size updates, which a stranger can have for nothing. Law: a block costs
less than a microsecond an octet, whatever stands in it.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Final

try:
    from hpack.exceptions import HPACKError
    from hpack.huffman_table import decode_huffman
    from hpack.table import HeaderTable
except ImportError:  # pragma: no cover - the listener then offers HTTP/1.1 only
    AVAILABLE = False
else:
    AVAILABLE = True
    _STATIC: Final[tuple[tuple[bytes, bytes], ...]] = tuple(HeaderTable.STATIC_TABLE)
    _FIXED: Final = len(_STATIC)

Line = tuple[bytes, bytes]

MAX_TABLE: Final = 4096
"""Octets of decoding table per connection: the protocol's default."""
MAX_FIELDS: Final = 256
"""WaitQueues of a header list. A browser sends some twenty, and one for each of its cookies."""
MAX_UPDATES: Final = 2
"""Table size updates of a block: "the smallest maximum table size" and "the final maximum size" (§4.2)."""
MAX_NUMBER: Final = 4
"""Octets behind the prefix of an integer: 28 bits, more than anything here may be."""
_ENTRY: Final = 32
"""What an entry counts beside its octets (§4.1)."""
_SHORT: Final = 48
"""Octets of a coded string that is remembered: values that many clients send alike."""


class TooMuchHeader(Exception):
    """The header list is longer than we said we would read."""


class UnreadableHeader(Exception):
    """Not HPACK: the connection cannot go on (§4.3)."""


class HpackReader:
    """The decoding side of one connection. `limit`: octets of a header list as RFC 9113 §6.5.2 counts them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._table: deque[Line] = deque()
        self._size = 0
        self._most = MAX_TABLE
        self.changes = 0
        """How often the table, or its size, has changed: a block read before may mean something else after."""
        self.path: tuple[int, int] | None = None
        """Where the last block that was read had its `:path` spelt out: the string, from its length to its end."""

    def read(self, block: bytes) -> list[Line]:
        """The lines of a header block.

        Raises:
            TooMuchHeader: more than the limit.
            UnreadableHeader: not a header block.
        """
        try:
            return self._lines(block)
        except (IndexError, HPACKError) as error:  # cut short, or no Huffman code
            raise UnreadableHeader from error

    def _lines(self, block: bytes) -> list[Line]:
        lines: list[Line] = []
        self.path = None
        at, end, size = self._updates(block), len(block), 0
        while at < end:
            first = block[at]
            if first & 0x80:  # an indexed line (§6.1)
                number, at = _number(block, at, 0x7F)
                line = self._entry(number)
            elif first & 0xE0 == 0x20:
                raise UnreadableHeader  # "MUST occur at the beginning" (§4.2)
            else:
                kept = first & 0x40  # with incremental indexing (§6.2.1), or without (§6.2.2, §6.2.3)
                number, at = _number(block, at, 0x3F if kept else 0x0F)
                if number:
                    name = self._entry(number)[0]
                else:
                    name, at = _string(block, at)
                begin = at
                value, at = _string(block, at)
                line = (name, value)
                if name == b":path":
                    self.path = begin, at
                if kept:
                    self._keep(line)
            size += len(line[0]) + len(line[1]) + _ENTRY
            lines.append(line)
            if size > self._limit or len(lines) > MAX_FIELDS:
                raise TooMuchHeader
        return lines

    def _updates(self, block: bytes) -> int:
        """Obeys the table size updates at the beginning; where the lines begin."""
        at = count = 0
        while at < len(block) and block[at] & 0xE0 == 0x20:
            size, at = _number(block, at, 0x1F)
            count += 1
            if size > MAX_TABLE or count > MAX_UPDATES:
                raise UnreadableHeader
            self._most = size
            self.changes += 1
            self._shrink()
        return at

    def _entry(self, number: int) -> Line:
        if 0 < number <= _FIXED:
            return _STATIC[number - 1]
        if number == 0:
            raise UnreadableHeader
        return self._table[number - _FIXED - 1]

    def _keep(self, line: Line) -> None:
        self.changes += 1
        self._table.appendleft(line)
        self._size += len(line[0]) + len(line[1]) + _ENTRY
        self._shrink()  # one that is larger than the table empties it, itself too (§4.4)

    def _shrink(self) -> None:
        while self._size > self._most:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _ENTRY


def _number(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """An integer (§5.1), and where it ends."""
    number = block[at] & mask
    at += 1
    if number < mask:
        return number, at
    for shift in range(0, 7 * MAX_NUMBER, 7):
        octet = block[at]
        at += 1
        number += (octet & 0x7F) << shift
        if octet < 0x80:
            return number, at
    raise UnreadableHeader  # "Integer encodings that exceed implementation limits … MUST be treated as decoding errors"


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """A string (§5.2), and where it ends."""
    coded = block[at] & 0x80
    size, at = _number(block, at, 0x7F)
    end = at + size
    if end > len(block):
        raise UnreadableHeader
    octets = block[at:end]
    if not coded:
        return octets, end
    return (_plain(octets) if size <= _SHORT else decode_huffman(octets)), end


@lru_cache(2048)
def _plain(octets: bytes) -> bytes:
    return decode_huffman(octets)
