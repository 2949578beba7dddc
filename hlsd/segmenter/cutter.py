"""Decides where parts and segments end.

Law: a segment ends before an IDR once it has reached the target, or earlier when one more group of pictures would
carry it past the limit that EXT-X-TARGETDURATION sets (hls-rules MP02, TL05); a part ends before the frame that would
carry it past the part target (LL08), and wherever its segment ends; where no frame begins in its last seventh it ends
by the clock (LL09). The leading track (video, else audio) decides; frames of the other track go to the part in whose
span their decode time lies (TS16, FM10). Durations are true: a frame lasts until the next one of its track, so one
frame of each track is always held back (FM04).

A stretch of a few milliseconds between a part's end and the next frame is nobody's part: it joins the next one. Whether
a track has fallen silent is judged by when its frames came, never by its times: sound may run seconds ahead of its
picture. Pictures that stop leave the parts to the sound; sound that stops is filled with silent frames, since players
stand still where a track is missing.

Units: 90 kHz ticks. It refuses to know containers, names, sequence numbers, playlists and the time of day.
"""

from __future__ import annotations

from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks
from hlsd.segmenter.cut import Cut, CutLimits, Sample
from hlsd.segmenter.silence import Silence

SILENCE = 1.0
"""Seconds without a frame after which a track has fallen silent, if the other one goes on: a second covers every
interleaving seen."""
NEVER = 5.0
"""The same for sound of which nothing has come yet: it may be seconds behind its picture."""
LEAD_SILENCE = round(SILENCE * TICKS)
"""How far behind the other track parts are then closed, ticks: room for pictures that come late."""
SLOW = TICKS // 2
"""Pictures further apart than this are slow ones, of which the next is to be expected as late; ticks."""
STANDS = 10 * TICKS
"""How long the last of faster pictures is said to stand that have stopped; the next one may come at any time."""
SHORTEST = 0.85
"""Of the part target: "a duration at least 85% of the Part Target Duration" (LL09)."""

AUDIO_BEFORE_VIDEO = 512
"""Audio frames kept while the first picture is awaited; older ones go."""


_VIDEO = Kind.VIDEO
_make = tuple.__new__  # a Sample without the detour by its own __new__, which takes as long again


class Cutter:
    """Turns the access units of one uninterrupted timeline into cuts.

    One cutter serves one set of tracks; at a discontinuity `flush()` it and make another.
    """

    def __init__(self, tracks: Tracks, limits: CutLimits) -> None:
        self._limits = limits
        self._lead = Kind.VIDEO if tracks.video else Kind.AUDIO
        self._both = tracks.video is not None and tracks.audio is not None
        self._held: AccessUnit | None = None  # of the leading track, and of the other one, which is sound
        self._other_held: AccessUnit | None = None
        sound = TICKS * tracks.audio.frame_samples // tracks.audio.sample_rate if tracks.audio is not None else 0
        self._frame = TICKS // 30 if tracks.video else sound  # how long a single one of the leading track lasts
        self._other_frame = sound  # how long the last true one of the other track did
        self._video: list[Sample] = []
        self._audio: list[Sample] = []
        self._started = False
        self._origin = 0  # where the leading track began
        self._segment_start = 0
        self._part_start = 0
        self._segment_bytes = 0
        self._opens = True
        self._forced = False
        self._last = 0  # how long the leading track's latest frame lasted; 0: none yet
        self._expected = 0  # how long its next one will last, by the last two
        self._lead_came = self._other_came = 0.0  # when the last frame of each track came
        self._since = 0.0  # when the first picture did
        self._ahead = 0  # by how much the other track was ahead of the leading one when that last came
        self._other = 0  # the other track's last time
        self._silence: Silence | None = None
        if self._both and tracks.audio is not None:
            self._silence = Silence.of(tracks.audio)
        self._last_key = 0
        self._last_clean = 0
        self._gop = 0
        self.longest_gop = 0
        """Longest distance between two key frames so far, ticks."""
        self.longest_frame = 0
        """Longest frame of the leading track so far, ticks."""
        self.forced_cuts = 0
        """Segments that had to begin at an ordinary frame."""

    @property
    def open_bytes(self) -> int:
        """Payload bytes held for the part under way."""
        held = sum([len(unit.payload) for unit in (self._held, self._other_held) if unit is not None])
        held += sum([len(unit.payload) for unit, _ in self._video])  # hundreds, each second: no call for each of them
        return held + sum([len(unit.payload) for unit, _ in self._audio])

    @property
    def newest_picture(self) -> int:
        """Decode time of the last picture taken, ticks; -1 before the first."""
        held = self._held
        return held.dts if held is not None and held.kind is Kind.VIDEO else -1

    def quiet(self, now: float) -> float:
        """Seconds for which no frame of any track had come at `now`; as `AccessUnit.arrived`."""
        return now - max(self._lead_came, self._other_came)

    def push(self, unit: AccessUnit) -> list[Cut]:
        """Takes the next access unit; returns the parts that it closed, usually none, at most two."""
        kind, dts, _, key, clean, payload, arrived = unit
        lead = self._lead
        if kind is not lead:
            return self._follow(unit)
        self._lead_came = arrived
        previous, self._held = self._held, unit
        if not self._started:
            self._begin(unit)
            return []
        cuts: list[Cut] = []
        self._ahead = self._other - dts
        limits = self._limits
        if previous is not None:
            duration = dts - previous.dts
            if dts - self._part_start <= limits.part_target and dts - self._segment_start <= limits.segment_limit:
                self._segment_bytes += len(previous.payload)  # as nearly always: `_lead_on` without its calls
                (self._video if lead is _VIDEO else self._audio).append(_make(Sample, (previous, duration)))
            else:
                self._lead_on(previous, dts, cuts)
            # One long frame is a hole in what the encoder sends, two are a slow encoder. A frame that turns out longer
            # than this ends the part before it after all (see `_lead_on`), one frame later.
            last = self._last
            self._expected = last if 0 < 2 * last < duration else duration
            self._last = duration
            if duration > self.longest_frame:  # noqa: PLR1730 - max() is a call
                self.longest_frame = duration
        else:
            self._resume(dts, cuts)
        if key:
            self._note_key(dts, clean)
        expected = self._expected
        may_not = (  # go on, for its length or its size
            dts + expected - self._segment_start > limits.segment_limit
            or self._segment_bytes + len(payload) > limits.segment_bytes
        )
        if may_not or (key and self._may_end(unit)):
            if self._end(dts, cuts, closes=True):
                self._force(unit)
        elif dts + expected - self._part_start > limits.part_target:
            self._end(dts, cuts, closes=False)
        return cuts

    def _resume(self, at: int, cuts: list[Cut]) -> None:
        """Frames of the leading track that had stopped go on."""
        if self._video:  # the last picture is in no part yet, and stands until now
            stood = self._video[-1].unit
            self._video[-1] = Sample(stood, max(1, at - stood.dts))
        self._reach(at, cuts)

    def _note_key(self, at: int, clean: bool) -> None:
        self._gop = at - self._last_key
        self._last_key = at
        if clean:
            self._last_clean = at
        self.longest_gop = max(self.longest_gop, self._gop)

    def flush(self) -> list[Cut]:
        """Closes the open segment with what there is; frames held back get the duration of the one before them."""
        if not self._started:
            return []
        cuts: list[Cut] = []
        end = self._part_start
        if self._video and self._video[-1].duration == STANDS:
            last = self._video[-1].unit
            self._video[-1] = Sample(last, self._last)
        held, self._held = self._held, None
        other, self._other_held = self._other_held, None
        if other is not None:
            self._settle(other, self._other_frame)
        if held is not None:
            end = held.dts + (self._expected or self._frame)
            self._lead_on(held, end, cuts)
        if end <= self._part_start:
            # The leading track had fallen silent: what there is of the other one says where the end is.
            if not self._video and not self._audio:
                return []
            end = max(sample.unit.dts + sample.duration for sample in (*self._video, *self._audio))
            end = max(end, self._part_start + 1)
            self._step(end - self._limits.part_target, cuts)
        if self._video or self._audio or not self._opens:
            lasts = end if self._video or self._audio else self._part_start
            cuts.append(self._close(lasts, closes=True, rest=True))
        return cuts

    def _begin(self, unit: AccessUnit) -> None:
        self._started = True
        self._since = unit.arrived
        self._segment_start = self._part_start = self._origin = unit.dts
        self._last_key = self._last_clean = unit.dts
        self._audio = [s for s in self._audio if s.unit.dts + s.duration > unit.dts]
        self._segment_bytes = sum(len(sample.unit.payload) for sample in self._audio)
        if self._lead is Kind.VIDEO and not unit.key:
            self._forced = True
            self.forced_cuts += 1

    def _lead_on(self, held: AccessUnit, end: int, cuts: list[Cut]) -> None:
        """Settles the leading track's frame that was held back: it lasts until `end`."""
        limits = self._limits
        passes = end - self._segment_start > limits.segment_limit
        if (passes or end - self._part_start > limits.part_target) and held.dts > self._part_start:
            # It lasted longer than the one before it: with it the part would pass its target, so the part ends before
            # it, short too if a part would be left empty otherwise. Nothing of this part has been shown to anybody yet.
            clock = self._part_start + limits.part_target
            short = end > clock + limits.part_target and not any(
                0 <= sample.unit.dts - clock < limits.part_target for sample in self._audio
            )
            if self._end(held.dts, cuts, closes=passes, short=short) and passes:
                self._force(held)
        self._settle(held, end - held.dts)
        if passes or end - limits.part_target > self._part_start:
            self._reach(end, cuts)

    def _reach(self, end: int, cuts: list[Cut]) -> None:
        """Lets parts end by the clock, up to where a frame of the leading track ends.

        TL06: "Parts follow the clock, not the frame count": a frame longer than a part fills several.
        """
        limits = self._limits
        self._step(end - limits.part_target, cuts)
        limit = self._segment_start + limits.segment_limit
        if end > limit:
            cuts.append(self._close(limit, closes=True))
            self._force(None)

    def _end(self, at: int, cuts: list[Cut], *, closes: bool, short: bool = False) -> bool:
        """Ends the part under way at `at`, if that is to be: says whether it did, or whether the segment ended."""
        lasted = at - self._part_start
        if not self._video and not (self._audio and self._audio[0].unit.dts < at):
            # A few milliseconds in which nothing begins: they are the next part's, and the next segment's.
            if not closes or self._opens:
                return False
            cuts.append(self._close(self._part_start, closes=True))
            return True
        if not closes and not short and lasted < SHORTEST * self._limits.part_target:
            return False  # by the clock, once it is known that what comes lasts longer
        # A leading track that comes back behind the other one (see `_follow`) cannot end a part in the past.
        cuts.append(self._close(max(at, self._part_start + 1), closes=closes))
        return True

    def _follow(self, unit: AccessUnit) -> list[Cut]:
        """Takes a frame of the other track, which closes parts when the leading one has fallen silent (TL06)."""
        self._other = dts = unit.dts
        self._other_came = arrived = unit.arrived
        silence = self._silence
        if silence is not None and silence.begun:
            if silence.covers(dts):
                return []
            self._audio += [Sample(*one) for one in silence.end(dts, arrived)]
        previous, self._other_held = self._other_held, unit
        if previous is not None:
            self._other_frame = duration = dts - previous.dts
            if not self._started or dts > self._origin:  # as `_settle`
                self._segment_bytes += len(previous.payload)
                self._audio.append(_make(Sample, (previous, duration)))
        cuts: list[Cut] = []
        if not self._started:
            if len(self._audio) > AUDIO_BEFORE_VIDEO:
                del self._audio[0]
        elif arrived - self._lead_came > SILENCE:
            held = self._held
            if held is not None and self._last:
                # Shown now, for as long as such pictures stand, or, if they have stopped, for long: a player would
                # stand still where it ends, and drop what follows a hole up to the next key picture.
                self._held = None
                self._settle(held, self._last if self._last > SLOW else STANDS)
            self._step(dts - max(0, self._ahead) - self._limits.part_target - LEAD_SILENCE, cuts)
        return cuts

    def _fill(self, silence: Silence, end: int) -> None:
        """Puts silence where sound has stopped while pictures go on, up to the end of the part."""
        if not silence.begun:
            heard = self._other_came
            if self._lead_came - (heard or self._since) <= (SILENCE if heard else NEVER):
                return
            held, self._other_held = self._other_held, None
            if held is not None:
                self._other_frame = silence.begin(held.dts)
                self._settle(held, self._other_frame)
            else:  # behind a discontinuity, in the middle of a silence
                silence.begin(self._part_start)
        self._audio += [Sample(*one) for one in silence.until(end, self._lead_came)]

    def _step(self, until: int, cuts: list[Cut]) -> None:
        """Closes parts of exactly the part target while the open one began before `until`."""
        limits = self._limits
        while self._part_start < until:
            limit = self._segment_start + limits.segment_limit
            end = min(self._part_start + limits.part_target, limit)
            # Where what comes lasts into one more part that would pass the limit, that one opens the next segment.
            closes = end == limit or (end < until and end + limits.part_target > limit)
            cuts.append(self._close(end, closes=closes))
            if closes:
                self._force(None)

    def _force(self, opening: AccessUnit | None) -> None:
        """Marks the segment just opened as forced unless it begins with a key frame."""
        if opening is None or not opening.key:
            self._forced = True
            self.forced_cuts += 1

    def _settle(self, unit: AccessUnit, duration: int) -> None:
        if self._started and unit.dts + duration <= self._origin:
            return  # sound that ended before the first picture would only shift the two apart (FM10)
        self._segment_bytes += len(unit.payload)
        (self._video if unit.kind is _VIDEO else self._audio).append(Sample(unit, duration))

    def _may_end(self, unit: AccessUnit) -> bool:
        """Whether the segment ends before a key frame because it should."""
        if unit.dts <= self._part_start:
            return False
        elapsed = unit.dts - self._segment_start
        passes = self._lead is Kind.VIDEO and elapsed + self._gop > self._limits.segment_limit
        if not unit.clean and not passes and unit.dts - self._last_clean < 2 * self._limits.segment_target:
            return False  # HE03: a CRA "is only cut at if no IDR comes", as with x265's open groups of pictures
        if self._forced:
            return True  # no player can start in this segment, so it is as short as it may be (LL23)
        slack = self._expected // 2  # TL07: at the boundary nearest to the target
        if elapsed + slack >= self._limits.segment_target:
            return True
        # One more group of pictures would pass the limit, so a shorter segment is the lesser evil (TL05).
        return passes

    def _close(self, end: int, *, closes: bool, rest: bool = False) -> Cut:
        if self._silence is not None:
            self._fill(self._silence, end)
        audio, later = self._audio, []
        if self._both and not rest:
            # The other track's frames that begin at or after the boundary belong to the next part.
            split = len(audio)
            while split and audio[split - 1].unit.dts >= end:
                split -= 1
            audio, later = audio[:split], audio[split:]
        video = self._video
        if video:
            first = video[0].unit
            independent = first.key and first.clean
        else:
            independent = self._lead is Kind.AUDIO and bool(audio)
        cut = Cut(
            video=tuple(video),
            audio=tuple(audio),
            start=self._part_start,
            duration=end - self._part_start,
            independent=independent,
            opens=self._opens,
            closes=closes,
            forced=self._forced and self._opens,
        )
        self._video = []
        self._audio = later
        self._part_start = end
        self._opens = closes
        if closes:
            self._segment_start = end
            self._segment_bytes = sum(len(sample.unit.payload) for sample in later)
            self._forced = False
        return cut
