"""Says what the stream of a channel is called, and whether its SIM may send. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.base.stream_name import read_path

if TYPE_CHECKING:
    from hlsd.ingest.jt1078.settings import Jt1078Settings


class JtNames:
    """By `[jt1078]`."""

    def __init__(self, settings: Jt1078Settings) -> None:
        self._settings = settings
        self._exact = {sim.lstrip("0") for sim in settings.sims if not sim.endswith("*")}
        self._prefixes = tuple([sim[:-1].lstrip("0") for sim in settings.sims if sim.endswith("*")])

    def may_send(self, sim: str) -> bool:
        """Whether that SIM is on the list, or there is none."""
        phone = sim.lstrip("0")
        return not self._settings.sims or phone in self._exact or phone.startswith(self._prefixes or ("\0",))

    def path(self, sim: str, channel: int) -> tuple[str, str]:
        """App and stream."""
        settings, phone = self._settings, sim.lstrip("0")
        alias = settings.aliases.get(f"{phone}_{channel}")
        if alias is not None and (found := read_path(alias)) is not None:
            return found
        return settings.app, settings.name.format_map({"sim": sim, "phone": phone or "0", "channel": channel})
