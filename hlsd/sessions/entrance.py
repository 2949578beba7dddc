"""Lets viewers in, by whatever protocol they come: HLS over HTTP/1.1 and HTTP/2, HTTP-FLV, WebSocket-FLV, RTMP.

The order is one for all: authorised, renamed, obtained (pulled on demand), waited for, opened, counted. Law: nothing is
looked for, pulled or made for somebody who is not authorised, so that a stranger does not even learn what is there; and
whoever is not let in is counted once, here. How a refusal is worded, and what is waited for, is each way out's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hlsd.ports import ABSENT, Denial, Entry

if TYPE_CHECKING:
    from hlsd.ports import Directory, Grant, O, Outputs, PlayRequest, Sessions
    from hlsd.stats import Stats

OVER: Final = "stream_end"
"""Why a session ends whose stream has gone while others were asked about its viewer."""


class ViewerEntrance:
    """The entrance of one server (`hlsd.ports.Entrance`)."""

    def __init__(self, sessions: Sessions, directory: Directory, stats: Stats) -> None:
        self._sessions = sessions
        self._directory = directory
        self._stats = stats

    async def enter(self, request: PlayRequest, outputs: Outputs[O], *, instead: str = "") -> Entry[O] | Denial:
        """Lets a viewer in, or says why not."""
        entry = await self._enter(request, outputs, instead)
        if isinstance(entry, Denial):
            return self.refuse(request, entry)
        entry.session.requests += 1
        return entry

    async def look(self, request: PlayRequest, outputs: Outputs[O]) -> O | Denial | None:
        """What a viewer would watch; None if it would have to be made to come."""
        authorised = await self._authorised(request)
        if isinstance(authorised, Denial):
            return authorised
        request, _ = authorised
        output = outputs.find(request.app, request.name)
        if output is None and not self._directory.obtainable(request.app, request.name):
            return ABSENT
        return output

    async def glance(self, request: PlayRequest, outputs: Outputs[O]) -> O | Denial:
        """What a viewer would watch, for who is to see a picture of it and nothing more."""
        authorised = await self._authorised(request)
        if isinstance(authorised, Denial):
            return authorised
        request, grant = authorised
        if outputs.find(request.app, request.name) is None:  # before anybody is asked, as for those who enter
            return ABSENT
        name = await self._sessions.vouch(request, grant)
        if isinstance(name, Denial):
            return name
        return outputs.find(request.app, name) or ABSENT

    def refuse(self, request: PlayRequest, denial: Denial) -> Denial:
        """Counts a viewer who is not let in."""
        self._stats.app(request.app).refused[denial.reason] += 1
        return denial

    async def _enter(self, request: PlayRequest, outputs: Outputs[O], instead: str) -> Entry[O] | Denial:
        authorised = await self._authorised(request)
        if isinstance(authorised, Denial):
            return authorised
        request, grant = authorised
        output = await self._obtained(request, outputs)
        if isinstance(output, Denial):
            return output
        denial = await outputs.ready(request, output)
        if denial is not None:
            return denial
        sessions = self._sessions
        session = await (sessions.replace(instead, request, grant) if instead else sessions.open(request, grant))
        if isinstance(session, Denial):
            return session
        # Now: the stream may have gone meanwhile, and whoever was asked may have led the viewer to another one.
        there = outputs.find(session.app, session.name)
        if there is None:
            sessions.close(session, OVER)
            return ABSENT
        return Entry(session, there)

    async def _authorised(self, request: PlayRequest) -> tuple[PlayRequest, Grant] | Denial:
        """The request, with the name that the viewer may watch."""
        grant = await self._sessions.authorise(request)
        if isinstance(grant, Denial):
            return grant
        if grant.name and grant.name != request.name:
            request = replace(request, name=grant.name, asked=request.name)
        return request, grant

    async def _obtained(self, request: PlayRequest, outputs: Outputs[O]) -> O | Denial:
        """What is there to watch, made to come if it must and can: what has ended may begin anew."""
        output = outputs.find(request.app, request.name)
        if output is not None and not output.ended:
            return output
        if self._directory.obtainable(request.app, request.name):
            obtained = await self._directory.obtain(request)
            if isinstance(obtained, Denial):
                return obtained
            output = outputs.find(request.app, request.name)
        return ABSENT if output is None else output
