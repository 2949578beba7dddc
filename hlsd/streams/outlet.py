"""Is one output of one stream with what becomes of it when it raises: it begins anew, and nobody else hears of it.

Law: an output that raised gets nothing more until the next key picture; there it is told the tracks and a
discontinuity, as if the publisher had come back. After `MOST` faults within `WITHIN` seconds it stays off until the
next publication: what fails at each key picture must not cost a muxer and a log line each time for ever. While it is
out of order it stands in for the output in the list of those that are fed, so that one in order costs nothing more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol, runtime_checkable

from hlsd.base.faults import Faults
from hlsd.media.unit import AccessUnit, Kind, Tracks
from hlsd.ports import Output

MOST: Final = 5
"""New beginnings within `WITHIN` seconds; the next fault switches off."""
WITHIN: Final = 60.0


@runtime_checkable
class Mendable(Protocol):
    """An output that holds more than it can get by being told tracks and a discontinuity."""

    def reset(self) -> None:
        """It has raised, in whatever state that left it: lets go of what was under way.

        What follows, if anything does, are `tracks`, `jump` and a key picture.
        """
        ...

    def halt(self) -> None:
        """It stays off (it was `reset`): whoever waits for something of it is told. `tracks` ends that."""
        ...


@runtime_checkable
class Hoarder(Protocol):
    """An output that keeps media."""

    @property
    def held(self) -> int:
        """Bytes of it beyond those in the live window."""
        ...


class Outlet:
    """One output under its name; `changed()` says that what is to be fed is another now."""

    __slots__ = (
        "_changed",
        "_clock",
        "_facts",
        "_faults",
        "_times",
        "_tracks",
        "hoarder",
        "off",
        "output",
        "output_name",
        "resting",
    )

    def __init__(  # noqa: PLR0913 - whom it knows
        self,
        output_name: str,
        output: Output,
        *,
        faults: Faults,
        tracks: Callable[[], Tracks | None],
        changed: Callable[[], None],
        clock: Callable[[], float] = monotonic,
        app: str = "",
        name: str = "",
    ) -> None:
        self.output_name = output_name
        self.output = output
        self.hoarder = output if isinstance(output, Hoarder) else None
        """The output if it keeps media; found out once, since that takes longer than asking it how much."""
        self.resting = False
        """It waits for a key picture, or is off."""
        self.off = False
        self._faults = faults
        self._tracks = tracks
        self._changed = changed
        self._clock = clock
        self._facts = {"app": app, "name": name}
        self._times: deque[float] = deque(maxlen=MOST)

    @property
    def fed(self) -> Output:
        """What is to be fed: the output, or this in its place."""
        return self if self.resting else self.output

    def failed(self, error: Exception) -> None:
        """The output has raised."""
        self._faults.output(self.output_name, error, **self._facts)
        now = self._clock()
        often = len(self._times) == MOST and now - self._times[0] < WITHIN
        self._times.append(now)
        if not self.resting:
            self.resting = True
            self._changed()
        output = self.output
        if isinstance(output, Mendable):
            self._try(output.reset)
        if often and not self.off:
            self.off = True
            self._faults.off[self.output_name] += 1
            if isinstance(output, Mendable):
                self._try(output.halt)

    def revive(self) -> None:
        """Another publisher, another chance; also called when it is fed no more."""
        if self.off:
            self.off = False
            self._faults.off[self.output_name] -= 1
            self._times.clear()

    # -- in the output's place

    def tracks(self, tracks: Tracks) -> None:
        """Told when it begins anew."""

    def unit(self, unit: AccessUnit) -> None:
        """Begins anew at a key picture; where there are no pictures, at any frame."""
        tracks = self._tracks()
        if self.off or tracks is None or not unit.key or (unit.kind is not Kind.VIDEO and tracks.video is not None):
            return
        self.resting = False
        self._changed()
        output = self.output
        try:
            output.tracks(tracks)
            output.jump()
            output.unit(unit)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this output's
            self.failed(error)

    def jump(self) -> None:
        """It will begin with one."""

    def pause(self) -> None:
        """Nothing is open; who waits is told that nothing will come soon."""
        self._try(self.output.pause)

    def end(self) -> None:
        """Whatever is wrong with it, it is over."""
        self._try(self.output.end)

    def _try(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001 - as above; it is tried again when it begins anew
            self._faults.output(self.output_name, error, **self._facts)
