"""Is the API as a service: it listens nowhere itself, its routes are answered on every HTTP port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hlsd.api.context import ApiContext, Hooks, Reread, Ring
from hlsd.api.late import LateApi
from hlsd.ports import Service

if TYPE_CHECKING:
    from starlette.routing import BaseRoute, Route
    from structlog.typing import FilteringBoundLogger

    from hlsd.api.access import Access
    from hlsd.api.settings import ApiSettings
    from hlsd.base.clock import Clock
    from hlsd.sessions.registry import Registry
    from hlsd.streams.hub import Hub


class ApiService(Service):
    """The operations of /api, and `more()` of other services behind the same door."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the operator may ask about
        self,
        settings: ApiSettings,
        hub: Hub,
        sessions: Registry,
        ring: Ring,
        clock: Clock,
        access: Access,
        log: FilteringBoundLogger,
        *,
        config: Callable[[], Mapping[str, Mapping[str, Any]]],
        server_id: str,
        congestion: Callable[[], Mapping[str, str]] = dict,
        reread: Callable[[], Awaitable[Reread]] | None = None,
        webhooks: Hooks | None = None,
        snapshots: bool = False,
        more: Callable[[], Sequence[Route]],
    ) -> None:
        self._enabled = settings.enabled
        self._context = ApiContext(
            hub, sessions, ring, clock, config, server_id, congestion, reread, webhooks, snapshots
        )
        self._access = access
        self._log = log
        self._more = more

    def routes(self) -> list[BaseRoute]:
        """Everything under /api, where there is one."""
        return [LateApi(self._create)] if self._enabled else []

    def _create(self) -> BaseRoute:
        from hlsd.api.middleware import create_api  # noqa: PLC0415 - loaded by then

        return create_api(self._context, self._access, self._log, more=self._more())
