"""Is `hlsd worker`: works at the jobs of [vod], in a process of its own."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Annotated

import typer

from hlsd.base import log
from hlsd.base.errors import HlsdError
from hlsd.commands.options import ConfigFile, configuration, fail

StateDir = Annotated[Path | None, typer.Option(help="State folder of the server that it works for.")]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]


def register(application: typer.Typer) -> None:
    """Adds the command."""
    application.command()(worker)


def worker(config_file: ConfigFile = None, state_dir: StateDir = None, log_level: LogLevel = None) -> None:
    """Work at jobs that make streams of files, until SIGTERM or SIGINT."""
    given = {"server.state_dir": state_dir, "server.log_level": log_level}
    settings = configuration(config_file, {key: value for key, value in given.items() if value is not None}).settings
    if not settings.vod.enabled:
        fail("worker: vod.enabled is false: there are no jobs", 2)
    if importlib.util.find_spec("dbos") is None:
        fail("worker: it needs hlsd[vod]: pip install 'hlsd[vod]'", 1)
    log.configure(settings.server.log_level, settings.server.log_format)
    os.umask(0o077)  # what it writes is its owner's
    from hlsd.vod.worker import work  # noqa: PLC0415 - DBOS and a database, which only this needs

    try:
        raise typer.Exit(work(settings.vod, settings.server.state_dir))
    except HlsdError as error:
        fail(str(error), 1)
