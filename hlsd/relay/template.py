"""Fills the URL templates of relay rules: `rtmp://origin/{app}/{stream}?{sign}`.

Law: scheme, user and host are the operator's words alone. No field may stand before the path, so that nothing a viewer
says (names, arguments) can choose where a connection goes; what is filled in is percent-encoded for where it stands.
Fields: {app} {stream} {path} {server_id} {args.NAME} {sign} {exp} {g1}…{g9}. Pure; `now` is seconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from hlsd.relay.address import LONGEST, read_address
from hlsd.relay.signs import SIGNS, Scheme

_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_KNOWN: Final = re.compile(r"app|stream|path|server_id|sign|exp|g[1-9]|args\.[A-Za-z0-9_.-]{1,64}")
_HEAD: Final = re.compile(r"[a-z]+://[^/?]*")
VIA: Final = "hlsd-via"
"""The argument in which servers name themselves, so that a loop is seen."""
_CARRY_ARGUMENTS: Final = frozenset({"rtmp", "rtmps", "http", "https"})


class TemplateSubject(NamedTuple):
    """What a template is filled with: the stream, the viewer's arguments and what the rule's pattern caught."""

    app: str
    name: str
    args: Mapping[str, str]
    groups: Sequence[str] = ()


class Signing(NamedTuple):
    """How URLs are signed: `ttl` in seconds."""

    scheme: Scheme = "none"
    secret: str = ""
    ttl: int = 3600


UNSIGNED: Final = Signing()


class Template:
    """One URL template. Raises ValueError where it is not one."""

    def __init__(self, text: str) -> None:
        self._text = text
        for match in _FIELD.finditer(text):
            if not _KNOWN.fullmatch(match[1]):
                raise ValueError(f"{{{match[1]}}} is no field of a relay URL")
        bare = _FIELD.sub("x", text)
        if "{" in bare or "}" in bare:
            raise ValueError("a brace without its partner")
        if "={sign}" in text:
            raise ValueError("{sign} is name and value at once: write ?{sign} or &{sign}")
        head = _HEAD.match(text)
        if (head is None and not text.startswith("file:")) or (head is not None and "{" in head[0]):
            raise ValueError("scheme and host of a relay URL are fixed: fields may stand in path and query only")
        address = read_address(bare)
        if address.scheme == "file" and any(name.startswith("args.") for name in self.fields_of(text)):
            raise ValueError("a viewer's arguments may not choose a file")
        self._before, self._mark, self._query = text.partition("?")

    @property
    def fields(self) -> set[str]:
        """The names of the fields in it."""
        return self.fields_of(self._text)

    @staticmethod
    def fields_of(text: str) -> set[str]:
        """The names of the fields in a text."""
        return {match[1] for match in _FIELD.finditer(text)}

    def fill(  # noqa: PLR0913 - what an address is made of
        self,
        subject: TemplateSubject,
        *,
        now: float,
        server_id: str,
        signing: Signing = UNSIGNED,
        forward: Sequence[str] = (),
        via: str = "",
    ) -> str:
        """The URL of this instant, signed until `now + ttl`; ValueError if it would be too long.

        `forward` names arguments of the viewer's that go along; `via` is who has carried the stream so far.
        """
        expires = int(now) + signing.ttl
        values = {
            "app": subject.app,
            "stream": subject.name,
            "path": f"{subject.app}/{subject.name}",
            "server_id": server_id,
            "exp": str(expires),
            "sign": "",
            **{f"g{number}": caught for number, caught in enumerate(subject.groups[:9], 1)},
        }

        def put(match: re.Match[str]) -> str:
            field = match[1]
            if field.startswith("args."):
                value = subject.args.get(field[5:], "")
                return "" if value in {".", ".."} else quote(value, safe="")
            if field == "sign":
                return values["sign"]  # pairs of our own making
            return quote(values.get(field, ""), safe="/")

        before = _FIELD.sub(put, self._before)
        address = read_address(before)
        values["sign"] = SIGNS[signing.scheme](address.path, expires, signing.secret)
        query = [_FIELD.sub(put, self._query)] if self._query else []
        if address.scheme in _CARRY_ARGUMENTS:
            query += [
                f"{quote(name, safe='')}={quote(subject.args[name], safe='')}"
                for name in forward
                if name in subject.args
            ]
            if via:
                query.append(f"{VIA}={quote(via, safe='.,')}")
        url = before + (("?" + "&".join(part for part in query if part)) if any(query) else "")
        if len(url) > LONGEST:
            raise ValueError("the URL would be too long")
        return url


def looped(args: Mapping[str, str], server_id: str) -> bool:
    """Whether the stream has come through this server already."""
    return server_id in args.get(VIA, "").split(",")


def carried(args: Mapping[str, str], server_id: str) -> str:
    """The `hlsd-via` of what goes on from here; a long chain keeps its end."""
    return ",".join([*[part for part in args.get(VIA, "").split(",") if part][-8:], server_id])
