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
        _without_rich()
        from hlsd.commands.process import serve  # noqa: PLC0415

        raise SystemExit(serve(*asked))
    from hlsd.commands.cli import main as every_command  # noqa: PLC0415

    every_command()


def _without_rich() -> None:
    """Lets structlog and uvicorn be loaded without what they would only draw tracebacks and watch files with.

    Both look whether these are installed, and do without; the log's tracebacks are plain ones (`hlsd.base.log`).
    """
    hidden = [name for name in ("rich", "watchfiles", "greenlet") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: an import of it finds nothing
    try:
        import structlog  # noqa: F401, PLC0415
        import uvicorn  # noqa: F401, PLC0415
    finally:
        for name in hidden:
            del sys.modules[name]
