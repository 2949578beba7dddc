"""Is the console script `hlsd`: begins a server without what the other commands are made with.

Typer, and rich, which draws, are a tenth of the memory of an idle server. So a plain `serve` is read by
`hlsd.commands.serve_options`; everything else is left to `hlsd.commands.cli`.
"""

from __future__ import annotations

import os
import sys

from hlsd.commands.serve_options import plain


def main() -> None:
    """The entry point."""
    asked = plain(sys.argv[1:], os.environ)
    if asked is not None:
        from hlsd.commands import spared  # noqa: PLC0415

        spared.load()
        from hlsd.commands.process import serve  # noqa: PLC0415

        raise SystemExit(serve(*asked))
    from hlsd.commands.cli import main as every_command  # noqa: PLC0415

    every_command()
