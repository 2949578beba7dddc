"""PAT and PMT stand at the head of a segment and nowhere else, and always know both tracks."""

from __future__ import annotations

from collections import Counter

from hlsd.segmenter.mpegts import PACKET, TsMuxer
from tests.support.cuts import cut_all
from tests.support.frames import BOTH, audio, interleaved, video

PAT, PMT = 0, 0x1000


def test_tables_open_segments_and_stand_nowhere_else() -> None:
    # TS02, TS03, TS11: libavformat repeats the tables of its one track before a key picture in mid segment. Those say
    # that there is no sound: hls.js then fails on the next part with sound ("audio SourceBuffer does not exist").
    cuts, _ = cut_all(interleaved(video(30, 9, gop=1), audio(9)))
    muxer = TsMuxer(BOTH)
    opening = TsMuxer(BOTH).part(cuts[0])[: 2 * PACKET]
    counters: dict[int, list[int]] = {PAT: [], PMT: []}
    assert any(cut.independent and not cut.opens for cut in cuts), (
        "a key picture in mid segment is the case in question"
    )
    for cut in cuts:
        body = muxer.part(cut)
        pids = [(body[at + 1] & 0x1F) << 8 | body[at + 2] for at in range(0, len(body), PACKET)]
        assert Counter(pid for pid in pids if pid in counters) == ({PAT: 1, PMT: 1} if cut.opens else {})
        if cut.opens:
            assert pids[:2] == [PAT, PMT]
            for at in (0, PACKET):
                counters[pids[at // PACKET]].append(body[at + 3] & 0x0F)
                assert body[at + 4 : at + PACKET] == opening[at + 4 : at + PACKET], "the same tables every time"
    for counted in counters.values():  # TS04
        assert counted == [number % 16 for number in range(len(counted))]
