"""Says for `hlsd check` what certificates the ports of TLS would show, and what is wrong with the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from hlsd.config import Settings
from hlsd.net.identity import Pair, pairs_in
from hlsd.net.tls import server_context


def told(settings: Settings) -> tuple[list[str], bool]:
    """A line for each certificate; and whether each port that is to speak TLS has one that it can use."""
    lines: list[str] = []
    usable = True
    rtmp, https = settings.rtmp, settings.https
    for port, pairs, folder, asked in (
        ("https", https.pairs, https.certificates_dir, https.secure),
        ("rtmps", rtmp.pairs, rtmp.certificates_dir, bool(rtmp.enabled and rtmp.tls_port)),
    ):
        good = 0
        for line, fine in _of_port(pairs, folder) if asked else ():
            lines.append(f"{port}: {line}")
            good += fine
        usable &= good > 0 or not asked
    return lines, usable


def _of_port(listed: list[tuple[str, str]], folder: str) -> Iterator[tuple[str, bool]]:
    pairs = [Pair(Path(cert), Path(key)) for cert, key in listed]
    if folder:
        try:
            found = pairs_in(Path(folder))
        except OSError as error:
            yield str(error.strerror), False
        else:
            if not found:
                yield f"no certificate with its key in {folder}", False
            pairs += [pair for pair in found if pair not in pairs]
    for pair in pairs:
        try:
            pair.load_into(server_context())
            one = pair.read()
        except OSError as error:
            yield str(error.strerror), False
            continue
        days = int((one.expires - time.time()) // 86400)
        until = datetime.fromtimestamp(one.expires, UTC).strftime("%Y-%m-%d")
        left = f"{days} days left" if days >= 0 else "EXPIRED"
        yield f"{pair.cert}: {', '.join(one.names[:8]) or 'no names'}; {one.kind}, until {until}, {left}", True
