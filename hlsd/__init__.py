"""hlsd: a live HLS server that knows its viewers.

    import hlsd

    server = hlsd.Server(hlsd.load(None, {}, {"http.port": 8000}))
    async with server: ...

What an embedder needs stands in `__all__`, and with its types in `__init__.pyi`; docs/embedding.md tells the rest. It
is loaded when it is first used: whoever wants the version, or one module, does not pay for the server and libav.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "CannotListen": "hlsd.app",
    "Client": "hlsd.subjects",
    "ConfigError": "hlsd.base.errors",
    "HlsdError": "hlsd.base.errors",
    "HostedApp": "hlsd.delivery.hosted",
    "Publisher": "hlsd.subjects",
    "Relay": "hlsd.subjects",
    "Server": "hlsd.app",
    "Settings": "hlsd.config",
    "Snapshot": "hlsd.subjects",
    "Subject": "hlsd.subjects",
    "Viewer": "hlsd.subjects",
    "asgi": "hlsd.app",
    "load": "hlsd.config",
}
"""Where each name of the face lives."""

__all__ = [  # noqa: PLE0604 - the names are strings
    "__version__",
    *_HOMES,
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - __init__.pyi says what (PEP 562)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'hlsd' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
