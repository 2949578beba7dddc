"""Where viewers are let in, by whatever protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from hlsd.ports.admission import Denial, PlayRequest
from hlsd.ports.sessions import ViewerSession


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

    session: ViewerSession
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

    async def glance(self, request: PlayRequest, outputs: Outputs[O]) -> O | Denial:
        """What a viewer would watch who wants no more than to see a picture of it now.

        As `look`, but bans hold and whoever has a say in `prePlay` is asked: what is shown is what they guard.
        """
        ...

    def refuse(self, request: PlayRequest, denial: Denial) -> Denial:
        """Counts a viewer who is turned away before it comes to the door: a protocol's own bounds. Gives `denial`."""
        ...
