"""Takes what the operator has to say at an instant of a stream: timed metadata, or what SCTE-35 says of a break.

Law: what would make a tag, an event or a playlist that is not lawful is refused with the reason, and nobody is told.
SCTE-35 becomes EXT-X-DATERANGE by rfc8216bis §4.4.5.1 ("Mapping SCTE-35 into EXT-X-DATERANGE"): the "out" and the "in"
of a break have one id; the first has the planned duration, the second the true one. What is in `section` goes out as it
came in.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, JsonValue

from hlsd.api.models import Body, NoQuery
from hlsd.api.operations import Call
from hlsd.api.problems import ApiError, Code
from hlsd.base.clock import Clock
from hlsd.base.errors import MediaError
from hlsd.ingest.rtmp.amf0 import Value, encode
from hlsd.media import id3
from hlsd.media.date_range import LONGEST, DateRange, Splicing, is_client_attribute, is_quoted
from hlsd.media.scte35 import LARGEST, Splice, read_splice
from hlsd.media.timed_event import TimedEvent
from hlsd.streams.stream import Stream

MOST_BYTES: Final = 32 * 1024
"""Of an ID3 tag, and of a message to FLV and RTMP viewers."""
MOST_DEPTH: Final = 16
FAR: Final = 86_400.0
"""Seconds from now at which a date range may begin, and that it may last."""
_SPLICING: Final[dict[str, Splicing]] = {"out": "SCTE35-OUT", "in": "SCTE35-IN", "cmd": "SCTE35-CMD"}


def _whole(value: object) -> object:
    """JSON knows no integers: 1.0 is one (JSON Schema, "integer")."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Moment = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_whole)]
Seconds = Annotated[float, Field(ge=0, le=FAR)]


class MarkerBody(Body):
    """What is to be said: one of `id3`, `text`, `data` and `scte35`."""

    id3: dict[str, JsonValue] | None = Field(
        None,
        min_length=1,
        max_length=32,
        description="Frames of an ID3 tag: text frames by name (`TIT2`), and by any other name TXXX frames so "
        "described, whose value is the text, or JSON.",
    )
    text: str | None = Field(None, min_length=1, max_length=16_384, description="As a publisher's onTextData.")
    data: str | None = Field(None, min_length=1, max_length=44_000, description="A PRIV frame's bytes, as base64.")
    owner: str | None = Field(None, min_length=1, max_length=256, description="Whose `data` it is; hlsd if missing.")
    scte35: str | None = Field(
        None, min_length=1, max_length=2 * LARGEST + 2, description="A splice_info_section, as base64 or as hex."
    )
    id: str | None = Field(
        None, min_length=1, max_length=128, description="Of the break; made from the splice if missing."
    )
    start: Moment | None = Field(None, description="When it begins, ms of the epoch; now if missing.")
    duration: Seconds | None = Field(None, description="How long it was, seconds.")
    planned_duration: Seconds | None = Field(None, description="How long it is to be, seconds.")
    kind: str | None = Field(None, alias="class", min_length=1, max_length=256, description="CLASS of the date range.")
    attributes: dict[str, str | float] | None = Field(
        None, max_length=32, description="Attributes of the date range that clients define: `X-…`."
    )


class MarkerView(BaseModel, defer_build=True):
    """What was said, and how."""

    kind: Literal["id3", "daterange"]
    id: str = Field(description="Of the date range, or the event's number in its stream.")
    line: str | None = Field(None, description="The date range as playlists have it.")


class Markers:
    """The operation; `find(app, name)` raises ApiError."""

    def __init__(self, find: Callable[[str, str], Stream], clock: Clock) -> None:
        self._find = find
        self._clock = clock

    async def marker(self, call: Call, query: NoQuery, body: MarkerBody) -> MarkerView:  # noqa: ARG002
        """Says something at this instant of a stream."""
        stream = self._find(call.path["app"], call.path["stream"])
        claim = stream.claim
        if claim is None or stream.tracks is None:
            raise ApiError(Code.NOT_PUBLISHING, f"nobody publishes {stream.path} at this instant")
        said = [name for name in ("id3", "text", "data", "scte35") if getattr(body, name) is not None]
        if len(said) != 1:
            raise _bad("there must be one of id3, text, data and scte35, and no more")
        if body.owner is not None and body.data is None:
            raise _bad("owner goes with data")
        if body.scte35 is not None:
            told = self._range(stream, body, body.scte35)
            stream.date_range(told)
            return MarkerView(kind="daterange", id=told.id, line=told.line)
        for name in ("id", "start", "duration", "planned_duration", "kind", "attributes"):
            if getattr(body, name) is not None:
                raise _bad(f"{'class' if name == 'kind' else name} goes with scte35")
        try:
            event = _event(body, claim.last_dts)
        except ValueError as error:
            raise _bad(str(error)) from None
        stream.event(event, "api")
        return MarkerView(kind="id3", id=str(stream.events))

    def _range(self, stream: Stream, body: MarkerBody, text: str) -> DateRange:
        section = _section(text)
        try:
            splice = read_splice(section)
        except MediaError as error:
            raise _bad(f"scte35: {error}") from None
        if splice.cancelled:
            raise _bad('scte35: it cancels a splice; "A canceled splice SHOULD NOT appear in the Playlist"')
        now = self._clock.wall()
        start = body.start / 1000 if body.start is not None else None
        if start is not None and abs(start - now) > FAR:
            raise _bad("start is more than a day away")
        attributes = body.attributes or {}
        for name, value in attributes.items():
            if not is_client_attribute(name) or (isinstance(value, str) and not is_quoted(value)):
                raise _bad("attributes are called X- and capitals, and have no quotation marks or line breaks")
        if any(text is not None and not is_quoted(text) for text in (body.id, body.kind)):
            raise _bad("id and class have no quotation marks or line breaks")
        told = DateRange(
            id=body.id or _ident(splice, now),
            start=start if start is not None else now,
            kind=body.kind or "",
            duration=body.duration,
            planned=body.planned_duration if body.planned_duration is not None else splice.duration,
            splice=_SPLICING[splice.direction],
            section=section,
            attributes=attributes,
            event=splice.event,
        )
        told = _returned(stream, told, splice, body, now) if splice.direction == "in" else _left(stream, told)
        if len(told.line) > LONGEST:
            raise _bad("more than a line of a playlist should have")
        return told


def _left(stream: Stream, told: DateRange) -> DateRange:
    """What begins something; a break whose end nobody knows says nothing of it."""
    if told.id in stream.ranges:
        raise ApiError(Code.MARKER_EXISTS, f"{told.id} was said already, and must not be said otherwise")
    return told


def _returned(stream: Stream, told: DateRange, splice: Splice, body: MarkerBody, now: float) -> DateRange:
    """The end of a break: "the actual (not planned) program duration between the corresponding out and in points"."""
    out = stream.ranges.get(body.id) if body.id is not None else _open(stream, splice)
    if out is None and body.start is None:
        raise ApiError(Code.NO_SUCH_MARKER, "there is no such break to return from; or say by start when it began")
    if out is not None and out.splice != "SCTE35-OUT":
        raise ApiError(Code.MARKER_EXISTS, f"{told.id} was said already, and is over or no break")
    begun = out.start if out is not None else told.start
    lasted = body.duration if body.duration is not None else now - begun
    if lasted < 0:
        raise _bad("the break begins later than it ends")
    if out is not None and told.kind and out.kind != told.kind:
        raise ApiError(Code.MARKER_EXISTS, f"class of {out.id} must not change")
    return DateRange(
        id=out.id if out is not None else told.id,
        start=begun,
        kind=out.kind if out is not None else told.kind,
        duration=lasted,
        splice="SCTE35-IN",
        section=told.section,
        attributes=told.attributes,
    )


def _open(stream: Stream, splice: Splice) -> DateRange | None:
    """The newest break that is open and has that event."""
    for told in reversed(stream.ranges.values()):
        if told.splice == "SCTE35-OUT" and told.event == splice.event:
            return told
    return None


def _ident(splice: Splice, now: float) -> str:
    """Unique in the playlist, for a splice_event_id may come again: "disambiguation, such as a date" (§4.4.5.1)."""
    return f"splice-{splice.event if splice.event is not None else splice.direction}-{round(now * 1000):x}"


def _section(text: str) -> bytes:
    """Hex, also behind 0x, or base64: a section begins with FC, which base64 writes `/`."""
    digits = text.removeprefix("0x").removeprefix("0X")
    try:
        return bytes.fromhex(digits) if digits[:2].lower() == "fc" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise _bad("scte35 is neither base64 nor hex") from None


def _event(body: MarkerBody, pts: int) -> TimedEvent:
    """Raises ValueError."""
    if body.data is not None:
        try:
            octets = base64.b64decode(body.data, validate=True)
        except (ValueError, binascii.Error):
            raise ValueError("data is no base64") from None
        frames, script = [id3.private(body.owner or "hlsd", octets)], b""
    else:
        said: dict[str, Any] = {"text": body.text} if body.text is not None else dict(body.id3 or {})
        if body.text is not None:
            frames = [id3.user_text("onTextData", id3.as_json(said))]
        else:
            frames = [_frame(name, value) for name, value in said.items()]
        script = encode("onTextData", _amf(said, MOST_DEPTH))
    tag = id3.tag(*frames)
    if len(tag) > MOST_BYTES or len(script) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES // 1024} kB of ID3")
    return TimedEvent(pts, tag, script)


def _frame(name: str, value: JsonValue) -> bytes:
    text = value if isinstance(value, str) else id3.as_json(value)
    return id3.text(name, text) if id3.is_text_frame(name) else id3.user_text(name, text)


def _amf(value: JsonValue, depth: int) -> Value:
    """JSON as AMF0 has it: numbers are doubles."""
    if depth <= 0:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        if any(len(key) > 256 for key in value):
            raise ValueError("a name of more than 256 characters")
        return {key: _amf(member, depth - 1) for key, member in value.items()}
    if isinstance(value, list):
        return [_amf(member, depth - 1) for member in value]
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError("a number beyond all bounds") from None
    return value


def _bad(words: str) -> ApiError:
    return ApiError(Code.BAD_BODY, words)
