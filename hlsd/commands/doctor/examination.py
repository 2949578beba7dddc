"""Looks at all there is to look at."""

from __future__ import annotations

from collections.abc import Iterator

from hlsd.commands.doctor import disk, machine, services
from hlsd.commands.doctor.finding import Finding
from hlsd.config import Settings


def findings(settings: Settings) -> Iterator[Finding]:
    """All that is looked at, in the order in which a start would come upon it."""
    yield from disk.folders(settings)
    yield from machine.ports(settings)
    yield from services.certificates(settings)
    yield machine.files()
    yield from machine.congestion(settings)
    yield from machine.buffers(settings)
    yield machine.clock()
    yield machine.memory(settings)
    yield from services.packages(settings)
    yield from services.programs(settings)
    yield from services.reachable(settings)
