"""An object is whole when it is made: what it works with is handed to its constructor, and nobody puts it there later.

What an object was given later it may not have yet, and the second who gives it takes the first one's away. So no
attribute that is declared as something that acts (a callable, or an object of ours that is no plain record) is set by
anybody but its owner; and nothing is set on an object of ours in the function that has just made it. Plain state that
others write (`session.last = now`) is lawful, and so are the few below, each for its reason.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import pytest

from tests.support.sources import CHECKOUT, parsed, paths, read

HLSD = CHECKOUT / "hlsd"

STATE = {
    "delivery/blocked_requests.py: waiter.queue": "where it stands now: only who keeps the queues knows",
    "delivery/hls_viewers.py: request.session": "the request is the record of what was found out about it",
    "delivery/judge.py: request.session": "the same",
    "record/playback.py: request.session": "the same",
    "timeshift/shift_endpoint.py: request.session": "the same",
    "delivery/http2/stream_requests.py: stream.session": "who its bytes are charged to, known once it was judged",
    "delivery/http2/stream_requests.py: waiter.common": "the queue that took it, after it had asked for a place",
    "delivery/runner.py: waiter.session": "whose wait it is, known once the viewer was let in",
    "delivery/flv/output.py: variant.tracks": "what it has been fed by now",
    "publishing/tagger.py: packet.stream": "a packet of libav's",
    "vod/making.py: mine.stream": "the same",
    "ingest/connection_bounds.py: place.state": "where it is filed, once it is",
    "sessions/returning.py: session.extra.moves": "what is remembered of the session that it continues",
    "streams/hub.py: channel.expected": "who is waited for, as long as somebody is",
    "streams/hub.py: publisher.received_before": "known once the name is his, and the run with it",
    "streams/publisher_events.py: channel.publisher": "who holds the name now",
}
"""What others may set all the same, and why."""

_RECORDS = re.compile(r"\b(Enum|Flag|IntFlag|NamedTuple|TypedDict|BaseModel|Section|\w*Error|Exception)\b")
_CONTAINERS = ("dict", "list", "set", "deque", "tuple", "frozenset", "Sequence", "Mapping", "Iterable", "Counter")


def is_record(node: ast.ClassDef) -> bool:
    """Whether a class only holds values: whoever has one writes into it."""
    made = any("dataclass" in ast.unparse(one) for one in node.decorator_list)
    return made or any(_RECORDS.search(ast.unparse(base)) for base in node.bases)


def words(node: ast.expr) -> str:
    """As `ast.unparse`, at once where it is a name with dots, which nearly all of them are."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{words(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ast.unparse(node)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All of them, those inside others too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def annotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """What a function says of its parameters."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return {one.arg: words(one.annotation) for one in given if one.annotation is not None}


def called(value: ast.expr | None) -> str:
    """The name of what an expression calls, with its dots; "" if it does not."""
    return words(value.func) if isinstance(value, ast.Call) else ""


def blocks(tree: ast.AST) -> Iterator[tuple[ast.stmt, int]]:
    """Every statement, and which block it stands in: one that stands in a branch may not have come before another."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            lines = getattr(node, name, None)
            if isinstance(lines, list):
                yield from ((line, id(lines)) for line in lines)


def assigned(tree: ast.AST) -> Iterator[tuple[ast.Assign | ast.AnnAssign, ast.expr]]:
    """Every assignment, and each of its targets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for one in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                    yield node, one


class Rule:
    """What is known of the classes in some files, by their text."""

    def __init__(self, trees: dict[str, ast.Module]) -> None:
        self.trees = trees
        nodes = [node for tree in self.trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        self.acting = {node.name for node in nodes if not is_record(node)}
        self.declared: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        """By attribute and class, what it was said to be."""
        for node in nodes:
            self._read(node)

    def _read(self, node: ast.ClassDef) -> None:
        for line in node.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                self.declared[line.target.id][node.name].add(words(line.annotation))
        for function in functions(node):
            given = annotated(function)
            for line, target in assigned(function):
                if isinstance(target, ast.Attribute) and words(target.value) == "self":
                    if isinstance(line, ast.AnnAssign):
                        said = words(line.annotation)
                    else:
                        said = given.get(words(line.value), "") or called(line.value)
                    self.declared[target.attr][node.name].add(said)

    def acts(self, annotation: str) -> bool:
        """Whether what is annotated so is a callable, or an object of ours with a life of its own."""
        heads = [one.strip().partition("[")[0] for one in re.split(r"\|(?![^\[]*\])", annotation)]
        return any(head == "Callable" or (head in self.acting and head not in _CONTAINERS) for head in heads)

    def broken(self) -> Iterator[str]:
        """`file: object.attribute` of each assignment that the law forbids."""
        for name, tree in self.trees.items():
            block = dict(blocks(tree))
            inside = {
                id(function): node.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ClassDef)
                for function in functions(node)
            }
            for function in functions(tree):
                own = inside.get(id(function), "")
                kinds = annotated(function)
                made: dict[str, tuple[str, int]] = {}
                for node, target in sorted(assigned(function), key=lambda pair: pair[0].lineno):
                    if isinstance(target, ast.Attribute) and (of := words(target.value)) not in ("self", "cls"):
                        fresh, where = made.get(of, ("", 0))
                        said = {fresh, kinds.get(of, "").partition(" |")[0]} | self._declared(own, of)
                        if (fresh in self.acting and where == block[node]) or self._acts(target.attr, said - {""}):
                            yield f"{name}: {of}.{target.attr}"
                    made[words(target)] = called(node.value), block[node]

    def _declared(self, own: str, of: str) -> set[str]:
        """What `self.x` is, as its class says."""
        first, _, attribute = of.partition(".")
        return self.declared.get(attribute, {}).get(own, set()) if first == "self" else set()

    def _acts(self, attribute: str, kinds: set[str]) -> bool:
        """Whether what is set is something that acts; where nobody says whose it is, any class may be meant."""
        where = self.declared.get(attribute, {})
        if any(re.match(r"(?!self\b)\w+\.[A-Z]", kind) for kind in kinds):  # `av.Packet(…)`: a library's
            return False
        there = [where[kind] for kind in kinds if kind in where] or where.values()
        return any(self.acts(said) for each in there for said in each)


def broken(sources: dict[str, str]) -> set[str]:
    """What of `sources` the law forbids."""
    return set(Rule({name: ast.parse(text) for name, text in sources.items()}).broken())


@cache
def broken_here() -> frozenset[str]:
    """What of our own it forbids."""
    return frozenset(Rule({path.relative_to(HLSD).as_posix(): parsed(path) for path in paths()}).broken())


OWNER = """
class Owner:
    def __init__(self, told: Callable[[], None], other: Other | None = None) -> None:
        self.told = told
        self.other: Other | None = other
        self.last = 0.0
        self.by_name: dict[str, Other] = {}

class Other:
    pass

@dataclass
class Note:
    at: float
"""


def test_the_rule_sees_what_it_is_for() -> None:
    """Each of these stood in the code once."""
    bad = """
def one(owner: Owner):
    owner.told = self.changed
def two():
    for owner in self.owners:
        owner.other = self
def three():
    pull = Owner(print)
    pull.last = 1.0
def four():
    self.owner = Owner(print)
    self.owner.last = 1.0
def five():
    owner.last, owner.told = 1.0, self.leave
"""
    assert broken({"a.py": OWNER, "b.py": bad}) == {
        "b.py: owner.told",
        "b.py: owner.other",
        "b.py: pull.last",
        "b.py: self.owner.last",
    }


def test_the_rule_leaves_state_alone() -> None:
    """What is read and written by those who pass it on is no collaborator."""
    good = """
def one(owner: Owner, note: Note):
    owner.last = note.at = 1.0
    owner.by_name = {}
def two():
    note = Note(1.0)
    note.at = 2.0
    found = self.owners.get(1)
    found.last = 2.0
def three():
    packet = av.Packet(b"")
    packet.other = self.other
def four(owner):
    if owner is None:
        owner = Owner(print)
    owner.last = 3.0
class Third:
    def __init__(self, seen: Seen) -> None:
        self.seen = Seen()
    def five(self):
        self.seen.told = 5.0
class Seen:
    def __init__(self) -> None:
        self.told: float = 0.0
"""
    assert broken({"a.py": OWNER, "b.py": good}) == set()


@pytest.mark.thorough
def test_what_an_object_works_with_it_has_from_its_construction_on() -> None:
    """A callback that is set later is lost to the second who sets it."""
    assert broken_here() - set(STATE) == set()


def test_no_leave_is_given_for_what_is_not_there() -> None:
    """A list of exceptions that nobody needs any more lets the next one in."""
    assert set(STATE) - broken_here() == set()


def test_nobody_sets_an_attribute_by_its_name_in_words() -> None:
    """`setattr` would hide it from all of this."""
    assert [path.name for path in paths() if re.search(r"\bsetattr\(", read(path))] == []
