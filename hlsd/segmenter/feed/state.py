"""Says, as JSON can carry it, what `FACTS` frames tell: the facts of a rendition, and the numbers that go on by one.

Pure. Reading refuses whatever is not of the kind it should be: what it makes is text for players.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeVar

from hlsd.base.errors import ProtocolError
from hlsd.media.segment_keys import SegmentKeys
from hlsd.segmenter.facts import LowLatency, Rates, RenditionFacts, TrackFacts
from hlsd.segmenter.feed.numbers import NAME
from hlsd.segmenter.listed_ranges import MOST, Line
from hlsd.segmenter.live import Live
from hlsd.segmenter.window import Window

State = dict[str, Any]
T = TypeVar("T")
_MOST: Final = 1 << 62
_TEXT: Final = 16 << 10


def state_of(live: Live, window: Window) -> State:
    """All that is told but segments, parts and which of them are listed."""
    facts = live.facts
    tracks, promises, rates = facts.tracks, facts.promises, facts.rates
    return {
        "target": window.target_duration,
        "next": window.last_msn + 1,
        "part": window.next_part,
        "hint": window.hint.rpartition("/")[2],
        "ended": window.ended,
        "tracks": None
        if tracks is None
        else [tracks.codecs, tracks.video, tracks.width, tracks.height, tracks.video_range],
        "version": facts.playlist_version,
        "type": facts.content_type,
        "promises": None
        if promises is None
        else [promises.part_target, promises.part_hold_back, promises.can_skip_until],
        "rates": None if rates is None else [rates.bandwidth, rates.average_bandwidth, rates.frame_rate],
        "independent": facts.independent,
        "away": facts.away,
        "off": facts.off,
        "keys": None if facts.keys is None else [facts.keys.secret.hex(), facts.keys.every],
        "previous": live.previous.about[0] if isinstance(live.previous, Live) else "",
        "ranges": [list(line) for line in window.ranges.lines] if window.ranges else [],
    }


def facts_of(state: State, version: int) -> RenditionFacts:
    """The facts in it. Raises ProtocolError."""
    tracks, promises, rates = state.get("tracks"), state.get("promises"), state.get("rates")
    keys = state.get("keys")
    return RenditionFacts(
        version=version,
        tracks=None if tracks is None else _tracks(tracks),
        playlist_version=number(state, "version", 99),
        content_type=_text(state.get("type"), 64),
        promises=None if promises is None else LowLatency(*[_real(one) for one in _items(promises, 3)]),
        rates=None if rates is None else _rates(rates),
        independent=truth(state, "independent"),
        away=truth(state, "away"),
        off=truth(state, "off"),
        keys=None if keys is None else _keys(keys),
    )


def ranges_of(state: State) -> list[Line]:
    """The date ranges in it. Raises ProtocolError."""
    told = state.get("ranges")
    if not isinstance(told, list) or len(told) > MOST:
        raise ProtocolError("no list of date ranges")
    lines: list[Line] = []
    for one in told:
        msn, part, line = _items(one, 3)
        lines.append((_whole(msn, _MOST), _whole(part, _MOST), _text(line, _TEXT)))
    return lines


def number(state: State, key: str, most: int = _MOST) -> int:
    """A whole number of it. Raises ProtocolError."""
    return _whole(state.get(key), most)


def truth(state: State, key: str) -> bool:
    """A truth of it. Raises ProtocolError."""
    said = state.get(key)
    if not isinstance(said, bool):
        raise ProtocolError(f"facts without {key}")
    return said


def name(state: State, key: str, *, absent: bool = False) -> str:
    """A name of it, a part of paths; `absent`: it may be empty. Raises ProtocolError."""
    said = _text(state.get(key), 64)
    if absent and not said:
        return ""
    if NAME.fullmatch(said) is None:
        raise ProtocolError(f"facts without {key}")
    return said


def _tracks(said: object) -> TrackFacts:
    codecs, video, width, height, video_range = _items(said, 5)
    if not isinstance(video, bool):
        raise ProtocolError("facts of no tracks")
    return TrackFacts(_text(codecs, 256), video, _whole(width, 1 << 17), _whole(height, 1 << 17), _text(video_range, 8))


def _rates(said: object) -> Rates:
    highest, average, frames = _items(said, 3)
    return Rates(_whole(highest, _MOST), _whole(average, _MOST), _real(frames))


def _keys(said: object) -> SegmentKeys:
    secret, every = _items(said, 2)
    if not isinstance(secret, str) or len(secret) != 64 or not every:
        raise ProtocolError("facts of no keys")
    try:
        return SegmentKeys(bytes.fromhex(secret), _whole(every, 1 << 20))
    except ValueError as error:
        raise ProtocolError("facts of no keys") from error


def _items(said: object, count: int) -> list[Any]:
    if not isinstance(said, list) or len(said) != count:
        raise ProtocolError(f"facts that should be {count} values")
    return said


def _whole(said: object, most: int) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or not 0 <= said <= most:
        raise ProtocolError("a fact that should be a number")
    return said


def _real(said: object) -> float:
    if not isinstance(said, int | float) or isinstance(said, bool) or not math.isfinite(said) or said < 0:
        raise ProtocolError("a fact that should be a number")
    return float(said)


def _text(said: object, most: int) -> str:
    if not isinstance(said, str) or len(said) > most or not said.isprintable():
        raise ProtocolError("a fact that should be text")
    return said
