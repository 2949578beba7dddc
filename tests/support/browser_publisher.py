"""A Chromium that publishes its fake camera by our library: the Python side of tests/interop/web/publisher.mjs."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.support import browser
from tests.support.eventually import eventually_here

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LIBRARY = browser.ROOT / "web" / "publish" / "dist" / "publish.js"


def missing() -> str | None:
    """What a publisher lacks on this machine, or None."""
    if not LIBRARY.is_file():
        return "the publisher's library is not built: make web-modules"
    return browser.missing("chromium")


class BrowserPublisher:
    """One page with a publisher to `path` ("live/cam") of the server at `base`; a context manager.

    `heard` is all that the page has said so far.
    """

    def __init__(self, base: str, path: str, **options: Any) -> None:
        if why := missing():
            pytest.skip(why)
        self.heard: list[dict[str, Any]] = []
        command = ["node", str(browser.WEB / "publisher.mjs"), base, path, "--options", json.dumps(options)]
        program = ["--executable", str(browser.executable("chromium"))]
        self._process = subprocess.Popen(
            [*command, *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.heard.append(json.loads(line))

    def __enter__(self) -> Self:
        self.wait(lambda: any("ready" in line for line in self.heard), "the page")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def say(self, line: str) -> None:
        """Asks for something and does not wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def do(self, line: str) -> dict[str, Any]:
        """Asks for something, and gives back what came of it: `error` if it was an error."""
        before = len(self.heard)
        self.say(line)
        word = line.split(" ", maxsplit=1)[0]
        self.wait(lambda: any(said.get("done") == word for said in self.heard[before:]), f"the end of {line}")
        return next(said for said in self.heard[before:] if said.get("done") == word)

    def events(self, name: str) -> list[Any]:
        """The values of all events of a name."""
        return [said["value"] for said in self.heard if said.get("event") == name]

    def states(self) -> list[str]:
        """The states it went through."""
        return [change["state"] for change in self.events("state")]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Waits; AssertionError with what was heard if it does not come about."""
        try:
            eventually_here(lambda: condition() or self._gone(), 60, what)
        except AssertionError as error:
            msg = f"{error}; heard: {self.heard[-12:]}"
            raise AssertionError(msg) from error

    def _gone(self) -> bool:
        if self._process.poll() is None:
            return False
        assert self._process.stderr is not None
        msg = f"the browser is gone: {self._process.stderr.read()[-2000:]}"
        raise RuntimeError(msg)
