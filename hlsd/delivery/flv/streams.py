"""Knows every stream as FLV viewers get it, and lets them in by the entrance, by whatever protocol they come.

A stream that is not there is 404 at once. The session lives as long as the connection: it is held open, and closed with
it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hlsd.base.faults import Faults
from hlsd.delivery.flv.output import NAME, FlvOutput
from hlsd.delivery.flv.ticket import FlvTicket
from hlsd.ports import ABSENT, Denial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hlsd.delivery.flv.settings import FlvSettings
    from hlsd.media.unit import AccessUnit
    from hlsd.ports import Entrance, Feed, PlayRequest, PublishRequest, Sessions, ViewerSession


class FlvStreams:
    """The FLV side of one server: `Audience` and `Outputs` to its viewers, `OutputFactory` to streams."""

    name = NAME

    def __init__(
        self, settings: FlvSettings, entrance: Entrance, sessions: Sessions, faults: Faults | None = None
    ) -> None:
        self.settings = settings
        self.faults = faults or Faults()
        self._entrance = entrance
        self._sessions = sessions
        self._outputs: dict[tuple[str, str], FlvOutput] = {}
        self._served = {"flv": settings.http, "wsflv": settings.websocket, "rtmp": settings.rtmp}

    @property
    def viewers(self) -> int:
        """How many watch now, all streams together."""
        return sum(output.viewers for output in self._outputs.values())

    def output(self, stream: Feed, request: PublishRequest) -> None:  # noqa: ARG002 - whoever publishes
        """The FLV of a stream that has begun: it attaches itself, while somebody watches or the GOP is kept."""
        there = self._outputs.get((stream.app, stream.name))
        if there is None or there.feed is not stream:
            self._outputs[stream.app, stream.name] = FlvOutput(stream, self.settings, self.faults)

    # -- as viewers come

    async def admit(self, request: PlayRequest) -> FlvTicket | Denial:
        """Lets a viewer in, or says why not; never raises for what a stranger may send."""
        if not self._served.get(request.protocol, False):
            return self.refuse(request, ABSENT)
        ticket = FlvTicket(self)
        entry = await self._entrance.enter(replace(request, drop=ticket.drop), self)
        if isinstance(entry, Denial):
            return entry
        entry.session.held += 1
        codec = request.query.get("codecid", "")
        legacy = codec == "12" or (self.settings.hevc == "legacy" and codec not in {"hvc1", "enhanced"})
        ticket.issue(entry.output, entry.session, legacy=legacy)
        return ticket

    async def look(self, request: PlayRequest) -> Denial | None:
        """Why a viewer would not be let in; makes no session, and nothing come."""
        if not self._served.get(request.protocol, False):
            return ABSENT
        found = await self._entrance.look(request, self)
        return found if isinstance(found, Denial) else None

    def refuse(self, request: PlayRequest, denial: Denial) -> Denial:
        """Counts a viewer whom its protocol turns away."""
        return self._entrance.refuse(request, denial)

    def gop(self, app: str, name: str) -> Sequence[AccessUnit]:
        """A stream's units from its newest key picture on, as far as they are kept: other ways out begin with them."""
        output = self._outputs.get((app, name))
        return output.gop if output is not None and not output.ended else ()

    # -- as the entrance sees it

    def find(self, app: str, name: str) -> FlvOutput | None:
        """The stream of that name, unless it has ended, or failed too often."""
        output = self._outputs.get((app, name))
        return None if output is None or output.ended or output.off else output

    async def ready(self, request: PlayRequest, output: FlvOutput) -> Denial | None:  # noqa: ARG002
        """There is nothing to wait for: bytes come when there are some."""
        return None

    # -- while they watch

    def sweep(self, now: float) -> None:
        """Once a second: viewers who do not read, streams that are over."""
        guard = self.faults.guard("flv_sweep")
        for key, output in list(self._outputs.items()):
            with guard:
                output.sweep(now)
            if output.ended:
                del self._outputs[key]

    def end(self, reason: str) -> None:
        """Ends every viewer."""
        guard = self.faults.guard("flv_end")
        for output in list(self._outputs.values()):
            with guard:
                output.dismiss(reason)

    @property
    def charge(self) -> Callable[[ViewerSession | None, int, int], None]:
        """Counts bytes to a session."""
        return self._sessions.charge

    def close(self, session: ViewerSession, reason: str) -> None:
        """The viewer has gone."""
        session.held -= 1
        self._sessions.close(session, reason)
