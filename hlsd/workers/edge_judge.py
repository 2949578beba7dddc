"""Judges the requests that come to a worker: who has a session is answered here, whoever comes new by the core.

The same judge as everywhere; what differs is that a stream may be on air and not known here yet: then the request waits
until it is, as it waits for a publisher who comes back.
"""

from __future__ import annotations

from hlsd.delivery.answer import FALL, Answer, Enter, WaitForPlaylist
from hlsd.delivery.judge import MAX_EXPECTATION, Judge
from hlsd.delivery.request import Request, Target
from hlsd.delivery.settings import HttpSettings
from hlsd.ports import Denial, Sessions
from hlsd.workers.edge_directory import EdgeDirectory


class EdgeJudge(Judge):
    """Of one worker."""

    def __init__(self, directory: EdgeDirectory, sessions: Sessions, settings: HttpSettings) -> None:
        super().__init__(directory, sessions, settings)
        self._edge = directory

    def answer(self, request: Request) -> Answer:
        """What `request` gets here; `Fall`: the core answers."""
        answer = super().answer(request)
        return FALL if isinstance(answer, Enter) else answer

    def _again(self, request: Request, target: Target, sid: str, *, flat: bool) -> Answer | None:  # noqa: ARG002
        """Who comes in anew with a session is the core's to let in: it knows what the session may."""
        return None

    def _media(self, request: Request, target: Target) -> Answer:
        if request.method == "GET" and self._edge.pending(target.app, target.name):
            denial = self._admit(request, target)
            if isinstance(denial, Denial):
                return self.replies.deny(request, denial)

            def then(released: bool) -> Answer:  # noqa: ARG001 - it may have come in the last instant
                if self._edge.pending(target.app, target.name):
                    return self.replies.refuse(request, 503)
                return super(EdgeJudge, self)._media(request, target)

            return WaitForPlaylist(self._edge.expected(target.app, target.name), MAX_EXPECTATION, then)
        return super()._media(request, target)
