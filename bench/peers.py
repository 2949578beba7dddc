"""Runs hlsd and the servers it is measured beside, each pinned to a core and configured for the same work."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from tests.support.ports import free_port
from tests.support.server import HlsdServer, usage


class Peer(Protocol):
    """A server under load."""

    name: ClassVar[str]

    def __init__(self, core: int | None = 0) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    @staticmethod
    def missing() -> str | None:
        """Why it cannot run here, or None."""
        ...

    def pids(self) -> list[int]:
        """The processes that do the work; their children count too."""
        ...

    def rtmp(self, name: str) -> str:
        """Where a publisher goes."""
        ...

    def hls(self, name: str) -> str:
        """The playlist of a stream."""
        ...


_NGINX_MODULES = (
    "/usr/lib/nginx/modules/ngx_rtmp_module.so",
    "/usr/share/nginx/modules/ngx_rtmp_module.so",
    "/usr/lib64/nginx/modules/ngx_rtmp_module.so",
)

_NGINX_CONF = """\
load_module {module};
daemon off;
master_process on;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log warn;
events {{ worker_connections 4096; }}
rtmp {{
  access_log off;
  server {{
    listen 127.0.0.1:{rtmp_port};
    chunk_size 4096;
    application live {{
      live on;
      hls on;
      hls_path {root}/hls;
      hls_fragment 2s;
      hls_playlist_length 12s;
      {more}
    }}
  }}
}}
http {{
  access_log off;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
  server {{
    listen 127.0.0.1:{http_port};
    location /live {{ alias {root}/hls; }}
  }}
}}
"""


def memory_directory() -> Path | None:
    """A directory in memory, so that a peer which writes files is not charged for a disk."""
    shm = Path("/dev/shm")
    return shm if shm.is_dir() else None


class Nginx:
    """nginx with libnginx-mod-rtmp: one worker, HLS segments of 2 s into memory."""

    name: ClassVar[str] = "nginx-rtmp"
    more: str = ""
    """Further directives of its application."""

    def __init__(self, core: int | None = 0) -> None:
        self._core = core
        self.root = Path(tempfile.mkdtemp(prefix="hlsd-bench-nginx-", dir=memory_directory()))
        self.rtmp_port, self.http_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        """Why it cannot run here, or None."""
        if not shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"):
            return "nginx is not installed"
        if not any(Path(module).exists() for module in _NGINX_MODULES):
            return "libnginx-mod-rtmp is not installed"
        return None

    def __enter__(self) -> Self:
        module = next(module for module in _NGINX_MODULES if Path(module).exists())
        (self.root / "hls").mkdir()
        self.root.chmod(0o755)
        (self.root / "hls").chmod(0o777)  # the worker runs as another user when nginx is started by root
        conf = self.root / "nginx.conf"
        conf.write_text(
            _NGINX_CONF.format(
                module=module, root=self.root, rtmp_port=self.rtmp_port, http_port=self.http_port, more=self.more
            )
        )
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or "nginx"
        command = [program, "-e", str(self.root / "error.log"), "-p", str(self.root), "-c", str(conf)]
        self._process = subprocess.Popen(
            [*_pinned(self._core), *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_for(self.rtmp_port, self._process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        shutil.rmtree(self.root, ignore_errors=True)

    def pids(self) -> list[int]:
        """The master, with its worker as a child."""
        assert self._process is not None
        return [self._process.pid]

    def rtmp(self, name: str) -> str:
        """Where a publisher goes."""
        return f"rtmp://127.0.0.1:{self.rtmp_port}/live/{name}"

    def hls(self, name: str) -> str:
        """The media playlist of a stream; nginx-rtmp has no multivariant one without variants."""
        return f"http://127.0.0.1:{self.http_port}/live/{name}.m3u8"


class Hlsd:
    """This checkout's server: 2 s segments, six listed, without parts, which nginx-rtmp does not make either."""

    name: ClassVar[str] = "hlsd"
    env: ClassVar[Mapping[str, str]] = {}
    """Settings beyond the ordinary ones."""

    def __init__(self, core: int | None = 0) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="hlsd-bench-"))
        self._server = HlsdServer(self._root, prefix=_pinned(core), env=self.env)

    @staticmethod
    def missing() -> str | None:
        """It is always there."""
        return None

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._server.__exit__(kind, error, trace)
        finally:
            shutil.rmtree(self._root, ignore_errors=True)

    def pids(self) -> list[int]:
        """The one server process."""
        return [self._server.process.pid]

    def rtmp(self, name: str) -> str:
        """Where a publisher goes."""
        return self._server.rtmp(name)

    @property
    def base(self) -> str:
        """Where it answers HTTP."""
        return f"http://127.0.0.1:{self._server.http_port}"

    @property
    def bearer(self) -> dict[str, str]:
        """Headers by which its API knows a program of this machine."""
        return self._server.bearer

    def hls(self, name: str) -> str:
        """The multivariant playlist of a stream."""
        return self._server.hls(name)


def resident(pid: int) -> int:
    """Resident bytes of a process and its children."""
    total = usage(pid).rss
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += sum(resident(int(child)) for child in (task / "children").read_text().split())
    return total


def _pinned(core: int | None) -> list[str]:
    return ["taskset", "-c", str(core)] if core is not None and shutil.which("taskset") else []


def wait_for(port: int, process: subprocess.Popen[Any]) -> None:
    """Waits until a peer listens on loopback; one that does not is ended.

    Raises:
        RuntimeError: it ended, or did not listen within 10 s.
    """
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    ended = process.poll()
    process.kill()
    process.wait()
    raise RuntimeError("the peer did not listen within 10 s" if ended is None else f"the peer ended with {ended}")
