"""The HTTP side of a server for tests: the real app over streams in memory, with the real entrance."""

from __future__ import annotations

from typing import Any

from hlsd.base.clock import SystemClock
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.web import WebApp, create_app
from hlsd.ports import Directory
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.sessions.registry import Registry
from hlsd.stats import Stats


def web_app(
    directory: Directory, sessions: Registry, settings: HttpSettings, *, stats: Stats | None = None, **more: Any
) -> WebApp:
    """`create_app` with what a test need not choose."""
    stats = stats or Stats()
    entrance = ViewerEntrance(sessions, directory, stats)
    return create_app(directory, sessions, settings, SystemClock(), entrance=entrance, stats=stats, **more)
