"""What a viewer costs who never plays: asking for playlists must not fill the memory."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from hlsd.base.household import household
from hlsd.ports import Grant
from hlsd.sessions import memory
from tests.unit.sessions.conftest import Scene

COUNT = 400
TABLE = 16_384
BOUND = 1700
"""Bytes for each, the agent and the page that nobody else has included."""


async def _knock(scene: Scene, number: int, grant: Grant | None = None, length: int = 4000) -> None:
    junk = f"{number:06d}"
    await scene.enter(
        grant,
        ip=f"10.0.{number >> 8}.{number & 255}",
        query={"a": junk + "x" * length},
        bearer=junk + "t" * 8000,
        user_agent=junk + "u" * 240,
        referer=f"http://{junk}/" + "r" * 1000,
        playback_id=junk,
    )


def _bytes() -> int:
    """Of what was made since tracing began, without tables (of the registry, and Python's of shared strings)."""
    gc.collect()
    return sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size < TABLE)


async def _grown(scene: Scene, grant: Grant | None = None) -> float:
    """Bytes for each of so many viewers who never play: while they are here, and when they have gone."""
    scene.sessions.bus._sinks.clear()
    await _knock(scene, 0, grant)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, COUNT + 1):
            await _knock(scene, number, grant)
        open_ = _bytes()
        await scene.after(15)
        past = _bytes()
        await scene.after(scene.settings.resume_window + 10)
        household.cache_clear()  # the last 4,096 addresses, whoever asked
        left = _bytes()
        assert left < 50 * COUNT, "it is given back"
    finally:
        tracemalloc.stop()
    assert not len(scene.sessions)
    return max(open_, past) / COUNT


@pytest.mark.thorough
async def test_a_viewer_who_never_plays_costs_less_than_two_kilobytes_whatever_it_sends() -> None:
    assert await _grown(Scene(resume_window=20)) < BOUND


@pytest.mark.thorough
async def test_what_is_kept_to_ask_again_is_bounded_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a credential is asked for it is kept; beyond the bound the newest go without being asked about again."""
    monkeypatch.setattr(memory, "MAX_KEPT", 100_000)
    scene = Scene(resume_window=20)
    assert await _grown(scene, Grant(method="callback")) < BOUND + 100_000 / COUNT + 1024
    assert scene.sessions._shared.memory.kept == 0


async def test_what_is_asked_about_again_is_what_was_shown() -> None:
    """Within the bound nothing is cut: a token with a letter less is another one."""
    scene = Scene()
    token = "t" * 3000
    session = await scene.watch(Grant(method="callback", auth_duration=5), query={"token": token}, bearer=token)
    session.held = 1
    await scene.after(6)
    assert (scene.gate.asked[0].query["token"], scene.gate.asked[0].bearer) == (token, token)
