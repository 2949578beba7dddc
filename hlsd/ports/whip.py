"""What the endpoints of WHIP (RFC 9725) and WHEP ask of who receives and sends by WebRTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hlsd.ports.admission import PlayRequest


@dataclass(frozen=True, slots=True)
class WhipAnswer:
    """A session is open: its secret `ident`, the answer or fragment, and the `tag` of its ICE session.

    `name` is the stream's: what was asked for may have been its key.
    """

    ident: str
    name: str
    body: str
    tag: str


@dataclass(frozen=True, slots=True)
class WhipRefusal:
    """None is, with words fit for who asked.

    `reason` is a `RefuseCode`, or "bad_offer", "unacceptable" (nothing in it that is taken), "full" (no session is
    left), "pending" (too many of one address are not connected yet), "off", "gone" (no such session), "tag" (of an ICE
    session that is not the one), "error:internal".
    """

    reason: str
    words: str
    status: int = 0
    """Of HTTP, where it is known already: a viewer's `Denial`; 0: `reason` decides."""


class WhipDesk(Protocol):
    """Who receives, or sends."""

    @property
    def closed(self) -> str:
        """Why nobody can come in; empty: who may can."""
        ...

    async def enter(self, asked: PlayRequest, offer: bytes, local: str) -> WhipAnswer | WhipRefusal:
        """Lets somebody in who sends `offer`; `local` is the address of ours at which it asked."""
        ...

    def patch(self, app: str, ident: str, body: bytes, tag: str) -> WhipAnswer | WhipRefusal | None:
        """Takes a fragment: an answer if it begins ICE anew, None if it only told candidates.

        `tag` is that of the ICE session it is for, "*" for any, "" where the client did not say.
        """
        ...

    def leave(self, app: str, ident: str) -> bool:
        """Ends a session; whether there is one, or was a moment ago."""
        ...

    def whose(self, app: str, ident: str) -> str:
        """The public name of the stream that a session publishes or watches; "" where there is none."""
        ...
