"""Is TLS between a TCP transport and a protocol of ours, which takes it for its transport; the server's side.

asyncio and uvloop have one too. Theirs keeps to itself what the bounds and accounts of a viewer need: how much lies in
the TCP transport below (uvloop counts none of it, so a client that does not read is found out one answer late), how
long what was sent became, and the socket when the connection is lost, which alone knows what the client confirmed.

Law: all that TLS writes is taken out of `Tls.outgoing` in the same step, whatever else happens, so one such buffer does
for all connections of a listener; each of its own would stay as large as the largest answer. What a client does not
take waits unencrypted, where it is shared with everybody else's, but for `AHEAD`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, cast

from hlsd.net.begun import Begun
from hlsd.net.kernel import in_kernel

Octets = bytes | bytearray | memoryview

RECORD: Final = 16 * 1024
"""Bytes in a record at most: "The length MUST NOT exceed 2^14 bytes" (RFC 8446 §5.1)."""
PIECE: Final = 4 * RECORD
"""Bytes that are encrypted at a time: still in the processor's cache when they are copied."""
AHEAD: Final = 256 * 1024
"""Bytes that are encrypted and then given to the kernel in one call: the others wait as they are."""
GOODBYE: Final = 2.0
"""Seconds for a client that has got everything to say goodbye; one that never does is not waited for."""
TAIL: Final = 10.0
"""Seconds in which a client must take `SLOWEST` bytes of what was left when the connection was closed."""
SLOWEST: Final = 64 * 1024
ROOM: Final = 8 * 1024
"""Bytes that any kernel takes for a connection, be they read or not: a handshake, and our goodbye."""


class Tls:
    """What the connections of one listener share: none of them keeps anything here."""

    def __init__(self) -> None:
        self.outgoing = ssl.MemoryBIO()


_NOBODY: Final = asyncio.Protocol()
"""Whose a connection is that was lost."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """One connection: the protocol of its TCP transport, and the transport of its protocol.

    `protocol.connection_made` is called when hands are shaken, `connection_lost` at the end, also if they never were:
    not TLS, no version in common, or gone. How long that may take is for others to say: `abort`.
    """

    __slots__ = (
        "_ahead", "_app", "_begun", "_bye", "_closing", "_full", "_incoming", "_kept", "_left", "_loop", "_lost",
        "_paused", "_resuming", "_tcp", "_timer", "_tls", "_told", "_up", "_waiting", "_waits", "sealed", "since",
    )  # fmt: skip

    def __init__(
        self,
        shared: Tls,
        context: ssl.SSLContext,
        protocol: asyncio.Protocol,
        loop: asyncio.AbstractEventLoop,
        begun: Begun | None = None,
    ) -> None:
        # asyncio's own constructor makes a dictionary for `get_extra_info`, which has none here
        self._loop = loop
        self._app = protocol
        self._ahead = shared.outgoing
        self._begun = begun
        if begun is not None:
            self._incoming, self._tls = begun.incoming, begun.tls
        else:
            self._incoming = ssl.MemoryBIO()
            self._tls = context.wrap_bio(self._incoming, shared.outgoing, server_side=True)
        self._tcp: asyncio.Transport
        self._up = False
        self._closing = False
        self._bye = False
        """Our close_notify was sent: what comes is dropped."""
        self._lost = False
        self._paused = self._resuming = False
        """Reading is; and is to be taken up in the next turn."""
        self._kept = b""
        """What came while it was."""
        self._full = False
        """The TCP transport asks to wait. Only then is anything in `_waiting`."""
        self._told = False
        """So was the protocol."""
        self._waiting: deque[memoryview] = deque()
        self._waits = 0
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None
        self.sealed = 0
        """Bytes given to TCP since the connection began: records, handshake included."""
        self.since = begun.since if begun is not None else 0.0
        """When hands were shaken, if that was done before."""

    # -- of the TCP transport: what comes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is there; the client speaks first."""
        self._tcp = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        if self._closing:
            self._tcp.abort()
        elif self._begun is not None:
            begun, self._begun = self._begun, None
            self._take_over(begun)

    def _take_over(self, begun: Begun) -> None:
        self.sealed = begun.sealed
        if begun.rest:
            self._tcp.write(begun.rest)
        if begun.up:
            self._up = True
            self._app.connection_made(self)
            if begun.first and not self._closing:
                self._app.data_received(begun.first)
            self._read()  # what came in one piece with that

    def data_received(self, data: bytes) -> None:
        """Records, or pieces of them, from the client."""
        if self._paused:
            self._kept += data  # of one reading at most: the TCP transport does not read either
            return
        if len(data) <= RECORD:
            self._incoming.write(data)
            if self._up:
                self._read()
            elif not self._closing:
                self._shake()
            return
        for at in range(0, len(data), RECORD):  # `_incoming` never grows to more
            self.data_received(data[at : at + RECORD])

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._pass_on()
        except ssl.SSLError:
            self._fail()
        else:
            self._pass_on()
            self._up = True
            self._app.connection_made(self)
            self._read()  # what came in one piece with the end of the handshake

    def _read(self) -> None:
        """Hands on what has come, as long as it is wanted."""
        incoming, tls = self._incoming, self._tls
        while (incoming.pending or tls.pending()) and not self._paused:
            try:
                octets = tls.read(RECORD)
            except ssl.SSLWantReadError:
                self._pass_on()
                return
            except ssl.SSLError:  # not of this client, or altered on the way
                self._fail()
                return
            if self._ahead.pending:  # the client wants new keys
                self._pass_on()
            if not octets:
                self._leave()
                return
            if not self._closing:
                self._app.data_received(octets)
            if self._lost:
                return

    def _leave(self) -> None:
        """The client has said goodbye."""
        if self._bye:
            self._tcp.close()
        elif not self._closing:
            self._app.eof_received()
            self.close()

    def _fail(self) -> None:
        self._pass_on()  # an alert says why
        self._closing = True
        if self._up:
            self._tcp.abort()
        else:
            self._tcp.close()

    def eof_received(self) -> None:
        """TCP's end without TLS's: whether all has come is not known, and nothing more goes out."""
        self._closing = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The protocol is told while the socket is still there to be asked."""
        self._closing = self._lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._app.connection_lost(exc)
        self._waiting.clear()
        self._waits = 0
        self._app = _NOBODY

    # -- of the TCP transport: what goes

    def pause_writing(self) -> None:
        """The kernel does not take more."""
        self._full = True
        if self._up and not self._told:
            self._told = True
            self._app.pause_writing()

    def resume_writing(self) -> None:
        """It has room again."""
        self._full = False
        if self._waiting:
            self._pump()
            if self._full:
                return
        if self._told:
            self._told = False
            self._app.resume_writing()
        if self._closing and not self._bye and self._up:
            self._say_goodbye()

    def _pass_on(self) -> None:
        """Takes what TLS has written by itself."""
        if self._ahead.pending:
            octets = self._ahead.read()
            self.sealed += len(octets)
            self._tcp.write(octets)

    def _pump(self) -> None:
        """Encrypts what waits, as long as the kernel takes it."""
        waiting, write, take = self._waiting, self._tls.write, self._ahead.read
        while waiting and not self._full:
            ready = []
            room = AHEAD
            while waiting and room > 0:
                space = PIECE
                try:
                    while waiting and space > 0:
                        first = waiting.popleft()
                        if len(first) > space:
                            waiting.appendleft(first[space:])
                            first = first[:space]
                        write(first)
                        space -= len(first)
                        self._waits -= len(first)
                finally:
                    octets = take()
                room -= PIECE - space
                self.sealed += len(octets)
                ready.append(octets)
            self._tcp.writelines(ready)

    # -- a transport

    def write(self, data: Octets) -> None:
        """Sends `data`, or has it wait."""
        if self._full or len(data) > RECORD:
            self.writelines((data,))
        elif not self._closing and data:
            self._tls.write(data)
            octets = self._ahead.read()
            self.sealed += len(octets)
            self._tcp.write(octets)

    def writelines(self, list_of_data: Iterable[Octets]) -> None:
        """Sends some buffers in one go, or has them wait: nothing of them is copied meanwhile."""
        if self._closing:
            return
        for data in list_of_data:
            if data:
                self._waiting.append(memoryview(data))
                self._waits += len(data)
        if not self._full:
            self._pump()

    def get_write_buffer_size(self) -> int:
        """Bytes that lie in our memory."""
        return 0 if self._lost else self._waits + self._tcp.get_write_buffer_size()

    def unconfirmed(self, acknowledged: int) -> int:
        """Bytes that were written here and that the client has not got, to a record; `acknowledged` is its kernel's."""
        sealed = max(0, self.sealed - acknowledged)
        above = _above(self._tls)
        return self._waits + max(0, sealed - -(-sealed // (RECORD + above)) * above)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of what lies in the TCP transport; nothing waits here unless that is full."""
        self._tcp.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        """Hands on no more."""
        self._resuming = False
        if not self._paused and not self._closing:
            self._paused = True
            self._tcp.pause_reading()

    def resume_reading(self) -> None:
        """Goes on, in the next turn of the event loop."""
        if self._paused:
            self._resuming = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._resuming or self._lost:
            return
        self._paused = self._resuming = False
        self._read()
        kept, self._kept = self._kept, b""
        if kept:
            self.data_received(kept)
        if not self._paused and not self._lost and not self._tcp.is_closing():
            self._tcp.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's
        """As TLS transports of asyncio have it, and what the TCP transport says."""
        if name == "ssl_object":
            return self._tls
        if name == "sslcontext":
            return self._tls.context
        return self._tcp.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Whose the connection is from now on."""
        self._app = cast("asyncio.Protocol", protocol)

    # -- the end

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self._closing

    def abort(self) -> None:
        """Ends it at once; what waits is lost."""
        self._closing = True
        if not self._lost and hasattr(self, "_tcp"):
            self._tcp.abort()

    def close(self) -> None:
        """Ends it when all is sent: then TLS's goodbye, the client's, TCP's."""
        if self._closing:
            return
        self._closing = True
        if not self._up:
            self.abort()
            return
        if self._paused:
            self.resume_reading()  # what comes is dropped, and its end is waited for
        if not self._full and self._say_goodbye() and self.sealed <= ROOM:
            return  # nobody is waited for
        if not self._lost and self._timer is None:
            self._left = self._unsent()
            self._timer = self._loop.call_later(GOODBYE if not self._left else TAIL, self._give_up)

    def _say_goodbye(self) -> bool:
        """Whether the client's has come, too: TCP ends when ours has left."""
        self._bye = True
        try:
            while self._incoming.pending or self._tls.pending():  # or it is an error that something came after the end
                self._tls.read(RECORD)
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._pass_on()  # the client's has not come yet
            return False
        except ssl.SSLError:
            pass
        self._pass_on()
        self._tcp.close()
        return True

    def _unsent(self) -> int:
        sock = self._tcp.get_extra_info("socket")
        return self.get_write_buffer_size() + (in_kernel(sock.fileno()) if sock is not None else 0)

    def _give_up(self) -> None:
        """Ends it without the client's goodbye, if it has all, or does not take it."""
        left = self._unsent()
        if not left:
            self._tcp.close()
        elif self._left - left < SLOWEST:
            self._tcp.abort()
        else:
            self._left = left
            self._timer = self._loop.call_later(TAIL, self._give_up)


def _above(tls: ssl.SSLObject) -> int:
    """What a record is longer by: header, tag, and the type of its content (1.3) or the nonce of AES-GCM (1.2)."""
    name, version = (tls.cipher() or ("", "", 0))[:2]
    return 5 + 16 + (1 if version == "TLSv1.3" else 8 if "GCM" in name else 0)
