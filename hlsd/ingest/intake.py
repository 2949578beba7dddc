"""Is the way in of FLV: RTMP messages, HTTP-FLV and what a relay's process sends are audio, video and script tags.

It takes tags apart (`hlsd.media.flv`, `colour_info`) and hands configurations, access units and frames to the
publication's `Normaliser`, which decides what becomes of them. Law: as there, nothing a publisher sends raises but
UnsupportedCodec. Times: `timestamp` in ms as on the wire, `now` monotonic seconds, `wall` seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from hlsd.base.errors import MediaError
from hlsd.ingest.colour_info import read_colour_info
from hlsd.ingest.normaliser import Normaliser
from hlsd.ingest.other_tracks import OtherTracks
from hlsd.ingest.script_events import EventLimits, ScriptEvents
from hlsd.ingest.tag_sound import TagSound
from hlsd.media import flv
from hlsd.media.unit import Kind
from hlsd.ports import Publication, SoundDesk


class Intake:
    """One publisher's tags from the first to the last. `sound` takes what of it is not AAC, where it is given."""

    def __init__(
        self,
        publication: Publication,
        now: float,
        *,
        patience: float = 2.0,
        sound: SoundDesk | None = None,
        events: EventLimits | None = None,
    ) -> None:
        self.normaliser = Normaliser(publication, now, patience=patience, began=self._begin)
        self._events = ScriptEvents(publication, events or EventLimits(), self.normaliser.timeline.at)
        self._sound = TagSound(sound, self.normaliser, publication) if sound is not None else None
        self._video = self.normaliser.video
        self._audio: Callable[[Literal["aac"], int, bytes, float, float], None] = self.normaliser.audio
        self._others = OtherTracks(publication.tracks_left_out)
        self.tick = self.normaliser.tick
        """Lets time pass. Raises as `tag`."""

    def close(self) -> None:
        """The publisher has left: what is still held goes out."""
        if self._sound is not None:
            self._sound.close()
        self.normaliser.close()

    @property
    def held(self) -> int:
        """Bytes of media that have not been handed over yet."""
        return self.normaliser.held

    def tag(self, type_id: int, timestamp: int, body: bytes, now: float, wall: float) -> None:
        """Takes the body of an audio (8), video (9) or data (18) message sent at `timestamp` ms.

        Raises UnsupportedCodec if that is all the publisher has sent for its picture, or all it has sent.
        """
        if not body:
            return  # zero-length messages are common and mean nothing
        # As nearly all tags begin (FLV 10.1 §E.4.2.1, §E.4.3.1): without the packet that `decode_…` would make of each.
        if type_id == flv.VIDEO:
            first = body[0]
            if (first == 0x27 or first == 0x17) and len(body) > 5 and body[1] == flv.FRAMES:  # noqa: PLR1714 - no tuple
                cts = body[2] << 16 | body[3] << 8 | body[4]
                if cts & 0x800000:
                    cts -= 0x1000000
                self._video("h264", timestamp, cts, body[5:], first == 0x17, now, wall)
            else:
                self._take_video(timestamp, body, now, wall)
        elif type_id == flv.AUDIO:
            if body[0] >> 4 == 10 and len(body) > 2 and body[1] == flv.FRAMES:
                self._audio("aac", timestamp, body[2:], now, wall)
            else:
                self._take_audio(timestamp, body, now, wall)
        elif type_id == flv.SCRIPT:
            self._take_metadata(body, now)
            self._events.take(timestamp, body, now)

    def _take_video(self, timestamp: int, body: bytes, now: float, wall: float) -> None:
        normaliser = self.normaliser
        if body[0] & 0x8E == 0x86:  # multitrack, or ModEx, behind which it may be
            self._others.look(Kind.VIDEO, body)
        try:
            packet = flv.decode_video(body)
        except MediaError as error:
            normaliser.unreadable(Kind.VIDEO, error, now)
            return
        if packet is None:
            normaliser.tick(now)
        elif packet.packet == flv.FRAMES:
            normaliser.video(packet.codec, timestamp, packet.cts, packet.body, packet.key, now, wall)
        elif packet.packet == flv.CONFIG:
            normaliser.video_config(packet.codec, packet.body, now)
        elif packet.packet == flv.METADATA and (told := read_colour_info(packet.body)) is not None:
            normaliser.colour(told)
        else:
            normaliser.tick(now)

    def _take_audio(self, timestamp: int, body: bytes, now: float, wall: float) -> None:
        normaliser, sound = self.normaliser, self._sound
        if body[0] & 0xFD == 0x95:  # as of the picture
            self._others.look(Kind.AUDIO, body)
        try:
            if sound is not None:
                taken = sound.take(timestamp, body, now)
                self._audio = sound.aac if sound.turns_aac else normaliser.audio
                if taken:
                    normaliser.tick(now)
                    return
            packet = flv.decode_audio(body)
        except MediaError as error:
            normaliser.unreadable(Kind.AUDIO, error, now)
            return
        if packet is not None and packet.packet == flv.FRAMES:
            self._audio("aac", timestamp, packet.body, now, wall)
        elif packet is not None and packet.packet == flv.CONFIG and packet.body:
            normaliser.audio_config("aac", packet.body, now)
        else:
            normaliser.tick(now)

    def _begin(self) -> None:
        self._events.begin()

    def _take_metadata(self, body: bytes, now: float) -> None:
        """Takes from onMetaData which tracks to expect, and only that."""
        if b"onMetaData" not in body[:64]:
            self.normaliser.tick(now)
            return
        if self._sound is not None:
            self._sound.told(body)
        if self.normaliser.opening is not None:
            picture, sound = (flv.names_codec(body, name) for name in (b"videocodecid", b"audiocodecid"))
            self.normaliser.expect(picture=picture, sound=sound, now=now)
        else:
            self.normaliser.tick(now)
