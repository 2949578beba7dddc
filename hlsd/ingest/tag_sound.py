"""Is the way of a publisher's FLV sound that is no AAC: out of its tags, and over to whoever converts it.

Law: AAC is not for here, unless something else came before it and viewers have been told of another AAC than this: a
change of the codec is nothing that they shall notice, so that is converted too.
"""

from __future__ import annotations

from typing import Literal

from hlsd.base.errors import MediaError
from hlsd.ingest.normaliser import Normaliser
from hlsd.media import aac, flv, flv_sound
from hlsd.media.sounds import SoundFormat
from hlsd.media.unit import Kind
from hlsd.ports import SoundConverter, SoundDesk, SoundTeller

_AAC = 10


class TagSound:
    """One publication's."""

    __slots__ = ("_aac", "_configs", "_converter", "_desk", "_normaliser", "_teller", "_told", "turns_aac")

    def __init__(self, desk: SoundDesk, normaliser: Normaliser, teller: SoundTeller) -> None:
        self.turns_aac = False
        """Whether AAC is converted at this moment."""
        self._desk = desk
        self._normaliser = normaliser
        self._teller = teller
        self._converter: SoundConverter | None = None
        self._configs: dict[str, bytes] = {}
        self._aac = b""  # its configuration, as sent last
        self._told = flv_sound.SoundTold()

    def told(self, script: bytes) -> None:
        """Takes what onMetaData says of the sound."""
        self._told = flv_sound.told_by(script)
        if not self._told.is_aac:
            self._desk.warm()

    def take(self, timestamp: int, tag: bytes, now: float) -> bool:
        """Takes an audio tag; False if it is not for here. Raises MediaError, UnsupportedCodec."""
        if tag[0] >> 4 == _AAC or tag[1:5] == b"mp4a":
            return self._take_aac(tag)
        packet = flv_sound.decode(tag, self._told)
        if packet is None:
            return False
        form = packet.form
        if packet.packet == flv.CONFIG:
            self._configs[form.codec] = packet.body
            self._normaliser.sound_comes()
            self._desk.warm()
        elif packet.packet == flv.FRAMES:
            self.turns_aac = False
            config = self._configs.get(form.codec, b"")
            self._convert(form._replace(config=config) if config else form, timestamp, packet.body, now)
        return True

    def aac(self, _codec: Literal["aac"], timestamp: int, frame: bytes, now: float, _wall: float) -> None:
        """Takes a frame of AAC that is converted, as `Normaliser.audio` does of any other."""
        try:
            self._convert(SoundFormat("aac", self._aac), timestamp, frame, now)
        except MediaError as error:
            self._normaliser.unreadable(Kind.AUDIO, error, now)
        self._normaliser.tick(now)

    def close(self) -> None:
        """The publisher has left."""
        if self._converter is not None:
            self._converter.close()

    def _convert(self, form: SoundFormat, timestamp: int, packet: bytes, now: float) -> None:
        converter = self._converter
        if converter is None:
            converter = self._converter = self._desk.converter(self._normaliser, self._teller, self._channels())
        converter.take(form, timestamp, packet, now)

    def _take_aac(self, tag: bytes) -> bool:
        """Looks at what AAC is configured as; whether that is all that is to be done with the tag."""
        packet = flv.decode_audio(tag)
        if packet is None or packet.packet != flv.CONFIG or not packet.body:
            return False
        self._aac = packet.body
        converter = self._converter
        if converter is None:
            return False
        record = converter.record
        self.turns_aac = not record or not aac.read_record(self._aac).decodes_as(aac.read_record(record))
        if not self.turns_aac:
            converter.aside()
        return self.turns_aac

    def _channels(self) -> int:
        """How many the AAC has that was sent so far, if it is such as comes out of a converter; else 0."""
        if not self._aac:
            return 0
        track = aac.read_record(self._aac)
        alike = (track.object_type, track.sample_rate, track.frame_samples) == (2, 48_000, 1024)
        return track.channels if alike and track.channels in (1, 2) else 0
