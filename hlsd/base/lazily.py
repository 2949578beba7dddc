"""Loads a module when something of it is used first: what an operator does not use is to cost neither time nor memory.

Used as `httpx = lazily("httpx")`, in the `else` of an `if TYPE_CHECKING: import httpx`, so that type checkers see an
ordinary import. The first look costs as long as the import: whoever is configured to need it looks at the start.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType


def lazily(name: str) -> ModuleType:
    """The module `name`, which is loaded by the first look at something of it. Raises ModuleNotFoundError."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"no module named {name}", name=name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
