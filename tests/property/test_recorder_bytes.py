"""However a page's recording is cut it is the same; whatever is wrong with it raises one error and holds no memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.ingest.recorder.media import RecordedMedia
from hlsd.ingest.recorder.pieces import ELEMENT_LIMIT, HEADER_LIMIT, RecordedItem, RecordedPiece
from tests.support.gears import FAST
from tests.support.recorder_room import NotedUnits
from tests.support.recordings import NAMES, PIECE, read_all, reader_of, recording
from tests.support.seeds import first_seed

WHOLE = {name: read_all(reader_of(name), recording(name)) for name in NAMES}
DAMAGED = 40 if FAST else 200


@settings(max_examples=5 if FAST else 20)
@given(st.sampled_from(NAMES), st.lists(st.integers(1, 3000), min_size=1, max_size=12))
def test_any_cut_gives_the_same(name: str, cuts: list[int]) -> None:
    assert read_all(reader_of(name), recording(name), cuts) == WHOLE[name]


@pytest.mark.thorough
@pytest.mark.parametrize("name", NAMES)
def test_a_cut_at_each_byte_of_the_beginning_gives_the_same(name: str) -> None:
    # Where heads stand, and numbers of variable length: cut once, and byte by byte.
    octets = recording(name)[:9000]
    whole = read_all(reader_of(name), octets)
    assert read_all(reader_of(name), octets, [1]) == whole
    for at in range(1, 700, 7):
        reader = reader_of(name)
        assert read_all(reader, octets[:at]) + read_all(reader, octets[at:]) == whole


@pytest.mark.thorough
@pytest.mark.parametrize("name", NAMES)
def test_damage_raises_one_error_and_what_is_held_has_a_bound(name: str) -> None:
    # A few octets changed, left out, put in, or sent twice; what is read goes through a Normaliser, too.
    draw = random.Random(f"{name} {first_seed()}")
    octets = recording(name)
    refused = 0
    for _ in range(DAMAGED):
        damaged = bytearray(octets)
        for _ in range(draw.choice((1, 1, 2, 8))):
            at = draw.randrange(draw.choice((300, len(damaged))))
            how = draw.randrange(4)
            if how == 0:
                damaged[at] ^= 1 << draw.randrange(8)
            elif how == 1:
                del damaged[at : at + draw.randrange(1, 40)]
            elif how == 2:
                damaged[at:at] = draw.randbytes(draw.randrange(1, 40))
            else:
                damaged[at:at] = damaged[at : at + draw.randrange(1, 400)]
        refused += _survives(name, bytes(damaged))
    assert 0 < refused < DAMAGED or name.endswith("vp8.webm")


@pytest.mark.parametrize("name", NAMES)
def test_noise_behind_a_good_beginning_is_refused_or_means_nothing(name: str) -> None:
    draw = random.Random(f"noise {name} {first_seed()}")
    for at in (4, 40, 200, 800, 3000):
        _survives(name, recording(name)[:at] + draw.randbytes(60_000))


def _survives(name: str, octets: bytes) -> bool:
    """Reads it, and hands it on; whether it was refused."""
    reader = reader_of(name)
    media = RecordedMedia(NotedUnits(), 100.0, None)
    given_out = 0
    try:
        for at in range(0, len(octets), PIECE):
            found: list[RecordedItem] = reader.feed(octets[at : at + PIECE])
            assert reader.held <= ELEMENT_LIMIT + HEADER_LIMIT
            for item in found:
                given_out += len(item.data) if isinstance(item, RecordedPiece) else 0
                media.take(item, 100.0 + at / 1e5, 1e9 + at / 1e5)
    except (MediaError, UnsupportedCodec):
        return True
    finally:
        media.close()
        assert media.held == 0
    assert given_out <= 3 * len(octets)
    return False
