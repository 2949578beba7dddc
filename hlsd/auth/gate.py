"""Decides who may play and who may publish, in one order for every protocol: the gate of a server with rules.

Law (contract §3.5): addresses that are denied, addresses that are allowed, pages, then sign, token or key, then the
operator's back end; the first denial stands. A credential that is shown must be good, even where another one would do.
Whoever is refused gets the same words whatever the cause: why stands in the log, without the credential. Addresses that
guess wrongly too often are refused unheard for a while, and are told so (429).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import structlog

from hlsd.auth import keys as stream_keys
from hlsd.auth import sign, tokens
from hlsd.auth.failures import Failures
from hlsd.auth.question import BackendQuestion
from hlsd.auth.rules import Rulebook, Rules
from hlsd.auth.settings import AuthSettings
from hlsd.auth.verdict import Fault, Pass
from hlsd.base.clock import Clock
from hlsd.net.proxies import Proxies
from hlsd.operator.answer import METHOD
from hlsd.ports import Denial, Grant, PlayRequest, PublishRequest, earlier
from hlsd.stats import Stats

if TYPE_CHECKING:
    from jwt import PyJWK

Action = Literal["play", "publish"]

DENIED: Final = Denial(403, "not allowed")
EXPIRED: Final = Denial(403, "not allowed", "expired")
BARRED: Final = Denial(429, "too many attempts", "limit")
MAX_TOLD: Final = 50
"""Denials that are logged within a second; a flood of them must not become a flood of lines."""
LIST: Final = "list"
"""Method of what addresses and pages alone decide."""
ADOPTED: Final = "adopted"
"""Method of a grant that was made from a session id of before a restart: its credentials are gone."""

_OPEN: Final = Grant()
_MASK: Final = "***"


class AuthGate:
    """The gate (`hlsd.ports.Gate`) that keeps the rules of `settings`.

    `salt` makes the names that grants have for tokens: the same on every node that shall recognise them. `trusted` are
    proxies, whose failures are not their own. Decisions are counted in `stats`, by app,
    method and result (`hlsd.stats.AppStats.auth`).
    """

    def __init__(  # noqa: PLR0913 - what a server has
        self,
        settings: AuthSettings,
        clock: Clock,
        *,
        salt: bytes,
        server_id: str = "",
        trusted: Proxies | None = None,
        stats: Stats | None = None,
    ) -> None:
        self._clock = clock
        self._server_id = server_id
        self._stats = stats or Stats()
        self._salt = salt
        self._trusted = trusted or Proxies()
        self._book = Rulebook(settings, clock, server_id)
        self._failures = Failures(settings.max_failures, settings.failure_window)
        self._told_since = 0.0
        self._told = self._untold = 0
        self._log = structlog.get_logger()

    async def play(self, request: PlayRequest) -> Grant | Denial:
        """Whether the viewer may watch."""
        return await self._enter("play", request)

    async def publish(self, request: PublishRequest) -> Grant | Denial:
        """Whether the publisher may use the name."""
        return await self._enter("publish", request)

    async def renew(self, request: PlayRequest, grant: Grant) -> Grant | Denial:
        """Whether a viewer who is here with `grant` may stay; a sign that has expired meanwhile does not end it.

        What was adopted after a restart has no credentials left: its address is looked at, and the back end asked.
        """
        rules = self._book.of(request.app)
        if grant.expires and grant.expires <= self._clock.wall():
            return EXPIRED
        if grant.method == ADOPTED:
            return await self._adopted(request, rules, grant)
        verdict = await self._judge("play", request, rules, grant)
        self._count(request.app, verdict)
        if isinstance(verdict, Fault):
            self._refused("play", request, rules, verdict)
            return EXPIRED if verdict.expired else DENIED
        # The stream is what it was: a viewer is not moved while it watches.
        return replace(self._grant(request, verdict), name=grant.name)

    def hides_names(self, app: str) -> bool:
        """Whether a publisher's stream name may be its key."""
        rules = self._book.of(app)
        return rules.on("publish") and "key" in rules.methods["publish"]

    def change(self, settings: AuthSettings) -> Callable[[], Rulebook]:
        """Other rules: what puts them in force, and gives the book of the old ones, to be closed.

        Raises ValueError or OSError where they cannot be kept. Whoever is being asked about is judged by the old ones;
        addresses that are barred stay so.
        """
        new = Rulebook(settings, self._clock, self._server_id)

        def commit() -> Rulebook:
            old, self._book = self._book, new
            self._failures.bound(settings.max_failures, settings.failure_window)
            return old

        return commit

    async def close(self) -> None:
        """Gives up what is under way."""
        await self._book.close()

    # -- the decision

    async def _adopted(self, request: PlayRequest, rules: Rules, grant: Grant) -> Grant | Denial:
        """Whether a viewer of before a restart may stay, of whom only the terms of its id are known."""
        verdict: Pass | Fault = Pass(ADOPTED)
        if rules.denied.hold(request.ip):
            verdict = Fault("address is denied", guess=False, method=LIST)
        elif rules.on("play"):
            verdict = self._addressed("play", request, rules) or verdict
            if isinstance(verdict, Pass) and "callback" in rules.methods["play"] and rules.backend is not None:
                verdict = await rules.backend.ask(self._asked("play", request, verdict, ""), grant)
        self._count(request.app, replace(verdict, method=ADOPTED) if isinstance(verdict, Pass) else verdict)
        if isinstance(verdict, Fault):
            self._refused("play", request, rules, verdict)
            return DENIED
        return replace(
            grant,
            user_id=verdict.user_id,
            max_sessions=verdict.max_sessions or grant.max_sessions,
            unique=verdict.unique or grant.unique,
            auth_duration=verdict.auth_duration,
            ends=earlier(grant.ends, verdict.ends),
        )

    async def _enter(self, action: Action, request: PlayRequest | PublishRequest) -> Grant | Denial:
        rules = self._book.of(request.app)
        now = self._clock.monotonic()
        if self._failures.barred(request.ip, now):
            self._stats.app(request.app).auth["none", "limited"] += 1
            return BARRED
        verdict = await self._judge(action, request, rules, None)
        self._count(request.app, verdict)
        if isinstance(verdict, Pass):
            return self._grant(request, verdict)
        self._refused(action, request, rules, verdict)
        if verdict.guess and request.ip not in self._trusted and self._failures.note(request.ip, now):
            self._log.warning("address barred: too many wrong credentials", ip=request.ip)
        return EXPIRED if verdict.expired else DENIED

    async def _judge(
        self, action: Action, request: PlayRequest | PublishRequest, rules: Rules, held: Grant | None
    ) -> Pass | Fault:
        """The order of the law. `held` is what a viewer is here with."""
        if rules.denied.hold(request.ip):
            return Fault("address is denied", guess=False, method=LIST)
        if not rules.on(action):
            return Pass("none")
        fault = self._addressed(action, request, rules)
        if fault is not None:
            return fault
        # The page is looked at when playing begins: what was kept of the request since then is not all of its headers.
        page = request if held is None and isinstance(request, PlayRequest) else None
        if page is not None and not rules.pages.welcome(page.referer, page.origin):
            return Fault("page is not allowed", guess=False, method=LIST)
        shown = await self._shown(action, request, rules, held)
        if isinstance(shown, Fault) or "callback" not in rules.methods[action] or rules.backend is None:
            return shown
        token = _token(request)
        if isinstance(token, Fault):
            return token
        asked = self._asked(action, request, shown, token or shown.credential)
        shown = replace(shown, credential=shown.credential or token)
        said = await rules.backend.ask(asked, held)
        return replace(said, method=METHOD) if isinstance(said, Fault) else _both(shown, said)

    @staticmethod
    def _addressed(action: Action, request: PlayRequest | PublishRequest, rules: Rules) -> Fault | None:
        if rules.denied.hold(request.ip):
            return Fault("address is denied", guess=False, method=LIST)
        allowed = rules.allowed[action]
        if allowed and not allowed.hold(request.ip):
            return Fault("address is not allowed", guess=False, method=LIST)
        return None

    async def _shown(
        self, action: Action, request: PlayRequest | PublishRequest, rules: Rules, held: Grant | None
    ) -> Pass | Fault:
        """Every credential that is shown must be good, and one must be shown if any is asked for."""
        methods = rules.methods[action]
        path, query = f"/{request.app}/{request.name}", request.query
        found: list[tuple[str, Pass | Fault]] = []
        if sign.METHOD in methods and sign.METHOD in query:
            found.append((sign.METHOD, self._signed(query[sign.METHOD], path, rules, held)))
        if tokens.METHOD in methods and (token := _token(request)):
            borne = token if isinstance(token, Fault) else await self._borne(token, action, path, request.ip, rules)
            found.append((tokens.METHOD, borne))
        if stream_keys.METHOD in methods and (not found or stream_keys.ARGUMENT in query):
            found.append((stream_keys.METHOD, rules.keys.check(request.app, request.name, query)))
        good = Pass(LIST)
        for index, (method, one) in enumerate(found):
            if isinstance(one, Fault):
                return replace(one, method=method)
            good = one if index == 0 else _both(good, one)
        if not found and methods & {sign.METHOD, tokens.METHOD}:
            return Fault("no credential shown", guess=False)
        return good

    def _signed(self, value: str, path: str, rules: Rules, held: Grant | None) -> Pass | Fault:
        hard = rules.settings.sign_expiry == "hard"
        # A viewer who is here came in time: the sign's own time is not asked for again.
        now = 0.0 if held is not None and not hard else self._clock.wall()
        found = sign.check(value, path, rules.secrets, now, rules.settings.skew)
        if isinstance(found, Fault):
            return found
        end = found.expires + rules.settings.skew if hard else 0.0
        return replace(found, expires=end, ends=end)

    async def _borne(self, token: str, action: Action, path: str, ip: str, rules: Rules) -> Pass | Fault:
        public: tuple[PyJWK, ...] = ()
        head = tokens.read_head(token) if rules.jwks is not None else None
        if rules.jwks is not None and head is not None and head.algorithm in rules.public_algorithms:
            public = await rules.jwks.current()
            if not tokens.knows(public, head):
                public = await rules.jwks.sooner()
        return tokens.check(
            token,
            action=action,
            path=path,
            ip=ip,
            keys=tokens.Keys(rules.token_secrets, public),
            rules=rules.token_rules,
            now=self._clock.wall(),
        )

    # -- what goes out

    @staticmethod
    def _asked(action: Action, request: PlayRequest | PublishRequest, shown: Pass, token: str) -> BackendQuestion:
        return BackendQuestion(
            action=action,
            app=request.app,
            # a key is a secret between the publisher and us; the back end knows streams by their names
            name=shown.name or request.name,
            protocol=request.protocol,
            ip=request.ip,
            port=request.port,
            query=request.query,
            user_agent=request.user_agent,
            referer=request.referer,
            host=request.host if isinstance(request, PlayRequest) else "",
            token=token,
            user_id=shown.user_id,
        )

    def _grant(self, request: PlayRequest | PublishRequest, verdict: Pass) -> Grant:
        if verdict.method == "none":
            return _OPEN
        shown = verdict.credential.encode(errors="replace")
        return Grant(
            user_id=verdict.user_id,
            max_sessions=verdict.max_sessions,
            unique=verdict.unique,
            auth_duration=verdict.auth_duration,
            expires=verdict.expires,
            identity=hmac.digest(self._salt, shown, "sha256").hex()[:24] if shown else "",
            name=verdict.name if verdict.name != request.name else "",
            method=verdict.method,
            ends=verdict.ends,
        )

    def _refused(self, action: Action, request: PlayRequest | PublishRequest, rules: Rules, fault: Fault) -> None:
        now = self._clock.monotonic()
        if now - self._told_since >= 1.0:
            if self._untold:
                self._log.info("denials not logged one by one", count=self._untold)
            self._told_since, self._told, self._untold = now, 0, 0
        self._told += 1
        if self._told > MAX_TOLD:
            self._untold += 1
            return
        hidden = self.hides_names(request.app) if action == "publish" else rules.keys.is_key(request.name)
        self._log.info(
            f"{action} denied",
            app=request.app[:128],
            name=_MASK if hidden else request.name[:128],
            ip=request.ip,
            protocol=request.protocol,
            cause=fault.cause,
        )

    def _count(self, app: str, verdict: Pass | Fault) -> None:
        result = "ok" if isinstance(verdict, Pass) else "expired" if verdict.expired else "denied"
        self._stats.app(app).auth[verdict.method, result] += 1


def gate_of(  # noqa: PLR0913 - what a gate has
    settings: AuthSettings,
    clock: Clock,
    *,
    salt: bytes,
    server_id: str,
    trusted: Proxies,
    stats: Stats | None = None,
) -> AuthGate | None:
    """The gate that the settings ask for; None where they ask for none."""
    if not settings.active:
        return None
    return AuthGate(settings, clock, salt=salt, server_id=server_id, trusted=trusted, stats=stats)


def _token(request: PlayRequest | PublishRequest) -> str | Fault:
    """The one token that is shown, "" if there is none; two different ones are refused: which would be checked?"""
    shown = {text for text in (request.bearer, request.query.get("jwt", ""), request.query.get("token", "")) if text}
    if len(shown) > 1:
        return Fault("two different tokens shown")
    return shown.pop() if shown else ""


def _both(first: Pass, second: Pass) -> Pass:
    """Two checks passed: the later one's word goes before, the earlier time holds."""
    return Pass(
        second.method,
        user_id=second.user_id or first.user_id,
        max_sessions=second.max_sessions or first.max_sessions,
        unique=second.unique or first.unique,
        auth_duration=second.auth_duration or first.auth_duration,
        expires=earlier(first.expires, second.expires),
        name=second.name or first.name,
        ends=earlier(first.ends, second.ends),
        credential=first.credential or second.credential,
    )
