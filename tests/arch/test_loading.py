"""What a server does not use it does not load: of the libraries that take time and memory, none before it is needed."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("httpx", "jwt", "cryptography")


def test_a_server_that_needs_none_of_them_loads_none_of_them() -> None:
    code = (
        "import sys, hlsd.commands.cli, hlsd.app\n"
        "from hlsd.config.settings import Settings\n"
        "hlsd.app.Server(Settings())\n"
        f"print(*[name for name in {HEAVY!r} if any(loaded.startswith(name + '.') for loaded in sys.modules)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not done.stdout.split(), "loaded without need"
