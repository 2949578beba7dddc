"""Puts together the pictures of senders that give each slice, or each NAL unit, a tag of its own.

Law: a tag whose first slice is not its picture's first (`begins_picture` of the codec) goes on with the picture under
way; what begins another one, or can stand between two pictures only, shows it to be whole. That costs such a stream
one picture of delay, and no other: who sends whole pictures is seen to do so while a stream opens, before anything is
handed on, and is not gathered any more. Times are milliseconds of the wire. Pure: no clock, no IO.
"""

from __future__ import annotations

from typing import Final, NamedTuple

NEAR_MS: Final = 100
"""How far the times of one picture's tags may lie apart: some senders stamp each with the time of its sending."""
PICTURE_LIMIT: Final = 16 << 20
"""Bytes of a picture put together."""


class Picture(NamedTuple):
    """A picture, or what a tag holds of one: the times and the key flag of its tag, the classes of its NAL units."""

    timestamp: int
    cts: int
    flags: int
    claims_key: bool
    payload: bytes
    arrived: float


class PictureAssembler:
    """What there is of the picture under way. `sliced`: a tag has gone on with one."""

    __slots__ = ("_first", "_flags", "_pieces", "_size", "since", "sliced")

    def __init__(self) -> None:
        self.sliced = False
        self.since = 0.0
        """When its last tag came, monotonic seconds."""
        self._first: Picture | None = None
        self._flags = 0
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether a picture is under way."""
        return self._first is not None

    @property
    def held(self) -> int:
        """Bytes of it."""
        return self._size if self._first is not None else 0

    def goes_on(self, timestamp: int) -> bool:
        """Whether a tag of that time, whose first slice begins no picture, belongs to the one under way."""
        return self._first is not None and near(timestamp, self._first.timestamp)

    def begin(self, tag: Picture, now: float) -> None:
        """The first tag of a picture; the one before it must have been taken."""
        self._first, self._flags, self._pieces, self._size = tag, tag.flags, [tag.payload], len(tag.payload)
        self.since = now

    def add(self, tag: Picture, now: float) -> bool:
        """A further tag of it; False if the picture has become too large and goes."""
        assert self._first is not None
        self.sliced = True
        self._first = self._first._replace(claims_key=self._first.claims_key or tag.claims_key, arrived=tag.arrived)
        self._flags |= tag.flags
        self._pieces.append(tag.payload)
        self._size += len(tag.payload)
        self.since = now
        if self._size > PICTURE_LIMIT:
            self._first = None
            return False
        return True

    def take(self) -> Picture | None:
        """The picture under way, which is whole."""
        first, self._first = self._first, None
        if first is None:
            return None
        payload = first.payload if len(self._pieces) == 1 else b"".join(self._pieces)
        return first._replace(payload=payload, flags=self._flags)


def near(one: int, other: int) -> bool:
    """Whether two times of the wire, modulo 2^32, can be of one picture's tags."""
    return (one - other + NEAR_MS) & 0xFFFFFFFF <= 2 * NEAR_MS
