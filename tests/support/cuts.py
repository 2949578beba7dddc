"""Runs access units through a cutter and holds the result to what must be true of every cut."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from hlsd.media.aac_silence import silent_frame
from hlsd.media.unit import TICKS, AccessUnit, AudioTrack, Kind, Tracks
from hlsd.segmenter.cut import Cut, CutLimits
from hlsd.segmenter.cutter import Cutter
from tests.support.frames import BOTH


def limits(target: float = 2.0, limit: float = 2.49, part: float = 0.335, size: int = 50_000_000) -> CutLimits:
    """Limits in seconds and bytes."""
    return CutLimits(round(target * TICKS), round(limit * TICKS), round(part * TICKS), size)


def cut_all(
    units: Iterable[AccessUnit], bounds: CutLimits | None = None, tracks: Tracks = BOTH
) -> tuple[list[Cut], Cutter]:
    """Every cut of these units, flushed, after `check_cuts`."""
    units = list(units)
    bounds = limits() if bounds is None else bounds
    cutter = Cutter(tracks, bounds)
    cuts = [cut for unit in units for cut in cutter.push(unit)] + cutter.flush()
    check_cuts(cuts, units, bounds, tracks)
    return cuts, cutter


def check_cuts(cuts: list[Cut], units: list[AccessUnit], bounds: CutLimits, tracks: Tracks) -> None:
    """What holds whatever comes: MP13, LL08, LL10, LL13, DE02, MP02."""
    lead = Kind.VIDEO if tracks.video is not None else Kind.AUDIO
    if not cuts:
        return
    at = cuts[0].start
    opens = True
    for cut in cuts:
        if not cut.duration:
            assert cut.closes, "what does not last is no part: it only ends its segment"
            assert not opens, "a segment has a part"
            assert not cut.video
            assert not cut.audio
            opens = True
            continue
        assert cut.duration <= bounds.part_target, "LL08: a part is no longer than the part target"
        assert cut.start == at, "MP13: parts follow one another without a hole"
        at += cut.duration
        assert cut.opens == opens, "the first part of a segment follows the last of the one before"
        opens = cut.closes
        if cut.independent:
            first = cut.video[0] if lead is Kind.VIDEO else cut.audio[0]
            assert first.unit.key, "LL13: an independent part begins with a key frame"
            assert first.unit.clean
        elif cut.video and lead is Kind.VIDEO:
            first = cut.video[0]
            assert not (first.unit.key and first.unit.clean), "LL14: every part that begins with an IDR says so"
        for track in (cut.video, cut.audio):
            for one, after in itertools.pairwise(track):
                assert one.unit.dts + one.duration == after.unit.dts, "FM04: a sample lasts until the next one"
    assert cuts[-1].closes, "flush closes the open segment"
    for segment in segments_of(cuts):
        length = sum(cut.duration for cut in segment)
        assert length <= bounds.segment_limit, "MP02: no segment passes the limit"
    origin = next((unit.dts for unit in units if unit.kind is lead), None)
    for kind in Kind:
        sent = [unit for unit in units if unit.kind is kind]
        got = [sample.unit for cut in cuts for sample in (cut.video if kind is Kind.VIDEO else cut.audio)]
        if kind is not lead and tracks.audio is not None:
            silence = silent_frame(tracks.audio)  # stands in for sound that stopped
            got = [unit for unit in got if unit.payload != silence]
        if kind is lead:
            assert got == sent, "DE02: each picture is in exactly one part, in order"
        elif origin is not None:
            last = sent[-1].dts - sent[-2].dts if len(sent) > 1 else 1920
            ends = [after.dts for after in sent[1:]] + [sent[-1].dts + last] if sent else []
            assert got == [unit for unit, end in zip(sent, ends, strict=True) if end > origin], "DE02: so is each sound"


def segments_of(cuts: list[Cut]) -> list[list[Cut]]:
    """The cuts of each segment."""
    found: list[list[Cut]] = []
    for cut in cuts:
        if cut.opens:
            found.append([])
        found[-1].append(cut)
    return found


def lengths(cuts: list[Cut]) -> list[float]:
    """Durations of the segments, seconds."""
    return [sum(cut.duration for cut in segment) / TICKS for segment in segments_of(cuts)]


def frame_ticks(track: AudioTrack) -> float:
    """How long a frame of this track lasts, ticks."""
    return TICKS * track.frame_samples / track.sample_rate
