"""Tells whether the uvicorn that is installed is one that our listeners can be built on.

Protocols of ours override uvicorn's httptools protocol, and our servers call the steps of its `Server` one by
one; none of that is its public promise. So pyproject.toml gives a range and not one version, which embedders could not
stand, and the names are looked at when a listener starts. A protocol that does not fit leaves uvicorn's own in its
place: plain ASGI, which answers the same, but slower and without our bounds. A `Server` that does not fit is an error,
said at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hlsd.base.errors import HlsdError

STEPS: Final = ("startup", "main_loop", "shutdown", "on_tick")
"""Coroutine functions of `uvicorn.Server` that are called one by one."""
OVERRIDDEN: Final[Sequence[tuple[str, int]]] = (
    ("connection_made", 2),
    ("connection_lost", 2),
    ("data_received", 2),
    ("pause_writing", 1),
    ("resume_writing", 1),
    ("shutdown", 1),
    ("on_message_begin", 1),
    ("on_header", 3),
    ("on_headers_complete", 1),
    ("on_body", 2),
    ("on_message_complete", 1),
    ("send_400_response", 2),
    ("_unset_keepalive_if_required", 1),
    ("_unsupported_upgrade_warning", 1),
)
"""Names of uvicorn's protocol that are overridden or called, and how many parameters they have."""
STATE: Final = frozenset((
    "parser", "transport", "flow", "scheme", "client", "pipeline", "scope", "headers", "cycle", "server_state",
    "timeout_keep_alive_task", "connections",
))  # fmt: skip
"""What a connection of uvicorn's keeps, and ours read and write."""
SOURCE: Final = (
    "self.parser.feed_data(data)",
    "self.cycle.more_body = False",
    "self.pipeline.appendleft((self.cycle, app))",
    'keep_alive=http_version != "1.0" and self.parser.should_keep_alive()',
    'headers = self.default_headers + list(message.get("headers", []))',
    'content.append(b"connection: close\\r\\n")',
    "self.cycle.keep_alive = False",
)
"""What it does with them, in its own words: that which no name shows."""
LOST: Final = (
    "ready answers (each request costs several times as much), deadlines and sizes of heads and bodies, bounds of "
    "connections of one address, the check of Host, FLV by WebSocket"
)
"""What is not there where uvicorn's own protocol stands in for ours."""


def misfit(protocol: type[Any] = HttpToolsProtocol) -> str:
    """What our protocols want of `protocol` and do not find; empty if they fit. Costs milliseconds: asked once."""
    for name, parameters in OVERRIDDEN:
        found = inspect.getattr_static(protocol, name, None)
        if not inspect.isfunction(found):
            return f"{protocol.__name__} has no {name}"
        if len(inspect.signature(found).parameters) != parameters:
            return f"{protocol.__name__}.{name} takes other arguments"
    if missing := sorted(STATE - set(protocol.__init__.__code__.co_names)):
        return f"{protocol.__name__} keeps no {missing[0]}"
    try:
        source = inspect.getsource(inspect.getmodule(protocol) or protocol)
    except (OSError, TypeError):
        return ""  # packed without its sources: the names must do
    return next((f"{protocol.__name__} does not do {line!r} any more" for line in SOURCE if line not in source), "")


@cache
def fits() -> str:
    """`misfit` of the uvicorn that is installed, which does not change while we run."""
    return misfit()


def steps(server: type[Any] = uvicorn.Server) -> None:
    """Raises HlsdError if `server` cannot be run step by step."""
    for name in STEPS:
        if not inspect.iscoroutinefunction(getattr(server, name, None)):
            raise HlsdError(
                f"uvicorn {uvicorn.__version__} cannot be used: its Server has no coroutine {name}. "
                "Install a version that hlsd was tested with: pip install 'uvicorn==0.54.0'"
            )
