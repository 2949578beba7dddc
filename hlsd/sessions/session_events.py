"""Tells events of sessions, and asks about viewers: on their way in, or meanwhile for those who play already.

Law: per session events are numbered in the order in which they happen; nobody who plays waits for an answer. At most
`MAX_ASKED` questions are under way beside those about viewers on their way in.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from hlsd.base.clock import Clock
from hlsd.events import Action, Bus, Event
from hlsd.events.facts import Facts
from hlsd.ports import REJECTED, Denial, Grant
from hlsd.sessions.background import Background
from hlsd.sessions.session import Session, facts

MAX_ASKED = 200
"""Viewers that are asked about meanwhile, at the same time."""


class SessionEvents:
    """The events of one server's sessions. `about(app, name)` tells a stream's id and codecs."""

    def __init__(self, bus: Bus, clock: Clock, about: Callable[[str, str], tuple[str, str]] | None) -> None:
        self._bus = bus
        self._clock = clock
        self._about = about
        self._questions = Background(MAX_ASKED, "ask about a viewer", "a viewer could not be asked about")

    def facts(self, session: Session) -> Facts:
        """What events and the API say of `session`."""
        stream_id, codec = self._about(session.app, session.name) if self._about is not None else ("", "")
        return facts(session, stream_id, codec)

    def tell(self, action: Action, session: Session) -> None:
        """It has happened."""
        session.seq += 1
        if self._bus.heard(action):
            self._bus.emit(self._event(action, session), session)

    @property
    def curious(self) -> bool:
        """Whether anybody wants to be asked about viewers."""
        return self._bus.heard(Action.PRE_PLAY)

    @property
    def asks(self) -> bool:
        """Whether anybody has a say in who may watch."""
        return self._bus.asks(Action.PRE_PLAY)

    async def ask(self, session: Session) -> Denial | Grant | None:
        """What handlers and sync webhooks say about a viewer."""
        session.seq += 1
        if not self.curious:
            return None
        event = self._event(Action.PRE_PLAY, session)
        return await self._bus.ask(event, session, lambda: REJECTED if session.refused else None)

    def meanwhile(self, question: Coroutine[Any, Any, None]) -> bool:
        """Asks beside what is going on; False, and not asked, if there is too much of it."""
        return self._questions.run(question)

    async def stop(self) -> None:
        """Asks no more."""
        await self._questions.stop()

    def _event(self, action: Action, session: Session) -> Event:
        return Event(action, session.id, session.seq, self._clock.wall(), self.facts(session), session.query)
