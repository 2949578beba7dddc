"""Whatever raises in the HLS output, wherever and whenever: its playlists stay lawful, and it goes on with the run."""

from __future__ import annotations

import pytest

from hlsd.media.unit import TICKS
from hlsd.ports import PublishRequest
from hlsd.segmenter.cutter import Cutter
from hlsd.segmenter.listing import Listing
from hlsd.segmenter.live import Live
from hlsd.segmenter.mpegts import TsMuxer
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.window import Window
from hlsd.streams.stream import Stream
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.mischief import Imp, rarely
from tests.support.playlistcheck import parse_media
from tests.support.runs import Watcher, segmenter, text

PLACES: list[tuple[type, str]] = [
    (Cutter, "push"),
    (Cutter, "flush"),
    (Window, "begin"),
    (Window, "append"),
    (Window, "put_off"),
    (Window, "fill"),
    (Window, "finish"),
    (Window, "_slide"),
    (Live, "changed"),
    (Live, "describe"),
    (TsMuxer, "part"),
    (TsMuxer, "skip"),
    (Segmenter, "_start"),
    (Segmenter, "_take"),
    (Listing, "take"),
    (Listing, "_add"),
    (Listing, "_begin_segment"),
    (Listing, "_finish_segment"),
    (Listing, "note_delay"),
]
SECONDS = 26


@pytest.mark.thorough
@pytest.mark.parametrize("low_latency", [False, True], ids=["plain", "low latency"])
@pytest.mark.parametrize("watched", [True, False], ids=["watched", "put off"])
@pytest.mark.parametrize("seed", range(3))
def test_playlists_stay_lawful_and_the_run_goes_on(
    seed: int, watched: bool, low_latency: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = segmenter(low_latency=low_latency, time=1, list=6)
    stream = Stream("live", "a", 0.0)
    stream.attach("hls", output)
    watcher = Watcher(output.live)
    request = PublishRequest("live", "a", "rtmp", "127.0.0.1", 1, drop=lambda _: None)
    units = interleaved(video(25, SECONDS, 1.0), audio(SECONDS))
    due = rarely(seed, 200)
    now = [0]
    # from the first playlist to ten seconds before the end; a minute has five faults at most, or it would be off
    imp = Imp(monkeypatch, PLACES, lambda: 5 * TICKS < now[0] < 16 * TICKS and len(imp.done) < 5 and due(), seed=seed)
    hold = stream.publish(request, 0.0, lambda _hold, _reason: stream.release(1.0))
    hold.tracks(BOTH)
    for unit in units:
        now[0] = unit.dts
        hold.unit(unit)
        if watched:
            watcher.look()
    assert imp.done, "the seed must find something"
    assert stream.claim is hold, imp.done
    playlist = parse_media(text(output.live))
    assert output.live.target_duration
    window = output.window
    assert window.bytes == sum(s.size for s in (*window.removed, *window.segments)) + (
        window.open.size if window.open is not None else 0
    )
    for segment in (*window.removed, *window.segments):
        assert output.live.media("r1", segment.uri.rpartition("/")[2]) is not None or segment.gap
        for part in segment.parts:
            found = output.live.media("r1", part.uri.rpartition("/")[2])
            assert (found is None) is part.gap
            assert found is None or len(found.body) == part.size
    # the last ten seconds are whole: what was lost is behind it
    recent = playlist.segments[-4:]
    assert recent
    assert sum(segment.duration or 0.0 for segment in recent) > 2.5
    assert not any(segment.gap for segment in window.segments[-4:])
    hold.end("closed")
    stream.finish(2.0)
    watcher.look()
    assert "#EXT-X-ENDLIST" in text(output.live)
    assert watcher.violations == [], imp.done
