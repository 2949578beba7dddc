"""Turns what a publisher sends, by whatever protocol, into tracks and access units for its publication.

A way in hands over what it has taken out of its protocol: configurations, access units and frames, each with the name
of its codec, foreign ones too. It need not know when a stream begins, nor how encoders misuse their containers.

Law: nothing a publisher sends raises here but UnsupportedCodec, and that only where nothing usable is left (a refusal
with a reason instead of a silent black picture): video of which nothing else was ever sent, or sound that is all there
is; what cannot be read is dropped, counted and, once a minute, told. Units begin with a key picture after the start and
after a change of the video's configuration, and what is handed over always decodes (`KeyGate`). A jump of the clock
costs no picture: it is announced at the next key picture. Both tracks are waited for (`Opening`, TL04); a track that
comes later, or changes, is announced at the next key picture.

Times: `timestamp` (decoding time) in ms modulo 2^32 on the source's clock, one for both tracks (`media_clock` makes
such of others), `cts` in ms behind it (PTS - DTS, may be negative), `now` monotonic seconds, `wall` seconds since the
epoch. No clock reads, no IO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.ingest.key_gate import KeyGate
from hlsd.ingest.opening import PICTURE_PATIENCE, Held, Opening
from hlsd.ingest.picture_track import PictureTrack
from hlsd.ingest.sound_track import SoundTrack
from hlsd.ingest.timeline import Timeline
from hlsd.media import aac, nal
from hlsd.media.codecs import ORDINARY, AudioCodec, VideoCodec
from hlsd.media.unit import AccessUnit, Aside, AudioTrack, Kind, Tracks, VideoTrack
from hlsd.ports import Publication

QUIET: Final = 2.0
"""Seconds without video after which a change of the audio no longer waits for a key picture."""

_KEY_OR_RASL = nal.KEY | nal.RASL
_VIDEO = Kind.VIDEO
_AUDIO = Kind.AUDIO
_length = Struct(">I").unpack_from
_make = tuple.__new__  # an AccessUnit without the detour by its own __new__, which takes as long again


class Normaliser:
    """One publisher's media from its first message to its last. `began()`: what was held at first has gone out."""

    def __init__(
        self, publication: Publication, now: float, *, patience: float = 2.0, began: Callable[[], object] = int
    ) -> None:
        self._publication = publication
        self._unit = publication.unit
        self.repaired = publication.repaired
        """Counts what was dropped or mended."""
        self._began = began
        self.timeline = Timeline(publication.origin, jump=self.jumped, repaired=publication.repaired)
        self._remarks = Remarks(publication.remark)
        self.opening: Opening | None = Opening(now, patience)
        """What is held until the stream begins; None from then on."""
        self._closed = False
        self._tracks = Tracks()  # as announced
        self._pictures = PictureTrack(self, self._remarks)
        self._sound = SoundTrack(self._sound_configured)
        self._gate = KeyGate()
        self._seam = False  # whether a jump of the clock has yet to be announced
        self._seam_at = 0.0  # when sound was first heard behind it
        self._audio_heard = False
        self._foreign: tuple[UnsupportedCodec, float] | None = None  # sound that is not carried, and since when
        self._video_seen = now
        # Where nothing is in the way nearly every picture and every frame goes straight through: the codec whose
        # pictures may, and of sound. Whoever changes anything that pictures depend on empties `_plain`.
        self._plain: str = ""
        self._sounds: str = ""
        self._ordinary, self._first = ORDINARY["h264"]

    # what a way in calls

    def video_config(self, codec: VideoCodec, record: bytes, now: float) -> None:
        """Takes a decoder configuration record (ISO/IEC 14496-15), as often as it is sent.

        Who sends parameter sets in-band needs none. Raises UnsupportedCodec, as all that follow.
        """
        if self._closed:
            return
        self._plain = ""
        try:
            self._pictures.configure(codec, record, now)
        except MediaError as error:
            self._complain(_VIDEO, error, now)
        self._start_if_due(now)

    def video(  # noqa: PLR0913, PLR0917 - one for each picture: neither keywords nor a tuple
        self, codec: VideoCodec, timestamp: int, cts: int, data: bytes, key: bool, now: float, wall: float
    ) -> None:
        """Takes an access unit, or what a message holds of one: NAL units behind lengths as the configuration says.

        Without a configuration lengths have 4 bytes; parameter sets, delimiters and filler may be in it. `key` is what
        the sender claims, not what the picture is.
        """
        self._video_seen = now
        size = len(data)
        if (
            codec == self._plain
            and not key
            and size > 6
            and _length(data)[0] + 4 == size  # one NAL unit
            and self._ordinary[data[4]]
            and data[self._first] >= 0x80
        ):
            self._pictures.whole_at = timestamp
            dts, pts = self.timeline.video(timestamp, cts, now)
            self._unit(_make(AccessUnit, (_VIDEO, dts, pts, False, False, data, wall)))
        else:
            self._take(codec, timestamp, cts, data, key, now, wall, 0)

    def video_units(  # noqa: PLR0913, PLR0917 - as `video`
        self, codec: VideoCodec, timestamp: int, cts: int, units: Sequence[bytes], key: bool, now: float, wall: float
    ) -> None:
        """As `video`, for NAL units without lengths (RTP, `nal.split_start_codes`); empty ones are left out."""
        self._video_seen = now
        self._take(codec, timestamp, cts, nal.join([unit for unit in units if unit]), key, now, wall, 4)

    def colour(self, told: Aside) -> None:
        """Takes what is said of the picture beside its parameter sets; `Aside()` takes it back."""
        self._pictures.asides(told)

    def audio_config(self, codec: AudioCodec, record: bytes, now: float) -> None:
        """Takes an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1), as often as it is sent. ADTS needs none."""
        if self._closed:
            return
        self._sounds = ""
        try:
            self._sound.configure(codec, record)
        except MediaError as error:
            self._complain(_AUDIO, error, now)
        self._start_if_due(now)

    def audio(self, codec: AudioCodec, timestamp: int, frame: bytes, now: float, wall: float) -> None:
        """Takes one frame, raw or behind an ADTS header."""
        if codec != self._sounds or not frame or frame[0] == 0xFF or len(frame) > aac.LARGEST_FRAME:
            frame = self._first_look(codec, timestamp, frame, now, wall)
            if not frame:
                return
        dts = self.timeline.audio(timestamp, now)
        if self._seam and (self._tracks.video is None or self._is_picture_gone(now)):
            self._jump()
        if self._sound.track is not self._tracks.audio:
            if self._tracks.video is not None and now - self._video_seen < QUIET:
                return  # announced with the next key picture
            self._gate.need_key = True
            self._plain = ""
            self._announce()
        if dts is not None:
            self._unit(_make(AccessUnit, (_AUDIO, dts, dts, True, True, frame, wall)))

    def expect(self, *, picture: bool, sound: bool, now: float) -> None:
        """Takes which tracks were announced, and only that: for a single one less patience will do."""
        if self.opening is not None:
            self.opening.expect(picture=picture, sound=sound, now=now)
            self._start_if_due(now)

    def sound_comes(self) -> None:
        """There will be sound, which is still being converted: it is waited for."""
        if self.opening is not None:
            self.opening.sound_announced = True

    def at(self, timestamp: int) -> int | None:
        """Where that is on the stream, in ticks, of what is no frame; None before it has begun."""
        return self.timeline.at(timestamp) if self.opening is None and not self._closed else None

    def lose(self) -> None:
        """Something of the picture is missing: nothing more is decoded before the next key picture."""
        self._pictures.hand_on()  # which came before: as a key picture it would end what begins here
        self._gate.need_key, self._plain = True, ""

    def unreadable(self, kind: Kind, error: MediaError, now: float) -> None:
        """Something of a track came that cannot be read, or, UnsupportedCodec, whose codec is not carried."""
        if self._closed:
            return
        self._complain(kind, error, now)
        self._start_if_due(now)

    @property
    def held(self) -> int:
        """Bytes of media not handed over yet."""
        return self._pictures.held + (self.opening.bytes if self.opening else 0)

    def tick(self, now: float) -> None:
        """Lets time pass: starts with what is there when patience is at an end."""
        if self.opening is not None:
            self._start_if_due(now)
        elif not self._plain:
            self._pictures.tick(now)

    def close(self) -> None:
        """The publisher has left: what is still held goes out."""
        if not self._closed:
            now = self._pictures.close()
            if self.opening is not None and len(self.opening):
                self._start(self.opening, now)
        self._closed = True
        self._plain = self._sounds = ""

    # what goes wrong

    def _complain(self, kind: Kind, error: MediaError, now: float) -> None:
        if isinstance(error, UnsupportedCodec):
            if kind is _VIDEO and self._pictures.track is None:
                raise error
            if kind is _AUDIO and self._sound.track is None:
                self._leave_out(error, now)
                return
        self.repaired("bad_tag")
        self._remarks.note("bad tag dropped", now, reason=str(error))

    def _leave_out(self, error: UnsupportedCodec, now: float) -> None:
        """Sound in a codec that is not carried costs only the sound, where there is a picture."""
        if self._foreign is None:
            self._foreign = (error, now)
            if self.opening is None:
                self._publication.left_out((error.codec,))

    def _take(  # noqa: PLR0913, PLR0917 - as `video`
        self,
        codec: VideoCodec,
        timestamp: int,
        cts: int,
        data: bytes,
        key: bool,
        now: float,
        wall: float,
        length_size: int,
    ) -> None:
        """Takes what is anything but one ordinary slice that is a picture."""
        if self._closed:
            return
        self._plain = ""
        pictures = self._pictures
        try:
            pictures.take(codec, timestamp, cts, data, key, now, wall, length_size)
        except MediaError as error:
            self._complain(_VIDEO, error, now)
        if self.opening is not None:
            self._start_if_due(now)
        elif pictures.plain and not self._gate.need_key and not self._gate.refreshing:
            self._ordinary, self._first = ORDINARY[codec]
            self._plain = codec

    def picture(  # noqa: PLR0913, PLR0917 - a tuple for each picture would cost more
        self, timestamp: int, cts: int, flags: int, claims_key: bool, payload: bytes, wall: float, now: float
    ) -> None:
        """As `PictureTaker`."""
        pictures, gate = self._pictures, self._gate
        assert pictures.codec is not None
        flags = gate.marked(flags, pictures.codec, claims_key, payload)
        key = flags & nal.KEY != 0
        if key:
            pictures.look_aside(payload)
        if self.opening is not None:
            if self._admit(flags):
                self.opening.hold(Held(_VIDEO, timestamp, cts, flags, payload, now, wall, pictures.track), now)
            return
        dts, pts = self.timeline.video(timestamp, cts, now)
        if gate.need_key or flags & _KEY_OR_RASL:
            if key and self._seam:
                gate.need_key = True  # decoding starts here for who crosses the seam: without RASL pictures, that is
            if not self._admit(flags):
                return
            if key and self._seam:
                self._jump()
            if key and (pictures.track is not self._tracks.video or self._sound.track is not self._tracks.audio):
                self._announce()
        self._unit(_make(AccessUnit, (_VIDEO, dts, pts, key, key and gate.clean, payload, wall)))

    def configured(self, track: VideoTrack, now: float) -> VideoTrack:
        """As `PictureTaker`: pictures up to the next key picture would be of neither configuration."""
        if self.opening is not None:
            self.opening.announce_picture(now)
        old = self._pictures.track
        if old is not None and track == old:
            return old
        self._gate.need_key = True
        announced = self._tracks.video
        return announced if announced is not None and track == announced else track

    def switched(self, *, forget: bool) -> None:
        """As `PictureTaker`."""
        self._gate.need_key = True
        if forget and self.opening is not None:
            self.opening.forget(_VIDEO)

    def _admit(self, flags: int) -> bool:
        """Whether a picture with these classes can be decoded after what was handed over."""
        admitted = self._gate.admits(flags, self._pictures.codec, known=self._pictures.track is not None)
        if not admitted and self._gate.need_key:
            self.repaired("leading")
        return admitted

    # audio

    def _first_look(self, codec: AudioCodec, timestamp: int, frame: bytes, now: float, wall: float) -> bytes:
        """The raw frame that is to be stamped now; none where it is kept, or nothing to be heard."""
        if self._closed:
            return b""
        try:
            frame = self._sound.raw(codec, frame)
        except MediaError as error:
            self._complain(_AUDIO, error, now)
            frame = b""
        if frame:
            self._audio_heard = True
        if self.opening is None:
            self._sounds = codec if self._sound.track is not None else ""
            return frame
        if frame:
            self.opening.hold(Held(_AUDIO, timestamp, 0, 0, frame, now, wall, None), now)
        self._start_if_due(now)
        return b""

    def _sound_configured(self, track: AudioTrack) -> AudioTrack:
        """There is sound: returns its track, which is the one before if it is the same in other bytes."""
        opening, old = self.opening, self._sound.track
        if opening is not None:
            opening.sound_announced = True
        if self._foreign is not None:
            self._foreign = None
            self._publication.left_out(())
        if old is not None and track.decodes_as(old):
            return old
        self.timeline.sound(track.sample_rate, track.frame_samples)
        if opening is not None:
            opening.forget(_AUDIO)
            self._audio_heard = False
        announced = self._tracks.audio
        return announced if announced is not None and track.decodes_as(announced) else track

    def _start_if_due(self, now: float) -> None:
        opening = self.opening
        if opening is None:
            return
        self._pictures.tick(now)
        foreign = self._foreign
        if foreign is not None and not opening.pictures:
            patience = PICTURE_PATIENCE if opening.picture_announced is not None else opening.patience
            if now - foreign[1] >= patience:
                raise foreign[0]
        if opening.due(now, sound=self._audio_heard or foreign is not None):
            self._start(opening, now)

    def _start(self, opening: Opening, now: float) -> None:
        """Announces what has come, and hands over what was held."""
        self._pictures.begin()
        if (short := opening.short_of(sound=self._audio_heard)) is not None:
            self._remarks.note(short[0], now, **short[1])
        held = opening.take()
        self.opening = None
        if self._foreign is not None:
            self._publication.left_out((self._foreign[0].codec,))
        sound = self._sound.track if self._audio_heard else None
        self._tracks = Tracks(next((unit.track for unit in held if unit.kind is _VIDEO), None), sound)
        self._publication.tracks(self._tracks)
        awaits_key, self._gate.need_key = self._gate.need_key, True
        self.timeline.begin([unit.timestamp for unit in held])
        for kind, timestamp, cts, flags, payload, came, arrived, track in held:
            if kind is _AUDIO:
                dts = self.timeline.audio(timestamp, came)
                if dts is not None:
                    self._unit(AccessUnit(_AUDIO, dts, dts, True, True, payload, arrived))
                continue
            dts, pts = self.timeline.video(timestamp, cts, came)
            if self._admit(flags):
                key = flags & nal.KEY != 0
                if key and track is not self._tracks.video:
                    self._tracks = Tracks(track, sound)
                    self._publication.tracks(self._tracks)
                self._unit(AccessUnit(_VIDEO, dts, pts, key, key and self._gate.clean, payload, arrived))
        self._gate.need_key = self._gate.need_key or awaits_key
        self._began()

    def _announce(self) -> None:
        audio = self._sound.track if self._audio_heard else None
        video = self._pictures.track if not self._gate.need_key or self._tracks.video is not None else None
        tracks = Tracks(video, audio)
        if tracks != self._tracks:
            self._tracks = tracks
            self._publication.tracks(tracks)

    def jumped(self) -> None:
        """The source's clock jumped, or stood. No picture is lost: the discontinuity waits for a key one (LL23)."""
        self._seam, self._seam_at = True, 0.0

    def _is_picture_gone(self, now: float) -> bool:
        """Whether only sound has come for long since the jump: no key picture is to be waited for."""
        self._seam_at = self._seam_at or now
        return now - max(self._video_seen, self._seam_at) >= QUIET

    def _jump(self) -> None:
        self._seam = False
        self._publication.jump()
