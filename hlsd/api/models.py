"""Describes what the API takes and gives: typed models, from which the OpenAPI document is made too.

Field names of sessions and publishers are those of the event payload (contract §2.3), so that an integrator learns
them once. Times are milliseconds of the epoch, durations milliseconds, rates bits per second, sizes bytes.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hlsd.base.stream_name import LONGEST, PATH_PATTERN, PATTERN

T = TypeVar("T")
MAX_LIMIT = 500
"""Entries of a page: a few milliseconds to write, and more would hold up viewers."""
MAX_WAIT = 25.0
MAX_BAN = 31_536_000.0
_DECIMAL = re.compile(r"[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,40})?([eE]-[0-9]{1,3})?")


def _integer(value: object) -> object:
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError("should be a decimal integer")
    return value


def _seconds(value: object) -> object:
    if isinstance(value, str) and not _SECONDS.fullmatch(value):
        raise ValueError("should be a number of seconds")
    return value


Name = Annotated[str, Field(pattern=f"^{PATTERN}$", max_length=LONGEST)]
# Behind the bounds, or these would be missing in the JSON schema.
DECIMAL = BeforeValidator(_integer)
SECONDS = BeforeValidator(_seconds)
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Entries at most."), DECIMAL]
Cursor = Annotated[
    str | None,
    Field(pattern=r"^[A-Za-z0-9_-]{1,1024}$", description="`cursor` of the page before; nothing for the first."),
]


class Query(BaseModel):
    """Parameters of a request; what is not known is refused, so that a misspelt filter never means "all"."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Body(BaseModel):
    """The body of a request, JSON; what is not known is refused, and nothing is taken for something else."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


class NoQuery(Query):
    """No parameters."""


class StreamsQuery(Query):
    """Of the list of streams."""

    app: Name | None = Field(None, description="Streams of this app only.")
    limit: Limit = 100
    cursor: Cursor = None


class PublishersQuery(Query):
    """Of the list of publishers."""

    app: Name | None = Field(None, description="Publishers of this app only.")
    limit: Limit = 100
    cursor: Cursor = None


class SessionsQuery(Query):
    """Of the list of sessions."""

    stream: str | None = Field(
        None,
        pattern=f"^{PATH_PATTERN}$",
        max_length=2 * LONGEST + 2,
        description="Viewers of this stream only: `app/stream`.",
    )
    user_id: str | None = Field(None, min_length=1, max_length=256, description="Of this user only.")
    ip: str | None = Field(None, min_length=1, max_length=64, description="From this address only.")
    protocol: str | None = Field(
        None, pattern=r"^[a-z0-9]{1,16}$", description="By this protocol only: hls, flv, wsflv, rtmp, srt, rtsp, whep."
    )
    limit: Limit = 100
    cursor: Cursor = None


class KickQuery(Query):
    """Of ending a session or a publication."""

    ban: Annotated[
        float,
        Field(ge=0, le=MAX_BAN, description="Seconds for which it may not come back; 0: it may at once."),
        SECONDS,
    ] = 60.0


class EventsQuery(Query):
    """Of the last events."""

    after: Annotated[
        int,
        Field(ge=0, le=2**53, description="The `cursor` of the answer before; 0 begins with the oldest event kept."),
        DECIMAL,
    ] = 0
    limit: Limit = 100
    wait: Annotated[
        float,
        Field(ge=0, le=MAX_WAIT, description="Seconds to wait for an event if there is none yet (long poll)."),
        SECONDS,
    ] = 0.0


class Envelope(BaseModel, Generic[T], defer_build=True):
    """Every answer of /api/v1 that is no error."""

    success: Literal[True] = True
    data: T
    message: str = ""


class VideoView(BaseModel, defer_build=True):
    """The video track that is published."""

    codec: str = Field(description="As in CODECS (RFC 6381).")
    width: int
    height: int
    frame_rate: float = Field(description="Frames per second, as measured.")


class Audio(BaseModel, defer_build=True):
    """The audio track that is published."""

    codec: str
    sample_rate: int = Field(description="Hz")
    channels: int
    hls: bool = Field(description="Whether HLS has it: false where it is AAC that Chromium cannot play.")


class PublisherView(BaseModel, defer_build=True):
    """Who publishes a stream now."""

    id: str = Field(description="As in events.")
    ip: str = Field(description="Address and port, as in events.")
    protocol: str
    user_id: str
    user_agent: str
    createtime: int = Field(description="Since when, ms of the epoch.")
    duration_ms: int
    tracks_left_out: list[str] = Field(description='Beyond the first of a kind: "audio 1: mp4a" (enhanced RTMP).')


class LineView(BaseModel, defer_build=True):
    """How a publisher's media comes through."""

    connected: bool
    loss: float = Field(description="Share of its packets that were lost for good, 0 to 1, since it began.")
    round_trip_ms: float = Field(description="From asking for a packet to its coming; 0 while none was asked for.")


class PublisherRow(BaseModel, defer_build=True):
    """A publisher. Who has left is in no list: events tell of it (`donePublish`)."""

    id: str = Field(description="As in events.")
    app: str
    name: str
    path: str = Field(description="`/{app}/{name}`")
    ip: str = Field(description="Address and port, as in events.")
    protocol: str
    user_id: str
    user_agent: str
    createtime: int = Field(description="Since when, ms of the epoch.")
    status: Literal["created", "running"] = Field(description="created: let in, and nothing of its media has come yet.")
    codecs: str = Field(description="As in CODECS (RFC 6381): what viewers get.")
    inbytes: int = Field(description="Bytes received from it.")
    video_frames: int = Field(description="Of its stream's run, those of publishers before it included.")
    audio_frames: int = Field(description="Likewise.")
    last_frame: int = Field(description="When its last frame came, ms of the epoch; 0: none has.")
    line: LineView | None = Field(description="By WebRTC; null for what comes by TCP, which loses nothing.")


class PublisherList(BaseModel, defer_build=True):
    """A page of publishers, by app and name of their streams."""

    items: list[PublisherRow]
    cursor: str | None = Field(description="For the next page; null on the last one.")


class RenditionView(BaseModel, defer_build=True):
    """What viewers are offered of a stream."""

    name: str = Field(description="In its URLs; `main` is the media as it came.")
    codecs: str
    width: int = Field(description="0 where there is no picture.")
    height: int
    frame_rate: float
    bandwidth: int = Field(description="BANDWIDTH, bits per second.")
    average_bandwidth: int


class StreamView(BaseModel, defer_build=True):
    """A stream that is live, in its grace, or kept for its last readers."""

    id: str = Field(description="Of this run, as in events; `stream_id` of its sessions.")
    app: str
    name: str
    path: str = Field(description="`/{app}/{name}`")
    state: Literal["live", "grace", "ended"]
    createtime: int = Field(description="First publication of this run, ms of the epoch.")
    publisher: PublisherView | None
    video: VideoView | None
    audio: Audio | None
    dropped: list[str] = Field(description="Codecs of tracks that its publisher sends and that are left out.")
    converted: list[str] = Field(description="Codecs of tracks that its publisher sends and that are turned into AAC.")
    bitrate: int = Field(description="Bits per second that come in, smoothed.")
    inbytes: int = Field(description="Bytes received from its publishers.")
    video_frames: int
    audio_frames: int
    key_interval_ms: int = Field(description="Media between the last two key pictures; 0: not known yet.")
    repairs: dict[str, int] = Field(description="Timestamp repairs, by kind.")
    sessions: int = Field(description="Viewers now.")
    target_duration: int = Field(description="EXT-X-TARGETDURATION, seconds; 0 before the first segment.")
    low_latency: bool
    media_bytes: int = Field(description="Media held in memory for it.")
    renditions: list[RenditionView] = Field(
        default=[], description="As the multivariant playlist names them, once somebody has asked for it."
    )
    snapshot: str = Field(default="", description="Where a picture of it is, for who may watch it; empty: nowhere.")


class SessionView(BaseModel, defer_build=True):
    """One viewer's session, in the words of the event payload."""

    id: str
    state: Literal["opened", "started", "closed"]
    app: str
    name: str
    path: str = Field(description="`/{app}/{name}`")
    protocol: str
    ip: str = Field(description="The viewer's address and port, as in events.")
    user_id: str = ""
    user_agent: str = ""
    referer: str = ""
    query: dict[str, str] = Field(default={}, description="What it asked with; secrets are `***`.")
    createtime: int = Field(description="Since when, ms of the epoch.")
    endtime: int = Field(default=0, description="0 while it lasts.")
    duration_ms: int = Field(default=0, description="From the first to the last byte, ms.")
    inbytes: int = 0
    outbytes: int = Field(default=0, description="Body bytes sent: media and playlists.")
    media_bytes: int = Field(default=0, description="Of these, media.")
    requests: int = 0
    segments: int = 0
    codec: str = ""
    rendition: str = Field(default="", description="Of which it got most bytes.")
    renditions: dict[str, int] = Field(
        default={}, description="Of media_bytes, those of each rendition; empty: it has had the main one only."
    )
    stream_id: str = Field(default="", description="Id of the run of the stream it watches.")
    resumed_from: str = Field(default="", description="Id of the session it goes on with.")
    previous_ip: str = Field(default="", description="Where it came from before.")
    adopted: bool = Field(default=False, description="Whether its id is of before a restart.")


class StreamList(BaseModel, defer_build=True):
    """A page of streams, by app and name."""

    items: list[StreamView]
    cursor: str | None = Field(description="For the next page; null on the last one.")


class SessionList(BaseModel, defer_build=True):
    """A page of sessions, the oldest first."""

    items: list[SessionView]
    cursor: str | None = Field(description="For the next page; null on the last one.")


class Kicked(BaseModel, defer_build=True):
    """What was ended."""

    id: str = Field(description="Id of the session, or `/{app}/{name}` of the stream whose publisher was sent away.")
    ban: float = Field(description="Seconds for which it may not come back.")


class EventView(BaseModel):
    """Something that happened: the payload of a webhook, and its number."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    number: int = Field(description="Rises by one from event to event; a gap is what was no longer kept.")
    action: str
    id: str
    event_id: str
    event_ts: int = Field(description="ms of the epoch")
    seq: int
    server_id: str
    query: dict[str, str]


class Events(BaseModel, defer_build=True):
    """The events after a number, the oldest first."""

    items: list[EventView]
    cursor: int = Field(description="What to give as `after` next.")


class NodeView(BaseModel, defer_build=True):
    """This server."""

    id: str
    version: str
    python: str
    pid: int
    createtime: int = Field(description="When it started, ms of the epoch.")
    uptime_ms: int
    draining: bool
    streams: int = Field(description="Live or in their grace.")
    publishers: int
    sessions: int
    inbytes: int = Field(description="Received from the publishers of the streams there are now.")
    outbytes: int = Field(description="Body bytes sent by HTTP since the start.")
    unattributed_bytes: int = Field(description="Of these, what belongs to no session.")
    media_bytes: int = Field(description="Media held in memory.")
    rss_bytes: int = Field(description="Resident memory of the process.")
    cpu_seconds: float = Field(description="CPU time of the process, user and system.")
    congestion: dict[str, str] = Field(description="TCP's that holds for http, https, rtmp, and what relay pushes.")


class SettingsView(BaseModel, defer_build=True):
    """The effective configuration, by section and key."""

    sections: dict[str, dict[str, Any]] = Field(description="Secrets are `********`, or `***` within a URL.")


class ReloadView(BaseModel, defer_build=True):
    """What became of a configuration that was read again."""

    changed: list[str] = Field(description="Keys that are in force otherwise now, `section.key`.")
    needs_restart: list[str] = Field(description="Keys that are written otherwise than they are in force.")


class WebhookView(BaseModel, defer_build=True):
    """A receiver of events."""

    url: str = Field(description="Without what may be a secret.")
    waiting: int = Field(description="Events that it has not taken yet.", ge=0)
    oldest: int = Field(description="When the oldest of them came about; 0: there is none.", ge=0)
    failures: int = Field(description="Attempts in a row that it did not take.", ge=0)


class WebhookList(BaseModel, defer_build=True):
    """The receivers, as the configuration lists them."""

    items: list[WebhookView]


class WebhookTried(BaseModel, defer_build=True):
    """What a receiver said to a test event."""

    url: str
    status: int = Field(description="HTTP status; 0: it gave no answer.", ge=0)
    reason: str = Field(description="Why it gave none.")
    duration_ms: int = Field(ge=0)


class WebhookTestView(BaseModel, defer_build=True):
    """What became of a test event."""

    items: list[WebhookTried]
