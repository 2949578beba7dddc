"""Is the way of a publisher's FLV sound that is no AAC: out of its tags, and over to whoever converts it.

Raises MediaError for tags that cannot be read, UnsupportedCodec for what is not converted.
"""

from __future__ import annotations

from hlsd.media import flv, flv_sound
from hlsd.ports import SoundConverter, SoundDesk, SoundSink, SoundTeller

_AAC = 10


class TagSound:
    """One publication's."""

    __slots__ = ("_configs", "_converter", "_desk", "_sink", "_teller", "_told")

    def __init__(self, desk: SoundDesk, sink: SoundSink, teller: SoundTeller) -> None:
        self._desk = desk
        self._sink = sink
        self._teller = teller
        self._converter: SoundConverter | None = None
        self._configs: dict[str, bytes] = {}
        self._told = flv_sound.SoundTold()

    def told(self, script: bytes) -> None:
        """Takes what onMetaData says of the sound."""
        self._told = flv_sound.told_by(script)
        if not self._told.is_aac:
            self._desk.warm()

    def take(self, timestamp: int, tag: bytes, now: float) -> bool:
        """Takes an audio tag; False if it is not for here: AAC, or nothing that is known."""
        if tag[0] >> 4 == _AAC or tag[1:5] == b"mp4a":
            return False
        packet = flv_sound.decode(tag, self._told)
        if packet is None:
            return False
        form = packet.form
        if packet.packet == flv.CONFIG:
            self._configs[form.codec] = packet.body
            self._sink.sound_comes()
            self._desk.warm()
        elif packet.packet == flv.FRAMES:
            config = self._configs.get(form.codec, b"")
            converter = self._converter
            if converter is None:
                converter = self._converter = self._desk.converter(self._sink, self._teller)
            converter.take(form._replace(config=config) if config else form, timestamp, packet.body, now)
        return True

    def close(self) -> None:
        """The publisher has left."""
        if self._converter is not None:
            self._converter.close()
