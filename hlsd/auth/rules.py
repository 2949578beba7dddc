"""Makes of the settings what the gate checks by, once for each app, and holds the connections that this needs.

Apps that share a JWK set or a back end share its keys, its memory and its connections.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import structlog

from hlsd.auth import tokens
from hlsd.auth.addresses import Networks
from hlsd.auth.algorithms import ASYMMETRIC
from hlsd.auth.backend import Backend, CallbackEndpoint
from hlsd.auth.jwks import KeySet
from hlsd.auth.keys import StreamKeys
from hlsd.auth.pages import AllowedPages
from hlsd.auth.settings import AuthRules, AuthSettings
from hlsd.auth.tokens import TokenRules
from hlsd.base.clock import Clock
from hlsd.events import new_id
from hlsd.operator.client import OperatorClient

_WISE = (("secrets", 16), ("jwt_secrets", 32))
"""Characters below which a secret can be guessed: from one sign or token, away from the server, at any speed."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What one app's settings come to; `methods` and `allowed` by action ("play", "publish")."""

    settings: AuthRules
    methods: dict[str, frozenset[str]]
    secrets: tuple[str, ...]
    denied: Networks
    allowed: dict[str, Networks]
    pages: AllowedPages
    keys: StreamKeys
    token_rules: TokenRules
    token_secrets: tuple[str, ...]
    public_algorithms: frozenset[str]
    jwks: KeySet | None
    backend: Backend | None

    def __repr__(self) -> str:
        return f"Rules({self.methods})"

    def on(self, action: str) -> bool:
        """Whether the action has to be let in."""
        return self.settings.play if action == "play" else self.settings.publish


class Rulebook:
    """The rules of every app."""

    def __init__(self, settings: AuthSettings, clock: Clock, server_id: str) -> None:
        self._clock = clock
        self._server_id = server_id
        self._client = OperatorClient(clock)
        self._sources: dict[tuple[str, frozenset[str], float], KeySet] = {}
        self._backends: dict[CallbackEndpoint, Backend] = {}
        self._common = self._read(settings)
        self._apps = {app: self._read(rules) for app, rules in settings.by_app.items()}
        logging.getLogger("httpx").setLevel(logging.WARNING)  # its INFO lines hold URLs, and ours hold tokens
        _warn(settings)

    def of(self, app: str) -> Rules:
        """The rules of an app."""
        return self._apps.get(app, self._common)

    async def close(self) -> None:
        """Gives up what is under way."""
        for backend in self._backends.values():
            await backend.close()
        for source in self._sources.values():
            await source.close()
        await self._client.close()

    def _read(self, settings: AuthRules) -> Rules:
        algorithms = frozenset(settings.jwt_algorithms)
        if settings.jwt_secrets or settings.jwt_jwks:
            tokens.load()
        if settings.jwt_jwks or settings.callback_url:
            self._client.http()  # now, and not while the first viewer waits for it
        allowed = Networks(settings.allow_ips)
        return Rules(
            settings=settings,
            methods={"play": settings.methods("play"), "publish": settings.methods("publish")},
            secrets=tuple(secret.get_secret_value() for secret in settings.secrets),
            denied=Networks(settings.deny_ips),
            allowed={"play": allowed, "publish": Networks(settings.allow_publish_ips) or allowed},
            pages=AllowedPages(settings.allow_referers, settings.allow_origins),
            keys=StreamKeys({name: key.get_secret_value() for name, key in settings.keys.items()}),
            token_rules=TokenRules(algorithms, settings.jwt_issuer, settings.jwt_audience, settings.skew),
            token_secrets=tuple(secret.get_secret_value() for secret in settings.jwt_secrets),
            public_algorithms=algorithms & ASYMMETRIC,
            jwks=self._source(settings.jwt_jwks, algorithms, settings.jwt_refresh) if settings.jwt_jwks else None,
            backend=self._backend(settings) if settings.callback_url else None,
        )

    def _source(self, where: str, algorithms: frozenset[str], refresh: float) -> KeySet:
        key = (where, algorithms, refresh)
        if key not in self._sources:
            self._sources[key] = KeySet(where, algorithms, refresh, self._client.http, self._clock.monotonic)
        return self._sources[key]

    def _backend(self, settings: AuthRules) -> Backend:
        endpoint = CallbackEndpoint(
            url=settings.callback_url,
            dialect=settings.callback_dialect,
            secret=settings.callback_secret.get_secret_value() if settings.callback_secret else "",
            timeout=settings.callback_timeout,
            on_error=settings.callback_on_error,
            auth_duration=settings.callback_auth_duration,
            server_id=self._server_id,
        )
        if endpoint not in self._backends:
            self._backends[endpoint] = Backend(endpoint, self._client, self._clock, new_id)
        return self._backends[endpoint]


def _warn(settings: AuthSettings) -> None:
    """Tells the operator of short secrets, by key and never by value."""
    log = structlog.get_logger()
    for where, rules in (("auth", settings), *((f"auth.apps.{app}", one) for app, one in settings.apps.items())):
        for name, wise in _WISE:
            if any(len(secret.get_secret_value()) < wise for secret in getattr(rules, name)):
                log.warning("short enough to be guessed", setting=f"{where}.{name}", characters_advised=wise)
