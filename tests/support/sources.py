"""The text of our own files and its syntax tree, each read once in a process: several rules go through all of them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@cache
def paths(folder: str = "hlsd") -> tuple[Path, ...]:
    """Every module below a folder of the checkout, in order."""
    return tuple(sorted((CHECKOUT / folder).rglob("*.py")))


@cache
def read(path: Path) -> str:
    """What stands in a file."""
    return path.read_text(encoding="utf-8")


@cache
def parsed(path: Path) -> ast.Module:
    """What it means; nobody changes it."""
    return ast.parse(read(path))
