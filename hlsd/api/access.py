"""Decides who may use the API: whoever shows a token, from wherever.

Pure: the facts of a request and `now` in, a `Caller` out, or `ApiError`. Tokens are compared as SHA-256 digests, in
constant time, all of them each time. A program of this machine shows the token of the state folder
(`hlsd.api.local_token`). A loopback address alone is no credential: a proxy on the same machine has one, and with it
everybody behind it, by HTTP/1.1 and without any header that would tell. Where the operator trusts it all the same
(`api.loopback`), what can be seen is looked at: no header of a proxy, HTTP/1.1 or newer, a loopback name in Host, and
no foreign page (DNS rebinding, cross-site requests).
A client that guesses has `BURST` guesses, then one in `REFILL` seconds; a request without credentials is no guess.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hlsd.api.problems import ApiError, Code
from hlsd.api.settings import MIN_TOKEN, ApiSettings
from hlsd.base.errors import ConfigError
from hlsd.net.proxies import Proxies

if TYPE_CHECKING:
    from starlette.types import Scope

BURST = 10
"""Wrong credentials from one address before it is told to wait."""
REFILL = 6.0
"""Seconds after which one more guess is free."""
MAX_ADDRESSES = 10_000
"""Addresses with wrong guesses that are remembered; the oldest is forgotten."""
READ, WRITE = "read", "write"
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))

_PROXY_HEADERS = (
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "forwarded",
    "via",
    "x-real-ip",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of its token, "local" for that of the state folder, or "loopback"."""

    name: str
    scopes: frozenset[str]


LOOPBACK = Caller("loopback", frozenset((READ, WRITE)))
LOCAL = Caller("local", frozenset((READ, WRITE)))


@dataclass(frozen=True, slots=True)
class Credential:
    """A request at the door. `headers` by lower-case name, each with every value it was given."""

    method: str
    peer: str
    headers: Mapping[str, Sequence[str]]
    http_version: str = "1.1"

    def one(self, name: str) -> str:
        """The header's value; empty if it is missing or stands twice."""
        values = self.headers.get(name, ())
        return values[0].strip() if len(values) == 1 else ""


class Access:
    """The rules of one server; `local` is the token of its state folder, empty if it has none.

    Raises ConfigError where a token's variable is not set.
    """

    def __init__(
        self, settings: ApiSettings, env: Mapping[str, str], proxies: Proxies | None = None, local: str = ""
    ) -> None:
        self._loopback = settings.loopback
        self._origins = frozenset(origin.lower() for origin in settings.allow_origin)
        self._proxies = proxies or Proxies()
        self._callers = _callers(settings, env)
        self._local = _digest(local) if local else b""
        self._guesses: dict[str, tuple[float, float]] = {}
        """By address: guesses left, and when that was counted."""

    def change(self, settings: ApiSettings, env: Mapping[str, str]) -> Callable[[], None]:
        """What puts other tokens in force. Raises ConfigError where a token's variable is not set."""
        callers = _callers(settings, env)

        def commit() -> None:
            self._loopback = settings.loopback
            self._origins = frozenset(origin.lower() for origin in settings.allow_origin)
            self._callers = callers

        return commit

    def reads(self, ask: Credential, now: float) -> bool:
        """Whether who asks may read: for what has no words of its own for a refusal."""
        try:
            return READ in self.judge(ask, now).scopes
        except ApiError:
            return False

    def judge(self, ask: Credential, now: float) -> Caller:
        """Who asks, if it may ask this. Raises ApiError (401, 403, 429)."""
        caller = self._known(ask, now) if "authorization" in ask.headers else self._stranger(ask)
        if ask.method not in SAFE and _is_foreign(ask) and not self.lists(ask.one("origin")):
            raise ApiError(Code.FOREIGN_ORIGIN, "this web page may not use the API")
        needed = READ if ask.method in SAFE else WRITE
        if needed not in caller.scopes:
            raise ApiError(
                Code.INSUFFICIENT_SCOPE,
                f"this token may not {needed}",
                {"www-authenticate": f'Bearer realm="hlsd", error="insufficient_scope", scope="{needed}"'},
            )
        return caller

    @property
    def shares(self) -> bool:
        """Whether there are any such web pages."""
        return bool(self._origins)

    def lists(self, origin: str) -> bool:
        """Whether web pages of `origin` may use the API."""
        return origin.lower() in self._origins

    def _known(self, ask: Credential, now: float) -> Caller:
        user, token = _credentials(ask.one("authorization"))
        if not token:  # a page whose token is gone says so: nobody's guess
            raise _unauthorized(ask, "a token is needed")
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        if hmac.compare_digest(self._local, digest):
            # Nobody guesses 256 bits: the operator is not kept out by strangers whom a proxy gives the same address.
            return LOCAL
        address = self.address(ask)
        left = self._left(address, now)
        if left < 1.0:
            wait = max(1, round((1.0 - left) * REFILL))
            raise ApiError(Code.TOO_MANY_FAILURES, f"too many wrong tokens; wait {wait} s", {"retry-after": str(wait)})
        found: Caller | None = None
        for known, caller in self._callers:  # all of them: time must not tell which
            if hmac.compare_digest(known, digest) and (user is None or user == caller.name):
                found = caller
        if found is None:
            self._guesses.pop(address, None)
            while len(self._guesses) >= MAX_ADDRESSES:
                del self._guesses[next(iter(self._guesses))]
            self._guesses[address] = (left - 1.0, now)
            raise _unauthorized(ask, "the token is not known")
        return found

    def _stranger(self, ask: Credential) -> Caller:
        if self._loopback and is_here(ask):
            return LOOPBACK
        raise _unauthorized(ask, "a token is needed")

    def address(self, ask: Credential) -> str:
        """Whose guesses these are: the client behind a trusted proxy, of IPv6 the network of a customer."""
        chain = ", ".join(ask.headers.get("x-forwarded-for", ()))
        text = self._proxies.viewer(ask.peer, chain.encode("latin-1")) if chain else ask.peer
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return ask.peer
        if isinstance(address, ipaddress.IPv6Address):
            return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
        return str(address)

    def _left(self, address: str, now: float) -> float:
        left, counted = self._guesses.get(address, (float(BURST), now))
        return min(float(BURST), left + max(0.0, now - counted) / REFILL)


def is_here(ask: Credential) -> bool:
    """Whether a program of this machine asks for itself."""
    return (
        _is_loopback(ask.peer)
        and ask.http_version != "1.0"
        and not any(name in ask.headers for name in _PROXY_HEADERS)
        and _names_loopback(ask.one("host"))
        and not _is_foreign(ask)
        and ask.headers.get("sec-fetch-site", ["none"])[-1] in ("none", "same-origin")
    )


def _is_foreign(ask: Credential) -> bool:
    """Whether a web page of another origin asks; `null` and what stands twice is foreign."""
    if "origin" not in ask.headers:
        return False
    host = ask.one("host").lower()
    try:
        return not host or urlsplit(ask.one("origin").lower()).netloc != host
    except ValueError:
        return True


def _callers(settings: ApiSettings, env: Mapping[str, str]) -> list[tuple[bytes, Caller]]:
    found: list[tuple[bytes, Caller]] = []
    if settings.token is not None:
        found.append((_digest(settings.token.get_secret_value()), Caller("admin", frozenset((READ, WRITE)))))
    for token in settings.tokens:
        caller = Caller(token.name, frozenset(token.scopes))
        if token.hash:
            found.append((bytes.fromhex(token.hash.partition(":")[2]), caller))
        elif token.token is not None:
            found.append((_digest(token.token.get_secret_value()), caller))
        else:
            value = env.get(token.token_env, "")
            if len(value) < MIN_TOKEN:
                raise ConfigError(
                    f"api.tokens: {token.name}: the variable {token.token_env} should hold at least {MIN_TOKEN} "
                    "characters"
                )
            found.append((_digest(value), caller))
    return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _credentials(header: str) -> tuple[str | None, str]:
    """User (None for Bearer) and token; an empty token, which nobody has, where it cannot be read."""
    scheme, _, rest = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return None, rest.strip()
        case "basic":
            try:
                text = base64.b64decode(rest.strip(), validate=True).decode("utf-8", "surrogateescape")
            except (binascii.Error, ValueError):
                return None, ""
            user, _, token = text.partition(":")
            return user, token
    return None, ""


def _unauthorized(ask: Credential, words: str) -> ApiError:
    challenge = 'Bearer realm="hlsd"'
    if "text/html" in ask.one("accept"):  # a person: let the browser ask
        challenge += ', Basic realm="hlsd", charset="UTF-8"'
    return ApiError(Code.UNAUTHORIZED, words, {"www-authenticate": challenge})


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _names_loopback(host: str) -> bool:
    """Whether a Host header names this machine to itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


def asked(scope: Scope) -> Credential:
    """What a request says of who asks."""
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    client = scope.get("client")
    return Credential(scope["method"], client[0] if client else "", headers, scope.get("http_version", "1.1"))
