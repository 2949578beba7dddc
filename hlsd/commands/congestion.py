"""Says what the settings of TCP's congestion control come to on this machine, for the user who asks."""

from __future__ import annotations

from hlsd.config import Settings
from hlsd.net.congestion import AUTO, BETTER, outlook


def listing(settings: Settings) -> str:
    """A comment of TOML for each setting, behind the listing of `hlsd check`. Opens sockets, sends nothing."""
    http = settings.http.congestion
    wanted = {
        "http": http,
        "https": http if settings.https.congestion is None else settings.https.congestion,
        "rtmp": settings.rtmp.congestion,
        "relay": settings.relay.congestion,
    }
    lines = ["# TCP congestion control, as this kernel gives it to this user:"]
    for section, name in wanted.items():
        held, missed = outlook(name)
        lines.append(
            f"#   {section}.congestion: {held or 'none'}" + (f" (not {_plain(name)}: {missed})" if missed else "")
        )
    return "\n".join(lines) + "\n"


def _plain(name: str) -> str:
    return BETTER if name == AUTO else name
