"""The doors between rooms: what one room may ask of another without knowing it.

Ingest knows `Admission` and `Publication`; outputs are `Output`, made by an `OutputFactory`; what they keep to be asked
for is a `MediaRun`, and who wants its segments is a `SegmentSink`; delivery knows `Directory` and `Playable`. The hub
and the streams stand behind these; `app` hands them in.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar, runtime_checkable

from hlsd.media.unit import AccessUnit, Tracks
from hlsd.stats import StreamStats, Tally

MAIN: Final = "main"
"""The rendition that every run has: the media as it was published."""


class RefuseCode(enum.StrEnum):
    """Why a publisher is not let in; each protocol words it in its own way."""

    BAD_NAME = "bad_name"
    BUSY = "busy"
    DENIED = "denied"
    LIMIT = "limit"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """A publisher at the door. `query` (arguments of the key and of the URL) and `bearer` hold secrets: never log them.

    `drop(reason)` closes the publisher's connection; the hub calls it on takeover, kick and shutdown, and calls
    nothing of that publication afterwards.
    """

    app: str
    name: str
    protocol: str
    ip: str
    port: int
    drop: Callable[[str], None]
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_agent: str = ""
    referer: str = ""
    """The page it was started from (RTMP pageUrl)."""
    tell: Callable[[str], None] = lambda _: None
    """Takes words for the publisher's eyes; the hub says them before it drops it."""
    bearer: str = field(default="", repr=False)
    """The token of `Authorization: Bearer`, where the way in is HTTP."""
    held: Callable[[], int] = lambda: 0
    """Bytes of its media that are in memory and have not been handed over yet."""


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """A viewer at the door, by whatever protocol. `query` and `bearer` hold secrets: never log them.

    `drop(reason)` closes the viewer's connection where the session lives on one (FLV, RTMP); HLS has none.
    """

    app: str
    name: str
    protocol: str
    """"hls", "flv", "wsflv", "rtmp"."""
    ip: str
    port: int = 0
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_agent: str = ""
    referer: str = ""
    origin: str = ""
    host: str = ""
    bearer: str = field(default="", repr=False)
    """The token of `Authorization: Bearer`."""
    playback_id: str = ""
    """The player's own idea of its session (X-Playback-Session-Id, CMCD sid): merges duplicates, proves nothing."""
    drop: Callable[[str], None] | None = None
    asked: str = ""
    """The name it asked for, where it was let in to another one: what its credential is for."""

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        return f"/{self.app}/{self.name}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A viewer or publisher is let in, and what is known of it.

    `max_sessions` and `auth_duration` (seconds until it is asked again) are 0 where there is no bound; `expires` is
    wall clock seconds, 0 for never: when its credential does, which means what `sessions.expire` says; `ends` likewise,
    when it is over whatever that says; `name` is the stream to use instead of the one asked for; `identity` stands for
    the token (a hash, never the token); `unique` ends the user's other sessions.
    """

    user_id: str = ""
    max_sessions: int = 0
    unique: bool = False
    auth_duration: float = 0.0
    expires: float = 0.0
    identity: str = ""
    name: str = ""
    method: str = "none"
    ends: float = 0.0


def earlier(one: float, other: float) -> float:
    """The earlier of two times of which 0 is never."""
    return min(one, other) if one and other else one or other


@dataclass(frozen=True, slots=True)
class Refuse:
    """Not let in, with words fit for the publisher's eyes."""

    code: RefuseCode
    reason: str


@dataclass(frozen=True, slots=True)
class Denial:
    """Somebody is not let in: an HTTP status of 4xx, or 503, and words fit for a stranger's eyes.

    `reason` is for events, metrics and logs: "auth_denied", "limit", "banned", "expired", "rejected".
    """

    status: int
    words: str
    reason: str = "auth_denied"


ABSENT = Denial(404, "not found", "absent")
"""There is no such stream for the viewer, and none can be made to come."""
REJECTED = Denial(403, "not allowed", "rejected")
"""A handler of a `pre…` event has rejected the viewer or publisher."""


class Gate(Protocol):
    """Who may play and publish: IP lists, signatures, tokens, keys, the operator's back end (contract §3.5)."""

    async def play(self, request: PlayRequest) -> Grant | Denial:
        """Whether the viewer may watch; never raises for what a stranger sends."""
        ...

    async def publish(self, request: PublishRequest) -> Grant | Denial:
        """Whether the publisher may use the name."""
        ...

    async def renew(self, request: PlayRequest, grant: Grant) -> Grant | Denial:
        """Whether a viewer who was let in with `grant` may stay: after its `auth_duration`, or from a new address."""
        ...

    def hides_names(self, app: str) -> bool:
        """Whether a publisher's stream name may be its secret key there: not to be logged before it is replaced."""
        ...


class Publication(Protocol):
    """A publisher's claim to a stream name, from admission until `end`.

    After the hub has dropped it every call is a no-op, so a late packet of a replaced publisher does no harm.
    """

    @property
    def name(self) -> str:
        """The stream's public name: what was asked for may have been its key."""
        ...

    @property
    def origin(self) -> int:
        """The tick at which this publication's timeline begins: later than anything the stream has carried."""
        ...

    def tracks(self, tracks: Tracks) -> None:
        """Announces the tracks: before the first unit, and again whenever a record or the set of tracks changes."""
        ...

    def unit(self, unit: AccessUnit) -> None:
        """Hands over the next access unit, in order of arrival; dts rises within each track."""
        ...

    def jump(self) -> None:
        """Says that the source's clock jumped before the next unit: what follows is a discontinuity."""
        ...

    def received(self, size: int) -> None:
        """Counts `size` bytes that came from the publisher's connection."""
        ...

    def repaired(self, kind: str) -> None:
        """Counts a timestamp repair (`kind`: "backward", "wrap", "jump", "audio")."""
        ...

    def left_out(self, codecs: tuple[str, ...]) -> None:
        """Says by name what the publisher sends that is not carried while the rest is; empty: all of it is."""
        ...

    def remark(self, event: str, facts: Mapping[str, object]) -> None:
        """Says in the log what was dropped or bounded; the caller sees to it that this is seldom."""
        ...

    def end(self, reason: str) -> None:
        """The publisher has left ("closed", "idle", "error:…"); the stream's grace begins."""
        ...


class Admission(Protocol):
    """The hub as a way in sees it."""

    async def publish(self, request: PublishRequest) -> Publication | Refuse:
        """Authorises and claims the name; never raises for what the publisher sent."""
        ...


class Output(Protocol):
    """A way out as a stream sees it. Calls come in order, from the event loop, and must not block."""

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows; also called first thing on attaching, if they are known."""
        ...

    def unit(self, unit: AccessUnit) -> None:
        """The next access unit."""
        ...

    def jump(self) -> None:
        """A discontinuity stands before the next unit (clock jump or another publisher)."""
        ...

    def pause(self) -> None:
        """The publisher has left; it may be back within the grace."""
        ...

    def end(self) -> None:
        """The stream is over: nothing will follow."""
        ...


class Feed(Protocol):
    """A stream as a way out sees it: what it may be attached to."""

    app: str
    name: str

    def attach(self, room: str, output: Output) -> None:
        """Feeds `output` from now on, under the name of its room."""
        ...

    def detach(self, room: str) -> None:
        """Ends `attach`; nothing happens if it is over already."""
        ...


class LiveStream(Feed, Protocol):
    """A stream as those see it who make its outputs."""

    id: str
    """Of this run of the name, as in events and in its media's URLs."""
    stats: StreamStats
    run: MediaRun | None
    """What an output keeps of it to be asked for, once there is one that does."""

    @property
    def path(self) -> str:
        """`/{app}/{stream}`."""
        ...

    def turn_away(self, reason: str, words: str) -> None:
        """Lets its publisher go; `words` say to it, in the log and in the event what `reason` does not."""
        ...


class OutputFactory(Protocol):
    """Makes one way out of every stream: HLS, FLV, pushes. The hub is given all of them."""

    @property
    def name(self) -> str:
        """Of its outputs, among those of a stream and in the figures of faults."""
        ...

    def output(self, stream: LiveStream, request: PublishRequest) -> Output | None:
        """What to feed from the first unit on; asked at each publication while the stream has no such output.

        None where there is nothing to be fed, or where it attaches itself when somebody wants it. What this raises
        costs the stream this way out, and neither the publisher nor another one.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rendering:
    """A playlist at one version: rendered once, gzipped once, shared by every viewer.

    `etag` is a strong validator with its quotes.
    """

    body: bytes
    gzip: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Media:
    """A segment, part or initialisation section as it goes out. `body` is shared: never altered, never copied."""

    body: bytes | memoryview
    content_type: str
    etag: str
    init: bool = False
    """Whether it is an initialisation section."""


class Lateness(enum.Enum):
    """What becomes of a delivery directive (draft-pantos-hls-rfc8216bis §6.2.5.2)."""

    READY = "ready"
    """The playlist has it: answer now."""
    WAIT = "wait"
    """It will come: hold the request."""
    TOO_FAR = "too_far"
    """Beyond what may be asked for: 400."""


class Playable(Protocol):
    """One rendition of a stream's run as delivery sees it; of a stream it finds the main one."""

    @property
    def target_duration(self) -> int:
        """EXT-X-TARGETDURATION in seconds; 0 while no playlist exists."""
        ...

    @property
    def low_latency(self) -> bool:
        """Whether parts are listed and reloads may block."""
        ...

    @property
    def part_target(self) -> float:
        """EXT-X-PART-INF's PART-TARGET in seconds; 0 without low latency."""
        ...

    @property
    def ended(self) -> bool:
        """Whether EXT-X-ENDLIST stands in the playlist."""
        ...

    @property
    def gone(self) -> bool:
        """Whether the stream was removed: nothing will come any more."""
        ...

    @property
    def away(self) -> bool:
        """Whether its publisher has left and may be back: nothing is to be expected at this instant."""
        ...

    @property
    def version(self) -> int:
        """Rises whenever an answer of any rendition may have become another one.

        What was built for one version is good for it.
        """
        ...

    def watch(self, changed: Callable[[], None]) -> None:
        """Calls `changed()` after each rise of `version` and once when the stream is gone."""
        ...

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Ends `watch`."""
        ...

    def playlist(self, *, skip: bool = False) -> Rendering | None:
        """The media playlist of this instant (`skip`: as delta update), or None while there is none."""
        ...

    def rendition(self, name: str) -> Playable | None:
        """Another rendition of the same run, or this one; None if it has none of that name. Empty: this one."""
        ...

    def multivariant(self, base: str) -> bytes | None:
        """The multivariant playlist, whose renditions are `{base}{rendition}/index.m3u8`; None while there is none."""
        ...

    def media(self, run: str, name: str) -> Media | None:
        """The resource `{run}/{name}`, or None if it is not there (any more)."""
        ...

    def expects(self, run: str, name: str) -> bool:
        """Whether `{run}/{name}` is the hinted next part."""
        ...

    def lateness(self, msn: int, part: int | None) -> Lateness:
        """Judges `_HLS_msn=msn[&_HLS_part=part]` against the window."""
        ...


class MediaRun(Protocol):
    """What an output keeps of one run of a stream to be asked for: its renditions, each with its media."""

    @property
    def id(self) -> str:
        """Of the run, as in events and in its media's URLs."""
        ...

    @property
    def live(self) -> Playable:
        """The main rendition."""
        ...

    @property
    def about(self) -> tuple[str, str]:
        """The run's id, and the codecs as a multivariant playlist says them: what events tell of the stream."""
        ...

    @property
    def bytes(self) -> int:
        """Of media held."""
        ...

    @property
    def kept(self) -> float:
        """Seconds that it stays after its end: "at least the playlist's duration after the end" (EN04)."""
        ...

    @property
    def frame_rate(self) -> float:
        """Of the main rendition, as measured; 0.0 while that is not known."""
        ...

    @property
    def muted(self) -> bool:
        """Whether there is sound that is left out."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Listed so far, by kind: `ts`, `fmp4`, `part`."""
        ...

    @property
    def forced_cuts(self) -> int:
        """Segments that began at an ordinary frame."""
        ...

    def allow(self, bitrate: float) -> None:
        """Lets what it holds grow with what comes in, bits per second by the clock."""
        ...

    def shrink(self, to: int) -> None:
        """Lets go of old media until `to` bytes are held, or as little as is lawful."""
        ...

    def follow(self, previous: MediaRun | None) -> None:
        """Answers for the ended run of the same name too, whose media somebody may still be reading (EN04)."""
        ...

    def remove(self) -> None:
        """The stream is gone from the server: whoever waits is answered with nothing."""
        ...

    def attach(self, name: str, sink: SegmentSink) -> None:
        """Tells `sink` of every segment that is opened from now on; `name` is what its faults are counted under."""
        ...

    def detach(self, name: str) -> None:
        """Ends `attach`; nothing happens if it is over already."""
        ...


@runtime_checkable
class Keeping(Output, Protocol):
    """An output that keeps what it makes: HLS."""

    @property
    def run(self) -> MediaRun:
        """What it keeps."""
        ...


class SinkPart(Protocol):
    """A part as a sink gets it."""

    @property
    def number(self) -> int:
        """One running count through the run."""
        ...

    @property
    def duration(self) -> int:
        """Ticks."""
        ...

    @property
    def independent(self) -> bool:
        """It begins with a picture that needs no other."""
        ...

    @property
    def gap(self) -> bool:
        """There is nothing in it."""
        ...

    @property
    def body(self) -> bytes | memoryview | None:
        """Its bytes, never altered; None where it was not muxed, which no sink is told that wants media."""
        ...


class SinkSegment(Protocol):
    """A segment as a sink gets it; what it says of its length is true once it is closed."""

    @property
    def msn(self) -> int:
        """Its media sequence number, the same in every rendition."""
        ...

    @property
    def uri(self) -> str:
        """`{run}/{name}`, as in playlists."""
        ...

    @property
    def date(self) -> float:
        """Wall clock of its first frame, seconds since the epoch; that of a run's first may be set right once."""
        ...

    @property
    def discontinuity(self) -> bool:
        """It does not continue the one before it."""
        ...

    @property
    def independent(self) -> bool:
        """It begins with a picture that needs no other."""
        ...

    @property
    def duration(self) -> int:
        """Ticks."""
        ...

    @property
    def body(self) -> bytes | None:
        """The parts joined; None while it is not closed. Joined when somebody first asks, so ask only to use it."""
        ...


class SegmentSink(Protocol):
    """Who wants a run's segments as they are made: a recorder, a DVR, a store. Calls must not block.

    Of a segment come `opened`, its parts in order, `closed`. One of which no `closed` came before the next `opened` is
    void: it was never listed, and its number may be used again. What a sink raises is its own: it is counted, and it
    hears nothing more before the next segment; after several faults in a minute, before the next discontinuity.
    """

    @property
    def wants_media(self) -> bool:
        """Whether parts are to be muxed for it though nobody watches. Read when it is attached."""
        ...

    def opened(self, run: MediaRun, rendition: str, segment: SinkSegment, init: bytes | None) -> None:
        """A segment begins; `init` is the initialisation section it needs, None for MPEG-TS."""
        ...

    def part(self, run: MediaRun, rendition: str, segment: SinkSegment, part: SinkPart) -> None:
        """The next part of the segment that was opened last."""
        ...

    def closed(self, run: MediaRun, rendition: str, segment: SinkSegment) -> None:
        """It is whole: its duration and its bytes are what they will be."""
        ...


class SinkFactory(Protocol):
    """Makes a sink for every run that there will be."""

    @property
    def name(self) -> str:
        """Of its sinks, in the figures of faults."""
        ...

    def sink(self, stream: LiveStream) -> SegmentSink | None:
        """The stream's sink; None where it wants nothing of it."""
        ...


WORDS = 0
"""What is sent: a playlist or a refusal; as good as False."""
MEDIA = 1
"""A segment or part; as good as True."""
MORE = 2
"""An initialisation section, or the rest of what was charged as `MEDIA` before: nobody begins to watch with it."""


class Session(Protocol):
    """One viewer's session as the transports of delivery count into it; bytes of body, monotonic seconds."""

    path: str
    """`/{app}/{name}`."""
    prefix: bytes
    """What every URL of the session begins with: `/{app}/{name}/~{sid}/`."""
    sid: bytes
    app: str
    name: str
    last: float
    ip: str
    requests: int
    segments: int
    """Answers with media."""
    playlist_bytes: int
    media_bytes: int
    in_bytes: int
    held: int
    flows: int
    """Answers under way whose client reads slowly."""
    tally: Tally
    """Where it is counted with the others of its stream."""
    over: bool
    """Whether it has ended."""


class Sessions(Protocol):
    """The viewers of this server as delivery sees them."""

    find: Callable[[bytes], Session | None]
    """The open session of an id, for whatever stream: the caller compares `prefix`."""
    charge: Callable[[Session | None, int, int], None]
    """Counts body bytes handed to a socket, of a session or of nobody: `WORDS`, `MEDIA` or `MORE`; negative for a
    refund."""

    async def authorise(self, request: PlayRequest) -> Grant | Denial:
        """Whether the viewer may watch: asked before anything is looked for, pulled or made."""
        ...

    async def open(self, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A new session for an authorised viewer of a stream that is there (limits, prePlay).

        It may be one of another stream of the app: who is asked may lead the viewer there.
        """
        ...

    async def replace(self, sid: str, request: PlayRequest, grant: Grant) -> Session | Denial:
        """As `open`, for a player that goes on asking with `sid`, which is not accepted: one session for all of it."""
        ...

    def close(self, session: Session, reason: str) -> None:
        """The viewer is gone, or is sent away ("closed", "kicked", …): the session's account is closed."""
        ...

    def awaits(self, viewer: Session) -> bool:
        """Whether the stream of a session, which is not here, may still come: it is of before a restart."""
        ...

    def admit(self, sid: str, app: str, name: str, ip: str, agent: str) -> Session | Denial:
        """The session that `sid` names, if it may ask for what is below `/{app}/{name}/~{sid}/`."""
        ...


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """A live stream as the front page lists it. Seconds, bits per second, pixels."""

    app: str
    name: str
    codecs: str
    width: int
    height: int
    frame_rate: float
    bitrate: float
    since: float
    publishing: bool


class Directory(Protocol):
    """The hub as delivery sees it."""

    def find(self, app: str, name: str) -> Playable | None:
        """The HLS output of a stream that is live, in its grace or still kept after its end; None if unknown."""
        ...

    def expected(self, app: str, name: str) -> Playable:
        """What stands for a stream that is not here until it comes: then it is `gone`."""
        ...

    def summaries(self) -> list[StreamSummary]:
        """The streams of this instant, by path."""
        ...

    def obtainable(self, app: str, name: str) -> bool:
        """Whether a stream that is not here can be made to come."""
        ...

    async def obtain(self, request: PlayRequest) -> Playable | Denial:
        """Makes an absent stream come (pull on demand); returns when it is there to be waited for, or will not come."""
        ...


class Ending(Protocol):
    """What viewers watch of a stream, by one way out."""

    @property
    def ended(self) -> bool:
        """Whether nothing will follow; the name may be published anew."""
        ...


O = TypeVar("O", bound=Ending)  # noqa: E741 - an output


class Outputs(Protocol[O]):
    """One way out as the entrance sees it: what its viewers would watch."""

    def find(self, app: str, name: str) -> O | None:
        """The output of a stream that is here; None if there is none, or nobody is let in to it."""
        ...

    async def ready(self, request: PlayRequest, output: O) -> Denial | None:
        """Returns when there is something to watch, or says why there is not: the viewer is authorised, not let in yet.

        Whatever it raises ends the viewer's coming, and nobody has counted it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry(Generic[O]):
    """A viewer who was let in: its session, open, and what it watches. Whoever asked for it ends the session."""

    session: Session
    output: O


class Entrance(Protocol):
    """The one door for viewers, by whatever protocol (`hlsd.sessions.entrance`)."""

    async def enter(self, request: PlayRequest, outputs: Outputs[O], *, instead: str = "") -> Entry[O] | Denial:
        """Lets a viewer in, or says why not, and counts either; never raises for what a stranger may send.

        `instead`: the id that its player goes on asking with (`Sessions.replace`). The session may be one of another
        stream of the app than was asked for.
        """
        ...

    async def look(self, request: PlayRequest, outputs: Outputs[O]) -> O | Denial | None:
        """What a viewer would watch; None if it would have to be made to come.

        Makes no session and nothing come, waits for nothing, and counts nobody: who looks is no viewer.
        """
        ...

    def refuse(self, request: PlayRequest, denial: Denial) -> Denial:
        """Counts a viewer who is turned away before it comes to the door: a protocol's own bounds. Gives `denial`."""
        ...


class OnDemand(Protocol):
    """Who can make absent streams come: the relay's door for the hub."""

    def obtainable(self, app: str, name: str) -> bool:
        """Whether a rule matches the name."""
        ...

    async def obtain(self, request: PlayRequest) -> Denial | None:
        """One pull however many ask; None once somebody publishes the stream, else why not (404, 503)."""
        ...
