"""Turns the packets of one track into FLV tags, which are the bodies of RTMP messages.

libavformat's own FLV muxer writes them, so that what `hlsd demo` and `hlsd publish` send is made by other code than
what receives it: AVC, HEVC and AV1 (enhanced RTMP `hvc1`, `av01`) with their sequence headers, AAC with its
configuration. One muxer for each track: a shared one would hold each video frame until the next audio frame is there.

FLV 10.1 annex E: file header 9 bytes, then PreviousTagSize (4) and tags of 11 + n bytes; times in milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import av

from hlsd.base.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

AUDIO: Final = 8
VIDEO: Final = 9
SCRIPT: Final = 18
CODECS: Final = ("h264", "hevc", "av1", "aac")
"""What a track may be, in libavcodec's names."""


def codec_name(stream: Stream) -> str:
    """How libavcodec calls what a demuxed stream is coded in, whatever decoder is at hand for it (`libdav1d`)."""
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else "unknown"


UNDATED_LIMIT: Final = 64
"""Packets of a track that may wait for a decoding time."""

_FILE_HEADER: Final = 9
_TAG_HEADER: Final = 11
_OPTIONS: Final = {
    "flvflags": "no_duration_filesize+no_sequence_end",
    "flush_packets": "1",
    # Times are ours: two muxers that shift each for itself would part picture and sound.
    "avoid_negative_ts": "disabled",
}


class Tag(NamedTuple):
    """One message: `kind` is its RTMP type, `time` milliseconds, `body` what follows the tag header."""

    kind: int
    time: int
    body: bytes


class _TagSink:
    """The file that libavformat writes to."""

    def __init__(self) -> None:
        self.pending = bytearray()

    def write(self, chunk: bytes) -> int:
        self.pending += chunk
        return len(chunk)


class Tagger:
    """The muxer of one track; `container` takes the one stream that its user adds."""

    def __init__(self) -> None:
        self._sink = _TagSink()
        self.container: OutputContainer = av.open(self._sink, "w", format="flv", options=_OPTIONS)
        self._at_start = True

    @classmethod
    def copying(cls, template: VideoStream | AudioStream) -> Tagger:
        """A tagger for packets of a demuxed stream."""
        tagger = cls()
        # Without `opaque` PyAV looks for an encoder of the decoder's name, and there is none called libdav1d.
        tagger.container.add_stream_from_template(template, opaque=codec_name(template) == "av1")
        return tagger

    def tags(self, packet: Packet[Any]) -> list[Tag]:
        """The tags that `packet` makes, the track's headers before the first."""
        packet.stream = cast("VideoStream | AudioStream", self.container.streams[0])
        self.container.mux_one(packet)
        made = list(self._parse())
        # The muxer dates headers 0; on the wire they stand where the media they belong to stands.
        return [tag._replace(time=made[-1].time) for tag in made]

    def _parse(self) -> Iterator[Tag]:
        pending = self._sink.pending
        at = 0
        if self._at_start:
            if len(pending) < _FILE_HEADER + 4:
                return
            at = _FILE_HEADER + 4
            self._at_start = False
        while len(pending) - at >= _TAG_HEADER + 4:
            size = int.from_bytes(pending[at + 1 : at + 4], "big")
            end = at + _TAG_HEADER + size
            if len(pending) < end + 4:
                break
            # TimestampExtended is the upper byte: 24 bits first, then the top 8.
            time = int.from_bytes(pending[at + 4 : at + 7], "big") | pending[at + 7] << 24
            yield Tag(pending[at], time, bytes(pending[at + _TAG_HEADER : end]))
            at = end + 4
        del pending[:at]


def dated(packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Gives every packet a decoding time.

    Matroska has none, and libavformat can tell them only once it has seen as many pictures as are reordered: those
    before are dated backwards from the first that it tells. Raises MediaError if it tells none for long.
    """
    waiting: dict[int, list[Packet[Any]]] = {}
    for packet in packets:
        if packet.pts is None and packet.dts is None:
            continue  # the empty packet at the end
        early = waiting.setdefault(packet.stream_index, [])
        if packet.dts is None:
            early.append(packet)
            if len(early) > UNDATED_LIMIT:
                raise MediaError("the source has no decoding times")
            continue
        yield from _backwards(early, packet.dts)
        early.clear()
        yield packet
    for early in waiting.values():
        yield from _backwards(early, max((packet.pts or 0 for packet in early), default=0) + 1)


def _backwards(early: list[Packet[Any]], before: int) -> list[Packet[Any]]:
    for packet in reversed(early):
        before = min(before - max(packet.duration or 1, 1), packet.pts or 0)
        packet.dts = before
    return early
