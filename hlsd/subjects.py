"""Says what a handler of an event gets: whom the event is about, as types that an embedder's checker can read.

Law: these are views. What is listed here stays as it is from version to version; the objects behind them have more,
which is nobody's business. Which action brings which view stands in the overloads of `hlsd.Server.on`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, Protocol


class Subject(Protocol):
    """Whom an event is about: a viewer's session, a publisher, a relay, a recording."""

    @property
    def id(self) -> str:
        """As in events and in the API."""
        ...

    @property
    def app(self) -> str:
        """The first part of the stream's path."""
        ...

    @property
    def name(self) -> str:
        """The second part of the stream's path."""
        ...

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        ...

    @property
    def protocol(self) -> str:
        """By which way: "hls", "flv", "rtmp", "relay" and so on."""
        ...

    @property
    def ip(self) -> str:
        """The address of the other side; empty where there is none yet."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """The arguments it came with, secrets included."""
        ...

    def reject(self, reason: str = "kicked") -> None:
        """In a `pre…` handler: not let in. Later: ended. `reason` is what events then say."""
        ...


class Client(Subject, Protocol):
    """Who came to this server: a viewer or a publisher."""

    @property
    def port(self) -> int:
        """The port at the other side; 0 where a proxy hides it."""
        ...

    @property
    def user_agent(self) -> str:
        """What it calls itself; empty if it does not."""
        ...

    @property
    def referer(self) -> str:
        """The page it was sent by; empty if it was not."""
        ...

    @property
    def user_id(self) -> str:
        """Who it is, as far as the rules or a receiver have said; empty in `pre…` handlers that come first."""
        ...


class ConnectedClient(Client, Protocol):
    """A connection: subject of the `…Connect` events. It has no stream: `name` is empty, `path` is `/{app}`."""

    @property
    def since(self) -> float:
        """When it came, seconds since the epoch."""
        ...


class Viewer(Client, Protocol):
    """A viewer's session: subject of `prePlay`, `postPlay`, `updatePlay`, `donePlay` and `fixPlay`."""

    @property
    def created_at(self) -> float:
        """When it was opened, seconds since the epoch."""
        ...

    @property
    def in_bytes(self) -> int:
        """Bytes of its requests."""
        ...

    @property
    def out_bytes(self) -> int:
        """Bytes of body sent to it."""
        ...

    @property
    def media_bytes(self) -> int:
        """Bytes of these that were media."""
        ...

    @property
    def requests(self) -> int:
        """Requests of it."""
        ...

    @property
    def segments(self) -> int:
        """Answers with a segment or part."""
        ...

    @property
    def reason(self) -> str:
        """Why it ended; empty while it lasts."""
        ...


class Publisher(Client, Protocol):
    """A publication: subject of the `…Publish` events, and of `streamStart` and `streamStop`.

    Of a stream's events it is the publisher that began the run, or the last one that it had.
    """

    @property
    def since(self) -> float:
        """When it came, seconds since the epoch."""
        ...

    @property
    def stream_id(self) -> str:
        """The run it publishes into; empty until it is let in."""
        ...

    @property
    def codec(self) -> str:
        """What it sends, as in CODECS; empty until it has said so."""
        ...

    @property
    def dropped(self) -> tuple[str, ...]:
        """What it sends that is not carried, by name."""
        ...

    @property
    def on_air(self) -> bool:
        """Whether it holds the name at this instant."""
        ...


class Relay(Subject, Protocol):
    """A pull or a push: subject of `relayStart` and `relayStop`."""

    @property
    def mode(self) -> str:
        """`pull`, `static` or `push`."""
        ...

    @property
    def url(self) -> str:
        """The other server's address, without what may be a secret."""
        ...

    @property
    def error(self) -> str:
        """What its last try failed with; empty if none has."""
        ...


class Recording(Subject, Protocol):
    """A file of a recording: subject of `recordStart`, `recordDone`, `recordLost` and `recordStored`."""

    @property
    def file(self) -> str:
        """Its path below the folder of recordings."""
        ...

    @property
    def bytes(self) -> int:
        """Written so far."""
        ...

    @property
    def seconds(self) -> float:
        """Of media so far."""
        ...

    @property
    def reason(self) -> str:
        """Why it ended; empty while it lasts."""
        ...


class Snapshot(Subject, Protocol):
    """A timed picture that was written: subject of `snapshotDone`. `reject()` does nothing: it is there."""

    @property
    def file(self) -> str:
        """Its path below `snapshot.folder`."""
        ...

    @property
    def width(self) -> int:
        """Pixels."""
        ...

    @property
    def height(self) -> int:
        """Pixels."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...


class FilmJob(Subject, Protocol):
    """A job that is over: subject of `jobDone`. `app` and `name`: where its film is; `reject()` does nothing."""

    @property
    def state(self) -> str:
        """`done`, `failed` or `cancelled`."""
        ...

    @property
    def error(self) -> str:
        """Why it failed; empty if it did not."""


class MediaReceiver(Subject, Protocol):
    """A port that was opened for a camera: subject of `receiverDone`. `reject()` does nothing: it is over."""

    @property
    def reason(self) -> str:
        """Why it is over: `timeout` if nothing came."""
        ...


ConnectAction = Literal["preConnect", "postConnect", "doneConnect"]
PlayAction = Literal["prePlay", "postPlay", "updatePlay", "donePlay", "fixPlay"]
PublishAction = Literal["prePublish", "postPublish", "updatePublish", "donePublish", "streamStart", "streamStop"]
RelayAction = Literal["relayStart", "relayStop"]
RecordAction = Literal["recordStart", "recordDone", "recordLost", "recordStored"]
SnapshotAction = Literal["snapshotDone"]
JobAction = Literal["jobDone"]
ReceiverAction = Literal["receiverDone"]
WishAction = Literal["streamWanted", "streamUnwatched"]

Handler = Callable[[Subject], Awaitable[None] | None]
ConnectionHandler = Callable[[ConnectedClient], Awaitable[None] | None]
ViewerHandler = Callable[[Viewer], Awaitable[None] | None]
PublisherHandler = Callable[[Publisher], Awaitable[None] | None]
RelayHandler = Callable[[Relay], Awaitable[None] | None]
RecordHandler = Callable[[Recording], Awaitable[None] | None]
JobHandler = Callable[[FilmJob], Awaitable[None] | None]
SnapshotHandler = Callable[[Snapshot], Awaitable[None] | None]
ReceiverHandler = Callable[[MediaReceiver], Awaitable[None] | None]
