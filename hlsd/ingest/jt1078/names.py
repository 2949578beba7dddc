"""Says what the stream of a channel is called, and whether its SIM may send. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hlsd.base.stream_name import read_path

if TYPE_CHECKING:
    from hlsd.ingest.jt1078.settings import Jt1078Settings

_SHAPES: Final = {"{sim}": "([0-9]{12}|[0-9]{20})", "{phone}": "([0-9]{1,20})", "{channel}": "(?:[0-9]{1,3})"}


class JtNames:
    """By `[jt1078]`."""

    def __init__(self, settings: Jt1078Settings) -> None:
        self._settings = settings
        self._exact = {sim.lstrip("0") for sim in settings.sims if not sim.endswith("*")}
        self._aliased = {path.strip("/") for path in settings.aliases.values()}
        parts = [_SHAPES.get(part, re.escape(part)) for part in re.split(r"(\{[a-z]+\})", settings.name)]
        self._shape = re.compile("".join(parts))
        self._prefixes = tuple([sim[:-1].lstrip("0") for sim in settings.sims if sim.endswith("*")])

    def may_send(self, sim: str) -> bool:
        """Whether that SIM is on the list, or there is none."""
        phone = sim.lstrip("0")
        return not self._settings.sims or phone in self._exact or phone.startswith(self._prefixes or ("\0",))

    def is_name(self, app: str, name: str) -> bool:
        """Whether a channel is called so."""
        if f"{app}/{name}" in self._aliased:
            return True
        found = self._shape.fullmatch(name) if app == self._settings.app else None
        return found is not None and all(self.may_send(digits) for digits in found.groups())

    def path(self, sim: str, channel: int) -> tuple[str, str]:
        """App and stream."""
        settings, phone = self._settings, sim.lstrip("0")
        alias = settings.aliases.get(f"{phone}_{channel}")
        if alias is not None and (found := read_path(alias)) is not None:
            return found
        return settings.app, settings.name.format_map({"sim": sim, "phone": phone or "0", "channel": channel})
