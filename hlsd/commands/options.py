"""Is what the commands of the command line share: how the configuration file is named, and `hlsd.commands.process`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hlsd.commands.process import configuration, fail

__all__ = ["ConfigFile", "configuration", "fail"]

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
