"""What a stranger shows is never compared with a secret by `==`, which says by its time how much of it was right."""

from __future__ import annotations

import ast
import re

from tests.support.sources import CHECKOUT, parsed, paths

SECRET = re.compile(r"(^|_)(token|secret|password|passphrase|signature|sign|h?mac|digest|bearer|cookie|nonce)s?$")
WHOLE = "the digest of a file, which is no secret"
LET_PASS = {
    ("hlsd/record/remote/upload.py", "found.digest != digest.digest"): WHOLE,
    ("hlsd/record/remote/upload.py", "await self.read_back(key, found.size) == digest.digest"): WHOLE,
    ("hlsd/record/remote/uploads.py", "await upload.read_back(copy.key, found.size) == digest"): WHOLE,
    ("hlsd/webrtc/stun.py", "cookie != COOKIE"): "the magic number of STUN",
    (
        "hlsd/ingest/srt/caller.py",
        "told.block(hs.KM_ANSWER) != self._secret",
    ): "an answer to us, and no oracle: one try",
    ("hlsd/notify/notify.py", "before.send_secrets != settings.send_secrets"): "a switch of the configuration",
}


def named(node: ast.expr) -> str:
    """What an expression is called."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return named(function)
        case ast.Subscript(value=value):
            return named(value)
    return ""


def compared(source: ast.AST) -> list[str]:
    """Comparisons of something secret with what is no constant."""
    return [
        ast.unparse(node)
        for node in ast.walk(source)
        if isinstance(node, ast.Compare)
        and any(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops)
        and not any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))
        and any(SECRET.search(named(side)) for side in (node.left, *node.comparators))
    ]


def test_secrets_are_compared_in_constant_time() -> None:
    found = {(str(path.relative_to(CHECKOUT)), text) for path in paths() for text in compared(parsed(path))}
    assert found - set(LET_PASS) == set()
    assert set(LET_PASS) - found == set(), "it is gone: take it off the list"


def test_the_rule_finds_what_it_is_for() -> None:
    assert compared(ast.parse("if given == self._token: pass")) == ["given == self._token"]
    assert compared(ast.parse("return request.headers['x-signature'] == sign(body)")) != []
    assert compared(ast.parse("if token == '': pass")) == []
