"""Reads and writes AMF0 (Action Message Format 0, Adobe 2006), the values of RTMP's commands and metadata.

Values are float, bool, str, dict, list, None and the few classes below; what is read writes back to an equal value.
Law: a decoder on foreign bytes has limits (depth, number of values, counts checked against the bytes left) and raises
nothing but `AmfError`. Strings are UTF-8 in theory and anything in practice: what does not decode is replaced.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hlsd.base.errors import ProtocolError

MAX_DEPTH = 32
MAX_VALUES = 4096


class AmfError(ProtocolError):
    """Bytes that are no AMF0, or more of it than is allowed."""


class Amf3Value(AmfError):
    """A value switched to AMF3 (marker 0x11), which hlsd does not read; costs the message, not the connection."""


class Undefined:
    """The value `undefined`; there is one, `UNDEFINED`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED = Undefined()


class EcmaArray(dict[str, "Value"]):
    """An object with marker 8. Its count is a hint that nobody keeps, so it is neither trusted nor kept."""

    __slots__ = ()


class TypedObject(dict[str, "Value"]):
    """An object with a class name."""

    def __init__(self, class_name: str, members: dict[str, Value] | None = None) -> None:
        super().__init__(members or {})
        self.class_name = class_name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypedObject) and self.class_name == other.class_name and dict.__eq__(self, other)

    __hash__ = None  # mutable, as a dict is


class Date(NamedTuple):
    """Milliseconds since 1970-01-01T00:00Z and a time zone "that should be 0"."""

    milliseconds: float
    zone: int


class Reference(NamedTuple):
    """A pointer to the n-th complex value before it. Left unresolved: resolving lets a peer build cycles."""

    number: int


class Xml(NamedTuple):
    """An XML document, unread."""

    text: str


Value = (
    float
    | bool
    | str
    | None
    | Undefined
    | EcmaArray
    | TypedObject
    | Date
    | Reference
    | Xml
    | dict[str, "Value"]
    | list["Value"]
)

_double = struct.Struct(">d")
_date = struct.Struct(">dh")
_OBJECT_END = b"\0\0\x09"


class _Decoder:
    __slots__ = ("at", "end", "octets", "values")

    def __init__(self, octets: bytes, at: int, values: int) -> None:
        self.octets = octets
        self.at = at
        self.end = len(octets)
        self.values = values

    def take(self, size: int) -> bytes:
        at = self.at
        after = at + size
        if after > self.end:
            raise AmfError(f"AMF0 ends {after - self.end} bytes early")
        self.at = after
        return self.octets[at:after]

    def text(self, prefix: int) -> str:
        return self.take(int.from_bytes(self.take(prefix), "big")).decode("utf-8", "replace")

    def members(self, into: dict[str, Value], depth: int) -> None:
        octets = self.octets
        while True:
            if octets.startswith(_OBJECT_END, self.at):
                self.at += 3
                return
            key = self.text(2)
            into[key] = self.value(depth)

    def value(self, depth: int) -> Value:  # noqa: C901, PLR0912  one branch a marker
        if self.at >= self.end:
            raise AmfError("AMF0 ends where a value should begin")
        self.values -= 1
        if self.values < 0:
            raise AmfError("too many AMF0 values")
        marker = self.octets[self.at]
        self.at += 1
        if marker == 0:
            number: float = _double.unpack(self.take(8))[0]
            return number
        if marker == 2:
            return self.text(2)
        if marker == 1:
            return self.take(1) != b"\0"
        if marker == 5:
            return None
        if marker in {6, 0x0D}:  # undefined, unsupported
            return UNDEFINED
        if marker in {3, 8, 0x10, 0x0A}:
            if depth <= 0:
                raise AmfError("AMF0 nests too deep")
            return self._complex(marker, depth - 1)
        if marker == 7:
            return Reference(int.from_bytes(self.take(2), "big"))
        if marker == 0x0B:
            return Date(*_date.unpack(self.take(10)))
        if marker == 0x0C:
            return self.text(4)
        if marker == 0x0F:
            return Xml(self.text(4))
        if marker == 0x11:
            raise Amf3Value("an AMF3 value inside AMF0")
        raise AmfError(f"AMF0 marker {marker:#04x}")

    def _complex(self, marker: int, depth: int) -> Value:
        if marker == 0x0A:
            count = int.from_bytes(self.take(4), "big")
            if count > self.end - self.at or count > self.values:
                raise AmfError(f"AMF0 array of {count} values in {self.end - self.at} bytes")
            return [self.value(depth) for _ in range(count)]
        members: dict[str, Value] = {}
        if marker == 8:
            self.take(4)
            members = EcmaArray()
        elif marker == 0x10:
            members = TypedObject(self.text(2))
        self.members(members, depth)
        return members


def decode(octets: bytes, at: int = 0, *, max_depth: int = MAX_DEPTH, max_values: int = MAX_VALUES) -> list[Value]:
    """All values from `at` to the end, in order; raises AmfError."""
    decoder = _Decoder(octets, at, max_values)
    values: list[Value] = []
    while decoder.at < decoder.end:
        values.append(decoder.value(max_depth))
    return values


def _text(text: str, prefix: int) -> bytes:
    encoded = text.encode("utf-8", "replace")
    return len(encoded).to_bytes(prefix, "big") + encoded


def _append(out: list[bytes], value: Value) -> None:  # noqa: C901, PLR0912  one branch a type
    if value is None:
        out.append(b"\x05")
    elif isinstance(value, bool):
        out.append(b"\x01\x01" if value else b"\x01\x00")
    elif isinstance(value, (int, float)):
        out.append(b"\x00" + _double.pack(value))
    elif isinstance(value, str):
        encoded = _text(value, 4)
        out.append(b"\x02" + encoded[2:] if len(encoded) <= 4 + 0xFFFF else b"\x0c" + encoded)
    elif isinstance(value, dict):
        if isinstance(value, EcmaArray):
            out.append(b"\x08" + len(value).to_bytes(4, "big"))
        elif isinstance(value, TypedObject):
            out.append(b"\x10" + _text(value.class_name, 2))
        else:
            out.append(b"\x03")
        for key, member in value.items():
            out.append(_text(key, 2))
            _append(out, member)
        out.append(_OBJECT_END)
    elif isinstance(value, list):
        out.append(b"\x0a" + len(value).to_bytes(4, "big"))
        for member in value:
            _append(out, member)
    elif isinstance(value, Date):
        out.append(b"\x0b" + _date.pack(*value))
    elif isinstance(value, Reference):
        out.append(b"\x07" + value.number.to_bytes(2, "big"))
    elif isinstance(value, Xml):
        out.append(b"\x0f" + _text(value.text, 4))
    else:
        out.append(b"\x06")


def encode(*values: Value) -> bytes:
    """The values one after the other; a name or key over 65535 bytes is an OverflowError."""
    out: list[bytes] = []
    for value in values:
        _append(out, value)
    return b"".join(out)
