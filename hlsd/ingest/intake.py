"""Takes a publisher's tags in and hands tracks and access units to its publication.

Law: nothing a publisher sends raises here but UnsupportedCodec, and that only for a track of which nothing usable was
ever sent (a refusal with a reason instead of a silent black picture); a bad tag is dropped and counted. Units begin
with a key picture after the start and after a change of the video's configuration; RASL pictures that cannot be decoded
are left out, so what is handed over always decodes. A jump of the clock costs no picture: it is announced at the next
key picture. Both tracks are waited for, up to `patience`
seconds, a number of units and of bytes (TL04); a track that comes later, or changes, is announced at the next key
picture. Times: `timestamp` in ms as on the wire, `now` monotonic seconds, `wall` seconds since the epoch. No clock
reads, no IO.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hlsd.errors import MediaError, UnsupportedCodec
from hlsd.ingest.timeline import Timeline
from hlsd.media import aac, flv, h264, nal
from hlsd.media.codecs import NORMALISE, VideoCodec, read_video_record, with_parameter_sets
from hlsd.media.unit import AccessUnit, AudioTrack, Kind, Tracks, VideoTrack
from hlsd.ports import Publication

HELD_UNITS: Final = 1_024
"""Units held at most while the second track is waited for."""
HELD_BYTES: Final = 8 << 20
"""Their payload at most."""
QUIET: Final = 2.0
"""Seconds without video after which a change of the audio no longer waits for a key picture."""
METADATA_LIMIT: Final = 64 << 10
"""Bytes of onMetaData that are looked at."""
_LOOSE_SETS: Final = 16

_KEY_OR_RASL = nal.KEY | nal.RASL
_VIDEO = Kind.VIDEO
_AUDIO = Kind.AUDIO


class _Held(NamedTuple):
    """A unit that waits for the start, its times as on the wire."""

    kind: Kind
    timestamp: int
    cts: int
    flags: int
    payload: bytes
    now: float
    arrived: float


class Intake:
    """One publisher's media from its first tag to its last."""

    def __init__(self, publication: Publication, now: float, *, patience: float = 2.0) -> None:
        self._publication = publication
        self._patience = patience
        self._timeline = Timeline(publication.origin, jump=self._jumped, repaired=publication.repaired)
        self._since = now
        self._waiting = False  # whether a unit is held already
        self._started = False
        self._closed = False
        self._held: list[_Held] = []
        self._held_bytes = 0
        self._tracks = Tracks()  # as announced
        self._video: VideoTrack | None = None  # as configured last
        self._audio: AudioTrack | None = None
        self._video_record = b""
        self._audio_record = b""
        self._parameter_sets: tuple[bytes, ...] = ()
        self._codec: VideoCodec | None = None
        self._length_size = 4
        self._normalise = NORMALISE["h264"]
        self._need_key = True
        self._skip_rasl = False
        self._seam = False  # whether a jump of the clock has yet to be announced
        self._seam_at = 0.0  # when sound was first heard behind it
        self._clean = False  # whether the last key picture was a clean start
        self._audio_heard = False
        self._video_seen = now

    def tag(self, type_id: int, timestamp: int, body: bytes, now: float, wall: float) -> None:
        """Takes the body of an audio (8), video (9) or data (18) message sent at `timestamp` ms.

        Raises UnsupportedCodec if that is all the publisher has sent for a track.
        """
        if not body or self._closed:
            return  # zero-length messages are common and mean nothing
        try:
            if type_id == flv.VIDEO:
                self._take_video(timestamp, body, now, wall)
            elif type_id == flv.AUDIO:
                self._take_audio(timestamp, body, now, wall)
            elif type_id == flv.SCRIPT:
                self._take_metadata(body)
        except UnsupportedCodec:
            if (self._video if type_id == flv.VIDEO else self._audio) is None:
                raise
            self._publication.repaired("bad_tag")
        except MediaError:
            self._publication.repaired("bad_tag")
        if self._waiting:
            self._start_if_due(now)

    def tick(self, now: float) -> None:
        """Lets time pass: starts with what is there when patience is at an end."""
        if self._waiting:
            self._start_if_due(now)

    def close(self) -> None:
        """The publisher has left: what is still held goes out."""
        if self._waiting and not self._closed:
            self._start()
        self._closed = True

    # video

    def _take_video(self, timestamp: int, body: bytes, now: float, wall: float) -> None:
        packet = flv.decode_video(body)
        if packet is None:
            return
        if packet.packet == flv.CONFIG:
            self._configure_video(packet.codec, packet.body)
        elif packet.packet == flv.FRAMES:
            self._video_seen = now
            self._take_picture(timestamp, packet, now, wall)

    def _take_picture(self, timestamp: int, packet: flv.VideoPacket, now: float, wall: float) -> None:
        codec, _, claims_key, cts, body = packet
        if codec != self._codec:
            self._switch(codec)
        payload, flags, found = self._normalise(body, self._length_size)
        if found is not None and found != self._parameter_sets:
            self._take_parameter_sets(codec, found)
        if not payload:
            return
        key = flags & nal.KEY != 0
        if claims_key and not key and codec == "h264" and h264.has_recovery_point(payload):
            key = True  # an encoder without IDR pictures says in this way where decoding may start
            flags |= nal.KEY
        if not self._started:
            if self._admit(flags):
                self._hold(_Held(_VIDEO, timestamp, cts, flags, payload, now, wall), now)
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

    def _take_parameter_sets(self, codec: VideoCodec, found: tuple[bytes, ...]) -> None:
        """Takes in-band parameter sets: the news in them, and all there is when the sequence header never came."""
        sets = found if self._video is not None else (*self._parameter_sets, *found)[-_LOOSE_SETS:]
        self._parameter_sets = sets
        try:
            track = with_parameter_sets(codec, self._video, sets)
        except MediaError:
            if self._video is not None:
                self._publication.repaired("bad_tag")  # the picture may be fine all the same
            return  # else: some cameras send each in a tag of its own
        self._parameter_sets = found
        self._replace_video(track)

    def _configure_video(self, codec: VideoCodec, record: bytes) -> None:
        if record == self._video_record and codec == self._codec:
            return  # encoders repeat it before each key picture
        track, length_size = read_video_record(codec, record)
        if codec != self._codec:
            self._switch(codec)
        self._video_record = record
        self._parameter_sets = ()
        self._length_size = length_size
        self._replace_video(track)

    def _switch(self, codec: VideoCodec) -> None:
        self._codec = codec
        self._normalise = NORMALISE[codec]
        self._length_size = 4
        self._video_record = b""
        self._parameter_sets = ()
        self._need_key = True
        if self._video is not None and self._video.codec != codec:
            self._video = None

    def _replace_video(self, track: VideoTrack) -> None:
        """Puts a configuration in force for the next key picture; pictures up to it would be of neither."""
        if track == self._video:
            return
        if track == self._tracks.video:
            track = self._tracks.video
        self._video = track
        self._need_key = True
        if not self._started:
            self._forget(_VIDEO)

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
        self._audio_heard = True
        if not self._started:
            self._hold(_Held(_AUDIO, timestamp, 0, 0, frame, now, wall), now)
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
        if track == self._audio:
            return
        self._audio = self._tracks.audio if track == self._tracks.audio else track
        self._timeline.sound(track.sample_rate, track.frame_samples)
        if not self._started:
            self._forget(_AUDIO)
            self._audio_heard = False

    # start

    def _take_metadata(self, body: bytes) -> None:
        """Takes from onMetaData which tracks to expect, and only that: for a single one less patience will do."""
        if self._started or b"onMetaData" not in body[:64]:
            return
        named = [b"\x00\x0c" + name in body[:METADATA_LIMIT] for name in (b"videocodecid", b"audiocodecid")]
        if sum(named) == 1:
            self._patience = min(self._patience, 1.0)

    def _hold(self, unit: _Held, now: float) -> None:
        if not self._waiting:
            self._waiting = True
            self._since = now
        self._held.append(unit)
        self._held_bytes += len(unit.payload)

    def _forget(self, kind: Kind) -> None:
        """Lets go of held units whose configuration is no longer in force."""
        self._held = [unit for unit in self._held if unit.kind is not kind]
        self._held_bytes = sum(len(unit.payload) for unit in self._held)

    def _start_if_due(self, now: float) -> None:
        both = self._audio_heard and self._video is not None and not self._need_key
        full = len(self._held) >= HELD_UNITS or self._held_bytes >= HELD_BYTES
        if both or full or now - self._since >= self._patience:
            self._start()

    def _start(self) -> None:
        """Announces what has come, and hands over what was held."""
        held, self._held, self._held_bytes = self._held, [], 0
        self._waiting = False
        if not held:
            return  # a change of configuration took all of it back
        self._started = True
        self._need_key = True
        kinds = {unit.kind for unit in held}
        self._tracks = Tracks(
            self._video if _VIDEO in kinds else None,
            self._audio if _AUDIO in kinds else None,
        )
        self._publication.tracks(self._tracks)
        self._timeline.begin([unit.timestamp for unit in held])
        for kind, timestamp, cts, flags, payload, now, arrived in held:
            if kind is _AUDIO:
                dts = self._timeline.audio(timestamp, now)
                if dts is not None:
                    self._publication.unit(AccessUnit(_AUDIO, dts, dts, True, True, payload, arrived))
                continue
            dts, pts = self._timeline.video(timestamp, cts, now)
            if self._admit(flags):
                key = flags & nal.KEY != 0
                self._publication.unit(AccessUnit(_VIDEO, dts, pts, key, key and self._clean, payload, arrived))

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
