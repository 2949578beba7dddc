"""Bans on disk: written anew when much of the file is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlsd.sessions import ban_store
from hlsd.sessions.ban_store import BanStore
from tests.unit.sessions.conftest import Scene


async def test_the_file_of_bans_does_not_grow_with_what_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In slices, and nothing that holds is lost, what came meanwhile included."""
    monkeypatch.setattr(ban_store, "GROWN", 20_000)
    monkeypatch.setattr(ban_store, "SLICE", 10)
    path = tmp_path / "bans.jsonl"
    scene = Scene(adopt_window=100)
    scene.sessions = scene.registry(BanStore(path, scene.clock.wall))
    kept = await scene.watch(ip="198.51.100.1")
    scene.sessions.kick(kept.id, 5000)
    most = 0
    for number in range(600):
        session = await scene.watch(ip=f"192.0.2.{number % 250}")
        scene.sessions.kick(session.id, 20)
        await scene.after(1)
        most = max(most, path.stat().st_size)
    assert most < 45_000
    meanwhile = await scene.watch(ip="198.51.100.2")
    scene.sessions.kick(meanwhile.id, 5000)
    scene.clock.now += 30
    scene.sessions = scene.registry(BanStore(path, scene.clock.wall))
    for ip in ("198.51.100.1", "198.51.100.2"):
        assert getattr(await scene.enter(ip=ip), "reason", "in") == "banned"
    assert [one.name for one in tmp_path.iterdir()] == ["bans.jsonl"]


def test_an_older_file_s_users_are_still_banned(tmp_path: Path) -> None:
    """They stood in it in the clear."""
    scene = Scene()
    path = tmp_path / "bans.jsonl"
    until = scene.clock.wall() + 500
    path.write_text(f'["ban",["/live/cam","user","7"],{until}]\n["ban",["/live/cam","ip","2001:db8:1:2::1"],{until}]\n')
    scene.sessions = scene.registry(BanStore(path, scene.clock.wall))
    for banned in (("/live/cam", "who", scene.signer.who("7")), ("/live/cam", "ip", "2001:db8:1:2::/64")):
        assert scene.local.bans.holds(banned, scene.clock.now)
