"""Publishes a file by RTMP without re-encoding it: `hlsd publish FILE URL`.

Packets go out when their decoding time has come, as from a live encoder. With `loop` the file begins again where it
ended: times go on and never go back. Times are milliseconds on the wire, seconds here; the first packet stands near one
second, so that decoding times below the first presentation time (B-frames) stay above zero.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import av
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from hlsd.base.errors import HlsdError, MediaError
from hlsd.ingest.rtmp_push import RtmpPush
from hlsd.publishing.announcement import announced
from hlsd.publishing.sound_tagger import SoundTagger, announcement_of, is_tagged, tagger_of
from hlsd.publishing.tagger import CODECS, SCRIPT, VIDEO, Tag, Tagger, codec_name, dated

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

LEAD: Final = Fraction(1)
"""Where the file's first presentation time stands, seconds."""

SET_DATA_FRAME: Final = b"\x02\x00\x0d@setDataFrame"
_NAMES: Final = {"h264": "H.264", "hevc": "H.265", "av1": "AV1", "aac": "AAC"}


class Sent(NamedTuple):
    """What went out so far: seconds of media, bytes, video frames, and how long it took."""

    media: float
    size: int
    frames: int
    elapsed: float


class Source:
    """A file's tags in order of decoding, once or for ever. `tracks` names what is sent."""

    def __init__(self, path: Path, *, loop: bool = False, any_sound: bool = False) -> None:
        """Opens the file; raises MediaError, with the reason in words, if it cannot be published as it is.

        `any_sound`: whom it goes to makes AAC of other sound.
        """
        self._any_sound = any_sound
        self._path = path
        self._loop = loop
        self._taggers: dict[int, Tagger | SoundTagger] = {}
        with self._open() as container:
            chosen = self._choose(container)
            self.tracks = ", ".join(_NAMES.get(name := codec_name(stream), name) for stream in chosen)
            self._indexes = [stream.index for stream in chosen]
            for stream in chosen:
                self._taggers[stream.index] = tagger_of(stream)
            self._said = announcement_of(chosen, self._taggers)

    def _open(self) -> InputContainer:
        try:
            # A name such as "concat:…" must stay a name: only the file protocol, and only a path.
            return av.open(f"file:{self._path}", options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self._path}: cannot be read: {error.strerror or error}") from None

    def _choose(self, container: InputContainer) -> list[VideoStream | AudioStream]:
        chosen: list[VideoStream | AudioStream] = []
        for stream in (*container.streams.video[:1], *container.streams.audio[:1]):
            name = codec_name(stream)
            if name not in CODECS and not (self._any_sound and is_tagged(name)):
                raise MediaError(
                    f"{self._path}: its {stream.type} is {name}; H.264, H.265, AV1 and AAC can be published. "
                    "Nothing is re-encoded here: ffmpeg can do that"
                )
            chosen.append(cast("VideoStream | AudioStream", stream))
        if not chosen:
            raise MediaError(f"{self._path}: has neither video nor audio")
        return chosen

    def tags(self) -> Iterator[Tag]:
        """The tags; with `loop`, without end."""
        return announced(self._tags(), self._said)

    def _tags(self) -> Iterator[Tag]:
        begin = LEAD
        while True:
            end = begin
            with self._open() as container:
                shift = begin - Fraction(container.start_time or 0, av.time_base)
                try:
                    for packet in dated(container.demux([container.streams[index] for index in self._indexes])):
                        base = packet.time_base
                        offset = round(shift / base)
                        decoding = (packet.dts or 0) + offset
                        packet.pts = decoding if packet.pts is None else packet.pts + offset
                        packet.dts = decoding
                        end = max(end, (decoding + (packet.duration or 0)) * base)
                        yield from self._taggers[packet.stream_index].tags(packet)
                except av.FFmpegError as error:
                    raise MediaError(f"{self._path}: breaks off: {error.strerror or error}") from None
            if not self._loop or end == begin:
                return
            begin = end


async def publish(source: Source, url: str, report: Callable[[Sent], None] | None = None) -> Sent:
    """Sends `source` in real time and calls `report` after each tag; raises HlsdError or OSError with the reason."""
    push = await RtmpPush.connect(url)
    size = frames = 0
    start = time.monotonic()
    first: int | None = None
    sent = Sent(0.0, 0, 0, 0.0)
    try:
        for kind, at, body in source.tags():
            if kind == SCRIPT:
                await push.send(kind, at, SET_DATA_FRAME + body)
                continue
            if first is None:
                first = at
            early = (at - first) / 1000 - (time.monotonic() - start)
            # Also when there is nothing to wait for: a server that has gone, or a signal, is heard only here.
            await asyncio.sleep(max(0.0, early))
            await push.send(kind, at, body)
            size += len(body)
            # Sequence headers (AVC packet type 0) are no pictures; enhanced ones have their type in the low nibble.
            if kind == VIDEO and (body[0] & 0x0F in (1, 3) if body[0] & 0x80 else body[1] == 1):
                frames += 1
            sent = Sent(max(sent.media, (at - first) / 1000), size, frames, time.monotonic() - start)
            if report is not None:
                report(sent)
    finally:
        await push.close()
    return sent


def run(path: Path, url: str, *, loop: bool, console: Console) -> int:
    """`hlsd publish`: 0 sent (or the user has had enough), 1 refused or broken off, 2 file or URL of no use."""
    try:
        source = Source(path, loop=loop)
    except HlsdError as error:
        console.print(f"hlsd: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    try:
        with Progress(*columns, console=console, refresh_per_second=4) as progress:
            line = progress.add_task(f"{path.name} ({source.tracks})", total=None)

            def report(sent: Sent) -> None:
                progress.update(line, description=f"{path.name} ({source.tracks})  {describe(sent)}")

            sent = asyncio.run(publish(source, url, report))
    except KeyboardInterrupt:
        return 0
    except ValueError as error:
        console.print(f"hlsd: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    except (HlsdError, OSError) as error:
        console.print(f"hlsd: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    console.print(f"{path.name}: sent {describe(sent)}", markup=False, highlight=False)
    return 0


def describe(sent: Sent) -> str:
    """What went out, in words: `0:01:02  2.50 Mbit/s  30.0 fps`."""
    minutes, seconds = divmod(int(sent.media), 60)
    hours, minutes = divmod(minutes, 60)
    span = max(sent.media, 0.001)
    rate = f"{sent.size * 8 / span / 1e6:.2f} Mbit/s"
    return f"{hours}:{minutes:02}:{seconds:02}  {rate}  {sent.frames / span:.1f} fps"
