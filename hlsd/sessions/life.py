"""Is the life of a session as one table: its phases, what can happen to it, and what each step does.

Pure. Whoever moves a session does so by `TRANSITIONS`, in `hlsd.sessions.lifecycle` alone; what has no row here cannot
happen, and raises. All are words, since looking up a plain enumeration costs a call.

    COMING ──► OPENED ────────► STARTED ────────► CLOSED
       │          ▲                ▲                ▲     COMING is asked about and then let in, or not. A viewer
       └──► OPENED_UNHEARD ──► STARTED_UNHEARD ─────┘     who is back with a good id plays while others are asked.
"""

from __future__ import annotations

import enum


class Phase(enum.StrEnum):
    """Where a session is."""

    COMING = "coming"
    """Whoever has a say is asked; nobody else knows of it."""
    OPENED = "opened"
    """Let in; has got playlists at most."""
    STARTED = "started"
    """Has got media, and its start is told."""
    OPENED_UNHEARD = "opened, unheard"
    """As `OPENED`, while whoever has a say is still being asked."""
    STARTED_UNHEARD = "started, unheard"
    """Has got media while they are asked: its start is told when they have said yes, or with its end."""
    CLOSED = "closed"


class Trigger(enum.StrEnum):
    """What happens to a session."""

    LET_IN = "let in"
    BACK = "back"
    """Let in by its id; whoever has a say is asked meanwhile."""
    MEDIA = "media"
    """The first byte of a segment or part goes out."""
    HEARD = "heard"
    """Who was asked meanwhile has nothing against it."""
    UPDATE = "update"
    """It is time to tell how it goes on."""
    END = "end"


class Effect(enum.StrEnum):
    """What a step does."""

    LIST = "list"
    """Into the table, the counts and the schedule."""
    COUNT_PLAY = "count play"
    TELL_START = "tell start"
    TELL_UPDATE = "tell update"
    SETTLE = "settle"
    """Out of the table; its lease is released and its account closed."""
    COUNT_STAY = "count stay"
    REMEMBER = "remember"
    """So that its player may come back, or, if the server ended it, so that it may not."""
    TELL_STOP = "tell stop"


Step = tuple[Phase, tuple[Effect, ...]]
_END = (Effect.SETTLE, Effect.REMEMBER)
_STOP = (Effect.SETTLE, Effect.COUNT_STAY, Effect.REMEMBER)

TRANSITIONS: dict[tuple[Phase, Trigger], Step] = {
    (Phase.COMING, Trigger.LET_IN): (Phase.OPENED, (Effect.LIST,)),
    (Phase.COMING, Trigger.BACK): (Phase.OPENED_UNHEARD, (Effect.LIST,)),
    (Phase.OPENED, Trigger.MEDIA): (Phase.STARTED, (Effect.COUNT_PLAY, Effect.TELL_START)),
    (Phase.OPENED, Trigger.UPDATE): (Phase.OPENED, ()),
    (Phase.OPENED, Trigger.END): (Phase.CLOSED, _END),
    (Phase.OPENED_UNHEARD, Trigger.MEDIA): (Phase.STARTED_UNHEARD, (Effect.COUNT_PLAY,)),
    (Phase.OPENED_UNHEARD, Trigger.HEARD): (Phase.OPENED, ()),
    (Phase.OPENED_UNHEARD, Trigger.UPDATE): (Phase.OPENED_UNHEARD, ()),
    (Phase.OPENED_UNHEARD, Trigger.END): (Phase.CLOSED, _END),
    (Phase.STARTED, Trigger.MEDIA): (Phase.STARTED, ()),
    (Phase.STARTED, Trigger.UPDATE): (Phase.STARTED, (Effect.TELL_UPDATE,)),
    (Phase.STARTED, Trigger.END): (Phase.CLOSED, (*_STOP, Effect.TELL_STOP)),
    (Phase.STARTED_UNHEARD, Trigger.MEDIA): (Phase.STARTED_UNHEARD, ()),
    (Phase.STARTED_UNHEARD, Trigger.HEARD): (Phase.STARTED, (Effect.TELL_START,)),
    (Phase.STARTED_UNHEARD, Trigger.UPDATE): (Phase.STARTED_UNHEARD, ()),
    (Phase.STARTED_UNHEARD, Trigger.END): (Phase.CLOSED, (*_STOP, Effect.TELL_START, Effect.TELL_STOP)),
}

BACK = frozenset({Phase.OPENED_UNHEARD, Phase.STARTED_UNHEARD})
"""Phases of a viewer who is back by an id, until everybody has been heard."""
ASKED = frozenset({Phase.COMING, Phase.OPENED_UNHEARD, Phase.STARTED_UNHEARD})
"""Phases in which somebody is asked about the session: a handler that rejects it is heard by who asks."""
