"""Reads a form with a film in it (multipart/form-data, RFC 7578) as it comes: the film goes straight to the disk.

Law: nothing is kept in memory but fields of a few kB; more fields, longer ones, a second film end it with a refusal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from hlsd.vod.uploads import UploadRefused

MOST_FIELDS: Final = 64
FIELD: Final = 8192
"""Bytes of a field that is no film, and of the headers of a part."""
PIECE: Final = 1 << 20
"""Bytes of a film that are gathered before they are written."""


class FormReader:
    """One form. `fields` are its fields, each with every value that it was given; `film`: whether it had one."""

    def __init__(self, boundary: bytes, target: Callable[[bytes], Awaitable[None]]) -> None:
        from python_multipart.multipart import MultipartParser  # noqa: PLC0415 - of hlsd[vod]

        self.fields: dict[str, list[str]] = {}
        self.film = False
        self._target = target
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._value: bytearray | None = None
        self._name = ""
        self._count = 0
        self._pending = bytearray()
        self._over = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": lambda data, start, end: self._head(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._head(1, data[start:end]),
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": lambda data, start, end: self._data(data[start:end]),
                "on_part_end": self._part_ends,
                "on_end": self._ends,
            },
        )

    async def read(self, body: AsyncIterator[bytes]) -> None:
        """Reads all of it. Raises UploadRefused."""
        from python_multipart.exceptions import FormParserError  # noqa: PLC0415 - as above

        try:
            async for octets in body:
                self._parser.write(octets)
                if len(self._pending) >= PIECE:
                    await self._flush()
            self._parser.finalize()
        except FormParserError as error:
            raise UploadRefused(400, f"it is no form: {error}") from None
        if not self._over:
            raise UploadRefused(400, "the form was cut off")
        await self._flush()

    async def _flush(self) -> None:
        if self._pending:
            octets, self._pending = bytes(self._pending), bytearray()
            await self._target(octets)

    # -- what the parser says

    def _part_begins(self) -> None:
        self._headers = {}
        self._count += 1
        if self._count > MOST_FIELDS:
            raise UploadRefused(413, f"a form of more than {MOST_FIELDS} fields")

    def _head(self, which: int, octets: bytes) -> None:
        self._header[which] += octets
        if len(self._header[which]) > FIELD:
            raise UploadRefused(413, "a header of a field is too long")

    def _header_ends(self) -> None:
        self._headers[self._header[0].strip().lower()] = self._header[1]
        self._header = [b"", b""]

    def _headers_end(self) -> None:
        from python_multipart.multipart import parse_options_header  # noqa: PLC0415 - as above

        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")[:64]
        if b"filename" not in options:
            self._value = bytearray()
            return
        if self.film:
            raise UploadRefused(400, "a form with more than one file")
        self.film, self._value = True, None

    def _data(self, octets: bytes) -> None:
        if self._value is None:
            self._pending += octets
            return
        self._value += octets
        if len(self._value) > FIELD:
            raise UploadRefused(413, f"a field of more than {FIELD} bytes")

    def _part_ends(self) -> None:
        if self._value is not None:
            self.fields.setdefault(self._name, []).append(self._value.decode("utf-8", "replace"))
        self._value = bytearray()

    def _ends(self) -> None:
        self._over = True


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts of a form. Raises UploadRefused where it is none."""
    from python_multipart.multipart import parse_options_header  # noqa: PLC0415 - as above

    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:  # "up to 70 characters" (RFC 2046 §5.1.1)
        raise UploadRefused(415, "the body should be a form: multipart/form-data")
    return bytes(boundary)
