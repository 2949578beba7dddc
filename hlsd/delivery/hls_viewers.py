"""Lets HLS viewers in by the entrance: says what they wait for at the door, and what they get once they are in.

Who comes in is let in with the stream's next part. A player starts PART-HOLD-BACK before the end of the first playlist
it sees, takes that end for this very moment, and most never come nearer to live again: with a playlist as old as a part
is long they stay that much behind for as long as they watch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from hlsd.base.clock import Clock
from hlsd.delivery.answer import Enter, Reply, Wait, WaitForNews, WaitForRenditions
from hlsd.delivery.replies import NOT_READY, Replies
from hlsd.delivery.request import Request
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.wait_queue import Outcome
from hlsd.ports import ABSENT, Denial, Directory, Entrance, Playable, PlayRequest

MAX_JOIN_WAIT = 0.5
"""Longest part, in seconds, that is worth a viewer's waiting for the next one before the first picture."""

Waiting = Callable[[Wait], Awaitable[Outcome]]
"""Keeps the request waiting; raises what ends the coming of a viewer who has hung up."""


class HlsViewers:
    """The HLS viewers of one server, as far as the first answer."""

    def __init__(
        self, entrance: Entrance, directory: Directory, replies: Replies, settings: HttpSettings, clock: Clock
    ) -> None:
        self._entrance = entrance
        self._directory = directory
        self._replies = replies
        self._first_wait = settings.first_playlist_wait
        self._clock = clock

    async def enter(self, request: Request, coming: Enter, wait: Waiting) -> Reply:
        """What a viewer gets who has no session yet; `request` has it then, if it was let in."""
        first = FirstPlaylist(self._directory, self._first_wait, coming, wait)
        if request.method == "HEAD":
            return await self._look(request, coming, first)
        entry = await self._entrance.enter(coming.play, first, instead=coming.target.sid)
        if isinstance(entry, Denial):
            return self._replies.deny(request, entry)
        session = request.session = entry.session
        session.in_bytes += request.size
        session.last = self._clock.monotonic()
        entered = self._replies.entered(request, coming.target, entry.output, session, flat=coming.flat)
        return entered or self._replies.deny(request, first.late(session.app, session.name, entry.output))

    async def _look(self, request: Request, coming: Enter, first: FirstPlaylist) -> Reply:
        """The answer to HEAD, which never waits and never makes a session (HT07)."""
        found = await self._entrance.look(coming.play, first)
        if isinstance(found, Denial):
            return self._replies.deny(request, found)
        if found is None or not found.target_duration:
            return self._replies.refuse(request, 404)
        return self._replies.looked(request)


class FirstPlaylist:
    """What one viewer comes for (`hlsd.ports.Outputs`)."""

    def __init__(self, directory: Directory, first_wait: float, coming: Enter, wait: Waiting) -> None:
        self._directory = directory
        self._first_wait = first_wait
        self._wait = wait
        self._flat = coming.flat
        self._rendition = coming.target.rendition
        self._back = bool(coming.target.sid)
        """It plays already, with an id that is not accepted: no news is worth its waiting."""

    def find(self, app: str, name: str) -> Playable | None:
        """The HLS output of a stream."""
        return self._directory.find(app, name)

    async def ready(self, request: PlayRequest, output: Playable) -> Denial | None:
        """Waits for the next part, or for the first playlist."""
        if output.target_duration and not (output.whole or self._flat or output.ended):
            # Players read a multivariant playlist once: what it does not name they never change to.
            await self._wait(WaitForRenditions(output, self._first_wait))
        elif not self._back and _soon_newer(output):
            await self._wait(WaitForNews(output, output.version, output.part_target))  # nobody is refused for it
        elif not (output.target_duration or self._flat):
            # a variant whose playlist is not there yet is not worth naming (P07)
            if output.ended:
                return ABSENT
            if self._first_wait and await self._wait(WaitForRenditions(output, self._first_wait)) is Outcome.REFUSED:
                return NOT_READY
            if not output.target_duration:
                return self.late(request.app, request.name, output)
        if self._rendition and output.rendition(self._rendition) is None:
            return ABSENT
        return self.late(request.app, request.name, output) if output.gone else None

    def late(self, app: str, name: str, output: Playable) -> Denial:
        """Why there is nothing to be played: it has gone, or is yet to come."""
        return ABSENT if output.ended or self._directory.find(app, name) is not output else NOT_READY


def _soon_newer(playable: Playable) -> bool:
    """Whether a part is about to come that a viewer at the door may wait for."""
    present = playable.target_duration and not playable.ended and not playable.away
    return bool(present) and playable.low_latency and playable.part_target <= MAX_JOIN_WAIT
