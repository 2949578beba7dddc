"""Looks names up, each in a thread of its own, so that a resolver that never answers holds up nobody else.

A thread that asks the resolver cannot be called back, and the C library asks for half a minute. asyncio has one pool of
threads for that and for all else, libuv lets two of its four ask: a few dead names would keep every other name, and
with asyncio's loop every file, waiting. Law: whoever asks for a name that is being asked for shares that question; at
most `MOST` names are asked for at a time, further ones are an error at once; threads end with the process, which waits
for none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

MOST: Final = 128
"""Names that are asked for at a time: more than there are relays by default."""


class Names:
    """Questions of one part of the server to the system's resolver; `look_up` is that, and may take for ever.

    Each part that asks has its own: what strangers make one of them ask for leaves the others their threads.
    """

    def __init__(self, look_up: Callable[[str], list[str]] | None = None, *, most: int = MOST) -> None:
        self._look_up = look_up
        self._most = most
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[list[str]]] = {}

    @property
    def under_way(self) -> int:
        """How many names are being asked for."""
        return len(self._under_way)

    async def addresses(self, host: str) -> list[str]:
        """The IP addresses of a host in the resolver's order. Raises OSError: there are none, or no thread is free."""
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(host))]  # an address in plain writing is what it is
        return await asyncio.wrap_future(self._asked(host))

    def _asked(self, host: str) -> Future[list[str]]:
        """The question for that name, begun if nobody has."""
        with self._lock:
            found = self._under_way.get(host)
            if found is not None:
                return found
            if len(self._under_way) >= self._most:
                raise OSError(f"the resolver has not answered {self._most} questions yet")
            question: Future[list[str]] = Future()
            question.set_running_or_notify_cancel()  # who waits no longer does not take it from the others
            self._under_way[host] = question
        try:
            threading.Thread(target=self._ask, args=(host, question), name="hlsd-names", daemon=True).start()
        except RuntimeError as error:  # the system gives no further thread
            self._over(host)
            raise OSError(str(error)) from None
        return question

    def _ask(self, host: str, question: Future[list[str]]) -> None:
        try:
            found = (self._look_up or _by_the_system)(host)
        except OSError as error:
            self._over(host)
            question.set_exception(error)
        except Exception as error:  # noqa: BLE001 - UnicodeError for what can be no name, and whatever a resolver raises
            self._over(host)
            question.set_exception(OSError(f"it cannot be looked up: {type(error).__name__}"))
        else:
            self._over(host)
            question.set_result(found)

    def _over(self, host: str) -> None:
        with self._lock:
            self._under_way.pop(host, None)


def _by_the_system(host: str) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
