"""A day in one file: fifty times its publisher goes and comes back, and its clock runs otherwise than ours.

Ten minutes in the test run, HLSD_LONG=1 makes it a day.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from typing import Final

import av
import pytest

from hlsd.media.unit import TICKS, AccessUnit, Kind
from hlsd.record.segments import Segments
from hlsd.record.shape import scan
from tests.support.frames import BOTH, WALL, audio, interleaved, video
from tests.support.recording import MemoryStore, finished, listed, reading, recorded, recorder
from tests.support.told import yes

BLIPS: Final = 50
EACH: Final = 24 * 3600 / BLIPS if yes("LONG") else 12.0
"""Seconds that a publication lasts; the publisher is away for three."""
SKEW: Final = 30e-6
"""Part by which the publisher's clock is slow: of a day two and a half seconds."""


def publication(number: int) -> Iterator[AccessUnit]:
    """Its units: they were there when our clock says, however late it is by its own."""
    begin = number * (EACH + 3.0)
    for unit in interleaved(video(25, EACH, gop=2.0, size=24), audio(EACH, size=12)):
        at = round(begin * TICKS)
        true = WALL + (begin + unit.dts / TICKS) * (1 + SKEW)
        yield unit._replace(dts=unit.dts + at, pts=unit.pts + at, arrived=true)


def ends(octets: bytes) -> dict[str, tuple[float, float, int]]:
    """Of each track of a file: when the first and the last of its frames are shown, and how many there are."""
    found: dict[str, tuple[float, float, int]] = {}
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        file.seek(0)
        with av.open(file, "r") as container:
            for packet in container.demux():
                if packet.pts is None or packet.time_base is None:
                    continue
                at = float(packet.pts * packet.time_base)
                first, _, count = found.get(packet.stream.type, (at, at, 0))
                found[packet.stream.type] = first, at, count + 1
    return found


def frames(octets: bytes) -> Iterator[tuple[str, bytes]]:
    """The frames of a file in their order, and of which track each is."""
    with av.open(io.BytesIO(octets), "r") as container:
        for packet in container.demux():
            if packet.size:
                yield packet.stream.type, bytes(packet)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_in_a_day_of_blips_and_skew_nothing_drifts() -> None:
    store = MemoryStore()
    made = recorder(store, rotate=1e9, max_bytes=1 << 40)
    made.tracks(BOTH)
    last: dict[Kind, AccessUnit] = {}
    arrivals: list[float] = []
    media, counts = 0.0, dict.fromkeys((Kind.VIDEO, Kind.AUDIO), 0)
    for number in range(BLIPS + 1):
        for unit in publication(number):
            made.unit(unit)
            last[unit.kind] = unit
            counts[unit.kind] += 1
            if unit.kind is Kind.VIDEO:
                arrivals.append(unit.arrived)
        media += EACH
        if number < BLIPS:
            made.pause()
            made.jump()
    made.end()
    (octets,) = store.files
    assert store.gaps == 0
    whole, said = finished(octets)
    shown = ends(whole)
    assert (shown["video"][2], shown["audio"][2]) == (counts[Kind.VIDEO], counts[Kind.AUDIO]), (
        "one file has every frame"
    )
    apart = (last[Kind.VIDEO].pts - last[Kind.AUDIO].pts) / TICKS
    assert shown["video"][1] - shown["audio"][1] == pytest.approx(apart, abs=0.020), "sound and picture stay together"
    assert said.duration == pytest.approx(media, abs=0.04), "as long as the media: within a picture"
    layout = scan(reading(whole), len(whole))
    seams = [one for one in layout.fragments if one.mark is not None and one.mark.seam]
    assert len(seams) == BLIPS
    spans = Segments(layout.fragments)
    spans.grow(whole=True)
    assert listed(spans, whole=True).count("#EXT-X-DISCONTINUITY\n") == BLIPS
    # Each picture was there when its fragment says, by the mark before it: not later or sooner by a tenth of a second.
    worst, base, seen = 0.0, (0.0, 0), 0
    for one in layout.fragments:
        if one.mark is not None:
            base = one.mark.wall, one.start
        told = base[0] + (one.start - base[1]) / TICKS
        pictures = round((one.end - one.start) / TICKS * 25)
        worst = max(worst, abs(told - arrivals[seen]))
        seen += pictures
    assert seen == pytest.approx(len(arrivals), abs=BLIPS)
    assert worst <= 0.1


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_files_of_ten_seconds_have_each_frame_once() -> None:
    """An hour of them in the long form: each file is a whole one, and all in a row are what was published."""
    seconds = 3600.0 if yes("LONG") else 90.0
    units = interleaved(video(25, seconds, gop=2.0, size=24), audio(seconds, size=12))
    files = recorded(BOTH, units, rotate=10.0)
    assert len(files) == pytest.approx(seconds / 10, abs=1)
    found: dict[str, list[bytes]] = {"video": [], "audio": []}
    for file in files:
        whole, said = finished(file)
        assert said.duration == pytest.approx(10.0, abs=2.1) or file is files[-1]
        for track, octets in frames(whole):
            found[track].append(octets)
    for kind, track in ((Kind.VIDEO, "video"), (Kind.AUDIO, "audio")):
        assert found[track] == [unit.payload for unit in units if unit.kind is kind]
