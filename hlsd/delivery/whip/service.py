"""Is the service that lets publishers in by WHIP: offers come by the HTTP ports, media by a UDP port of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from starlette.routing import Route

from hlsd.delivery.sdp_endpoint import WHIP, SdpEndpoint
from hlsd.delivery.whip.audience import PublisherAudience
from hlsd.delivery.whip.page import PublishPage
from hlsd.ports import Service
from hlsd.ports.whip import WhipDesk

if TYPE_CHECKING:
    from hlsd.base.figures import Reporter
    from hlsd.delivery.judge import Judge


class WhipReceiver(WhipDesk, Protocol):
    """Who receives: the desk, with its port."""

    @property
    def port(self) -> int:
        """Where media comes, once started; 0: nowhere."""
        ...

    async def start(self) -> None:
        """Listens. Raises OSError when it cannot."""
        ...

    async def stop(self, deadline: float) -> None:
        """Ends every session."""
        ...

    def figures(self) -> Sequence[Reporter]:
        """Who reports its figures."""
        ...


class WhipService(Service):
    """`receiver` receives what the endpoint lets in; `judge` knows whose a request is.

    `viewers(path)`: how many watch; `whose(app, ident)`: what the session of a page publishes, by whatever way.
    `ice_servers` and `open_servers`: as `SdpEndpoint`. `https_port`: where a browser gives its camera to the page; 0:
    nowhere.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        receiver: WhipReceiver,
        judge: Judge,
        viewers: Callable[[str], int],
        whose: Callable[[str, str], str],
        ice_servers: Sequence[str] = (),
        open_servers: Sequence[str] = (),
        https_port: int = 0,
    ) -> None:
        self._receiver = receiver
        self._page = PublishPage(judge, receiver, https_port)
        self._audience = PublisherAudience(judge, whose, viewers)
        self._endpoint = SdpEndpoint(WHIP, receiver, judge, ice_servers, open_servers)

    @property
    def udp_port(self) -> int:
        """Where media comes, once started; 0: nowhere."""
        return self._receiver.port

    async def start(self) -> None:
        """Opens the UDP port. Raises OSError when it cannot."""
        await self._receiver.start()

    async def stop(self, deadline: float) -> None:
        """Ends every session."""
        await self._receiver.stop(deadline)

    def routes(self) -> tuple[Route, ...]:
        """The endpoint of a stream, the sessions that it opens, and the page."""
        return (
            Route("/{app}/{name}/publish", self._page),
            Route("/{app}/{name}/publish/{ident}", self._audience),
            Route("/{app}/{name}/whip", self._endpoint),
            Route("/{app}/{name}/whip/{ident}", self._endpoint),
        )

    def figures(self) -> Sequence[Reporter]:
        """What its sessions do."""
        return self._receiver.figures()
