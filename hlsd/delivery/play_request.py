"""Says who asks by HTTP to watch: the request as authorisation, sessions and events see it. Pure."""

from __future__ import annotations

from hlsd.delivery.request import Request, Target, arguments, playback_id
from hlsd.ports import PlayRequest


def play_request(request: Request, target: Target, protocol: str) -> PlayRequest:
    """The viewer of `target` by that protocol; `request` says already whose it is behind proxies.

    Raises:
        BadRequest: arguments that two readers could take differently, or too many.
    """

    def text(name: bytes, most: int = 512) -> str:
        return request.headers.get(name, b"").decode("latin-1")[:most]

    scheme, _, token = text(b"authorization", 8192).partition(" ")
    return PlayRequest(
        target.app,
        target.name,
        protocol,
        request.peer,
        request.peer_port,
        query=arguments(request.query),
        user_agent=text(b"user-agent"),
        referer=text(b"referer", 1024),
        origin=text(b"origin"),
        host=text(b"host"),
        bearer=token.strip() if scheme.lower() == "bearer" else "",
        playback_id=playback_id(request.headers, request.query),
    )
