"""Is what the commands share: how the configuration is found, and how a mistake is told.

An error of the operator's is one line on standard error for each problem, never a traceback.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from hlsd import config
from hlsd.base.errors import ConfigError

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar="HLSD_CONFIG",
        help="Configuration file; without it the checkout's conf/hlsd.toml, else /etc/hlsd/hlsd.toml, else defaults.",
    ),
]


def configuration(path: Path | None, overrides: dict[str, object]) -> config.Configuration:
    """The effective configuration; ends the command if it has mistakes."""
    try:
        return config.read(path or config.default_path(), os.environ, overrides)
    except ConfigError as error:
        fail(str(error), 2)


def fail(text: str, code: int) -> NoReturn:
    """Says what is wrong, and ends the command with `code`."""
    for line in text.splitlines():
        typer.echo(f"hlsd: {line}", err=True)
    raise typer.Exit(code)
