"""Gives packets the times of decoding that a container does not tell: Matroska has those of showing alone.

libavformat finds them out, but not of the first packets of a film whose pictures are shown in another order than they
are decoded in. They stand as far before the first one that is known as they last. In the media process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

HELD: Final = 32
"""Packets of a track that are held until one has a time: no codec puts more pictures before others."""


def dated(packets: Iterable[Any]) -> Iterator[Any]:
    """The same packets, in the same order within each track."""
    held: dict[int, list[Any]] = {}
    known: set[int] = set()
    for packet in packets:
        index = packet.stream_index
        if index in known or not packet.size:
            yield from _let_go(held.pop(index, []), None)
            yield packet
        elif packet.dts is None:
            waiting = held.setdefault(index, [])
            waiting.append(packet)
            if len(waiting) > HELD:
                known.add(index)
                yield from _let_go(held.pop(index), None)
        else:
            known.add(index)
            yield from _let_go(held.pop(index, []), packet)
            yield packet
    for waiting in held.values():
        yield from _let_go(waiting, None)


def _let_go(waiting: list[Any], behind: Any) -> list[Any]:  # noqa: ANN401 - libav's
    """Packets without a time, dated by the one behind them; without one, by when they are shown."""
    if not waiting:
        return waiting
    step = max(1, int(next((one.duration for one in waiting if one.duration), 1)))
    shown = [one.pts for one in waiting if one.pts is not None]
    end = behind.dts if behind is not None else (min(shown) if shown else 0) + len(waiting)
    for at, one in enumerate(waiting):
        one.dts = end - (len(waiting) - at) * step if behind is not None else end - len(waiting) + at
    return waiting
