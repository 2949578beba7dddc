"""Looks at what hlsd asks and shows: certificates, the operator's services, packages, the page's files."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from hlsd.base import masking
from hlsd.base.children import ENVIRONMENT
from hlsd.commands.certificates import told
from hlsd.commands.doctor.finding import Finding
from hlsd.config import Settings
from hlsd.delivery.pages import find_hls_js, find_publisher

WITHIN: Final = 3.0
"""Seconds for a connection: as long as a viewer would be willing to wait."""
EXTRAS: Final = {
    "webrtc": (("OpenSSL", "pylibsrtp"), "publishing by WHIP from browsers, OBS and ffmpeg"),
    "h2": (("hpack",), "HTTP/2, which Safari wants for low latency"),
    "store": (("obstore",), "recordings in S3"),
    "vod": (("dbos", "python_multipart"), "films of files, by jobs"),
}
"""What is optional: the modules, and what there is with them."""


def certificates(settings: Settings) -> Iterator[Finding]:
    """What the ports of TLS would show."""
    lines, usable = told(settings)
    for line in lines:
        bad = "EXPIRED" in line or "until" not in line
        yield Finding("bad" if bad else "good", "certificate", line, "`hlsd cert` writes one for tests" if bad else "")
    if not usable and not lines:
        yield Finding("bad", "certificate", "a port of TLS has none", "`hlsd cert` writes one for tests")


def reachable(settings: Settings) -> Iterator[Finding]:
    """Whether the operator's services can be connected to; nothing is asked of them."""
    auth = settings.auth
    urls = [("notify.url", url) for url in settings.notify.url]
    urls += [
        (key, url) for key, url in (("auth.callback_url", auth.callback_url), ("auth.jwt_jwks", auth.jwt_jwks)) if url
    ]
    for key, url in urls:
        if url.startswith(("http://", "https://")):
            yield _connect(key, url)


def _connect(key: str, url: str) -> Finding:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    what = f"{key} ({masking.address(url)})"
    host = parts.hostname or ""
    try:
        with socket.create_connection((host, parts.port or (443 if secure else 80)), WITHIN) as sock:
            if secure:
                with ssl.create_default_context().wrap_socket(sock, server_hostname=host):
                    pass
    except ssl.SSLCertVerificationError as error:
        return Finding("bad", what, error.verify_message, "its certificate must be one that this machine trusts")
    except (OSError, ValueError) as error:  # ValueError: a port or a name that is none
        waits = "pre… events and questions find nobody, others wait on disk"
        reason = getattr(error, "strerror", None) or error
        return Finding("bad", what, f"not reached: {reason}; {waits}", "start it, or mend the address")
    return Finding("good", what, "takes connections")


def programs(settings: Settings) -> Iterator[Finding]:
    """Whether the programs of events can be found, as the server will look for them."""
    for at, rule in enumerate(settings.notify.exec):
        found = shutil.which(rule.command[0], path=ENVIRONMENT["PATH"])
        what = f"notify.exec[{at}] ({rule.command[0]})"
        if found is None:
            yield Finding(
                "bad", what, "not there, or not to be run", f"name it by its path; PATH is {ENVIRONMENT['PATH']}"
            )
        else:
            yield Finding("good", what, found)


def packages(settings: Settings) -> Iterator[Finding]:
    """What is left out because it is not installed."""
    for extra, (modules, gives) in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            yield Finding("note", f"hlsd[{extra}]", f"not installed: no {gives}", f"pip install 'hlsd[{extra}]'")
        else:
            yield Finding("good", f"hlsd[{extra}]", gives)
    if find_hls_js(settings.http.hls_js) is None:
        said = "not there: the page plays only where the browser knows HLS itself"
        yield Finding("note", "hls.js", said, "`make run` in a checkout fetches it, or name a file by http.hls_js")
    else:
        yield Finding("good", "hls.js", "there")
    if find_publisher() is None:
        yield Finding(
            "note", "publish.js", "not built: pages publish by WebRTC alone", "`make run` in a checkout builds it"
        )
