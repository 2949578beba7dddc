"""Renders playlists as text, for players to read (draft-pantos-hls-rfc8216bis).

Law: hls-rules §§1-4 under their ids. Rendering is a function of the window and of values fixed before the first
answer: two renderings of one version are equal byte for byte (DD18), and nothing of a viewer is in a media playlist.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from hlsd.media.segment_keys import KeyLines
from hlsd.media.unit import TICKS
from hlsd.segmenter.facts import LowLatency, Rates, TrackFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hlsd.media.segment_keys import SegmentKeys
    from hlsd.segmenter.listed_ranges import ListedRanges
    from hlsd.segmenter.window import Part, Segment, Window


@dataclass(frozen=True, slots=True)
class Variant:
    """A rendition as a multivariant playlist says it: the URI of its media playlist, its tracks and its rates."""

    uri: str
    tracks: TrackFacts
    rates: Rates


class RenditionReport(NamedTuple):
    """Where another rendition stands, for who changes to it (EXT-X-RENDITION-REPORT, rfc8216bis §4.4.5.4).

    `msn` of its last segment and `part`, the index of the last part in it; -1 if it has none.
    """

    uri: str
    msn: int
    part: int


def low_latency_for(part: float, frame: float, target_duration: int) -> LowLatency:
    """The promises for a part target of `part` seconds, frames of `frame` seconds and the given target duration.

    "PT is chosen with the frame duration f: floor(PT/f)·f ≥ 0.85 PT" (LL09): the whole frames that fit into `part`
    (at least one), plus a millisecond for the rounding of RTMP's clock, rounded up to a millisecond (LL08). Pictures
    that stand longer than a second have no say: their parts follow the clock (TL06).
    """
    frames = max(1, math.floor(part / frame + 1e-6)) if 0 < frame <= max(part, 1.0) else 0
    target = math.ceil((frames * frame if frames else part) * 1000 - 1e-6) / 1000 + 0.001
    target = round(target, 3)
    return LowLatency(target, round(3 * target + 0.001, 3), 6.0 * target_duration)


def media_playlist(  # noqa: C901, PLR0913 - who tells of no date range asks for none, at each place where one may be
    window: Window,
    version: int,
    low_latency: LowLatency | None,
    *,
    skip: bool = False,
    reports: Sequence[RenditionReport] = (),
    keys: SegmentKeys | None = None,
) -> str:
    """The media playlist of this instant; with `skip` as a delta update where one is due (DD10).

    `reports`: of the other renditions that the stream has (LL21). `keys`: what its segments are encrypted by; then
    without low latency, since parts would not be.
    """
    lines = _head(window, version, low_latency)
    segments, ranges = window.segments, window.ranges
    skips = skip and low_latency is not None and not window.ended  # EN01: "directives ignored" behind ENDLIST
    skipped = _skippable(window, low_latency.can_skip_until) if skips and low_latency is not None else 0
    init: str | None = None
    crypt = KeyLines(keys, window.run) if keys is not None else None
    if skipped:
        lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")
        init = segments[skipped - 1].init
        segments = segments[skipped:]
    # CAN-SKIP-DATERANGES (rfc8216bis §4.4.3.8) is not offered: a delta update skips segments only, and has every date
    # range, so that none is ever recently removed without its being seen.
    if ranges:
        lines += ranges.head(segments[0].msn if segments else window.last_msn)
    parts_from = _first_with_parts(window) if low_latency is not None else None
    for segment in segments:
        if ranges:
            lines += ranges.before(segment.msn, parts=low_latency is not None)
        init = _open_segment(lines, segment, init, crypt)
        if parts_from is not None and segment.msn >= parts_from:
            lines += _parts(segment, ranges)
        elif ranges and low_latency is not None:
            lines += [line for _, line in ranges.inside(segment.msn)]
        if segment.gap:
            lines.append("#EXT-X-GAP")
        lines.append(f"#EXTINF:{_seconds(segment.duration)},")
        lines.append(segment.uri)
    if low_latency is not None and not window.ended:
        if window.open is not None:
            if ranges:
                lines += ranges.before(window.open.msn, parts=True)
            _open_segment(lines, window.open, init)
            lines += _parts(window.open, ranges)
        lines += ranges.tail(window.last_msn + 1)
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{window.hint}"')
        lines += [_report(report) for report in reports]
    else:
        lines += ranges.tail(segments[-1].msn + 1 if segments else window.last_msn)
    if window.ended:
        lines.append("#EXT-X-ENDLIST")
    lines.append("")
    return "\n".join(lines)


def _head(window: Window, version: int, low_latency: LowLatency | None) -> list[str]:
    """What is said of the whole playlist."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{9 if low_latency else version}"]
    lines.append(f"#EXT-X-TARGETDURATION:{window.target_duration}")
    if low_latency is not None:
        lines.append(
            f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={_decimal(low_latency.part_hold_back)},"
            f"CAN-SKIP-UNTIL={_decimal(low_latency.can_skip_until)}"
        )
        lines.append(f"#EXT-X-PART-INF:PART-TARGET={_decimal(low_latency.part_target)}")
    lines.append(f"#EXT-X-MEDIA-SEQUENCE:{window.media_sequence}")
    # MP17: always there, since any live playlist can come to carry an EXT-X-DISCONTINUITY.
    lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{window.discontinuity_sequence}")
    return lines


def multivariant_playlist(variants: Sequence[Variant], *, version: int, independent: bool) -> str:
    """The multivariant playlist of these muxed variants (MV13)."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}"]
    if independent:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    for variant in variants:
        lines += [f"#EXT-X-STREAM-INF:{_stream_inf(variant.tracks, variant.rates)}", variant.uri]
    lines.append("")
    return "\n".join(lines)


def _stream_inf(tracks: TrackFacts, rates: Rates) -> str:
    attributes = [
        f"BANDWIDTH={rates.bandwidth}",
        f"AVERAGE-BANDWIDTH={rates.average_bandwidth}",
        f'CODECS="{tracks.codecs}"',
    ]
    if tracks.video:
        attributes.append(f"RESOLUTION={tracks.width}x{tracks.height}")
        if rates.frame_rate > 0:
            attributes.append(f"FRAME-RATE={rates.frame_rate:.3f}")
        if tracks.video_range != "SDR":
            attributes.append(f"VIDEO-RANGE={tracks.video_range}")
    return ",".join(attributes)


def _skippable(window: Window, can_skip_until: float) -> int:
    """How many segments at the head "end more than CAN-SKIP-UNTIL before the end of the last segment" (DD10, DD12)."""
    ahead = window.open.duration / TICKS if window.open is not None else 0.0
    for segment, behind in window.tail():
        if behind - ahead > can_skip_until + 1e-6:  # seconds added up in floats: exactly at the boundary is not beyond
            return segment.msn - window.media_sequence + 1
    return 0


def _first_with_parts(window: Window) -> int:
    """The first MSN whose parts are listed: those "more than 3 TD from the end" go (LL18)."""
    boundary = 3.0 * window.target_duration
    first = window.last_msn
    for segment, behind in window.tail():
        if behind > boundary:
            break
        first = segment.msn
    return first


def _open_segment(lines: list[str], segment: Segment, init: str | None, crypt: KeyLines | None = None) -> str | None:
    """The tags that stand before a segment's first part or EXTINF, in MP21's order; returns the MAP in force."""
    if segment.discontinuity:
        lines.append("#EXT-X-DISCONTINUITY")
    if segment.init is not None and segment.init != init:
        if crypt is not None:
            lines += crypt.before_map()
        lines.append(f'#EXT-X-MAP:URI="{segment.init}"')
    if crypt is not None:
        lines += crypt.before(segment.msn)
    date = datetime.fromtimestamp(segment.date, UTC)
    lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03d}Z")
    return segment.init


def _parts(segment: Segment, ranges: ListedRanges) -> list[str]:
    """The parts of a segment with the date ranges that came between them."""
    parts = segment.parts
    told = ranges.inside(segment.msn) if ranges else ()
    if not told:
        return [_part(part) for part in parts]
    lines = []
    for number, part in enumerate(parts):
        lines += [line for at, line in told if at == number]
        lines.append(_part(part))
    return lines + [line for at, line in told if at >= len(parts)]


def _part(part: Part) -> str:
    # LL08: "print PT rounded up, DURATION rounded down".
    attributes = f'DURATION={math.floor(part.duration * 100_000 / TICKS) / 100_000:.5f},URI="{part.uri}"'
    if part.gap:
        return f"#EXT-X-PART:{attributes},GAP=YES"
    return f"#EXT-X-PART:{attributes}{',INDEPENDENT=YES' if part.independent else ''}"


def _report(report: RenditionReport) -> str:
    part = f",LAST-PART={report.part}" if report.part >= 0 else ""
    return f'#EXT-X-RENDITION-REPORT:URI="{report.uri}",LAST-MSN={report.msn}{part}'


def _seconds(ticks: int) -> str:
    """MP13: at least five decimals, in plain notation."""
    return f"{ticks / TICKS:.5f}"


def _decimal(value: float) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".")
