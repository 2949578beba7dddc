"""A name is one name, whatever way its publisher comes by and whatever way the next one: takeover, events, figures."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from hlsd.app import Server
from tests.support.eventually import eventually
from tests.support.services import running
from tests.support.watched import Watched
from tests.support.ways_in import APP, NAME, WAYS, nobody, publishes, settings

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(240)]


def ends(here: Watched) -> list[object]:
    """Why publishers ended, in order."""
    return [event.facts["reason"] for event in here.told if event.action.value == "donePublish"]


def begins(here: Watched) -> list[object]:
    """By which way publishers were let in, in order."""
    return [event.facts["protocol"] for event in here.told if event.action.value == "postPublish"]


def taken(server: Server, way: str, before: object) -> bool:
    """Whether the name is somebody else's than it was, who came by that way."""
    stream = server.hub.get(APP, NAME)
    return publishes(server, way) and stream is not None and stream.claim is not before


def counted(figures: Counter[str], number: int) -> bool:
    """Whether so many publishers have been let in or refused."""
    return figures.total() >= number


@pytest.mark.parametrize("first", WAYS)
async def test_who_comes_later_takes_the_name_from_whoever_has_it(first: str, tmp_path: Path) -> None:
    """`publish.takeover = "always"`, each way from each."""
    async with running(tmp_path, {**settings(), "publish.takeover": "always"}) as server:
        for second in WAYS:
            here = Watched(server)
            async with WAYS[first](server):
                await eventually(lambda: publishes(server, first), what=f"{first} on air")
                stream = server.hub.get(APP, NAME)
                assert stream is not None
                before = stream.claim
                async with WAYS[second](server):
                    took = partial(taken, server, second, before)
                    await eventually(took, what=f"{second} on air after {first}")
                    assert server.hub.get(APP, NAME) is stream, "the same stream goes on"
            await nobody(server)
            assert begins(here) == [first, second], (first, second)
            assert ends(here)[0] == "replaced", (first, second)
            assert len(ends(here)) == 2
        figures = server.stats.app(APP)
        assert figures.takeovers["always"] == len(WAYS)
        assert not server.stats.faults.tasks.total(), server.stats.faults.tasks


@pytest.mark.parametrize("first", WAYS)
async def test_who_has_the_name_keeps_it_from_whoever_comes_later(first: str, tmp_path: Path) -> None:
    """`publish.takeover = "never"`, each way from each: who is refused is counted, and the other hears nothing."""
    async with running(tmp_path, {**settings(), "publish.takeover": "never"}) as server:
        here = Watched(server)
        async with WAYS[first](server):
            await eventually(lambda: publishes(server, first), what=f"{first} on air")
            stream = server.hub.get(APP, NAME)
            assert stream is not None
            claim = stream.claim
            figures = server.stats.app(APP).publishes  # its own, once somebody has published there
            for number, second in enumerate(WAYS, 1):
                async with WAYS[second](server):
                    noted = partial(counted, figures, number + 1)
                    await eventually(noted, what=f"{second} refused after {first}")
                assert stream.claim is claim, (first, second)
        await nobody(server)
        assert begins(here) == [first]
        assert (figures.pop("ok"), figures.total()) == (1, len(WAYS))
        assert sum(count > 0 for count in figures.values()) == 1, "each is refused for one reason"
        assert not server.stats.faults.tasks.total(), server.stats.faults.tasks
