"""Serves the keys of a window's segments, and of no others: who is sent away has not those of what comes after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.media.segment_keys import KEY_TYPE, key_number
from hlsd.ports import Media

if TYPE_CHECKING:
    from hlsd.media.segment_keys import SegmentKeys
    from hlsd.segmenter.window import Window


def served_key(window: Window, keys: SegmentKeys | None, name: str) -> Media | None:
    """The key `k{n}.key`, if a segment that is served has it, or the next one; None for what is none."""
    number = key_number(name) if keys is not None else None
    if keys is None or number is None:
        return None
    oldest = window.removed[0].msn if window.removed else window.media_sequence
    if not keys.number(oldest) <= number <= keys.number(window.last_msn + 1):
        return None
    return Media(keys.key(number), KEY_TYPE, f'"{window.run}-{name}"', init=True, secret=True)
