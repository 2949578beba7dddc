"""Says what a file that is published as it comes is made of (`hlsd.ingest.file_publisher`): FLV, or MPEG-TS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from hlsd.base.errors import MediaError
from hlsd.ingest.mpeg.items import MpegItem, MpegLoss, MpegStreams
from hlsd.ingest.mpeg.ts_packets import LOOKED
from hlsd.media.flv import AUDIO, SCRIPT, VIDEO, FileReader, FileTag

if TYPE_CHECKING:
    from hlsd.ingest.mpeg.media import MpegMedia
    from hlsd.ingest.rtmp_publisher import IntakeFactory, TagSink
    from hlsd.ports import Publication

_MEDIA: Final = (VIDEO, AUDIO, SCRIPT)
ItemT = TypeVar("ItemT")


class FileItems(Protocol[ItemT]):
    """Takes a file apart as it comes."""

    @property
    def started(self) -> bool:
        """Whether it has been seen to be a file of that form."""
        ...

    @property
    def held(self) -> int:
        """Bytes of it that are not whole yet."""
        ...

    def feed(self, octets: bytes) -> list[ItemT]:
        """What is whole with these. Raises MediaError, ProtocolError."""
        ...

    def rest(self) -> list[ItemT]:
        """What is whole because nothing follows."""
        ...


class FileSink(Protocol):
    """What takes the items of one publication."""

    @property
    def held(self) -> int:
        """Bytes of media that have not been handed over yet."""
        ...

    def tick(self, now: float) -> None:
        """Lets time pass. Raises UnsupportedCodec."""
        ...

    def close(self) -> None:
        """The publisher has left: what is still held goes out."""
        ...


SinkT = TypeVar("SinkT", bound=FileSink)


@dataclass(frozen=True, slots=True)
class FileForm(Generic[ItemT, SinkT]):
    """One form.

    `name`: for people. `none`: the ending of who sends something else. `label`: under which faults are counted.
    `weigh` says the bytes of an item,
    `give` hands a sink an item, and says whether it was media.
    """

    name: str
    none: str
    label: str
    reader: Callable[[], FileItems[ItemT]]
    sink: Callable[[Publication, float], SinkT]
    weigh: Callable[[ItemT], int]
    give: Callable[[SinkT, ItemT, float, float], bool]


class FlvItems(FileReader):
    """The tags of FLV."""

    def rest(self) -> list[FileTag]:
        """A tag that is not whole is none."""
        return []


def flv_form(intake: IntakeFactory) -> FileForm[FileTag, TagSink]:
    """FLV; `intake` makes what takes its tags."""

    def give(sink: TagSink, tag: FileTag, now: float, wall: float) -> bool:
        kind, at, body = tag
        sink.tag(kind, at, body, now, wall)
        return bool(body) and kind in _MEDIA

    return FileForm("FLV", "no_flv", "flv_publisher", FlvItems, intake, lambda tag: len(tag.body), give)


class TsItems:
    """What is in a transport stream."""

    def __init__(self) -> None:
        from hlsd.ingest.mpeg.ts_demuxer import TsDemuxer  # noqa: PLC0415 - what nobody uses is not loaded

        self._demuxer = TsDemuxer()

    @property
    def started(self) -> bool:
        """Whether packets have been found."""
        return self._demuxer.synced

    @property
    def held(self) -> int:
        """Bytes that are not whole yet."""
        return self._demuxer.held

    def feed(self, octets: bytes) -> list[MpegItem]:
        """What is whole with these. Raises MediaError where no packet was found for long."""
        items = self._demuxer.feed(octets)
        if self._demuxer.skipped > LOOKED:
            raise MediaError(f"no packet of a transport stream in {LOOKED} bytes")
        return items

    def rest(self) -> list[MpegItem]:
        """What is whole because nothing follows."""
        return self._demuxer.flush()


def ts_form(media: Callable[[Publication, float], MpegMedia]) -> FileForm[MpegItem, MpegMedia]:
    """MPEG-TS; `media` makes what takes its items."""

    def give(sink: MpegMedia, item: MpegItem, now: float, wall: float) -> bool:
        return sink.take(item, now, wall)

    return FileForm("MPEG-TS", "no_ts", "ts_publisher", TsItems, media, size_of, give)


def size_of(item: MpegItem) -> int:
    """Bytes of media in it."""
    return 0 if isinstance(item, MpegStreams | MpegLoss) else len(item.data)
