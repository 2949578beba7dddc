"""What is decided in one place is decided in no other."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

import pytest

from tests.support.sources import CHECKOUT, parsed, paths, read

NAMES = ("cam", "a.b_c-d~e", "7", "x" * 128)
NO_NAMES = ("", "a b", "a/b", "a!b", "a:b", "a%b", "é")
PATHS = tuple(f"live/{name}" for name in NAMES)
NO_PATHS = (*NAMES, "live/a b", "live/a!b", "live/a:b", "live/é")


def constants(folder: str = "hlsd") -> Iterator[tuple[str, str | bytes]]:
    """Every text in the code, and where it stands."""
    for path in paths(folder):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                yield f"{path.relative_to(CHECKOUT)}:{node.lineno}", node.value


def is_rule_for(text: str | bytes, good: tuple[str, ...], bad: tuple[str, ...]) -> bool:
    """Whether the text is an expression for what is `good` and for nothing that is `bad`."""
    if len(text) > 300 or not set("[\\" if isinstance(text, str) else b"[\\") & set(text):
        return False
    expression = text if isinstance(text, str) else text.decode("latin-1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rule = re.compile(expression)
    except (re.error, OverflowError):
        return False
    return all(rule.fullmatch(one) for one in good) and not any(rule.fullmatch(one) for one in bad)


def is_name_rule(text: str | bytes) -> bool:
    return is_rule_for(text, NAMES, NO_NAMES) or is_rule_for(text, PATHS, NO_PATHS)


@pytest.mark.parametrize(
    "expression",
    [
        r"[A-Za-z0-9_-][A-Za-z0-9._~-]{0,127}",
        r"(?!\.|~)(?!.*\.\.)[A-Za-z0-9._~-]{1,128}",
        r"^[A-Za-z0-9._~-]{1,128}$",
        r"^/?[A-Za-z0-9._~-]{1,128}/[A-Za-z0-9._~-]{1,128}$",
        r"/?([A-Za-z0-9_-][A-Za-z0-9._~-]{0,127})/([A-Za-z0-9_-][A-Za-z0-9._~-]{0,127})",
        rb"(?a)[\w.~-]+",
        r"[a-zA-Z\d_.~-]{1,200}",
    ],
)
def test_a_rule_for_names_is_known_when_it_is_seen(expression: str | bytes) -> None:
    """The nine that there were, and others that might come."""
    assert is_name_rule(expression)


def test_what_a_stream_may_be_called_stands_once() -> None:
    """There were nine rules, not alike: a name that one let pass was another's surprise."""
    found = {place for place, text in constants() if is_name_rule(text)}
    assert {place.partition(":")[0] for place in found} == {"hlsd/base/stream_name.py"}


def test_which_apps_are_the_servers_own_stands_once() -> None:
    """One list that lacks an entry gives a stream's address to a page, or the other way round."""
    found = [
        path.relative_to(CHECKOUT).as_posix()
        for path in paths()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Set | ast.Tuple | ast.List)
        and {"_", "api"} <= {item.value for item in node.elts if isinstance(item, ast.Constant)}
    ]
    assert found == ["hlsd/base/stream_name.py"]


def test_proxies_are_read_once() -> None:
    """Five readers of one setting were five chances to trust another peer."""
    readers = {
        path.relative_to(CHECKOUT / "hlsd").as_posix()
        for path in paths()
        if re.search(r"Proxies\(.+\)", read(path).replace("Proxies()", ""))
    }
    assert readers <= {"delivery/settings.py"}


@pytest.mark.parametrize("reason", ["absent", "rejected"])
def test_a_refusal_that_two_rooms_give_is_one_value(reason: str) -> None:
    """`Denial(404, "not found", "absent")` stood three times: one with other words tells a stranger who refused it."""
    made = [
        path.relative_to(CHECKOUT).as_posix()
        for path in paths()
        for _ in re.findall(rf'Denial\((?:404, "not found"|403, "not allowed"), "{reason}"\)', read(path))
    ]
    assert made == ["hlsd/ports/admission.py"]


def test_nobody_but_the_operators_client_speaks_http_to_the_operator() -> None:
    """Two clients had two sets of limits, two signatures and two readers of one answer."""
    users = {
        path.relative_to(CHECKOUT / "hlsd").as_posix()
        for folder in ("auth", "notify", "operator")
        for path in (CHECKOUT / "hlsd" / folder).glob("*.py")
        if "AsyncClient(" in read(path) or "hmac.digest" in read(path)
    }
    assert users == {"operator/client.py", "operator/signature.py", "auth/gate.py"}  # the gate: names of tokens
