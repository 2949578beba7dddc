"""Asks the API of a running server, for the commands: one connection, answers as plain values, errors as one line."""

from __future__ import annotations

import ipaddress
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from hlsd.api.models import MAX_LIMIT, MAX_WAIT
from hlsd.api.settings import ApiSettings
from hlsd.base.errors import HlsdError
from hlsd.base.lazily import lazily
from hlsd.delivery.settings import HttpSettings
from hlsd.net.answers import ASKED, BadAnswer, bounded_sync

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazily("httpx")

TIMEOUT = 10.0
"""Seconds for an answer."""
RELOAD = 60.0
"""Seconds for reading a configuration again, with all that it names."""
MAX_BODY = 64 * 1024 * 1024


class ApiRefused(HlsdError):
    """The server cannot be asked, or will not; the text is the line to show."""


def address_of(http: HttpSettings) -> str:
    """Where a server of this configuration is asked on this machine. Raises Refused."""
    if not http.port:
        raise ApiRefused("http.port is 0, a port that only the server knows: say where it is with --url")
    bind = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(http.bind, http.bind)  # noqa: S104
    return f"http://[{bind}]:{http.port}" if ":" in bind and "[" not in bind else f"http://{bind}:{http.port}"


def token_of(api: ApiSettings, local: str = "") -> str:
    """The token that may do most, of this configuration or `local`, the state folder's; empty if there is none."""
    if api.token is not None:
        return api.token.get_secret_value()
    if local:
        return local
    for token in sorted(api.tokens, key=lambda token: "write" not in token.scopes):
        if token.token is not None:
            return token.token.get_secret_value()
        if token.token_env and os.environ.get(token.token_env):
            return os.environ[token.token_env]
    return ""


class ApiClient:
    """One server. A context manager."""

    def __init__(self, url: str, token: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ApiRefused(f"--url should be http://HOST[:PORT] or https://HOST[:PORT]; it is {url}")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.token = token
        headers = ASKED | ({"authorization": f"Bearer {token}"} if token else {})
        # A proxy of the environment is for the world, not for this machine.
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=TIMEOUT, trust_env=not _is_here(parts.hostname)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def pages(self, path: str, most: int, **filters: str | None) -> Iterator[dict[str, Any]]:
        """At most `most` entries of a list, fetched page by page."""
        given: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
        while most > 0:
            page = self._ask("GET", path, {**given, "limit": min(most, MAX_LIMIT)})
            yield from page["items"]
            most -= len(page["items"])
            if not page["cursor"]:
                return
            given["cursor"] = page["cursor"]

    def kick(self, target: str, ban: float) -> None:
        """Ends a session (its id) or sends a publisher (`/app/stream`) away."""
        if "/" in target:
            app, _, name = target.strip("/").partition("/")
            path = f"streams/{quote(app, safe='')}/{quote(name, safe='')}"
        else:
            path = f"sessions/{quote(target, safe='')}"
        self._ask("DELETE", path, {"ban": f"{ban:.3f}"})

    def server(self) -> dict[str, Any]:
        """The server itself."""
        found: dict[str, Any] = self._ask("GET", "server", {})
        return found

    def reload(self) -> dict[str, Any]:
        """Has it read its configuration again."""
        found: dict[str, Any] = self._ask("POST", "reload", {}, RELOAD)
        return found

    def has_console(self) -> bool:
        """Whether there is a page for the operator."""
        try:
            return self._http.head("/console").status_code == 200
        except httpx.HTTPError as error:
            raise ApiRefused(f"{self.url} cannot be asked: {error}") from None

    def record(self, ident: str) -> dict[str, Any]:
        """A recording."""
        found: dict[str, Any] = self._ask("GET", f"records/{quote(ident, safe='')}", {})
        return found

    def remove_record(self, ident: str) -> None:
        """Deletes a recording."""
        self._ask("DELETE", f"records/{quote(ident, safe='')}", {})

    def job(self, ident: str) -> dict[str, Any]:
        """A job."""
        found: dict[str, Any] = self._ask("GET", f"jobs/{quote(ident, safe='')}", {})
        return found

    def add_job(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Asks for a film to be made."""
        found: dict[str, Any] = self._ask("POST", "jobs", {}, body=wish)
        return found

    def remove_job(self, ident: str) -> None:
        """Cancels a job, or deletes one that is over."""
        self._ask("DELETE", f"jobs/{quote(ident, safe='')}", {})

    def repair(self) -> dict[str, Any]:
        """Has all recordings looked through."""
        found: dict[str, Any] = self._ask("POST", "records/repair", {})
        return found

    def repairing(self) -> dict[str, Any]:
        """How that goes on."""
        found: dict[str, Any] = self._ask("GET", "records/repair", {})
        return found

    def fetch_record(self, ident: str, at: int, take: Callable[[bytes, int], None]) -> None:
        """The file of a recording from byte `at` on: `take(piece, bytes of the whole)`. Raises ApiRefused."""
        path = f"/api/v1/records/{quote(ident, safe='')}/file"
        headers = {"range": f"bytes={at}-"} if at else {}
        try:
            with self._http.stream("GET", path, headers=headers) as answer:
                if at and answer.status_code == 416:  # it is all there
                    return
                if answer.status_code != (206 if at else 200):
                    raise ApiRefused(f"{self.url} answers {answer.status_code} for the file of {ident}")
                total = at + int(answer.headers.get("content-length", 0))
                for piece in answer.iter_raw():
                    take(piece, total)
        except httpx.HTTPError as error:
            raise ApiRefused(f"{self.url} cannot be asked: {error}") from None

    def latest(self, most: int) -> tuple[list[dict[str, Any]], int]:
        """The last `most` events that the server keeps, and the number of the last one."""
        kept: deque[dict[str, Any]] = deque(maxlen=most)
        found, after = self.events(0)
        while found:
            kept.extend(found)
            found, after = self.events(after)
        return list(kept), after

    def events(self, after: int, limit: int = MAX_LIMIT, wait: float = 0.0) -> tuple[list[dict[str, Any]], int]:
        """The events above a number, and the number for the next call."""
        wait = min(wait, MAX_WAIT)
        found = self._ask("GET", "events", {"after": after, "limit": limit, "wait": f"{wait:.3f}"}, TIMEOUT + wait)
        return found["items"], found["cursor"]

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        timeout: float = TIMEOUT,
        body: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        try:
            with self._http.stream(method, f"/api/v1/{path}", params=query, timeout=timeout, json=body) as answer:
                octets = bounded_sync(answer, MAX_BODY, timeout)
        except httpx.ConnectError:
            raise ApiRefused(f"no server answers at {self.url}; is it running, and is --url right?") from None
        except httpx.TimeoutException:
            raise ApiRefused(f"{self.url} did not answer within {timeout:.0f} s") from None
        except BadAnswer as error:
            raise ApiRefused(f"{self.url}: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiRefused(f"{self.url} cannot be asked: {error}") from None
        try:
            said = json.loads(octets)
            if said["success"] is True:
                return said["data"]
            words, code = str(said["message"]), str(said["code"])
        except (ValueError, KeyError, TypeError):
            raise ApiRefused(f"{self.url} answers {answer.status_code}, and not as the API of hlsd does") from None
        if code == "unauthorized":
            words += " (--token, HLSD_TOKEN, the configuration's api.token, or api.token in the server's state folder, "
            words += "which its user can read: --state-dir says where it is)"
        raise ApiRefused(words)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
