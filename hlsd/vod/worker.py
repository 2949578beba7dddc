"""Is `hlsd worker`: works at jobs until SIGTERM or SIGINT. What it has not finished, another one goes on with.

It ends at once: its media processes are killed with it, and a step that was cut off is done again by whoever has the
job then. Nothing is worth waiting for.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from hlsd.base.errors import HlsdError
from hlsd.vod.engine import POLL, Engine
from hlsd.vod.presence import BEAT
from hlsd.vod.settings import VodSettings

REAP: Final = 2.0
"""Seconds between two looks for dead workers."""

TIDY: Final = 60.0
"""Seconds between two rounds of forgetting."""


class CannotWork(HlsdError):
    """The worker cannot begin."""


def work(settings: VodSettings, state: Path, ready: Callable[[Engine], None] = lambda _: None) -> int:
    """Works until a signal; does not return then, but ends the process with 0. Raises CannotWork."""
    log = structlog.get_logger()
    logging.getLogger("dbos").setLevel(logging.ERROR)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    state.mkdir(parents=True, exist_ok=True)
    engine = Engine(settings, state, log)
    try:
        engine.start()
    except (SQLAlchemyError, OSError) as error:
        raise CannotWork(f"vod: the jobs cannot be had: {_first_line(error)}") from None
    log.info("worker started", worker=engine.worker, jobs_at_once=settings.concurrency)
    ready(engine)
    every = {engine.beat: BEAT, engine.feed: POLL, engine.reap: REAP, engine.tidy: TIDY}
    due = dict.fromkeys(every, 0.0)
    while not stop.wait(POLL):
        now = time.monotonic()
        for duty, when in list(due.items()):
            if now >= when:
                due[duty] = now + every[duty]
                try:
                    duty()
                except SQLAlchemyError as error:
                    log.warning("the jobs cannot be had for now", reason=_first_line(error))
    try:
        engine.stop()
    except SQLAlchemyError as error:
        log.warning("others will have to find out that this worker is gone", reason=_first_line(error))
    log.info("worker stopped")
    os._exit(0)  # threads are in the midst of steps; what they would still write is no more theirs


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0][:200]
