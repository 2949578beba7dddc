"""Carries one request to a receiver and brings its answer back, within bounds.

Law: one POST, at most one more when the connection we had kept turned out to be closed; no redirects are followed, no
proxy of the environment is used, an answer is read up to `MAX_ANSWER` and for at most `timeout` seconds in all, as it
was sent. Who was only told something has said all by its status: its body is not looked at. What goes wrong is a value
(`Failure`), never an exception. URLs may hold passwords: `hlsd.base.masking` says what is logged.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Literal

import httpx

from hlsd import __version__
from hlsd.base import masking
from hlsd.base.clock import Clock
from hlsd.net.answers import ASKED, bounded, dropped
from hlsd.notify.payloads import WebhookReply
from hlsd.notify.signature import HEADER, sign
from hlsd.stats import NotifyStats

MAX_ANSWER: Final = 64 << 10
_KEPT_OPEN: Final = 4.0
"""Seconds that an idle connection is kept: below what servers keep (uvicorn and Node: 5)."""

Phase = Literal["sync", "queued"]


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer; `reason` is fit for a log line."""

    reason: str


class WebhookClient:
    """The connections of one server to its receivers."""

    def __init__(  # noqa: PLR0913 - what a webhook client has
        self,
        clock: Clock,
        stats: NotifyStats,
        *,
        timeout: float,
        secret: bytes | None = None,
        connections: int = 64,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._stats = stats
        self._timeout = timeout
        self._secret = secret
        self._client = httpx.AsyncClient(
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_KEPT_OPEN
            ),
            headers={"User-Agent": f"hlsd/{__version__}", "Accept": "application/json, */*", **ASKED},
            transport=transport,
        )

    async def post(  # noqa: PLR0913 - what a request has
        self, url: str, body: bytes, *, content_type: str, event_id: str, attempt: int, phase: Phase
    ) -> WebhookReply | Failure:
        """POSTs `body`; `attempt` counts from 1."""
        headers = {"Content-Type": content_type, "X-Hlsd-Event-Id": event_id, "X-Hlsd-Attempt": str(attempt)}
        if self._secret is not None:
            headers[HEADER] = sign(self._secret, int(self._clock.wall()), body)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                try:
                    return await self._once(url, body, headers, phase)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    return await self._once(url, body, headers, phase)
        except TimeoutError:
            return Failure("no answer in time")
        except httpx.TimeoutException:
            return Failure("no answer in time")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Failure(masking.without(str(error), url)[:200] or type(error).__name__)
        finally:
            self._stats.duration[phase].observe(time.perf_counter() - began)

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.aclose()

    async def _once(self, url: str, body: bytes, headers: dict[str, str], phase: Phase) -> WebhookReply:
        async with self._client.stream("POST", url, content=body, headers=headers) as response:
            read = b""
            if phase == "sync":
                read = await bounded(response, MAX_ANSWER)
            else:
                await dropped(response, MAX_ANSWER)
            return WebhookReply(response.status_code, response.headers.get("location", ""), read)
