"""Is what several commands of `hlsd` are given alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
