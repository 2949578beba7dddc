"""Reads whatever a recorder makes: which container it is, its first bytes say, whatever its type was called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from hlsd.base.errors import MediaError

if TYPE_CHECKING:
    from hlsd.ingest.recorder.pieces import RecordedItem

_TELLS: Final = 8
"""Bytes by which a container is known."""


class RecordingReader(Protocol):
    """A reader of some form of recording."""

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of what they are of."""
        ...

    @property
    def position(self) -> int:
        """Where what is looked at begins, bytes from the beginning of the recording."""
        ...

    def feed(self, octets: bytes) -> list[RecordedItem]:
        """What is whole now; at most 16 KiB at a time. Raises MediaError."""
        ...


class ContainerReader:
    """WebM, Matroska or fragmented MP4."""

    def __init__(self) -> None:
        self._first = b""
        self._reader: RecordingReader | None = None

    @property
    def held(self) -> int:
        """As `RecordingReader`."""
        return len(self._first) + (self._reader.held if self._reader is not None else 0)

    @property
    def position(self) -> int:
        """As `RecordingReader`."""
        return self._reader.position if self._reader is not None else 0

    def feed(self, octets: bytes) -> list[RecordedItem]:
        """As `RecordingReader`."""
        if self._reader is None:
            octets = self._first + octets
            if len(octets) < _TELLS:
                self._first = octets
                return []
            self._first = b""
            if octets.startswith(b"\x1a\x45\xdf\xa3"):
                from hlsd.ingest.recorder.matroska import MatroskaReader  # noqa: PLC0415 - what nobody uses is not loaded

                self._reader = MatroskaReader()
            elif octets[4:8] == b"ftyp":
                from hlsd.ingest.recorder.movie import MovieReader  # noqa: PLC0415

                self._reader = MovieReader()
            else:
                raise MediaError("neither WebM, Matroska nor MP4")
        return self._reader.feed(octets)
