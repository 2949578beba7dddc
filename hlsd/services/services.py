"""The services of one node, as the table lists them.

Law: what a service raises when it is asked for its part costs that part, and is counted and told as the service's own
fault; what it raises when it starts, the server does not start with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from hlsd.api.readiness import ready_route
from hlsd.delivery.flv.streams import FlvStreams
from hlsd.delivery.web import WebApp, create_app
from hlsd.net.handshakes import Handshakes
from hlsd.net.identity import Identity
from hlsd.ports import OutputFactory, Reloadable, Service, SinkFactory

if TYPE_CHECKING:
    from starlette.routing import BaseRoute, Route

    from hlsd.base.figures import Reporter
    from hlsd.node import Node
    from hlsd.reload import Reloaded

T = TypeVar("T")

Made = tuple[str, Callable[["Services"], Service]]
"""A service by its name, and who makes it."""


class Services:
    """The services of one node, made and not started.

    `unready()` says why no viewer should be sent here, `impaired()` what viewers of some streams do not get; `fronts`
    stand behind the others of the `table`, and answer with their routes.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a server has
        self,
        node: Node,
        unready: Callable[[], Sequence[str]],
        impaired: Callable[[], Sequence[str]],
        table: Sequence[Made],
        fronts: Sequence[Made],
        reread: Callable[[], Awaitable[Reloaded]] | None = None,
    ) -> None:
        self.node = node
        self.reread = reread
        """Reads the configuration again; None where nobody said where it is."""
        self._ready = ready_route(unready, impaired)
        self.audience = FlvStreams(node.settings.flv, node.entrance, node.sessions, node.stats.faults)
        """Feeds FLV tags to viewers of HTTP, WebSocket and RTMP."""
        https = node.settings.https
        self.handshakes = Handshakes(https.max_handshakes, https.max_handshakes_per_ip)
        """Of TLS, on all ports: they share a processor."""
        self.by_name: dict[str, Service] = {}
        for name, make in table:
            self.by_name[name] = make(self)  # one may stand on one before it
        self.web = self._web()
        """What HTTP answers, on every port of it."""
        self.by_name |= {name: front(self) for name, front in fronts}

    def outputs(self) -> list[OutputFactory]:
        """What all of them make of each stream."""
        return self._of_each("outputs", lambda service: service.outputs())

    def sinks(self) -> list[SinkFactory]:
        """What all of them make of the segments of each stream."""
        return self._of_each("sinks", lambda service: service.sinks())

    def operations(self) -> list[Route]:
        """What all of them add to the API."""
        return self._of_each("operations", lambda service: service.operations())

    def figures(self) -> list[Reporter]:
        """Who reports their figures."""
        return self._of_each("figures", lambda service: service.figures())

    def reloads(self) -> list[Reloadable]:
        """What can be changed while all of it runs."""
        return [*self.node.changes.reloads(), *self._of_each("reloads", lambda service: service.reloads())]

    def impaired(self) -> list[str]:
        """What they do not do for now."""
        return self._of_each("impaired", lambda service: service.impaired())

    def _of_each(self, what: str, ask: Callable[[Service], Sequence[T]]) -> list[T]:
        """What each of them says; who raises has said nothing."""
        faults, said = self.node.stats.faults, list[T]()
        for name, service in self.by_name.items():
            with faults.guard(name, asked=what):
                said += ask(service)
        return said

    def certificates(self) -> Iterator[tuple[str, Sequence[Identity]]]:
        """Those of each port."""
        for port, name in (("https", "https"), ("rtmps", "rtmp")):
            if (service := self.by_name.get(name)) is not None:
                yield port, service.identities

    def _web(self) -> WebApp:
        node, settings = self.node, self.node.settings
        routes: list[BaseRoute] = [self._ready]
        routes += self._of_each("routes", lambda service: service.routes())
        return create_app(
            node.directory,
            node.sessions,
            settings.http,
            node.clock,
            entrance=node.entrance,
            judge=node.judge,
            rtmp_port=settings.rtmp.port,
            routes=routes,
            stats=node.stats,
            playables=node.hub.playables,
            listed=lambda app: not settings.auth.rules(app).play,
        )
