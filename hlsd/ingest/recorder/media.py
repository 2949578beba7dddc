"""Hands what readers give out to a publication: pictures to its `Normaliser`, sound that is no AAC to a converter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.ingest.normaliser import Normaliser
from hlsd.ingest.picture_order import PictureOrder
from hlsd.ingest.recorder.clock import RecordingClock
from hlsd.ingest.recorder.pieces import RecordedTracks
from hlsd.media import nal
from hlsd.media.sounds import SOUNDS, SoundFormat
from hlsd.media.unit import Kind

if TYPE_CHECKING:
    from hlsd.ingest.recorder.pieces import RecordedItem, RecordedPiece, RecordedTrack
    from hlsd.ports import Publication, SoundConverter, SoundDesk
    from hlsd.ports.converted_pictures import PictureConverter, PictureDesks

_START_CODES: Final = (b"\0\0\1", b"\0\0\0\1")


class RecordedMedia:
    """One publication's. Raises UnsupportedCodec where nothing usable is left, as its `Normaliser` does."""

    def __init__(
        self, publication: Publication, now: float, sound: SoundDesk | None, pictures: PictureDesks = lambda: None
    ) -> None:
        self.normaliser = Normaliser(publication, now)
        self.clock = RecordingClock()
        self.begun = False
        """Whether a picture or sound has come."""
        self._publication = publication
        self._order = PictureOrder(Remarks(publication.remark), "only MP4 has")
        self._desk = sound
        self._converter: SoundConverter | None = None
        self._pictures = pictures
        self._conversion: PictureConverter | None = None

    @property
    def held(self) -> int:
        """Bytes that have not been handed over yet."""
        return self.normaliser.held + (self._conversion.held if self._conversion is not None else 0)

    def take(self, item: RecordedItem, now: float, wall: float) -> None:
        """Takes what a reader gave."""
        if isinstance(item, RecordedTracks):
            self._take_tracks(item, now)
            return
        if not item.data:
            return
        ms, jumped = self.clock.stamp(item.dts, now)
        if jumped:
            self.normaliser.jumped()
        self.begun = True
        if item.track.kind is Kind.VIDEO:
            self._take_picture(item, ms & 0xFFFFFFFF, now, wall)
        else:
            self._take_sound(item, ms & 0xFFFFFFFF, now, wall)

    def resume(self, now: float) -> None:
        """The recorder was paused, and is no more."""
        self.clock.resume(now)
        self.normaliser.jumped()

    def tick(self, now: float) -> None:
        """Lets time pass."""
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
        self._carry()

    def _take_tracks(self, item: RecordedTracks, now: float) -> None:
        if item.anew:
            self.clock.begin(now)
            kinds = {track.kind for track in item.tracks}
            self.normaliser.expect(picture=Kind.VIDEO in kinds, sound=Kind.AUDIO in kinds, now=now)
        for track in item.tracks:
            if track.kind is Kind.VIDEO:
                if track.codec is None:
                    self._convert_pictures(track)
                    continue
                self._carry()
                if track.record:
                    self.normaliser.video_config(track.codec, track.record, now)
            elif track.form is None:
                self.normaliser.unreadable(Kind.AUDIO, UnsupportedCodec(track.name), now)
            elif track.form.codec == "aac" and self._converter is None:
                if track.form.config:
                    self.normaliser.audio_config("aac", track.form.config, now)
            elif self._desk is not None:
                self._desk.warm()
                self.normaliser.sound_comes()

    def _take_picture(self, piece: RecordedPiece, ms: int, now: float, wall: float) -> None:
        track, data = piece.track, piece.data
        codec = track.codec
        if codec is None:
            conversion = self._convert_pictures(track)
            assert track.convertible is not None
            conversion.take(track.convertible, ms, data, piece.key, now)
            self.normaliser.tick(now)
            return
        self._order.look(piece.dts // 1000, now)
        cts = (piece.cts + 500) // 1000
        if codec == "av1" or track.record or not data.startswith(_START_CODES):
            self.normaliser.video(codec, ms, cts, data, piece.key, now, wall)
            return
        # Four bytes of start code may be read as a length, too: of who declared no lengths they are what they seem.
        try:
            units = nal.split_start_codes(data)
        except MediaError as error:
            self.normaliser.unreadable(Kind.VIDEO, error, now)
            return
        self.normaliser.video_units(codec, ms, cts, units, piece.key, now, wall)

    def _convert_pictures(self, track: RecordedTrack) -> PictureConverter:
        """Who converts them. Raises UnsupportedCodec if nobody does."""
        if self._conversion is None:
            desk = self._pictures() if track.convertible is not None else None
            if desk is None:
                raise UnsupportedCodec(track.name)
            self._conversion = desk.converter(self.normaliser, self._publication)
        return self._conversion

    def _carry(self) -> None:
        """What follows goes as it comes, or there is nobody any more to whom it could go."""
        conversion, self._conversion = self._conversion, None
        if conversion is not None:
            conversion.close()

    def _take_sound(self, piece: RecordedPiece, ms: int, now: float, wall: float) -> None:
        form = piece.track.form
        if form is None:
            self.normaliser.tick(now)
        elif form.codec == "aac" and self._converter is None:
            self.normaliser.audio("aac", ms, piece.data, now, wall)
        else:
            self._convert(form, ms, piece.data, now)

    def _convert(self, form: SoundFormat, ms: int, packet: bytes, now: float) -> None:
        """Sound that is no AAC; and AAC behind such, since a change of codec is nothing that viewers shall notice."""
        try:
            if self._converter is None:
                if self._desk is None:
                    raise UnsupportedCodec(SOUNDS[form.codec])
                self._converter = self._desk.converter(self.normaliser, self._publication)
            self._converter.take(form, ms, packet, now)
        except MediaError as error:
            self.normaliser.unreadable(Kind.AUDIO, error, now)
        self.normaliser.tick(now)
