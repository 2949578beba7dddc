"""Brings decoded frames to 48 kHz floating point, in mono or stereo.

PyAV's own resampler makes a filter graph with a thread for each core, and 8 MiB of address space for each of them: on a
machine of 32 cores two streams would take all that the sound process may have. Here the graph has no threads.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, cast

import av
from av.filter import Graph

from hlsd.sound.clock import RATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame

_SAMPLE: Final = 4
"""Bytes of a sample as floating point."""


class Resampler:
    """For frames that are all like `first`. What comes out is one plane of 32-bit floats for each channel.

    Raises av.FFmpegError for a frame that is not like the first.
    """

    def __init__(self, first: AudioFrame, layout: str) -> None:
        self.like = first.sample_rate, first.layout.name, first.format.name
        self._graph: Graph | None = None
        if self.like == (RATE, layout, "fltp"):
            return
        graph = self._graph = Graph()
        graph.threads = 1
        rate, name, form = self.like
        self._source = graph.add("abuffer", sample_rate=str(rate), sample_fmt=form, channel_layout=name)
        wanted = graph.add("aformat", sample_rates=str(RATE), sample_fmts="fltp", channel_layouts=layout)
        self._sink = graph.add("abuffersink")
        graph.link_nodes(self._source, wanted, self._sink).configure()

    def add(self, frame: AudioFrame) -> Iterator[list[bytes]]:
        """What the frame makes, but for what the filter keeps: 16 samples of the source's rate."""
        if self._graph is None:
            yield _planes(frame)
            return
        frame.pts = None  # samples are counted by who asks
        self._source.push(frame)
        # The filter makes one frame of one, or none. To ask until it has no more would cost an exception each time.
        yield from islice(self._pulled(), 1)

    def rest(self) -> Iterator[list[bytes]]:
        """What the filter has kept: nothing follows."""
        if self._graph is not None:
            self._source.push(None)
            yield from self._pulled()

    def _pulled(self) -> Iterator[list[bytes]]:
        while True:
            try:
                frame = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield _planes(cast("AudioFrame", frame))


def _planes(frame: AudioFrame) -> list[bytes]:
    size = frame.samples * _SAMPLE
    return [memoryview(plane)[:size].tobytes() for plane in frame.planes]
