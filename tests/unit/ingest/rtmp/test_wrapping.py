"""The chunks for players are those of the one chunker, made for all of them at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hlsd.ingest.rtmp.chunk import Chunker
from hlsd.ingest.rtmp.wrapping import CSID, ChunkWrapping
from hlsd.media.flv import OutTag

TAGS = st.builds(
    OutTag,
    st.sampled_from([8, 9, 18]),
    st.integers(0, 0xFFFFFFFF) | st.sampled_from([0xFFFFFE, 0xFFFFFF, 0x1000000]),
    st.binary(max_size=8),
    st.binary(max_size=700),
)


@given(st.lists(TAGS, max_size=5), st.sampled_from([1, 128, 300, 60_000]), st.integers(1, 8))
def test_wrapped_is_what_the_chunker_writes(tags: list[OutTag], size: int, msid: int) -> None:
    # Extended timestamps and continuation headers are where servers derail their players.
    chunker = Chunker()
    chunker.set_chunk_size(size)
    wanted = b"".join(chunker.message(CSID[t.type], t.type, t.time, msid, t.head + t.payload) for t in tags)
    assert ChunkWrapping(size, msid, legacy=False).wrap(tags) == wanted
