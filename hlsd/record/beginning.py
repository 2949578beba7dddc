"""Lets a stretch of a recording begin with what is *shown*, or heard, first.

Law: time 0 of a stretch is its first decode time (`tfdt`), and players put that at 0. An encoder with B-frames decodes
its first picture some pictures before it is shown, and its sound begins with what is shown: nothing would be there for
a tenth of a second. hls.js leaps over such a hole (`bufferSeekOverHole`), and WebKitGTK, sent on while it prepares its
first pictures, now and then stands still for good. An edit list does not help: neither of them looks at it. So the few
pictures that are decoded before anything is shown are said to be decoded a little later, close together: when a picture
is shown stays, and so does their order. Composition offsets stay above 0: for others libavformat shows all pictures of
fragments later than they are to be. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hlsd.media.unit import TICKS
from hlsd.segmenter.cut import Cut, Sample

MOST: Final = TICKS
"""Ticks by which a decode time may move: 16 pictures are what a decoder holds back (H.264 A.3.1), of 16 a second."""


def begun(cut: Cut) -> Cut:
    """The first cut of a stretch, its pictures decoded no earlier than what is shown first, where that can be.

    Times are ticks of 90 kHz. Where it cannot be (no decoder would hold so many back, fewer ticks than pictures), and
    where nothing is to be done, it is the same cut.
    """
    video, audio = cut.video, cut.audio
    if not video:
        return cut
    shown = min(sample.unit.pts for sample in video)
    if audio:
        shown = min(shown, audio[0].unit.dts)
    early = next((at for at, sample in enumerate(video) if sample.unit.dts > shown), len(video))
    first = video[0].unit.dts
    if not first < shown <= first + MOST or early == len(video):
        return cut
    end = until = video[early].unit.dts
    times: list[int] = []
    for at in range(early - 1, -1, -1):
        until = min(shown + (end - shown) * at // early, video[at].unit.pts, until - 1)
        times.append(until)
    if until <= first:
        return cut  # they are as many as the ticks between: there is no such encoder
    times.reverse()
    moved = [
        Sample(sample.unit._replace(dts=time), then - time)
        for sample, time, then in zip(video[:early], times, [*times[1:], end], strict=True)
    ]
    return replace(cut, video=(*moved, *video[early:]), start=max(cut.start, times[0]))
