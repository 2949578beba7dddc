"""Runs the server as its users do: a process of its own, ready when `/healthz` says so, ended by SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from tests.support.forked import HLSD, Forked, start
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

CHECKOUT = Path(__file__).resolve().parents[2]
_READY_WITHIN = 45.0
_STOPS_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used: CPU seconds (user and system) since its start, resident bytes now."""

    cpu: float
    rss: int


def usage(pid: int) -> Usage:
    """Reads `/proc/<pid>` (proc(5)); OSError if the process is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return Usage(cpu, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))


class HlsdServer:
    """`hlsd serve` with ports and state of its own; a context manager that also proves an orderly end.

    `state` is the directory for configuration, state and log; `env` holds further `HLSD_SECTION__KEY` overrides;
    `prefix` stands before the command (`taskset -c 0`). Ports may be given to come back on the same ones. `fresh`: an
    interpreter of its own (see `forked`).
    """

    def __init__(
        self,
        state: Path,
        *,
        target: int = 2,
        listed: int = 6,
        low_latency: bool = False,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        rtmp_port: int | None = None,
        http_port: int | None = None,
        fresh: bool = False,
    ) -> None:
        self.state = state
        self.rtmp_port = rtmp_port or free_port()
        self.http_port = http_port or free_port()
        self.log = state / "server.log"
        self.env = {
            "HLSD_RTMP__PORT": str(self.rtmp_port),
            "HLSD_HTTP__PORT": str(self.http_port),
            "HLSD_SERVER__STATE_DIR": str(state / "state"),
            "HLSD_SERVER__LOG_FORMAT": "json",
            "HLSD_HLS__TIME": str(target),
            "HLSD_HLS__LIST": str(listed),
            "HLSD_HLS__LOW_LATENCY": "true" if low_latency else "false",
            **(env or {}),
        }
        self._prefix = list(prefix)
        self._fresh = fresh
        self._process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def process(self) -> subprocess.Popen[bytes] | Forked:
        """The running process."""
        if self._process is None:
            msg = "the server was not started"
            raise RuntimeError(msg)
        return self._process

    def rtmp(self, name: str) -> str:
        """Where an encoder publishes the stream."""
        return f"rtmp://127.0.0.1:{self.rtmp_port}/live/{name}"

    def hls(self, name: str) -> str:
        """The multivariant playlist of the stream."""
        return f"http://127.0.0.1:{self.http_port}/live/{name}.m3u8"

    def page(self, name: str) -> str:
        """The player page of the stream."""
        return f"http://127.0.0.1:{self.http_port}/live/{name}"

    @property
    def bearer(self) -> dict[str, str]:
        """Headers by which a program of this machine is known to the API, and reads `/metrics`."""
        file = Path(self.env["HLSD_SERVER__STATE_DIR"]) / "api.token"
        deadline = time.monotonic() + _READY_WITHIN
        while not file.exists() and time.monotonic() < deadline:  # it is written a moment after /healthz answers
            time.sleep(0.05)
        return {"authorization": f"Bearer {file.read_text().strip()}"}

    def command(self) -> list[str]:
        """The command line, for tests that run it themselves."""
        config = self.state / "hlsd.toml"
        if not config.exists():
            self.state.mkdir(parents=True, exist_ok=True)
            config.write_text("")
        return [*self._prefix, *HLSD, "serve", "-c", str(config)]

    def environment(self) -> dict[str, str]:
        """The environment of the process: the caller's without its own HLSD_ variables."""
        return {k: v for k, v in os.environ.items() if not k.startswith("HLSD_")} | self.env

    def start(self) -> Self:
        """Starts the process and waits until it is ready; RuntimeError with its log if it is not."""
        return self.launch().wait_until_ready()

    def launch(self) -> Self:
        """Starts the process."""
        self._process = start(self.command(), self.environment(), self.log, cwd=CHECKOUT, fresh=self._fresh)
        return self

    def wait_until_ready(self) -> Self:
        """Returns when it answers; RuntimeError with its log if it does not."""
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                msg = f"the server ended with {self.process.returncode} before it was ready:\n{self.logs()}"
                raise RuntimeError(msg)
            try:
                if httpx.get(f"http://127.0.0.1:{self.http_port}/healthz", timeout=2).status_code == httpx.codes.OK:
                    return self
            except httpx.TransportError:
                time.sleep(0.05)
        self.kill()
        msg = f"the server was not ready after {_READY_WITHIN} s:\n{self.logs()}"
        raise RuntimeError(msg)

    def usage(self) -> Usage:
        """CPU and memory of the server process."""
        return usage(self.process.pid)

    def logs(self) -> str:
        """All that the server has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self) -> float:
        """SIGTERM; AssertionError unless it exits with 0 within ten seconds. Returns the seconds it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            msg = f"the server did not end within {_STOPS_WITHIN} s of SIGTERM"
            raise AssertionError(msg) from None
        assert code == 0, f"the server ended with {code}:\n{self.logs()[-4000:]}"
        return time.monotonic() - started

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self.process.kill()
        self.process.wait(5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            if self.process.poll() is None:
                self.kill()
            error.add_note(f"--- end of the server's log ---\n{self.logs()[-6000:]}")
            return
        if self.process.poll() is None:
            self.stop()
        assert "Traceback (most recent call last)" not in self.logs(), self.logs()[-6000:]
