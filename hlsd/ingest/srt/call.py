"""Is one call to an SRT server over a socket of its own: what relays pull from, and push to.

Bounds: what is read is at most `MOST_WAITING` bytes ahead of who reads it, and what is beyond that is lost, as it would
be on the line; `write` waits while the other side takes no more. Seconds, monotonic.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from typing import Any, Final, cast

from hlsd.base.errors import HlsdError
from hlsd.ingest.srt.caller import CallTerms, SrtCaller, words_of

TURN: Final = 0.01
LATE_TURN: Final = 0.03
MOST_WAITING: Final = 4 << 20


class CallError(HlsdError):
    """The server cannot be reached, refuses, or is gone. `code`: of its refusal, 0 if it is none."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class SrtCall(asyncio.DatagramProtocol):
    """One call; made by `connect`."""

    def __init__(self, stream_id: str, latency: int, passphrase: str, key_length: int) -> None:
        loop = asyncio.get_running_loop()
        self.lost = 0
        """Bytes that nobody read in time."""
        self._clock = loop.time
        self._terms = CallTerms(
            stream_id, secrets.randbits(30) | 1, secrets.randbits(30), latency, passphrase, key_length
        )
        self._transport: asyncio.DatagramTransport | None = None
        self._caller: SrtCaller | None = None
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._error: CallError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turned = 0.0

    @classmethod
    async def connect(  # noqa: PLR0913 - what a call is made of
        cls,
        ip: str,
        port: int,
        *,
        stream_id: str = "",
        latency: int = 120,
        passphrase: str = "",
        key_length: int = 16,
        within: float = 5.0,
    ) -> SrtCall:
        """Calls, and returns when the server has agreed. Raises CallError; OSError for an address that is none."""
        _, call = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: cls(stream_id, latency, passphrase, key_length), remote_addr=(ip, port)
        )
        try:
            async with asyncio.timeout(within):
                while not call.connected:
                    await call._more()  # noqa: SLF001 - of this class
        except TimeoutError:
            call.abort()
            raise CallError(f"no answer in {within:g} s") from None
        except BaseException:
            call.abort()
            raise
        return call

    @property
    def connected(self) -> bool:
        """Whether the server has agreed."""
        return self._caller is not None and self._caller.link is not None

    async def read(self) -> bytes:
        """What has come since the last time, in order; at least something. Raises CallError at the end."""
        while not self._waiting:
            await self._more()
        octets = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return octets

    async def write(self, payload: bytes) -> None:
        """Sends at most a packet's payload; waits while there is no room. Raises CallError."""
        assert self._caller is not None
        link = self._caller.link
        assert link is not None
        while link.room <= 0:
            await self._more()
        if self._error is not None:
            raise self._error
        link.write(payload, self._clock())

    def abort(self) -> None:
        """Says goodbye and hangs up. Safe to call twice."""
        link = self._caller.link if self._caller is not None else None
        if link is not None:
            with contextlib.suppress(OSError):
                link.close(self._clock())
        self._fail(CallError("closed"))

    async def _more(self) -> None:
        """Waits until something has changed. Raises CallError."""
        if self._error is not None:
            raise self._error
        self._changed.clear()
        await self._changed.wait()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None and not self._waiting:
            raise self._error

    def _take(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            if self._bytes >= MOST_WAITING:
                self.lost += len(payload)
                continue
            self._waiting.append(payload)
            self._bytes += len(payload)
        if payloads:
            self._changed.set()

    def _look(self) -> None:
        """What the caller or its link has come to."""
        caller = self._caller
        assert caller is not None
        if caller.refusal:
            self._fail(CallError(words_of(caller.refusal), caller.refusal))
        elif caller.link is not None:
            if caller.link.ended:
                self._fail(CallError("the other side has ended it" if caller.link.ended == "closed" else "gone silent"))
            self._changed.set()

    def _fail(self, error: CallError) -> None:
        if self._error is not None:
            return
        self._error = error
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.close()
        self._changed.set()

    def _turn(self) -> None:
        now, before = self._clock(), self._turned
        self._turned = now
        if before and now - before > LATE_TURN:
            # The event loop was late, and looks at timers before sockets: what waits there has its turn first.
            self._turned = 0.0
            self._timer = asyncio.get_running_loop().call_later(0.001, self._turn)
            return
        self._timer = asyncio.get_running_loop().call_later(TURN, self._turn)
        assert self._caller is not None
        self._take(self._caller.tick(self._clock()))
        self._look()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for a cookie."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._caller = SrtCaller(self._terms, self._transport.sendto, self._clock())
        self._timer = asyncio.get_running_loop().call_later(TURN, self._turn)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401, ARG002 - as asyncio has it
        """Takes what the server sends."""
        if self._caller is not None and self._error is None:
            connected = self.connected
            self._take(self._caller.receive(data, self._clock()))
            if not connected or self._caller.link is None or self._caller.link.ended:
                self._look()

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there, for now: a call goes on until its time is over."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is closed."""
        self._fail(CallError("closed"))
