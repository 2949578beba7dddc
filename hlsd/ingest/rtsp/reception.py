"""Makes pictures and frames of sound, on one clock, of the RTP packets of one publisher. Pure.

Law: never raises for what is sent; what is missing is told, and costs its GOP. Over TCP nothing is waited for, over UDP
a packet that was overtaken is, for `PATIENCE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hlsd.base.errors import ProtocolError
from hlsd.ingest.mpeg.items import WRAP, MpegItem, MpegLoss, MpegPicture, MpegSound, MpegStreams
from hlsd.ingest.rtsp.announced import PICTURES, AnnouncedTrack
from hlsd.ingest.rtsp.decode_order import DecodeOrder, reordering
from hlsd.ingest.rtsp.sound_payload import sound_payload
from hlsd.ingest.webrtc.clock import StreamClock, lead
from hlsd.ingest.webrtc.depacketiser import CodedPicture, Depacketiser, H265Depacketiser
from hlsd.ingest.webrtc.jitter import OrderCounts, Ordered, ReorderBuffer
from hlsd.ingest.webrtc.reception import Reception
from hlsd.media.codecs import VideoCodec
from hlsd.media.unit import Kind
from hlsd.webrtc import rtcp, rtp

PATIENCE: Final = 0.1
"""Seconds that a packet is waited for over UDP."""
NEW_SOURCE: Final = 1.0
"""Seconds without a word of one source after which another may send the track by UDP."""
REPORTS: Final = 5.0
"""Seconds between two reports of ours (RFC 3550 §6.2)."""
_START: Final = b"\0\0\0\1"


class TrackReception:
    """One track."""

    def __init__(self, track: AnnouncedTrack, *, lossy: bool) -> None:
        self.track = track
        self.clock = StreamClock(track.rate)
        self.counts = OrderCounts()
        self.received = 0
        self.reception: Reception | None = None
        self._lossy = lossy
        self._order = self._ordered()
        self._heard = 0.0

    @property
    def held(self) -> int:
        """Bytes that are not handed on yet."""
        return self._order.held

    def push(self, octets: bytes, now: float) -> list[tuple[Ordered, bool]]:
        """The packets that are in order by this one, and whether the source is a new one."""
        try:
            packet = rtp.read(octets)
        except ProtocolError:
            return []
        if packet.kind != self.track.payload:
            return []
        begins = False
        reception = self.reception
        if reception is None or packet.ssrc != reception.ssrc:
            if reception is not None and self._lossy and now - self._heard < NEW_SOURCE:
                return []
            begins = reception is not None
            self._order = self._ordered()
            self.clock.restart()
            self.reception = reception = Reception(packet.ssrc, self.track.rate)
        self._heard = now
        self.received += 1
        reception.packet(packet.sequence, packet.timestamp, now)
        found = [(one, False) for one in self._order.push(packet, now) + self._order.tick(now)]
        if begins and found:
            found[0] = found[0][0], True
        return found

    def report(self, octets: bytes, now: float) -> None:
        """Takes an RTCP compound."""
        for told in rtcp.read(octets):
            reception = self.reception
            if reception is None:  # it comes before the first packet, whose clock it tells
                self.reception = reception = Reception(told.ssrc, self.track.rate)
            if told.ssrc == reception.ssrc:
                reception.report(told, now)
                self.clock.report(told)

    def _ordered(self) -> ReorderBuffer:
        return ReorderBuffer(PATIENCE if self._lossy else 0.0, asks=False, counts=self.counts)


class PublisherReception:
    """All tracks of one publisher; of each kind the first that can be carried is."""

    def __init__(self, tracks: Sequence[AnnouncedTrack]) -> None:
        self.tracks = list(tracks)
        self.picture = _first(tracks, "video")
        self.sound = _first(tracks, "audio")
        self._by_index: dict[int, TrackReception] = {}
        picture = tracks[self.picture] if self.picture >= 0 else None
        self._codec: VideoCodec = "h265" if picture is not None and picture.codec == "H265" else "h264"
        self._depacketiser = Depacketiser() if self._codec == "h264" else H265Depacketiser()
        self._sets = list(picture.sets) if picture is not None else []
        self._decoding = DecodeOrder()
        self._learn(self._sets)
        self._frames = sound_payload(tracks[self.sound]) if self.sound >= 0 else None
        self._picture_time = self._ms = 0
        self._begun = False
        self._reported = 0.0

    @property
    def streams(self) -> MpegStreams:
        """What there is, and what of it is left out."""
        kept = {self.picture, self.sound}
        silent = [track.named for track in self.tracks if track.kind == "audio"] if self.sound < 0 else []
        others = [
            track.named
            for index, track in enumerate(self.tracks)
            if index not in kept and track.kind in ("video", "audio") and not (silent and track.named == silent[0])
        ]
        picture = PICTURES[self.tracks[self.picture].codec].upper() if self.picture >= 0 else ""
        sound = self.tracks[self.sound].named if self.sound >= 0 else (silent[0] if silent else "")
        return MpegStreams(picture, sound, tuple(others), silent=bool(silent))

    @property
    def held(self) -> int:
        """Bytes that are not handed on yet."""
        return self._depacketiser.held + sum([one.held for one in self._by_index.values()])

    @property
    def lost(self) -> int:
        """Packets that did not come."""
        return sum([one.counts.lost for one in self._by_index.values()])

    @property
    def received(self) -> int:
        """Packets that did."""
        return sum([one.received for one in self._by_index.values()])

    def open(self, index: int, *, lossy: bool) -> None:
        """A track is set up."""
        if index in (self.picture, self.sound):
            self._by_index[index] = TrackReception(self.tracks[index], lossy=lossy)

    def rtp(self, index: int, octets: bytes, now: float) -> list[MpegItem]:
        """Takes a packet of a track; what is whole by it."""
        one = self._by_index.get(index)
        if one is None:
            return []
        found: list[MpegItem] = []
        for ordered, begins in one.push(octets, now):
            if index == self.picture:
                if begins:
                    self._depacketiser.begin_anew()
                    found.append(MpegLoss(Kind.VIDEO))
                found += self._take_picture(one, ordered, now)
            elif self._frames is not None and one.track.form is not None:
                form = one.track.form
                for time, frame in self._frames.push(ordered.packet, hole=ordered.hole):
                    found.append(MpegSound(form, self._ticks(one.clock.ms(time, now)), frame))
        return found

    def rtcp(self, index: int, octets: bytes, now: float) -> None:
        """Takes what its sender says of a track's clock."""
        one = self._by_index.get(index)
        if one is not None:
            one.report(octets, now)

    def reports(self, now: float, ssrc: int) -> list[tuple[int, bytes]]:
        """What is to be told of each track now: how it comes through."""
        if now - self._reported < REPORTS:
            return []
        self._reported = now
        return [
            (index, rtcp.receiver_report(ssrc, [one.reception.block(now)]))
            for index, one in self._by_index.items()
            if one.reception is not None and one.received
        ]

    # -- how

    def _take_picture(self, one: TrackReception, ordered: Ordered, now: float) -> list[MpegItem]:
        before = self._depacketiser.lost
        pictures = self._depacketiser.push(ordered)
        found: list[MpegItem] = []
        if self._depacketiser.lost != before:
            found.append(MpegLoss(Kind.VIDEO))
        found += [self._picture(one, picture, now) for picture in pictures]
        return found

    def _picture(self, one: TrackReception, picture: CodedPicture, now: float) -> MpegPicture:
        if picture.key:
            self._learn(picture.units)
        units = picture.units
        if not self._begun and self._sets:
            units = self._sets + units  # those that come in band stand behind them, and hold
        self._begun = True
        # Unwrapped by the clock of pictures: sound is on another one.
        self._picture_time += (picture.timestamp - self._picture_time + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        shown = self._picture_time * 90_000 // one.track.rate
        before = shown - self._decoding.dts(shown)
        sound = self._by_index.get(self.sound)
        if sound is not None:
            lead(one.clock, sound.clock)
        pts = self._ticks(one.clock.ms(picture.timestamp, now))
        data = _START + _START.join(units)
        return MpegPicture(self._codec, pts - before & WRAP - 1, pts, picture.key, data)

    def _learn(self, units: Sequence[bytes]) -> None:
        depth = reordering(self._codec, list(units))
        if depth is not None:
            self._decoding.configure(depth)

    def _ticks(self, ms: int) -> int:
        """90 kHz of milliseconds that wrap at 2^32."""
        self._ms += (ms - self._ms + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        return self._ms * 90 & WRAP - 1


def _first(tracks: Sequence[AnnouncedTrack], kind: str) -> int:
    return next((index for index, one in enumerate(tracks) if one.kind == kind and one.carried), -1)
