"""Asks for a user and a password, and checks what comes: Basic (RFC 7617) and Digest (RFC 2617, without qop). Pure.

A nonce is of one connection, so what was overheard is of no use on another; clients in use (ffmpeg, GStreamer, live555)
know MD5 and answer without qop.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

REALM: Final = "hlsd"
_PAIR: Final = re.compile(r'([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_LONGEST: Final = 4096


class ShownCredentials(NamedTuple):
    """What an Authorization header says. Holds secrets: never log it."""

    scheme: str
    """"basic" or "digest"."""
    user: str
    password: str = ""
    facts: Mapping[str, str] = {}


def challenges(nonce: str, *, digest: bool, basic: bool) -> list[str]:
    """What `WWW-Authenticate` says: the stronger one first."""
    asked = [f'Digest realm="{REALM}", nonce="{nonce}"'] if digest else []
    return [*asked, f'Basic realm="{REALM}"'] if basic else asked


def read_shown(header: str) -> ShownCredentials | None:
    """What is shown; None if it cannot be read."""
    scheme, _, rest = header.strip().partition(" ")
    if len(rest) > _LONGEST:
        return None
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(rest.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        user, colon, password = text.partition(":")
        return ShownCredentials("basic", user, password) if colon else None
    if scheme.lower() == "digest":
        facts = dict(_pairs(rest))
        return ShownCredentials("digest", facts.get("username", ""), "", facts)
    return None


def proves(shown: ShownCredentials, user: str, password: str, nonce: str, method: str) -> bool:
    """Whether what is shown is this user's; `nonce` is the connection's."""
    if not _same(shown.user, user):
        return False
    if shown.scheme == "basic":
        return _same(shown.password, password)
    facts = shown.facts
    if not _same(facts.get("nonce", ""), nonce) or facts.get("realm") != REALM or "qop" in facts:
        return False
    # "KD ( H(A1), unq(nonce-value) ":" H(A2) )" (RFC 2617 §3.2.2.1); the URI is as the client has it, for some leave
    # off its query or a track's control: the method and the connection's nonce are what bind it.
    secret = _md5(f"{user}:{REALM}:{password}")
    asked = _md5(f"{method}:{facts.get('uri', '')}")
    return _same(facts.get("response", "").lower(), _md5(f"{secret}:{nonce}:{asked}"))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for matched in _PAIR.finditer(text):
        key, quoted, plain = matched.groups()
        yield key.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
