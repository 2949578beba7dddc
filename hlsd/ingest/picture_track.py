"""Is a publisher's video on its way to whole pictures: its codec, its configuration, what came before a picture.

Law: what is handed on is a sample with its configuration known (`hlsd.media.unit`), whatever came: lengths or start
codes, parameter sets in a record or in-band, SEI messages by themselves, slices by themselves. A picture of another
codec is a stray unless nothing else was sent, or several come with all they need. Raises MediaError for what is none of
this, UnsupportedCodec for a codec that is not carried. Times as in `hlsd.ingest.normaliser`. No clock reads, no IO.
"""

from __future__ import annotations

from typing import Final, Protocol

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.ingest.asides import Asides
from hlsd.ingest.picture import PICTURE_LIMIT, Picture, PictureAssembler, near
from hlsd.media import av1
from hlsd.media.codecs import BEGINS_PICTURE, LOOSE, NORMALISE, VideoCodec, read_video_record, with_parameter_sets
from hlsd.media.nal import CLEAN, KEY
from hlsd.media.unit import VideoTrack

SETTLED: Final = 0.1
"""Seconds after which a picture whose pieces may still be coming is taken for whole."""
LOOSE_LIMIT: Final = 64 << 10
"""Bytes of SEI messages by themselves that are kept for the picture behind them."""
_LOOSE_SETS: Final = 16


class PictureTaker(Protocol):
    """Where whole pictures go."""

    def picture(  # noqa: PLR0913, PLR0917 - a tuple for each picture would cost more
        self, timestamp: int, cts: int, flags: int, claims_key: bool, payload: bytes, wall: float, now: float
    ) -> None:
        """Takes a whole picture; `flags` are the classes of its NAL units. Raises UnsupportedCodec."""
        ...

    def configured(self, track: VideoTrack, now: float) -> VideoTrack:
        """A configuration is in force for the next key picture; returns it, or the announced one if it is the same."""
        ...

    def switched(self, *, forget: bool) -> None:
        """Another codec begins; `forget`: what was configured so far is of no use any more."""
        ...

    def repaired(self, kind: str) -> None:
        """Counts what was dropped."""
        ...


class PictureTrack:
    """One publisher's video, from its first message to its last."""

    def __init__(self, taker: PictureTaker, remarks: Remarks) -> None:
        self._taker = taker
        self._remarks = remarks
        self.track: VideoTrack | None = None
        """As configured last."""
        self.codec: VideoCodec | None = None
        self.length_size = 4
        """Bytes of a NAL unit's length, as the configuration says."""
        self.whole_at = 0
        """The wire time of the last picture handed on."""
        self._record = b""
        self._parameter_sets: tuple[bytes, ...] = ()
        self._asides = Asides()
        self.asides = self._asides.tell
        """Takes what the publisher says of its picture beside its parameter sets."""
        self._normalise = NORMALISE["h264"]
        self._begins = BEGINS_PICTURE["h264"]
        self._assembler: PictureAssembler | None = PictureAssembler()  # None where whole pictures are sent
        self._opening = True
        self._loose = b""  # SEI messages that wait for their picture
        self._loose_at = 0
        self._strays = 0  # pictures of another codec in a row

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their picture."""
        return len(self._loose) + (self._assembler.held if self._assembler is not None else 0)

    @property
    def plain(self) -> bool:
        """Whether the next picture is in one piece, as far as can be known, and nothing waits for it."""
        return self._assembler is None and self.length_size == 4 and not self._loose and not self._strays

    def configure(self, codec: VideoCodec, record: bytes, now: float) -> None:
        """Takes a decoder configuration record."""
        if record == self._record and codec == self.codec:
            return  # encoders repeat it before each key picture
        if codec not in NORMALISE:
            raise UnsupportedCodec(codec)
        track, length_size = read_video_record(codec, record)
        self.hand_on()
        if codec != self.codec:
            self._switch(codec)
        self._record = record
        self._parameter_sets = ()
        self.length_size = length_size
        self.track = self._taker.configured(track, now)

    def take(  # noqa: PLR0913, PLR0917 - as above
        self,
        codec: VideoCodec,
        timestamp: int,
        cts: int,
        body: bytes,
        claims_key: bool,
        now: float,
        wall: float,
        length_size: int = 0,
    ) -> None:
        """Takes what a message holds of a picture: all of it, as a rule.

        `length_size`: of the lengths in `body`, where that is not what the configuration says.
        """
        if codec != self.codec:
            self._turn_to(codec, body)
        elif self._strays:
            self._strays = 0
        length_size = length_size or self.length_size
        payload, flags, found = self._normalise(body, length_size)
        if claims_key and codec == "av1" and not flags & KEY and payload and self.track is not None:
            payload, flags = self._completed(payload, flags)
        begins = not payload or self._begins(payload)
        assembler = self._assembler
        if assembler is not None and (begins or not assembler.goes_on(timestamp)):
            self.hand_on()  # nothing can follow what was there so far
        if found is not None and found != self._parameter_sets:
            self._take_parameter_sets(codec, found, now)
        if not payload:
            self._take_loose(timestamp, LOOSE[codec](body, length_size), now)
            return
        if self._loose:
            payload, self._loose = self._loose + payload, b""
        if assembler is None and (begins or not near(timestamp, self.whole_at)):
            self.whole_at = timestamp
            self._taker.picture(timestamp, cts, flags, claims_key, payload, wall, now)
        else:
            self._gather(Picture(timestamp, cts, flags, claims_key, payload, wall), begins, now)

    def _completed(self, payload: bytes, flags: int) -> tuple[bytes, int]:
        """A key picture of AV1 without its sequence header, with it; and what it is then."""
        assert self.track is not None
        whole = av1.completed(payload, self.track.parameter_sets)
        return (whole, flags | KEY | CLEAN) if whole else (payload, flags)

    def hand_on(self) -> None:
        """Hands on the picture that was put together, if there is one."""
        assembler = self._assembler
        if assembler is not None and (picture := assembler.take()) is not None:
            self.whole_at = picture.timestamp
            self._taker.picture(*picture, assembler.since)

    def tick(self, now: float) -> None:
        """Hands on a picture of which nothing more has come for `SETTLED`."""
        assembler = self._assembler
        if assembler is not None and assembler.pending and now - assembler.since >= SETTLED:
            self.hand_on()

    def begin(self) -> None:
        """The stream begins: who has sent whole pictures so far is not gathered any more."""
        if self._assembler is not None and not self._assembler.sliced:
            self.hand_on()
            self._assembler = None
        self._opening = False

    def close(self) -> float:
        """Nothing follows: hands on what there is; when the last of it came, 0.0 if that is not known."""
        since = self._assembler.since if self._assembler is not None else 0.0
        self.hand_on()
        return since

    def look_aside(self, sample: bytes) -> None:
        """Learns from a key picture what its configuration does not say."""
        if (track := self.track) is not None:
            self.track = None  # if it is refused, nothing usable was ever sent
            self.track = self._asides.picture(track, sample)

    def _gather(self, piece: Picture, begins: bool, now: float) -> None:
        """Takes what may be a piece of a picture."""
        assembler = self._assembler
        if assembler is None:
            # The first part of this picture has gone out as if it were all of it: the rest would be another one.
            self._assembler = PictureAssembler()
            self._taker.repaired("bad_tag")
            self._remarks.note("pictures come in several tags: they are put together from the next one on", now)
        elif not assembler.pending:
            if begins or self._opening or not near(piece.timestamp, self.whole_at):
                assembler.begin(piece, now)
            else:
                self._taker.repaired("bad_tag")
        elif not assembler.add(piece, now):
            self._taker.repaired("bad_tag")
            self._remarks.note("picture dropped: too large", now, limit=PICTURE_LIMIT)

    def _take_loose(self, timestamp: int, messages: bytes, now: float) -> None:
        """Keeps SEI messages that came by themselves for the picture that follows."""
        if self._loose and not near(timestamp, self._loose_at):
            self._loose = b""
        self._loose_at = timestamp
        self._loose += messages
        if len(self._loose) > LOOSE_LIMIT:
            self._loose = b""
            self._remarks.note("SEI messages dropped: too many before their picture", now, limit=LOOSE_LIMIT)

    def _take_parameter_sets(self, codec: VideoCodec, found: tuple[bytes, ...], now: float) -> None:
        """Takes in-band parameter sets: the news in them, and all there is when no configuration ever came."""
        sets = found if self.track is not None else (*self._parameter_sets, *found)[-_LOOSE_SETS:]
        self._parameter_sets = sets
        try:
            track = with_parameter_sets(codec, self.track, sets)
        except MediaError as error:
            if self.track is not None:
                self._taker.repaired("bad_tag")  # the picture may be fine all the same
                self._remarks.note("bad tag dropped", now, reason=str(error))
            return  # else: some cameras send each in a tag of its own
        self._parameter_sets = found
        self.track = self._taker.configured(track, now)

    def _turn_to(self, codec: VideoCodec, body: bytes) -> None:
        """A picture of another codec: a stray, unless nothing else was sent, or several come with all they need.

        A change of codec has a configuration; who sends parameter sets in-band alone sends them with key pictures.
        """
        if codec not in NORMALISE:
            raise UnsupportedCodec(codec)
        self._strays += 1
        if self.track is not None:
            _, _, found = NORMALISE[codec](body, 4)
            if found is None or self._strays == 1:
                raise MediaError(f"a picture of {codec} in a stream of {self.codec}")
            with_parameter_sets(codec, None, found)
        self._strays = 0
        self._switch(codec)

    def _switch(self, codec: VideoCodec) -> None:
        self.codec = codec
        self._normalise = NORMALISE[codec]
        self._begins = BEGINS_PICTURE[codec]
        self.length_size = 4
        self._record = b""
        self._parameter_sets = ()
        self._loose = b""
        if self._assembler is not None:
            self._assembler.take()
        forget = self.track is not None and self.track.codec != codec
        if forget:
            self.track = None
        self._taker.switched(forget=forget)
