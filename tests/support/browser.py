"""Plays a stream in a real browser: the Python side of tests/interop/web/play.mjs.

Needs node, a browser, and the node modules of `tests/interop/web` and `web` (`npm ci` in both). `missing()` says which
of them is not there, in words for a skip.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

ROOT = Path(__file__).parents[2]
WEB = ROOT / "tests" / "interop" / "web"
PLAY = str(WEB / "play.mjs")
SHARED = False
"""Whether plays share a browser; tests do (tests/conftest.py), benches begin each with a new one."""
Browser = Literal["chromium", "firefox", "webkit"]
Mode = Literal["page", "hlsjs", "shaka", "native", "mpegts"]

_PROGRAMS: dict[Browser, tuple[str, ...]] = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "firefox": ("firefox-esr", "firefox"),
    "webkit": ("WebKitWebDriver",),
}


def executable(browser: Browser) -> str | None:
    """Where the browser is: `HLSD_CHROMIUM` / `HLSD_FIREFOX`, or what the PATH has."""
    named = os.environ.get(f"HLSD_{browser.upper()}")
    return named or next((found for name in _PROGRAMS[browser] if (found := shutil.which(name))), None)


def missing(browser: Browser = "chromium") -> str | None:
    """What a play in `browser` lacks on this machine, or None."""
    if shutil.which("node") is None:
        return "node is not installed"
    if executable(browser) is None:
        return f"{browser} is not installed"
    for folder in (WEB, ROOT / "web"):
        if not (folder / "node_modules").is_dir():
            return f"run npm ci in {folder.relative_to(ROOT)}"
    return None


@cache
def cannot(browser: Browser, kind: str) -> str | None:
    """Why a browser does not decode media of that type, in words for a skip; None if it says that it does.

    Only Chromium is asked (`MediaSource.isTypeSupported`): it depends on how it was built, and where it runs.
    """
    program = executable(browser)
    if browser != "chromium" or program is None:
        return None
    command = ["node", str(WEB / "types.mjs"), program, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return None if json.loads(done.stdout) == [True] else f"this {browser} says that it takes no {kind}"


def play(
    url: str,
    browser: Browser = "chromium",
    mode: Mode = "hlsjs",
    seconds: float = 10,
    *,
    config: dict[str, Any] | None = None,
    screenshot: Path | None = None,
    size: tuple[int, int] = (1280, 800),
    again: bool = False,
    recover: bool = False,
    until: Path | None = None,
    seek: float | None = None,
    acts: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Plays `url` for `seconds` and says how it went.

    Keys of the report: `played`, `first_frame` and `loaded` (the page's `load` event), both since the page was asked
    for, `stalls` (list of at, duration), `stall_seconds`, `jumps`, `errors` (hls.js: type, details, fatal, at),
    `fatal_errors`, `media_error`, `latency` / `edge_latency` / `buffer` (n, min, median, p95, max over the second
    half), `latency_samples`, `decoded`, `dropped`, `width`, `height`, `ended`, `console`, `page` (our player's own
    figures). Seconds and frames.

    `config` is hls.js's, for mode "hlsjs". `again`: the browser has played it before, for three seconds, and what it
    keeps of that (files, compiled scripts) it has. `recover`: hls.js goes on after fatal errors, as its documentation
    has pages do. `until`: it plays until that file is there and the player has then played for three seconds in a row,
    `seconds` at most; `lasted` of the report says how long that was. `seek`: once it has played for half of `seconds`
    it goes there; `sought` of the report is where it was and where it landed.
    `acts`: what is done in the page behind that, as play.mjs has it; what came of each is `acts` of the report.

    Raises:
        RuntimeError: the browser did not come so far as to report; its words are in the text.
    """
    arguments = [
        url,
        *("--browser", browser, "--mode", mode, "--seconds", str(seconds)),
        *("--config", json.dumps(config or {}), "--size", f"{size[0]}x{size[1]}"),
    ]
    if again:
        arguments.append("--again")
    if recover:
        arguments.append("--recover")
    if until is not None:
        arguments += ["--until", str(until)]
    if acts is not None:
        arguments += ["--acts", json.dumps(acts)]
        seconds += 20 * len(acts)  # each may be waited for
    if seek is not None:
        arguments += ["--seek", str(seek)]
        seconds += 2 * (seconds + 30)  # so long it may wait for the media's clock before and behind
    program = executable(browser)
    if program is not None and browser != "webkit":
        arguments += ["--executable", program]
    if screenshot is not None:
        arguments += ["--screenshot", str(screenshot)]
    host = Host.of(browser)
    if SHARED and not again and browser != "webkit" and host.free.acquire(blocking=False):
        try:
            return host.play(arguments, seconds + 60)
        finally:
            host.free.release()
    command = ["node", PLAY, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"no report from {browser}: {done.stderr.strip()[-2000:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


class Host:
    """A process of play.mjs in which a browser stays open from play to play, each in a context of its own."""

    _all: ClassVar[dict[str, Host]] = {}

    def __init__(self) -> None:
        self.free = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    @classmethod
    def of(cls, browser: str) -> Host:
        """The one of this process for `browser`."""
        return cls._all.setdefault(browser, cls())

    def play(self, arguments: list[str], seconds: float) -> dict[str, Any]:
        """One play; RuntimeError if it did not come so far as to report, or not within `seconds`."""
        if self._process is None:
            pipe = subprocess.PIPE
            command = ["node", PLAY, "--serve"]
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
            atexit.register(self.close)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Timer(seconds, self._process.kill)
        late.start()
        try:
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError as error:
            line, why = "", str(error)
        else:
            why = "the process with the browser is gone"
        finally:
            late.cancel()
        said: dict[str, Any] = json.loads(line) if line else {"error": why}
        if "error" in said:
            self.close()  # whatever it was: the next one begins with a new browser
            raise RuntimeError(f"no report: {said['error'][-2000:]}")
        report: dict[str, Any] = said["report"]
        return report

    def close(self) -> None:
        """Ends the browser."""
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.close)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            process.communicate(timeout=15)  # the end of its input is the end of it
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # a browser that did not close
            process.wait()


def faults(
    report: dict[str, Any], seconds: float, *, smooth: bool = True, decoded: float = 0, latency: float = math.inf
) -> list[str]:
    """What is wrong with a play of `seconds`: it failed, stalled, complained, lost frames, or was far from live.

    Four seconds are for the browser to come up in. Not `smooth`: stalls and complaints that a player gets over by
    itself do not count. `decoded`: frames at least; `latency`: what its median must be below, seconds.
    """
    errors = [error for error in report["errors"] if smooth or error["fatal"]]
    found = [f"{key}: {it}" for key, it in (("errors", errors), ("media_error", report["media_error"])) if it]
    if smooth and report["stalls"]:
        found.append(f"stalls: {report['stalls']}")
    if report["played"] < seconds - 4:
        found.append(f"played {report['played']} s, first frame at {report['first_frame']}, {report['console']}")
    if report["decoded"] < decoded:
        found.append(f"decoded {report['decoded']} frames")
    if latency < math.inf and report["latency"]["median"] >= latency:
        found.append(f"latency {report['latency']}")
    return found


def undisturbed(
    attempt: Callable[[int], dict[str, Any]], wrong: Callable[[dict[str, Any]], list[str]], attempts: int = 3
) -> dict[str, Any]:
    """The report of the first of a few plays with which nothing is wrong.

    A browser on a busy machine stalls for reasons that are not the server's, now and then; what the server does wrong
    it does each time.

    Raises:
        AssertionError: something was wrong with each of them: what.
    """
    said = []
    for number in range(attempts):
        try:
            report = attempt(number)
        except RuntimeError as error:
            said.append(str(error))
            continue
        found = wrong(report)
        if not found:
            return report
        said.append("; ".join(found))
    raise AssertionError("\n".join(f"play {number + 1}: {words}" for number, words in enumerate(said)))


async def play_async(
    url: str, browser: Browser = "chromium", mode: Mode = "hlsjs", seconds: float = 10, **more: Any
) -> dict[str, Any]:
    """`play` beside a server that runs in this event loop."""
    return await asyncio.to_thread(play, url, browser, mode, seconds, **more)
