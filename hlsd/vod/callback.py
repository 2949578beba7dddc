"""Tells whoever asked for a job that it is over, at the URL that was given with it. Blocks: for the thread of a job.

Law: the address is judged as a source's is; the answer is not looked at beyond its status, and nobody is led
elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from typing import Final
from urllib.parse import parse_qsl, urlencode

from structlog.typing import FilteringBoundLogger

from hlsd.base import masking
from hlsd.base.errors import ProtocolError
from hlsd.relay.address import Address
from hlsd.relay.dial import Dial, SourceError
from hlsd.relay.http_response import ResponseReader, request
from hlsd.vod.fetch import AGENT, CONNECT_WITHIN, check_url, way_out
from hlsd.vod.job import VodJob
from hlsd.vod.settings import VodSettings
from hlsd.vod.views import JobView

WITHIN: Final = 10.0
"""Seconds for a try."""
PAUSES: Final = (0.0, 2.0, 10.0, 30.0)
"""Before each try."""


def call_back(job: VodJob, settings: VodSettings, log: FilteringBoundLogger) -> None:
    """Tells it; what goes wrong is in the log, and costs the job nothing."""
    reason = ""
    for pause in PAUSES:
        time.sleep(pause)
        try:
            address = check_url(job.wish.callback)
            status = asyncio.run(_ask(way_out(settings), address, job, settings))
        except SourceError as error:
            reason = str(error)
            if error.final:
                break
            continue
        except (OSError, TimeoutError, ProtocolError, ValueError) as error:
            reason = str(error) or "no answer in time"
            continue
        if 200 <= status < 300:
            return
        reason = f"status {status}"
        if 300 <= status < 500 and status not in {408, 429}:
            break
    log.warning("callback not delivered", job=job.id, url=masking.address(job.wish.callback), reason=reason)


async def _ask(dial: Dial, address: Address, job: VodJob, settings: VodSettings) -> int:
    """The status of the answer."""
    async with asyncio.timeout(WITHIN):
        tls = ssl.create_default_context() if address.secure else None
        reader, writer, _ = await dial.open(address, CONNECT_WITHIN, tls)
        try:
            writer.write(_posted(address, job, settings))
            response = ResponseReader()
            while not response.status and (octets := await reader.read(65_536)):
                response.feed(octets)
            return response.status
        finally:
            writer.transport.abort()


def _posted(address: Address, job: VodJob, settings: VodSettings) -> bytes:
    # Who is told again, because a worker died before it could note that it had told, knows it by this
    # (draft-ietf-httpapi-idempotency-key-header-07 §2.1)
    key = f'Idempotency-Key: "{job.id}"\r\n\r\n'.encode()
    if job.callback_form != "post":
        own = {key for key, _ in parse_qsl(address.query, keep_blank_values=True)}
        told = {"hlsd_id": job.id, "status": job.state, "code": job.code, "msg": job.error}
        if job.callback_form == "rec":
            told["t"] = str(job.ended)
        ours = urlencode({key: one for key, one in told.items() if key not in own})  # its own stay as they are
        query = "&".join(part for part in (address.query, ours) if part)
        return request(address._replace(query=query), AGENT).removesuffix(b"\r\n") + key
    body = json.dumps({"action": "jobDone", "job": JobView.of(job, settings.app).model_dump(mode="json")}).encode()
    head = request(address, AGENT).removeprefix(b"GET ").removesuffix(b"\r\n")
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n".encode()
    return b"POST " + head + more + key + body
