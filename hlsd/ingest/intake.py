"""Takes a publisher's tags in and hands tracks and access units to its publication.

Law: nothing a publisher sends raises here but UnsupportedCodec, and that only where nothing usable is left (a refusal
with a reason instead of a silent black picture): video of which nothing else was ever sent, or sound that is all there
is; a bad tag is dropped, counted and, once a minute, told. Units begin with a key picture after the start and after a
change of the video's configuration; RASL pictures that cannot be decoded are left out, so what is handed over always
decodes. A jump of the clock costs no picture: it is announced at the next key picture. Both tracks are waited for
(`Opening`, TL04); a track that comes later, or changes, is announced at the next key picture. Times: `timestamp` in ms
as on the wire, `now` monotonic seconds, `wall` seconds since the epoch. No clock reads, no IO.
"""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.ingest.asides import Asides
from hlsd.ingest.opening import PICTURE_PATIENCE, Held, Opening
from hlsd.ingest.picture import PICTURE_LIMIT, Picture, PictureAssembler, near
from hlsd.ingest.timeline import Timeline
from hlsd.media import aac, flv, nal
from hlsd.media.codecs import (
    BEGINS_PICTURE,
    LOOSE,
    NORMALISE,
    RECOVERY_POINT,
    VideoCodec,
    read_video_record,
    with_parameter_sets,
)
from hlsd.media.unit import AccessUnit, AudioTrack, Kind, Tracks, VideoTrack
from hlsd.ports import Publication

QUIET: Final = 2.0
"""Seconds without video after which a change of the audio no longer waits for a key picture."""
SETTLED: Final = 0.1
"""Seconds after which a picture whose tags may still be coming is taken for whole."""
LOOSE_LIMIT: Final = 64 << 10
"""Bytes of SEI messages in tags of their own that are kept for the picture behind them."""
_LOOSE_SETS: Final = 16

_KEY_OR_RASL = nal.KEY | nal.RASL
_VIDEO = Kind.VIDEO
_AUDIO = Kind.AUDIO


class Intake:
    """One publisher's media from its first tag to its last."""

    def __init__(self, publication: Publication, now: float, *, patience: float = 2.0) -> None:
        self._publication = publication
        self._timeline = Timeline(publication.origin, jump=self._jumped, repaired=publication.repaired)
        self._remarks = Remarks(self._remark)
        self._opening: Opening | None = Opening(now, patience)  # None once it has begun
        self._closed = False
        self._tracks = Tracks()  # as announced
        self._video: VideoTrack | None = None  # as configured last
        self._audio: AudioTrack | None = None
        self._video_record = b""
        self._audio_record = b""
        self._parameter_sets: tuple[bytes, ...] = ()
        self._asides = Asides()
        self._codec: VideoCodec | None = None
        self._length_size = 4
        self._normalise = NORMALISE["h264"]
        self._begins = BEGINS_PICTURE["h264"]
        self._assembler: PictureAssembler | None = PictureAssembler()  # None where whole pictures are sent
        self._whole_at = 0  # the wire time of the last picture handed on
        self._loose = b""  # SEI messages that wait for their picture
        self._loose_at = 0
        self._strays = 0  # pictures of another codec in a row
        self._refreshing = False  # whether recovery points stand in for IDR pictures
        self._need_key = True
        self._skip_rasl = False
        self._seam = False  # whether a jump of the clock has yet to be announced
        self._seam_at = 0.0  # when sound was first heard behind it
        self._clean = False  # whether the last key picture was a clean start
        self._audio_heard = False
        self._foreign: tuple[UnsupportedCodec, float] | None = None  # sound that is not carried, and since when
        self._video_seen = now

    def tag(self, type_id: int, timestamp: int, body: bytes, now: float, wall: float) -> None:
        """Takes the body of an audio (8), video (9) or data (18) message sent at `timestamp` ms.

        Raises UnsupportedCodec if that is all the publisher has sent for its picture, or all it has sent.
        """
        if not body or self._closed:
            return  # zero-length messages are common and mean nothing
        try:
            if type_id == flv.VIDEO:
                self._take_video(timestamp, body, now, wall)
            elif type_id == flv.AUDIO:
                self._take_audio(timestamp, body, now, wall)
            elif type_id == flv.SCRIPT:
                self._take_metadata(body, now)
        except UnsupportedCodec as error:
            if type_id == flv.VIDEO and self._video is None:
                raise
            if type_id == flv.AUDIO and self._audio is None:
                self._leave_out(error, now)
            else:
                self._bad_tag(error, now)
        except MediaError as error:
            self._bad_tag(error, now)
        if self._opening is not None:
            self._start_if_due(now)

    @property
    def held(self) -> int:
        """Bytes of media that have not been handed over yet."""
        opening = self._opening.bytes if self._opening is not None else 0
        return opening + len(self._loose) + (self._assembler.held if self._assembler is not None else 0)

    def tick(self, now: float) -> None:
        """Lets time pass: starts with what is there when patience is at an end. Raises as `tag`."""
        if self._opening is not None:
            self._start_if_due(now)
        elif (assembler := self._assembler) is not None and assembler.pending and now - assembler.since >= SETTLED:
            self._hand_on()

    def close(self) -> None:
        """The publisher has left: what is still held goes out."""
        if not self._closed:
            now = self._assembler.since if self._assembler is not None else 0.0
            self._hand_on()
            if self._opening is not None and len(self._opening):
                self._start(now)
        self._closed = True

    def _remark(self, event: str, facts: dict[str, object]) -> None:
        self._publication.remark(event, facts)

    def _bad_tag(self, error: MediaError, now: float) -> None:
        self._publication.repaired("bad_tag")
        self._remarks.note("bad tag dropped", now, reason=str(error))

    # video

    def _take_video(self, timestamp: int, body: bytes, now: float, wall: float) -> None:
        packet = flv.decode_video(body)
        if packet is None:
            return
        if packet.packet == flv.CONFIG:
            self._configure_video(packet.codec, packet.body, now)
        elif packet.packet == flv.FRAMES:
            self._video_seen = now
            self._take_slices(timestamp, packet, now, wall)
        elif packet.packet == flv.METADATA:
            self._asides.metadata(packet.body)

    def _look_aside(self, sample: bytes) -> None:
        """Learns from a key picture what its configuration does not say."""
        if (video := self._video) is not None:
            self._video = None  # if it is refused, nothing usable was ever sent
            self._video = self._asides.picture(video, sample)

    def _take_slices(self, timestamp: int, packet: flv.VideoPacket, now: float, wall: float) -> None:
        """Takes what a tag holds of a picture: all of it, as a rule."""
        codec, _, claims_key, cts, body = packet
        if codec != self._codec:
            self._turn_to(codec, body)
        elif self._strays:
            self._strays = 0
        payload, flags, found = self._normalise(body, self._length_size)
        begins = not payload or self._begins(payload)
        assembler = self._assembler
        if assembler is not None and (begins or not assembler.goes_on(timestamp)):
            self._hand_on()  # nothing can follow what was there so far
        if found is not None and found != self._parameter_sets:
            self._take_parameter_sets(codec, found, now)
        if not payload:
            self._take_loose(timestamp, LOOSE[codec](body, self._length_size), now)
            return
        if self._loose:
            payload, self._loose = self._loose + payload, b""
        if assembler is None and (begins or not near(timestamp, self._whole_at)):
            self._take_picture(timestamp, cts, flags, claims_key, payload, wall, now)
        else:
            self._gather(Picture(timestamp, cts, flags, claims_key, payload, wall), begins, now)

    def _gather(self, tag: Picture, begins: bool, now: float) -> None:
        """Takes a tag that may be a piece of a picture."""
        assembler = self._assembler
        if assembler is None:
            # The first part of this picture has gone out as if it were all of it: the rest would be another one.
            self._assembler = PictureAssembler()
            self._publication.repaired("bad_tag")
            self._remarks.note("pictures come in several tags: they are put together from the next one on", now)
        elif not assembler.pending:
            if begins or self._opening is not None or not near(tag.timestamp, self._whole_at):
                assembler.begin(tag, now)
            else:
                self._publication.repaired("bad_tag")
        elif not assembler.add(tag, now):
            self._publication.repaired("bad_tag")
            self._remarks.note("picture dropped: too large", now, limit=PICTURE_LIMIT)

    def _take_loose(self, timestamp: int, messages: bytes, now: float) -> None:
        """Keeps SEI messages in a tag of their own for the picture that follows."""
        if self._loose and not near(timestamp, self._loose_at):
            self._loose = b""
        self._loose_at = timestamp
        self._loose += messages
        if len(self._loose) > LOOSE_LIMIT:
            self._loose = b""
            self._remarks.note("SEI messages dropped: too many before their picture", now, limit=LOOSE_LIMIT)

    def _hand_on(self) -> None:
        """Hands on the picture that was put together, if there is one."""
        if self._assembler is not None and (picture := self._assembler.take()) is not None:
            self._take_picture(*picture, self._assembler.since)

    def _take_picture(  # noqa: PLR0913, PLR0917 - a tuple for each picture would cost more
        self, timestamp: int, cts: int, flags: int, claims_key: bool, payload: bytes, wall: float, now: float
    ) -> None:
        codec = self._codec
        assert codec is not None
        self._whole_at = timestamp
        key = flags & nal.KEY != 0
        if key:
            self._refreshing = False
        elif (claims_key or self._need_key or self._refreshing) and RECOVERY_POINT[codec](payload):
            # An encoder without IDR pictures says in this way where decoding may start.
            self._refreshing = key = True
            flags |= nal.KEY
        if key:
            self._look_aside(payload)
        if self._opening is not None:
            if self._admit(flags):
                self._opening.hold(Held(_VIDEO, timestamp, cts, flags, payload, now, wall, self._video), now)
            return
        dts, pts = self._timeline.video(timestamp, cts, now)
        if self._need_key or flags & _KEY_OR_RASL:
            if key and self._seam:
                self._need_key = True  # decoding starts here for who crosses the seam: without RASL pictures, that is
            if not self._admit(flags):
                return
            if key:
                self._before_key()
        self._publication.unit(AccessUnit(_VIDEO, dts, pts, key, key and self._clean, payload, wall))

    def _before_key(self) -> None:
        """Announces what waited for a key picture."""
        if self._seam:
            self._jump()
        if self._video is not self._tracks.video or self._audio is not self._tracks.audio:
            self._announce()

    def _admit(self, flags: int) -> bool:
        """Whether a picture with these classes can be decoded after what was handed over."""
        if flags & nal.KEY and self._video is not None:
            # H.265 §8.1.3: the RASL pictures of a CRA that decoding starts with, and of any BLA, are not output;
            # without them such a picture is as good as an IDR picture.
            clean = flags & nal.CLEAN != 0
            self._skip_rasl = self._codec == "h265" and not clean and (self._need_key or flags & nal.BLA != 0)
            self._clean = clean or self._skip_rasl
            self._need_key = False
            return True
        if self._need_key:
            self._publication.repaired("leading")
            return False
        return not (flags & nal.RASL and self._skip_rasl)

    def _take_parameter_sets(self, codec: VideoCodec, found: tuple[bytes, ...], now: float) -> None:
        """Takes in-band parameter sets: the news in them, and all there is when the sequence header never came."""
        sets = found if self._video is not None else (*self._parameter_sets, *found)[-_LOOSE_SETS:]
        self._parameter_sets = sets
        try:
            track = with_parameter_sets(codec, self._video, sets)
        except MediaError as error:
            if self._video is not None:
                self._bad_tag(error, now)  # the picture may be fine all the same
            return  # else: some cameras send each in a tag of its own
        self._parameter_sets = found
        self._replace_video(track, now)

    def _configure_video(self, codec: VideoCodec, record: bytes, now: float) -> None:
        if record == self._video_record and codec == self._codec:
            return  # encoders repeat it before each key picture
        track, length_size = read_video_record(codec, record)
        self._hand_on()
        if codec != self._codec:
            self._switch(codec)
        self._video_record = record
        self._parameter_sets = ()
        self._length_size = length_size
        self._replace_video(track, now)

    def _turn_to(self, codec: VideoCodec, body: bytes) -> None:
        """A picture of another codec: a stray, unless nothing else was sent, or several come with all they need.

        A change of codec has a sequence header; who sends parameter sets in-band alone sends them with key pictures.
        """
        self._strays += 1
        if self._video is not None:
            _, _, found = NORMALISE[codec](body, 4)
            if found is None or self._strays == 1:
                raise MediaError(f"a picture of {codec} in a stream of {self._codec}")
            with_parameter_sets(codec, None, found)
        self._strays = 0
        self._switch(codec)

    def _switch(self, codec: VideoCodec) -> None:
        self._codec = codec
        self._normalise = NORMALISE[codec]
        self._begins = BEGINS_PICTURE[codec]
        self._length_size = 4
        self._video_record = b""
        self._parameter_sets = ()
        self._loose = b""
        self._need_key = True
        if self._assembler is not None:
            self._assembler.take()
        if self._video is not None and self._video.codec != codec:
            self._video = None
            if self._opening is not None:
                self._opening.forget(_VIDEO)

    def _replace_video(self, track: VideoTrack, now: float) -> None:
        """Puts a configuration in force for the next key picture; pictures up to it would be of neither."""
        if self._opening is not None:
            self._opening.announce_picture(now)
        if track == self._video:
            return
        if track == self._tracks.video:
            track = self._tracks.video
        self._video = track
        self._need_key = True

    # audio

    def _take_audio(self, timestamp: int, body: bytes, now: float, wall: float) -> None:
        packet = flv.decode_audio(body)
        if packet is None:
            return
        kind, body = packet
        if kind == flv.FRAMES:
            self._take_frame(timestamp, body, now, wall)
        elif kind == flv.CONFIG and body:
            self._configure_audio(body)

    def _take_frame(self, timestamp: int, frame: bytes, now: float, wall: float) -> None:
        if len(frame) > 7 and frame[0] == 0xFF and (framed := aac.split_adts(frame)) is not None:
            record, frame = framed  # cameras that wrap ADTS into FLV
            if self._audio is None:
                self._configure_audio(record)
        if self._audio is None or not frame:
            return  # nothing to be heard, or not known how
        if len(frame) > aac.LARGEST_FRAME:
            raise MediaError("an AAC frame larger than ADTS can carry")
        self._audio_heard = True
        if self._opening is not None:
            self._opening.hold(Held(_AUDIO, timestamp, 0, 0, frame, now, wall, None), now)
            return
        dts = self._timeline.audio(timestamp, now)
        if self._seam and (self._tracks.video is None or self._is_picture_gone(now)):
            self._jump()
        if self._audio is not self._tracks.audio:
            if self._tracks.video is not None and now - self._video_seen < QUIET:
                return  # announced with the next key picture
            self._need_key = True
            self._announce()
        if dts is not None:
            self._publication.unit(AccessUnit(_AUDIO, dts, dts, True, True, frame, wall))

    def _configure_audio(self, record: bytes) -> None:
        if record == self._audio_record:
            return  # encoders repeat it
        track = aac.read_record(record)
        self._audio_record = record
        if self._opening is not None:
            self._opening.sound_announced = True
        if self._foreign is not None:
            self._foreign = None
            self._publication.left_out(())
        if self._audio is not None and track.decodes_as(self._audio):
            return  # the same in other bytes
        same = self._tracks.audio is not None and track.decodes_as(self._tracks.audio)
        self._audio = self._tracks.audio if same else track
        self._timeline.sound(track.sample_rate, track.frame_samples)
        if self._opening is not None:
            self._opening.forget(_AUDIO)
            self._audio_heard = False

    def _leave_out(self, error: UnsupportedCodec, now: float) -> None:
        """Sound in a codec that is not carried costs only the sound, where there is a picture."""
        if self._foreign is None:
            self._foreign = (error, now)
            if self._opening is None:
                self._publication.left_out((error.codec,))

    # start

    def _take_metadata(self, body: bytes, now: float) -> None:
        """Takes from onMetaData which tracks to expect, and only that: for a single one less patience will do."""
        opening = self._opening
        if opening is None or b"onMetaData" not in body[:64]:
            return
        picture, sound = (flv.names_codec(body, name) for name in (b"videocodecid", b"audiocodecid"))
        if picture != sound:
            opening.patience = min(opening.patience, 1.0)
        if picture:
            opening.announce_picture(now)
        opening.sound_announced = opening.sound_announced or sound

    def _start_if_due(self, now: float) -> None:
        opening, assembler = self._opening, self._assembler
        assert opening is not None
        if assembler is not None and assembler.pending and now - assembler.since >= SETTLED:
            self._hand_on()
        foreign = self._foreign
        if foreign is not None and not opening.pictures:
            patience = PICTURE_PATIENCE if opening.picture_announced is not None else opening.patience
            if now - foreign[1] >= patience:
                raise foreign[0]
        if opening.due(now, sound=self._audio_heard or foreign is not None):
            self._start(now)

    def _start(self, now: float) -> None:
        """Announces what has come, and hands over what was held."""
        opening = self._opening
        assert opening is not None
        if self._assembler is not None and not self._assembler.sliced:
            self._hand_on()
            self._assembler = None
        if (short := opening.short_of(sound=self._audio_heard)) is not None:
            self._remarks.note(short[0], now, **short[1])
        held = opening.take()
        self._opening = None
        if self._foreign is not None:
            self._publication.left_out((self._foreign[0].codec,))
        sound = self._audio if self._audio_heard else None
        self._tracks = Tracks(next((unit.track for unit in held if unit.kind is _VIDEO), None), sound)
        self._publication.tracks(self._tracks)
        awaits_key, self._need_key = self._need_key, True
        self._timeline.begin([unit.timestamp for unit in held])
        for kind, timestamp, cts, flags, payload, came, arrived, track in held:
            if kind is _AUDIO:
                dts = self._timeline.audio(timestamp, came)
                if dts is not None:
                    self._publication.unit(AccessUnit(_AUDIO, dts, dts, True, True, payload, arrived))
                continue
            dts, pts = self._timeline.video(timestamp, cts, came)
            if self._admit(flags):
                key = flags & nal.KEY != 0
                if key and track is not self._tracks.video:
                    self._tracks = Tracks(track, sound)
                    self._publication.tracks(self._tracks)
                self._publication.unit(AccessUnit(_VIDEO, dts, pts, key, key and self._clean, payload, arrived))
        self._need_key = self._need_key or awaits_key

    def _announce(self) -> None:
        audio = self._audio if self._audio_heard else None
        video = self._video if not self._need_key or self._tracks.video is not None else None
        tracks = Tracks(video, audio)
        if tracks != self._tracks:
            self._tracks = tracks
            self._publication.tracks(tracks)

    def _jumped(self) -> None:
        """The source's clock jumped. No picture is lost for it: its discontinuity waits for a key picture (LL23)."""
        self._seam = True
        self._seam_at = 0.0

    def _is_picture_gone(self, now: float) -> bool:
        """Whether only sound has come for long since the jump: no key picture is to be waited for."""
        self._seam_at = self._seam_at or now
        return now - max(self._video_seen, self._seam_at) >= QUIET

    def _jump(self) -> None:
        self._seam = False
        self._publication.jump()
