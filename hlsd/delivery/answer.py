"""Is what a request gets: bytes, something to wait for first, the way in, or nothing of a stream's.

Values that the judge gives and the transports carry out. Pure; a wait says itself whether it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from hlsd.delivery.cors import Headers
from hlsd.delivery.request import Target
from hlsd.ports import WORDS, Lateness, Playable, PlayRequest


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer now. `headers` in lower case, without Date; `body` is shared and sent as it is, whole.

    `media`: what the body is, for the accounts (`hlsd.ports.WORDS`, `MEDIA`, `MORE`).
    """

    status: int
    headers: Headers
    body: bytes | memoryview = b""
    media: int = WORDS


class Fall:
    """Not a stream's business: pages, their files, the API."""


FALL = Fall()


def _unasked(released: bool) -> Fall:  # noqa: ARG001 - that is what it would be asked for
    """`then` of a wait whose waiter has a task, which goes on by itself."""
    return FALL


@dataclass(frozen=True, slots=True)
class WaitForPlaylist:
    """Hold until there is a playlist, for at most `timeout` seconds, then answer `then(whether it came)`.

    Those whose `what` is the same wait for the same thing. Those who agree in `alike` too are answered alike: what
    `then` says to one, it says to all; None: `then` must be asked for each.
    """

    playable: Playable
    timeout: float
    then: Callable[[bool], Answer] = _unasked
    alike: Hashable = None

    @property
    def what(self) -> Hashable:
        """What of the stream is waited for."""
        return "playlist"

    def verdict(self) -> bool | None:
        """Whether it is there; False: it will not come; None: hold on."""
        return True if self.playable.target_duration else _over(self.playable)


@dataclass(frozen=True, slots=True)
class WaitForRenditions(WaitForPlaylist):
    """Hold until there is a playlist of every rendition that there will be; then as `WaitForPlaylist`."""

    @property
    def what(self) -> Hashable:
        """As `WaitForPlaylist.what`."""
        return "renditions"

    def verdict(self) -> bool | None:
        """As `WaitForPlaylist.verdict`."""
        return True if self.playable.target_duration and self.playable.whole else _over(self.playable)


@dataclass(frozen=True, slots=True)
class WaitForPart:
    """Hold until the playlist has part `part` of segment `msn`; then as `WaitForPlaylist`."""

    playable: Playable
    msn: int
    part: int | None
    timeout: float
    then: Callable[[bool], Answer] = _unasked
    alike: Hashable = None

    @property
    def what(self) -> Hashable:
        """As `WaitForPlaylist.what`."""
        return self.msn, self.part

    def verdict(self) -> bool | None:
        """As `WaitForPlaylist.verdict`."""
        if self.playable.lateness(self.msn, self.part) is Lateness.READY:
            return True
        return _over(self.playable)


@dataclass(frozen=True, slots=True)
class WaitForMedia:
    """Hold until the hinted part `{run}/{name}` is there; then as `WaitForPlaylist`."""

    playable: Playable
    run: str
    name: str
    timeout: float
    then: Callable[[bool], Answer] = _unasked
    alike: Hashable = None

    @property
    def what(self) -> Hashable:
        """As `WaitForPlaylist.what`."""
        return self.run, self.name

    def verdict(self) -> bool | None:
        """As `WaitForPlaylist.verdict`; False too when another part than the hinted one came."""
        if self.playable.media(self.run, self.name) is not None:
            return True
        return _over(self.playable) if self.playable.expects(self.run, self.name) else False


@dataclass(frozen=True, slots=True)
class WaitForNews:
    """Hold until the stream is newer than its version `known`; then as `WaitForPlaylist`. Nobody is refused for it."""

    playable: Playable
    known: int
    timeout: float
    then: Callable[[bool], Answer] = _unasked
    alike: Hashable = None

    @property
    def what(self) -> Hashable:
        """As `WaitForPlaylist.what`."""
        return self.known

    def verdict(self) -> bool | None:
        """As `WaitForPlaylist.verdict`."""
        return True if self.playable.version > self.known else _over(self.playable)


@dataclass(frozen=True, slots=True)
class Enter:
    """Whoever asks has no session yet: let it in by the entrance, or say what it would get (HEAD)."""

    target: Target
    play: PlayRequest
    flat: bool
    """It is led to the media playlist at once: its player reads no multivariant playlist."""


Wait = WaitForPlaylist | WaitForRenditions | WaitForPart | WaitForMedia | WaitForNews
Answer = Reply | Wait | Enter | Fall


def _over(playable: Playable) -> bool | None:
    """False once nothing more can come, else None."""
    return False if playable.ended or playable.gone else None
