"""A line of UDP that is long and loses: it stands at 127.0.0.2 for a port of 127.0.0.1."""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections import deque
from typing import Any


class LossyLine(threading.Thread):
    """Drops a share of the datagrams each way, by a seed, and hands on the others `late` seconds later, in order."""

    def __init__(self, port: int, loss: float, seed: int, *, late: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.passed = self.dropped = 0
        self.over = False
        self._random = random.Random(seed)
        self._loss = loss
        self._late = late
        self._port = port
        self._outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._outer.bind(("127.0.0.2", port))
        self._inner: dict[Any, socket.socket] = {}
        self._whose: dict[socket.socket, Any] = {}
        self._under_way: deque[tuple[float, socket.socket, bytes, Any]] = deque()

    def run(self) -> None:
        """One socket for each peer, so that the server sees each as an address of its own."""
        while not self.over:
            self._hand_on()
            wait = self._under_way[0][0] - time.monotonic() if self._under_way else 0.1
            ready, _, _ = select.select([self._outer, *self._whose], [], [], max(0.0, min(0.1, wait)))
            for sock in ready:
                self._take(sock)
        for sock in (self._outer, *self._whose):
            sock.close()

    def _take(self, sock: socket.socket) -> None:
        datagram, address = sock.recvfrom(2048)
        # Handshakes are let through: what is tested is media, and a lost hello costs a second.
        if datagram[0] >= 128 and self._random.random() < self._loss:
            self.dropped += 1
            return
        self.passed += 1
        due = time.monotonic() + self._late
        if sock is not self._outer:
            self._under_way.append((due, self._outer, datagram, self._whose[sock]))
            return
        if address not in self._inner:
            self._inner[address] = inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._whose[inner] = address
        self._under_way.append((due, self._inner[address], datagram, ("127.0.0.1", self._port)))

    def _hand_on(self) -> None:
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            _, sock, datagram, address = self._under_way.popleft()
            sock.sendto(datagram, address)
