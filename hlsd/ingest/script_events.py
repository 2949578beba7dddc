"""Takes out of a publisher's data messages what is to be said at an instant: onTextData, onCuePoint and their like.

Law: a message is looked at no further than its bounds allow: bytes of one, messages a second, values and depth. What is
beyond is dropped, counted by reason and, once a minute, told; what is no event (`|RtmpSampleAccess`, answers to calls)
is passed over. The first onMetaData says what the stream is, and is no event; another one later is. What comes before
the stream begins is kept for it, the newest `KEPT`. Times: `timestamp` in ms as on the wire, `now` monotonic seconds.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from hlsd.base.remarks import Remarks
from hlsd.base.token_bucket import TokenBucket
from hlsd.ingest.rtmp.amf0 import AmfError, Date, Reference, Undefined, Value, Xml, decode
from hlsd.media import id3
from hlsd.media.timed_event import TimedEvent
from hlsd.ports import Publication

SET_DATA_FRAME: Final = b"\x02\x00\x0d@setDataFrame"
METADATA: Final = "onMetaData"
KEPT: Final = 16
"""Events that wait for the stream to begin."""
MOST_VALUES: Final = 256
MOST_DEPTH: Final = 8
_NAME: Final = re.compile(rb"\x02\x00[\x03-\x40](on[A-Z][A-Za-z0-9_.-]*)")
_ANSWERS: Final = frozenset(("onStatus", "onPlayStatus", "onBWDone", "onBWCheck", "onFCPublish", "onFCUnpublish"))
"""What servers say to players; a relay may hear it."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class EventLimits(NamedTuple):
    """What of a publisher's events is carried: messages a second (0: none), and bytes of one."""

    per_second: float = 20.0
    bytes: int = 16 * 1024


class ScriptEvents:
    """The events of one publisher. `at(timestamp)` is where that is on the stream, None before its first frame."""

    def __init__(self, publication: Publication, limits: EventLimits, at: Callable[[int], int | None]) -> None:
        self._publication = publication
        self._limits = limits
        self._at = at
        self._remarks = Remarks(publication.remark)
        self._metadata: int | None = None  # what stands for the last one
        self._room = TokenBucket(limits.per_second, 0.0, least=1.0)
        self._early: deque[tuple[int, bytes, bytes]] = deque(maxlen=KEPT)

    def take(self, timestamp: int, body: bytes, now: float) -> None:
        """Takes a data message."""
        body = body.removeprefix(SET_DATA_FRAME)
        found = _NAME.match(body, 0, 72)
        if found is None or found.end() != 3 + body[2]:
            return
        name = found[1].decode()
        if name in _ANSWERS or not self._limits.per_second:
            return
        if name == METADATA and not self._is_news(body):
            return
        if len(body) > self._limits.bytes:
            self._lose("large", now)
            return
        if not self._room.has(1, now):
            self._lose("often", now)
            return
        self._room.take()
        try:
            values = [plain(value) for value in decode(body, 3 + body[2], max_depth=MOST_DEPTH, max_values=MOST_VALUES)]
        except AmfError:
            self._lose("unreadable", now)
            return
        said = id3.as_json(values[0] if len(values) == 1 else values or None)
        if len(said) > self._limits.bytes:  # a control character has six there
            self._lose("large", now)
            return
        tag = id3.tag(id3.user_text(name, said))
        ticks = self._at(timestamp)
        if ticks is None:
            if len(self._early) == KEPT:  # the oldest makes room
                self._lose("early", now)
            self._early.append((timestamp, tag, body))
        else:
            self._publication.event(TimedEvent(ticks, tag, body))

    def begin(self) -> None:
        """The stream has begun: what was kept for it is told."""
        while self._early:
            timestamp, tag, body = self._early.popleft()
            ticks = self._at(timestamp)
            if ticks is None:
                self._publication.event_lost("early")
            else:
                self._publication.event(TimedEvent(ticks, tag, body))

    def _is_news(self, body: bytes) -> bool:
        before, self._metadata = self._metadata, hash(body)
        return before is not None and before != self._metadata

    def _lose(self, reason: str, now: float) -> None:
        self._publication.event_lost(reason)
        limits = self._limits
        self._remarks.note(
            "timed metadata dropped", now, reason=reason, max_events=limits.per_second, max_event_bytes=limits.bytes
        )


def plain(value: Value) -> object:
    """A value of AMF0 as JSON has it: dates by ISO 8601, what JSON does not know as null."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            return None
        return int(value) if value == int(value) and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, Date):
        return _date(value.milliseconds)
    if isinstance(value, Xml):
        return value.text
    if isinstance(value, (Undefined, Reference)):
        return None
    return [plain(member) for member in value]


def _date(milliseconds: float) -> str | None:
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError):
        return None  # no year of ours
