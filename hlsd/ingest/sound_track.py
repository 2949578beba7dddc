"""Is a publisher's sound on its way to raw frames: its codec and its configuration, in a record or in ADTS headers.

Raises MediaError for what is no AAC, UnsupportedCodec for a codec that is not carried. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.media import aac

if TYPE_CHECKING:
    from hlsd.media.codecs import AudioCodec
    from hlsd.media.unit import AudioTrack


class SoundTrack:
    """One publisher's sound. `configured(track)` hears of each record that is news, and says which track it is now."""

    __slots__ = ("_configured", "_record", "track")

    def __init__(self, configured: Callable[[AudioTrack], AudioTrack]) -> None:
        self._configured = configured
        self._record = b""
        self.track: AudioTrack | None = None
        """As configured last."""

    def configure(self, codec: AudioCodec, record: bytes) -> None:
        """Takes an AudioSpecificConfig."""
        if record == self._record:
            return  # encoders repeat it
        if codec != "aac":
            raise UnsupportedCodec(codec)
        track = aac.read_record(record)
        self._record = record
        self.track = self._configured(track)

    def raw(self, codec: AudioCodec, frame: bytes) -> bytes:
        """The frame without ADTS; empty where it is not known how it is to be heard."""
        if codec != "aac":
            raise UnsupportedCodec(codec)
        if len(frame) > 7 and frame[0] == 0xFF and (framed := aac.split_adts(frame)) is not None:
            record, frame = framed  # cameras that wrap ADTS into FLV, and transport streams
            if self.track is None:
                self.configure(codec, record)
        if self.track is None:
            return b""
        if len(frame) > aac.LARGEST_FRAME:
            raise MediaError("an AAC frame larger than ADTS can carry")
        return frame
