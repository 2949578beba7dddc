"""Lets everybody in: the gate of a server whose operator has set no rules."""

from __future__ import annotations

from hlsd.ports import Grant, PlayRequest, PublishRequest

_OPEN = Grant()


class OpenGate:
    """No rules (`hlsd.ports.Gate`)."""

    async def play(self, request: PlayRequest) -> Grant:  # noqa: ARG002
        """Yes."""
        return _OPEN

    async def publish(self, request: PublishRequest) -> Grant:  # noqa: ARG002
        """Yes."""
        return _OPEN
