"""Loads the libraries of a server without what they load for uses that nobody makes of them here: 5 MB of an idle one.

    rich, watchfiles, greenlet      structlog's drawing of tracebacks, uvicorn's reloading, contexts of other threads
    uvicorn.main, configparser      uvicorn's command line, and click with it; files that say how it logs
    pydantic.plugin._loader         plugins of pydantic, looked for in the metadata of all that is installed
    python_multipart                forms, of which there are none
    bz2, lzma                       forms of archives that shutil knows
    logging.config, html            what is loaded when something of it is used

What stands in for a module is there only while the others are loaded: whoever imports it later gets the true one. Only
that of pydantic's plugins stays, for models are made later too.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Final

_ABSENT: Final = ("rich", "watchfiles", "greenlet", "python_multipart", "multipart", "bz2", "lzma")
"""Those who use them look whether they are installed, and do without. The log's tracebacks are plain ones."""


class _Later(ModuleType):
    """Is loaded by the first look at something of it."""

    def __getattr__(self, name: str) -> object:
        return getattr(importlib.import_module(self.__name__), name)


class _UvicornMain(ModuleType):
    """What uvicorn's package takes from its command line: a class that lives elsewhere, and two commands."""

    main = run = None

    def __getattr__(self, name: str) -> object:
        return getattr(importlib.import_module("uvicorn.server"), name)


class _NoFiles(ModuleType):
    """`configparser` without its parsers: nobody hands one to uvicorn."""

    RawConfigParser = type("RawConfigParser", (), {})


class _NoPlugins(ModuleType):
    """What pydantic asks for its plugins: there are none, as with PYDANTIC_DISABLE_PLUGINS."""

    get_plugins = staticmethod(tuple)


def load() -> None:
    """Loads them."""
    stand_ins: dict[str, ModuleType | None] = dict.fromkeys(_ABSENT)  # None: an import of it finds nothing
    stand_ins |= {name: _Later(name) for name in ("logging.config", "html")}
    stand_ins |= {"uvicorn.main": _UvicornMain("uvicorn.main"), "configparser": _NoFiles("configparser")}
    placed = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(placed)  # type: ignore[arg-type] # None is what the import system takes as well
    sys.modules.setdefault("pydantic.plugin._loader", _NoPlugins("pydantic.plugin._loader"))
    try:
        for name in ("structlog", "uvicorn", "uvicorn.protocols.http.httptools_impl", "starlette.applications"):
            importlib.import_module(name)
    finally:
        for name in placed:
            del sys.modules[name]
