"""Holds what the parts of a registry have in common: made once, with the registry, and never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hlsd.base.clock import Clock
from hlsd.ports import Gate, Playable
from hlsd.sessions.claims import Claims
from hlsd.sessions.directory import SessionDirectory
from hlsd.sessions.memory import SessionMemory
from hlsd.sessions.schedule import Schedule
from hlsd.sessions.session_events import SessionEvents
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.shared_directory import SharedLives
from hlsd.sessions.signing import Signer
from hlsd.sessions.table import SessionTable
from hlsd.stats import Stats


@dataclass(frozen=True, slots=True)
class Shared:
    """Of one server's sessions."""

    clock: Clock
    settings: SessionSettings
    signer: Signer
    gate: Gate
    directory: SessionDirectory
    stream: Callable[[str, str], Playable | None] | None
    """Finds `/{app}/{name}`; None where nobody knows of streams."""
    table: SessionTable
    memory: SessionMemory
    schedule: Schedule
    events: SessionEvents
    claims: Claims
    stats: Stats
    lives: SharedLives | None = None
    """Who tells of sessions that several processes serve; None where this one serves all."""
