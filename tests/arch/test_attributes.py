"""An attribute of a class is that class's: who derives from it has names of its own for what it remembers.

Two that call different things by one name share one place without knowing it. A viewer by WebRTC and its transport both
had a `_begun`; where the handshake took longer than a turn, the one's was taken for the other's, and nothing was heard.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.sources import parsed, paths


def made(node: ast.ClassDef) -> set[str]:
    """Private attributes that a class's constructor sets."""
    found: set[str] = set()
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            for line in ast.walk(method):
                targets = line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(
                    line, ast.AnnAssign) else []  # fmt: skip
                for target in targets:
                    for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                        if isinstance(one, ast.Attribute) and ast.unparse(one.value) == "self":
                            found.add(one.attr)
    return {name for name in found if name.startswith("_")}


def shared(trees: list[ast.Module]) -> Iterator[str]:
    """`Class.attribute of Base` for each that both set."""
    classes = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    own = {name: made(node) for name, node in classes.items()}
    for name, node in classes.items():
        above = [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]
        seen: set[str] = set()
        while above:
            base = above.pop()
            if base in classes and base not in seen:
                seen.add(base)
                yield from (f"{name}.{attribute} of {base}" for attribute in own[name] & own[base])
                above += [ast.unparse(one).partition("[")[0].rpartition(".")[2] for one in classes[base].bases]


def test_the_rule_sees_what_it_is_for() -> None:
    """The base of a base counts too, and what is public may be set anew."""
    text = """
class Base:
    def __init__(self):
        self._begun, self.open = False, True
class Between(Base):
    def __init__(self):
        self._other: int = 1
class Last(Between):
    def __init__(self):
        self._begun = True
        self.open = False
"""
    assert list(shared([ast.parse(text)])) == ["Last._begun of Base"]


def test_no_class_takes_a_name_of_its_base() -> None:
    """Of all classes."""
    assert list(shared([parsed(path) for path in paths()])) == []
