"""Lets everybody in: the gate of a server whose operator has set no rules; and the gate that may get some later."""

from __future__ import annotations

from hlsd.ports import Denial, Gate, Grant, PlayRequest, PublishRequest

_OPEN = Grant()


class OpenGate:
    """No rules (`hlsd.ports.Gate`)."""

    @property
    def open(self) -> bool:
        """Whether there are none."""
        return True

    async def play(self, request: PlayRequest) -> Grant | Denial:  # noqa: ARG002
        """Yes."""
        return _OPEN

    async def publish(self, request: PublishRequest) -> Grant | Denial:  # noqa: ARG002
        """Yes."""
        return _OPEN

    async def renew(self, request: PlayRequest, grant: Grant) -> Grant | Denial:  # noqa: ARG002
        """Yes, as before."""
        return grant

    def hides_names(self, app: str) -> bool:  # noqa: ARG002
        """Names are names."""
        return False


class ChangingGate(OpenGate):
    """The gate of a server whose rules may change while it runs: `rules` keeps them, None while there are none.

    Who is in already stays in: it meets the new rules when it has to be let in anew.
    """

    def __init__(self, rules: Gate | None = None) -> None:
        self.rules = rules

    def turn_to(self, rules: Gate | None) -> None:
        """Keeps other rules from now on."""
        self.rules = rules

    @property
    def open(self) -> bool:
        """Whether there are no rules now."""
        return self.rules is None

    async def play(self, request: PlayRequest) -> Grant | Denial:
        """As the rules say."""
        return _OPEN if self.rules is None else await self.rules.play(request)

    async def publish(self, request: PublishRequest) -> Grant | Denial:
        """As the rules say."""
        return _OPEN if self.rules is None else await self.rules.publish(request)

    async def renew(self, request: PlayRequest, grant: Grant) -> Grant | Denial:
        """As the rules say."""
        return grant if self.rules is None else await self.rules.renew(request, grant)

    def hides_names(self, app: str) -> bool:
        """As the rules say."""
        return self.rules is not None and self.rules.hides_names(app)
