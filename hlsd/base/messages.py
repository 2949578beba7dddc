"""Reads the messages of a pipe between two of our processes: a head that ends with the length of what follows it.

Law: it holds no more than one message, and a message has a bound. Pure.
"""

from __future__ import annotations

import struct
from typing import Any

from hlsd.base.errors import ProtocolError


class MessageReader:
    """`head`: the fields of a message, its length the last of them; `limit`: bytes that may follow."""

    __slots__ = ("_buffer", "_head", "_limit")

    def __init__(self, head: struct.Struct, limit: int) -> None:
        self._head = head
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> list[tuple[Any, ...]]:
        """The fields but the length, and the body, of the messages that `octets` complete. Raises ProtocolError."""
        buffer, head = self._buffer, self._head
        buffer += octets
        found: list[tuple[Any, ...]] = []
        place = 0
        while len(buffer) - place >= head.size:
            *fields, size = head.unpack_from(buffer, place)
            if size > self._limit:
                raise ProtocolError(f"a message larger than {self._limit} bytes")
            end = place + head.size + size
            if end > len(buffer):
                break
            found.append((*fields, bytes(buffer[place + head.size : end])))
            place = end
        del buffer[:place]
        return found
