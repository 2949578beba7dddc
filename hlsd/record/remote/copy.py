"""Is what is known of a recording's copy in the store, and how that changes. Pure: a copy and the clock in, a copy out.

    pending ─► uploading ─► stored ─► removing ─► (forgotten)
        ▲          │  ▲
        └─ crash ──┘  └─ failed ◄─ uploading

Law: only a copy that was verified is `stored`, and only beside a stored copy may the local file go. A failure is never
the last one: there is always another try, later each time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PENDING: Final = "pending"
"""It is to be uploaded."""
UPLOADING: Final = "uploading"
"""A try is under way, or a crash ended it."""
STORED: Final = "stored"
"""It is in the store, and what is there was compared with the file."""
FAILED: Final = "failed"
"""The last try failed; there will be another one."""
REMOVING: Final = "removing"
"""The recording was deleted, and what may be of it in the store is to go."""
UPLOADS: Final = (PENDING, UPLOADING, FAILED)
"""States of a copy that is not in the store yet."""

FIRST: Final = 5.0
LONGEST: Final = 900.0
"""Seconds until the next try after the first failure, and at most."""
WORDS: Final = 300
"""Characters of an error that are kept."""


class StoredCopy(NamedTuple):
    """The copy of one recording. Times in ms of the epoch, 0 for never. `key` is its name in the store.

    `etag` is what the store called the bytes when they were verified; `local`: the file is still on the disk here.
    """

    id: str
    key: str
    format: str
    state: str = PENDING
    bytes: int = 0
    digest: str = ""
    """SHA-256 of the file, in hex."""
    etag: str = ""
    tries: int = 0
    next_ms: int = 0
    error: str = ""
    stored_ms: int = 0
    local: int = 1

    @property
    def has_index(self) -> bool:
        """Whether a second object says what stands where in it: only MP4 is played from the store."""
        return self.format == "mp4"


def begun(copy: StoredCopy) -> StoredCopy:
    """A try at it begins."""
    return copy._replace(state=UPLOADING, tries=copy.tries + 1, error="")


def stored(copy: StoredCopy, digest: str, etag: str, now: float) -> StoredCopy:
    """It is in the store, whole; `now` in seconds of the epoch."""
    return copy._replace(
        state=STORED, digest=digest, etag=etag, stored_ms=int(now * 1000), next_ms=0, error="", tries=copy.tries
    )


def failed(copy: StoredCopy, words: str, now: float, spread: float) -> StoredCopy:
    """A try at uploading or removing it failed; `spread` is a random number from 0 to 1."""
    state = REMOVING if copy.state == REMOVING else FAILED
    tries = copy.tries + (copy.state == REMOVING)
    return copy._replace(state=state, tries=tries, error=words[:WORDS], next_ms=later(now, tries, spread))


def removing(copy: StoredCopy, now: float) -> StoredCopy:
    """Its recording was deleted."""
    return copy._replace(state=REMOVING, tries=0, error="", next_ms=int(now * 1000))


def later(now: float, tries: int, spread: float) -> int:
    """When the next try is due after that many, in ms: from half to all of a pause that doubles up to `LONGEST`."""
    pause = min(LONGEST, FIRST * 2.0 ** min(max(0, tries - 1), 30))
    return int((now + pause * (0.5 + 0.5 * spread)) * 1000)
