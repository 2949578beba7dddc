"""Encodes samples of 48 kHz as AAC-LC or Opus, and says where each frame belongs.

libavcodec's encoder of AAC looks one frame ahead: the frame that it stamps -1,024 is played before the first sample, so
that frames taken at their stamps are in time; libopus looks 312 samples ahead. Nothing is decoded here.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from hlsd.sound.clock import FRAME, RATE
from hlsd.sound.wire import Frame

PACKET: Final = 960
"""Samples in a packet of Opus: 20 ms, as all senders of WebRTC have it."""


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """As if the machine had one core.

    PyAV puts a filter graph in front of each encoder, at its first frame, with a thread for each core it may run on and
    8 MiB of address space for each of them: with 16 cores four streams would be all that the process has room for.
    """
    cores = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):  # a jail may forbid it: that costs address space, and no sound
        os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, cores)


class SoundEncoder:
    """The encoder of one stream to AAC: `channels` 1 or 2, `bitrate` in bits per second."""

    SAMPLES = FRAME
    """Of one frame."""

    def __init__(self, channels: int, bitrate: int) -> None:
        self._layout = "mono" if channels == 1 else "stereo"
        self._bitrate = bitrate
        self._fresh = True
        self._context = self._begun()
        self._planes = [bytearray() for _ in range(channels)]
        self._fed = 0
        self._anchors: deque[tuple[int, int]] = deque()
        """From which sample on, by the encoder's count, positions are how far from it."""

    @property
    def room(self) -> int:
        """Samples up to the next frame."""
        return self.SAMPLES - len(self._planes[0]) // 4

    def anchor(self, at: int) -> list[Frame]:
        """What follows begins at position `at`; what does not fill a frame of before is filled with silence."""
        made = self._fill()
        self._anchors.append((self._fed, at - self._fed))
        return made

    def add(self, planes: list[bytes]) -> list[Frame]:
        """The frames that these samples complete; a plane of 32-bit floats for each channel."""
        for kept, samples in zip(self._planes, planes, strict=True):
            kept.extend(samples)
        made: list[Frame] = []
        size = 4 * self.SAMPLES
        while len(self._planes[0]) >= size:
            frame = self._frame()
            for plane, kept in zip(frame.planes, self._planes, strict=True):
                plane.update(bytes(kept[:size]))
                del kept[:size]
            self._fed += self.SAMPLES
            made += self._encode(frame)
        return made

    def silence(self, samples: int) -> list[Frame]:
        """As `add`, for samples in which nothing is heard."""
        return self.add([bytes(4 * samples)] * len(self._planes))

    def end(self) -> list[Frame]:
        """All that is left: nothing follows."""
        return [*self._fill(), *self._encode(None)]

    def _fill(self) -> list[Frame]:
        left = len(self._planes[0])
        return self.silence(self.SAMPLES - left // 4) if left else []

    def _encode(self, frame: AudioFrame | None) -> list[Frame]:
        try:
            packets = self._encoded(frame)
        except av.FFmpegError:
            # Damage has made numbers of it that are none. An encoder keeps the last frame, so it is begun anew; its
            # first packet stands where the one would that is missing now.
            self._context = self._begun()
            packets = self._encoded(self._silent(frame.pts)) if frame is not None and frame.pts else []
        made = []
        anchors = self._anchors
        for packet in packets:
            pts = packet.pts if packet.pts is not None else 0
            while len(anchors) > 1 and anchors[1][0] <= pts:
                anchors.popleft()
            made.append(Frame(pts + anchors[0][1], bytes(packet)))
        return made

    def _encoded(self, frame: AudioFrame | None) -> list[Packet[AudioStream]]:
        if not self._fresh:
            return self._context.encode(frame)
        self._fresh = False
        with _one_core():
            return self._context.encode(frame)

    def _begun(self) -> AudioCodecContext:
        self._fresh = True
        context = self._created()
        context.sample_rate = RATE
        context.layout = self._layout
        context.bit_rate = self._bitrate
        context.open()
        return context

    def _created(self) -> AudioCodecContext:
        context = av.CodecContext.create("aac", "w")
        context.format = "fltp"
        # The other coder takes two and a half times as long. What the fast one decides on stereo, noise and time costs
        # a sixth more and is no better: music was 20.6 dB from the original without it, 19.0 with it, at 128 kbit/s.
        context.options = {"aac_coder": "fast", "aac_ms": "0", "aac_is": "0", "aac_pns": "0", "aac_tns": "0"}
        return context

    def _frame(self) -> AudioFrame:
        frame = AudioFrame(format="fltp", layout=self._layout, samples=self.SAMPLES)
        frame.sample_rate = RATE
        frame.pts = self._fed
        return frame

    def _silent(self, pts: int) -> AudioFrame:
        frame = self._frame()
        frame.pts = pts
        for plane in frame.planes:
            plane.update(bytes(4 * self.SAMPLES))
        return frame


class OpusEncoder(SoundEncoder):
    """The same to Opus."""

    SAMPLES = PACKET

    def _created(self) -> AudioCodecContext:
        context = av.CodecContext.create("libopus", "w")
        context.format = "flt"
        # What a lost packet had is in the next one, not so well; 5 of 10 is half the work, and was not told apart.
        context.options = {"application": "audio", "frame_duration": "20", "fec": "1", "packet_loss": "5",
                           "compression_level": "5"}  # fmt: skip
        return context
