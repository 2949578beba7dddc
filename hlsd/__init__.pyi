# What `import hlsd` offers, with its types; a test holds it equal to `hlsd.__all__`.

from hlsd.app import CannotListen, Server, asgi
from hlsd.base.errors import ConfigError, HlsdError
from hlsd.config import Settings, load
from hlsd.delivery.hosted import HostedApp
from hlsd.subjects import Client, Publisher, Relay, Snapshot, Subject, Viewer

__version__: str
_HOMES: dict[str, str]

__all__ = [
    "CannotListen",
    "Client",
    "ConfigError",
    "HlsdError",
    "HostedApp",
    "Publisher",
    "Relay",
    "Server",
    "Settings",
    "Snapshot",
    "Subject",
    "Viewer",
    "__version__",
    "asgi",
    "load",
]
