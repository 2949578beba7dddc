"""Decodes the packets of one stream to samples of 48 kHz, whatever their codec, rate and layout.

Raises av.FFmpegError for what cannot be decoded, MediaError for a configuration that is none. libav reads strangers'
bytes here: it is for the sound process only.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, cast

import av
from av.audio.codeccontext import AudioCodecContext

from hlsd.base.errors import MediaError
from hlsd.sound.resampler import Resampler

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from hlsd.media.sounds import SoundFormat

_NAMELESS: Final = frozenset(
    {"pcm_alaw", "pcm_f32le", "pcm_mulaw", "pcm_s16le", "pcm_u8", "nellymoser", "speex"}
    | {"adpcm_ima_smjpeg", "adpcm_swf"}
)
"""Codecs whose packets do not say their rate and channels."""
_STREAMINFO: Final = 34
_DUMMY: Final = 4096
"""Bytes of a file that is made to be told of."""


def decoder(form: SoundFormat) -> AudioCodecContext:
    """A decoder for packets of `form`. Raises as the module."""
    if form.codec.startswith("g726"):
        return _g726(form)
    context = cast(AudioCodecContext, av.CodecContext.create({"mp3": "mp3float"}.get(form.codec, form.codec), "r"))
    context.thread_count = 1
    if form.codec in _NAMELESS:
        context.sample_rate = form.rate or 8_000
        context.layout = "stereo" if form.channels == 2 else "mono"
    if (extradata := _extradata(form)) is not None:
        context.extradata = extradata
    context.open()
    return context


def _g726(form: SoundFormat) -> AudioCodecContext:
    """A decoder of G.726, whose bits of a sample only the reader of a file can tell it."""
    bits = form.config[0] if form.config else 4
    if not 2 <= bits <= 5:
        raise MediaError(f"G.726 of {bits} bits")
    with av.open(io.BytesIO(bytes(_DUMMY)), "r", format=form.codec, options={"code_size": str(bits)}) as container:
        context = container.streams.audio[0].codec_context
    context.thread_count = 1
    return context


def _extradata(form: SoundFormat) -> bytes | None:
    config = form.config
    if form.codec == "flac":
        if config[:4] == b"fLaC":
            config = config[8:]  # its mark and the header of its first metadata block
        return config[:_STREAMINFO] if len(config) >= _STREAMINFO else None
    if form.codec == "opus":
        if config[:8] != b"OpusHead":
            return None
        if len(config) < 19:
            raise MediaError("an OpusHead that is cut off")
        # Without its pre-skip: FLV stamps the first packet as if all of it were heard, and the sound would come early.
        return config[:10] + b"\x00\x00" + config[12:]
    if form.codec == "aac":
        return config or None
    return None


class SoundDecoder:
    """The decoder of one stream; `channels` (1 or 2) of what comes out is given, or told by the first sound."""

    def __init__(self, form: SoundFormat, channels: int = 0) -> None:
        self.channels = channels
        """Of what comes out; 0: nothing has been decoded yet."""
        self._context = decoder(form)
        self._resampler: Resampler | None = None

    def decode(self, packet: bytes) -> list[list[bytes]]:
        """The samples that the packet makes: for each piece one plane of 32-bit floats for each channel."""
        return [planes for frame in self._context.decode(av.Packet(packet)) for planes in self._fitted(frame)]

    def rest(self) -> list[list[bytes]]:
        """What is still inside: nothing more will come."""
        found = [planes for frame in self._context.decode(None) for planes in self._fitted(frame)]
        if self._resampler is not None:
            found += self._resampler.rest()
        self._resampler = None
        return found

    def _fitted(self, frame: AudioFrame) -> Iterator[list[bytes]]:
        resampler = self._resampler
        if resampler is None or (frame.sample_rate, frame.layout.name, frame.format.name) != resampler.like:
            if resampler is not None:  # its last samples are of before
                yield from resampler.rest()
            self.channels = self.channels or min(2, frame.layout.nb_channels)
            resampler = self._resampler = Resampler(frame, "mono" if self.channels == 1 else "stereo")
        yield from resampler.add(frame)
