"""Is one part of a server: a way in, a way out, what the operator has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from hlsd.base.figures import Reporter
from hlsd.ports.outputs import OutputFactory, SinkFactory
from hlsd.ports.reload import Reloadable

if TYPE_CHECKING:
    from hlsd.net.identity import Identity


class Service:
    """What `hlsd.services` lists. It is made without touching disk or network; who has none of something says nothing.

    Its settings are a section of the configuration, handed to its constructor.
    """

    port = 0
    """The TCP port it listens on, once started; 0 if none."""

    congestion = ""
    """What holds on its connections as TCP's congestion control, once started; empty: it has none of its own."""

    @property
    def identities(self) -> Sequence[Identity]:
        """The certificates that it shows."""
        return ()

    async def start(self) -> None:
        """Begins. Raises OSError when it cannot listen, with one line that says where and why."""

    async def stop(self, deadline: float) -> None:
        """Ends: listens no more, lets what is under way finish for at most `deadline` seconds."""

    def routes(self) -> Sequence[BaseRoute]:
        """What it answers on every HTTP port."""
        return ()

    def operations(self) -> Sequence[Route]:
        """What it adds to the API, by whole paths; who may ask is decided at the API's door."""
        return ()

    def outputs(self) -> Sequence[OutputFactory]:
        """What makes ways out of each stream."""
        return ()

    def sinks(self) -> Sequence[SinkFactory]:
        """What wants the HLS segments of each stream."""
        return ()

    def reloads(self) -> Sequence[Reloadable]:
        """What of its settings it takes while it runs."""
        return ()

    def impaired(self) -> Sequence[str]:
        """What it does not do for now, in words for `/readyz`; viewers may come all the same."""
        return ()

    def figures(self) -> Sequence[Reporter]:
        """Who reports its figures."""
        return ()
