"""Has a media process carry out an order, and ends it: when it hangs, says too much, or nobody wants the job any more.

Blocks: for the thread of a job. Law: the process is gone when `carry_out` returns or raises.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from hlsd.base.children import ENVIRONMENT, LINE, WORDS
from hlsd.vod.job import Cancelled, JobFailed, TryAgain
from hlsd.vod.orders import LONGEST, MediaOrder

MODULE: Final = "hlsd.vod.media_child"
HANG: Final = 60.0
"""Seconds without a word after which it is ended."""
LOOK: Final = 0.25
"""Seconds between two looks at whether the job is wanted still."""


def carry_out(order: MediaOrder, wanted: Callable[[], bool], told: Callable[[float], None]) -> dict[str, Any]:
    """What came of it. `wanted()` is asked again and again; `told(seconds)` hears how much media is done.

    Raises:
        JobFailed: it cannot be made of this film.
        TryAgain: the process died or hung, or the disk is full.
        Cancelled: it is not wanted.
    """
    process = subprocess.Popen(  # noqa: S603 - it is ours
        [sys.executable, "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        pass_fds=(order.source, *order.outputs),
        start_new_session=True,
    )
    try:
        return _listen(process, order, wanted, told)
    finally:
        _end(process)


def _listen(
    process: subprocess.Popen[bytes], order: MediaOrder, wanted: Callable[[], bool], told: Callable[[float], None]
) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(order.write())
        process.stdin.close()
    answers, complaints = bytearray(), b""
    heard = asked = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(LOOK):
                octets = os.read(key.fd, 65_536)
                if not octets:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    complaints = (complaints + octets)[-WORDS:]
                else:
                    answers += octets
                    heard = time.monotonic()
                    found = _answer(answers, told)
                    if found is not None:
                        return found
            now = time.monotonic()
            if now - asked >= LOOK:
                asked = now
                if not wanted():
                    raise Cancelled("cancelled")
            if now - heard > HANG:
                raise TryAgain(f"the media process said nothing for {HANG:.0f} s")
    raise TryAgain(_why(process, complaints))


def _answer(answers: bytearray, told: Callable[[float], None]) -> dict[str, Any] | None:
    """What came of it, once that is said. Raises JobFailed, TryAgain."""
    while (end := answers.find(b"\n")) >= 0:
        line = bytes(answers[:end])
        del answers[: end + 1]
        try:
            said = json.loads(line)
            if "at" in said:
                told(float(said["at"]))
            elif "error" in said:
                if said["code"] == "disk":
                    raise TryAgain(f"it cannot be written: {said['error']}")
                raise JobFailed("bad_media", str(said["error"])[:LINE])
            else:
                return dict(said["done"])
        except (ValueError, KeyError, TypeError):
            raise TryAgain("the media process speaks in riddles") from None
    if len(answers) > LONGEST:
        raise TryAgain("the media process says too much")
    return None


def _why(process: subprocess.Popen[bytes], complaints: bytes) -> str:
    """What a process died of."""
    status = process.wait(5)
    lines = complaints.decode(errors="replace").strip().splitlines()
    said = f": {lines[-1][:LINE]}" if lines else ""
    if status < 0:
        return f"the media process was ended by {signal.Signals(-status).name}{said}"
    return f"the media process ended with {status}{said}"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    process.wait()
