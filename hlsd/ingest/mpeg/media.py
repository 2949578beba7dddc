"""Hands what demultiplexers give out to a publication: pictures to its `Normaliser`, sound to it or to a converter.

The counterpart of `hlsd.ingest.intake` for whatever comes in the byte stream format with times of 90 kHz. Law: as
there, nothing a publisher sends raises but UnsupportedCodec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.ingest.media_clock import MediaClock
from hlsd.ingest.mpeg.items import MpegLoss, MpegPicture, MpegSound, MpegStreams
from hlsd.ingest.mpeg.tags import TimedTags
from hlsd.ingest.normaliser import Normaliser
from hlsd.media import nal
from hlsd.media.sounds import SOUNDS
from hlsd.media.unit import Kind

if TYPE_CHECKING:
    from hlsd.ingest.mpeg.items import MpegItem
    from hlsd.ingest.script_events import EventLimits
    from hlsd.ports import Publication, SoundConverter, SoundDesk

_CLOCK: Final = 90_000
_BITS: Final = 33
LOST: Final = "packets are missing: up to the next key picture nothing is shown"


class MpegMedia:
    """One publication's. `sound` takes what of it is not AAC, where it is given."""

    def __init__(
        self, publication: Publication, now: float, sound: SoundDesk | None = None, events: EventLimits | None = None
    ) -> None:
        self._tags = TimedTags(publication, events)
        self.normaliser = Normaliser(publication, now, began=self._begin)
        self.begun = False
        """Whether a picture or sound has come."""
        self._publication = publication
        self._remarks = Remarks(publication.remark)
        self._clock = MediaClock(_CLOCK, _BITS)
        self._desk = sound
        self._converter: SoundConverter | None = None
        self._config = b""

    @property
    def held(self) -> int:
        """Bytes that have not been handed over yet."""
        return self.normaliser.held

    def take(self, item: MpegItem, now: float, wall: float) -> bool:
        """Takes what a demultiplexer gave; whether it was media.

        Raises UnsupportedCodec where nothing usable is left.
        """
        if isinstance(item, MpegPicture):
            self._take_picture(item, now, wall)
        elif isinstance(item, MpegSound):
            self._take_sound(item, now, wall)
        elif isinstance(item, MpegLoss):
            self._lose(item.kind, now)
            return False
        elif isinstance(item, MpegStreams):
            self._take_streams(item, now)
            return False
        else:
            self._tags.take(self._clock.ms(item.pts), item.data, self.normaliser.timeline.at, now)
            return False
        self.begun = True
        return True

    def tick(self, now: float) -> None:
        """Lets time pass. Raises as `take`."""
        self.normaliser.tick(now)

    def close(self) -> None:
        """Nothing follows: what is held goes out."""
        self.release()
        self.normaliser.close()

    def release(self) -> None:
        """The publication is gone: nothing of it may be called any more."""
        converter, self._converter = self._converter, None
        if converter is not None:
            converter.close()

    def _begin(self) -> None:
        self._tags.begin(self.normaliser.timeline.at)

    def _take_streams(self, told: MpegStreams, now: float) -> None:
        normaliser = self.normaliser
        if told.others:
            self._publication.tracks_left_out(told.others)
        if told.refused:
            normaliser.unreadable(Kind.VIDEO, UnsupportedCodec(told.picture), now)
        if told.silent:
            normaliser.unreadable(Kind.AUDIO, UnsupportedCodec(told.sound), now)
        sound = bool(told.sound) and not told.silent
        if told.picture or sound:
            normaliser.expect(picture=bool(told.picture), sound=sound, now=now)

    def _take_picture(self, picture: MpegPicture, now: float, wall: float) -> None:
        try:
            units = nal.split_start_codes(picture.data)
        except MediaError as error:
            self.normaliser.unreadable(Kind.VIDEO, error, now)
            return
        ms, cts = self._clock.stamp(picture.dts, picture.pts)
        self.normaliser.video_units(picture.codec, ms, cts, units, picture.key, now, wall)

    def _take_sound(self, sound: MpegSound, now: float, wall: float) -> None:
        form, ms = sound.form, self._clock.ms(sound.pts)
        if form.codec == "aac" and self._converter is None:
            if form.config != self._config:
                self._config = form.config
                self.normaliser.audio_config("aac", form.config, now)
            self.normaliser.audio("aac", ms, sound.data, now, wall)
            return
        try:  # AAC behind other sound too: a change of codec is nothing that viewers shall notice
            if self._converter is None:
                if self._desk is None:
                    raise UnsupportedCodec(SOUNDS[form.codec])
                self._converter = self._desk.converter(self.normaliser, self._publication)
            self._converter.take(form, ms, sound.data, now)
        except MediaError as error:
            self.normaliser.unreadable(Kind.AUDIO, error, now)
        self.normaliser.tick(now)

    def _lose(self, kind: Kind, now: float) -> None:
        self._publication.repaired("bad_tag")
        if kind is Kind.VIDEO:
            self.normaliser.lose()
            self._remarks.note(LOST, now)
