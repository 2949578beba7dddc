"""What a node itself takes of a changed configuration; services say their own (`Service.reloads`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from hlsd.auth.gate import AuthGate
from hlsd.base.log import set_level
from hlsd.notify.notify import CHANGING
from hlsd.ports import Commit, Reloadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hlsd.api.access import Access
    from hlsd.auth.settings import AuthSettings
    from hlsd.config import Settings
    from hlsd.notify.notify import Notify
    from hlsd.sessions.gate import ChangingGate
    from hlsd.sessions.registry import Registry
    from hlsd.streams.hub import Hub

_SESSIONS: Final = frozenset(
    {"max_per_user", "max_per_token", "max_per_ip", "max_per_stream", "when_full", "soft_limit", "ban_time"}
    | {"ip_policy", "max_networks", "network_window", "shared", "expire", "adopt_window"}
)
_LINGER: Final = 61.0
"""Seconds after which nobody asks a back end any more who was asking when rules changed: longest timeout and one."""


class _Closing(Protocol):
    async def close(self) -> None: ...


class Changeable(Protocol):
    """What changes, of a node."""

    settings: Settings
    hub: Hub
    sessions: Registry
    access: Access
    notify: Notify
    gate: ChangingGate

    def gate_of(self, auth: AuthSettings) -> AuthGate | None:
        """The gate that such rules ask for; None where they ask for none."""
        ...


class NodeChanges:
    """Of one node; `env` holds the secrets that settings name."""

    def __init__(self, node: Changeable, env: Mapping[str, str]) -> None:
        self._node = node
        self._env = env
        self._closing: dict[asyncio.Task[None], _Closing] = {}

    def reloads(self) -> tuple[Reloadable, ...]:
        """All of it."""
        auth = frozenset(type(self._node.settings.auth).model_fields)
        return (
            Reloadable("server", frozenset({"log_level"}), self._level),
            Reloadable("server", frozenset({"drain_timeout"})),
            Reloadable("limits", frozenset({"max_streams", "max_memory"}), self._limits),
            Reloadable("publish", frozenset({"takeover", "stale_after"})),
            Reloadable("sessions", _SESSIONS),
            Reloadable("sessions", frozenset({"max_sessions"}), self._most),
            Reloadable("api", frozenset({"token", "tokens", "allow_origin", "loopback"}), self._tokens),
            Reloadable("auth", auth, self._rules),
            Reloadable("notify", CHANGING, self._node.notify.change),
        )

    async def stop(self) -> None:
        """Closes what old rules have open."""
        for task, old in tuple(self._closing.items()):
            task.cancel()
            await old.close()
        self._closing.clear()

    @staticmethod
    def _level(server: Any) -> Commit:  # noqa: ANN401 - a section
        return lambda: set_level(server.log_level)

    def _limits(self, limits: Any) -> Commit:  # noqa: ANN401
        return lambda: self._node.hub.rules.bound(limits.max_streams, limits.max_memory)

    def _most(self, sessions: Any) -> Commit:  # noqa: ANN401
        return lambda: self._node.sessions.bound(sessions.max_sessions)

    def _tokens(self, api: Any) -> Commit:  # noqa: ANN401
        return self._node.access.change(api, self._env)

    def _rules(self, auth: AuthSettings) -> Commit:
        gate, rules = self._node.gate, self._node.gate.rules
        if isinstance(rules, AuthGate) and auth.active:
            change = rules.change(auth)
            return lambda: self._close_later(change())
        new = self._node.gate_of(auth)

        def commit() -> None:
            gate.turn_to(new)
            if isinstance(rules, AuthGate):
                self._close_later(rules)

        return commit

    def _close_later(self, old: _Closing) -> None:
        """Who is asked about at this instant still has somebody who answers."""

        async def close() -> None:
            await asyncio.sleep(_LINGER)
            await old.close()

        task = asyncio.create_task(close(), name="auth change")
        self._closing[task] = old
        task.add_done_callback(lambda done: self._closing.pop(done, None))
