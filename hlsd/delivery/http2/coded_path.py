"""Reads the paths of a session as HPACK codes them, without decoding the same octets again and again.

What a path begins with, `/{app}/{name}/~{sid}/`, is the same in every request of a session, and so are its coded
octets, but for the last ones, which may hold the first bits of what follows. Behind them the Huffman code stands in one
of a few states, and what comes then is the same for all viewers of a stream who ask for the same: it is decoded once.
Law: what is remembered was decoded by the rules (RFC 7541 §5.2), and is a path that a request may have.
"""

from __future__ import annotations

import re
from typing import Final

try:
    from hpack.huffman_constants import REQUEST_CODES_LENGTH
    from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE
except ImportError:  # pragma: no cover - there is no HTTP/2 then
    pass

MAX_RESTS: Final = 256
"""Rests remembered for one state of the code; there are some seventy behind a session's id and its slash."""
MAX_CODED: Final = 256
"""Octets of a rest that is remembered."""
PATH: Final = re.compile(rb"/[\x21\x22\x24-\x7e\x80-\xff]*|\*")
"""What a path may be (RFC 9113 §8.3.1, RFC 3986)."""
_REST: Final = re.compile(rb"[\x21\x22\x24-\x7e\x80-\xff]*")
_SPELT: Final = -1
"""The state of a path that is not coded."""

_rests: dict[tuple[int, bytes], dict[bytes, bytes]] = {}
"""By state and what of a prefix is still to come in it, and then by the octets from there on."""


class CodedPrefix:
    """What the paths of one session begin with, as one client codes them."""

    __slots__ = ("_left", "_rests", "_state", "octets", "size")

    def __init__(self, prefix: bytes, octets: bytes, coded: bool) -> None:
        """`octets` are a path that begins with `prefix`, as it came; `coded`: by the Huffman code."""
        self.octets = prefix
        """As much of them as is the same whatever follows."""
        self._state = _SPELT
        self._left = b""
        if coded:
            sizes = [REQUEST_CODES_LENGTH[octet] for octet in prefix]
            bits = sum(sizes)
            self.octets = octets[: bits // 8]
            self._state = _state_behind(self.octets)
            left = 0
            bits %= 8
            while bits > 0:  # the last letters end in the octets that follow
                left += 1
                bits -= sizes[-left]
            self._left = prefix[len(prefix) - left :]
        self.size = len(self.octets)
        self._rests = _rests.setdefault((self._state, self._left), {})

    def rest(self, key: bytes) -> bytes | None:
        """What a path says behind the prefix, where `key` stands behind `octets`; None: let it be read by the rules."""
        rest = self._rests.get(key)
        if rest is None and len(key) <= MAX_CODED:
            rest = key if self._state == _SPELT else decode(self._state, key)
            if rest is None or not rest.startswith(self._left):
                return None
            rest = rest[len(self._left) :]
            if not _REST.fullmatch(rest):
                return None
            if len(self._rests) >= MAX_RESTS:
                self._rests.clear()
            self._rests[key] = rest
        return rest


def _state_behind(octets: bytes) -> int:
    state = 0
    for octet in octets:
        state = HUFFMAN_TABLE[state * 16 + (octet >> 4)][0]
        state = HUFFMAN_TABLE[state * 16 + (octet & 15)][0]
    return state


def decode(state: int, octets: bytes) -> bytes | None:
    """The rest of a string of which so much was read that the code is in `state`; None if it is none."""
    out = bytearray()
    flags = 0
    for octet in octets:
        for nibble in (octet >> 4, octet & 15):
            state, flags, symbol = HUFFMAN_TABLE[state * 16 + nibble]
            if flags & HUFFMAN_FAIL:
                return None
            if flags & HUFFMAN_EMIT_SYMBOL:
                out.append(symbol)
    return bytes(out) if flags & HUFFMAN_COMPLETE else None
