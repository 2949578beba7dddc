"""Takes an embedder's handlers: which action brings which view, for the reader and for a type checker."""

from __future__ import annotations

from typing import Any, overload

from hlsd.events import Bus
from hlsd.subjects import (
    ConnectAction,
    ConnectionHandler,
    Handler,
    JobAction,
    JobHandler,
    PlayAction,
    PublishAction,
    PublisherHandler,
    ReceiverAction,
    ReceiverHandler,
    RecordAction,
    RecordHandler,
    RelayAction,
    RelayHandler,
    SnapshotAction,
    SnapshotHandler,
    ViewerHandler,
    WishAction,
)


class EventSource:
    """What has events to tell, all of them carried by `bus`."""

    bus: Bus

    @overload
    def on(self, action: ConnectAction, handler: ConnectionHandler) -> None: ...

    @overload
    def on(self, action: PlayAction, handler: ViewerHandler) -> None: ...

    @overload
    def on(self, action: PublishAction, handler: PublisherHandler) -> None: ...

    @overload
    def on(self, action: RelayAction, handler: RelayHandler) -> None: ...

    @overload
    def on(self, action: RecordAction, handler: RecordHandler) -> None: ...

    @overload
    def on(self, action: SnapshotAction, handler: SnapshotHandler) -> None: ...

    @overload
    def on(self, action: JobAction, handler: JobHandler) -> None: ...

    @overload
    def on(self, action: ReceiverAction, handler: ReceiverHandler) -> None: ...

    @overload
    def on(self, action: WishAction, handler: Handler) -> None: ...

    @overload
    def on(self, action: str, handler: Handler) -> None: ...

    def on(self, action: str, handler: Any) -> None:
        """Calls `handler(subject)`, a function or a coroutine function, at every event of that action.

        The subject is a `ConnectedClient`, `Viewer`, `Publisher`, `Relay`, `Recording`, `Snapshot`, `MediaReceiver` or
        `FilmJob` (`hlsd.subjects`): `id`, `app`, `name`, `path`, `ip`, `query` and more, and `reject()`, which denies
        in a `pre…` handler and ends it later. What a handler raises is logged and denies nothing.

        Raises:
            ValueError: there is no such action.
        """
        self.bus.on(action, handler)

    @overload
    def off(self, action: ConnectAction, handler: ConnectionHandler) -> None: ...

    @overload
    def off(self, action: PlayAction, handler: ViewerHandler) -> None: ...

    @overload
    def off(self, action: PublishAction, handler: PublisherHandler) -> None: ...

    @overload
    def off(self, action: RelayAction, handler: RelayHandler) -> None: ...

    @overload
    def off(self, action: RecordAction, handler: RecordHandler) -> None: ...

    @overload
    def off(self, action: SnapshotAction, handler: SnapshotHandler) -> None: ...

    @overload
    def off(self, action: JobAction, handler: JobHandler) -> None: ...

    @overload
    def off(self, action: ReceiverAction, handler: ReceiverHandler) -> None: ...

    @overload
    def off(self, action: WishAction, handler: Handler) -> None: ...

    @overload
    def off(self, action: str, handler: Handler) -> None: ...

    def off(self, action: str, handler: Any) -> None:
        """Takes a handler back. Raises ValueError if it was not `on`."""
        self.bus.off(action, handler)
