"""Changes what honest peers say: a few bytes other, missing, twice or from elsewhere, by a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

EDGES: Final = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\1", b"\r\n", b"9" * 20)


def mutated(draw: random.Random, seeds: Sequence[bytes], most: int) -> bytes:
    """A case of at most `most` bytes."""
    found = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 2, 4, 12))):
        at = draw.randrange(len(found) + 1)
        kind = draw.randrange(7)
        if kind == 0 and at < len(found):
            found[at] = draw.randrange(256)
        elif kind == 1 and at < len(found):
            found[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            del found[at : at + draw.choice((1, 2, 4, 30))]
        elif kind == 3:
            found[at:at] = found[at : at + draw.choice((1, 4, 60))]
        elif kind == 4:
            found[at : at + draw.randrange(5)] = draw.choice(EDGES)
        elif kind == 5:
            found[at:at] = draw.randbytes(draw.randrange(1, 16))
        else:
            other = draw.choice(seeds)
            cut = draw.randrange(len(other) + 1)
            found[at:] = other[cut:]
    return bytes(found[:most])
