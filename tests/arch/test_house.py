"""What keeps the house one that a newcomer finds the way in: small files, one name for one thing, no circles."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from tests.support.sources import CHECKOUT, parsed, paths, read

HLSD = CHECKOUT / "hlsd"
MOST = 400
SOURCES = {path: read(path) for path in paths()}


def module(path: Path) -> str:
    """`hlsd.a.b` of a file."""
    return ".".join(path.relative_to(HLSD.parent).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Whatever a module names in an import, modules and their members alike."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_file_has_more_than_four_hundred_lines() -> None:
    long = {module(path): text.count("\n") for path, text in SOURCES.items() if text.count("\n") > MOST}
    assert long == {}


def test_no_two_classes_have_one_name() -> None:
    """Whoever reads one in a traceback or a signature must not have to ask which."""
    where: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                where[node.name].append(module(path))
    assert {name: there for name, there in where.items() if len(there) > 1} == {}


def test_no_two_modules_import_one_another() -> None:
    """Not for types either: what needs the other to be read is one noun, or the wrong cut."""
    names = {module(path): imported(path) for path in SOURCES if path.name != "__init__.py"}
    assert [(one, two) for one in names for two in names if one < two and two in names[one] and one in names[two]] == []
