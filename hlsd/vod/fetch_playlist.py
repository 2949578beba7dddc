"""Fetches a film that is there as HLS: the segments of a playlist that has ended, one behind the other, into a file.

Blocks: for the thread of a job. Law: as of a film that is one file (`hlsd.vod.fetch`): each address in a playlist is
judged like the first one, and bytes are bounded. Live playlists and encrypted ones are refused in words.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from hlsd.base.errors import MediaError
from hlsd.base.quantities import in_mib
from hlsd.relay.dial import Dial, SourceError
from hlsd.relay.hls_playlist import (
    PLAYLIST_LIMIT,
    Piece,
    UpstreamPart,
    UpstreamPlaylist,
    UpstreamVariant,
    choose,
    read_playlist,
)
from hlsd.relay.http_fetch import HttpFetch, StatusError
from hlsd.vod.fetch import awaited, check_url
from hlsd.vod.folder import SOURCE, TMP
from hlsd.vod.job import JobFailed, TryAgain
from hlsd.vod.settings import VodSettings

WITHIN: Final = 60.0
"""Seconds for a playlist, and for a segment."""
SEGMENT: Final = 128 << 20
"""Bytes of a segment: ten seconds of 100 Mbit/s."""
BANDWIDTH: Final = 12_000_000
"""Bits a second of the variant that is taken, at most: 1080p."""


def is_playlist(url: str) -> bool:
    """Whether a URL names a playlist, by its path."""
    return check_url(url).path.lower().endswith((".m3u8", ".m3u"))


def fetch_playlist(  # noqa: PLR0913, PLR0917 - as of `fetch`
    url: str,
    settings: VodSettings,
    dial: Dial,
    grow: Callable[[str], int],
    wanted: Callable[[], bool],
    told: Callable[[int, int], None],
) -> None:
    """Fetches into `grow(name)`, from the beginning; `told(segments, of)`. Raises JobFailed, TryAgain, Cancelled."""
    if not settings.urls:
        raise JobFailed("forbidden_url", "vod.urls is off: no URL is fetched")
    fd = grow(SOURCE + TMP)
    try:
        os.ftruncate(fd, 0)
        asyncio.run(awaited(_all(url, settings, HttpFetch(dial, lambda _: None), fd, told), wanted))
    finally:
        os.close(fd)


async def _all(url: str, settings: VodSettings, http: HttpFetch, fd: int, told: Callable[[int, int], None]) -> None:
    try:
        found = await _playlist(url, http)
        if isinstance(found, list):
            found = await _playlist(choose(found, BANDWIDTH).url, http)
        if not isinstance(found, UpstreamPlaylist):
            raise JobFailed("bad_media", "a playlist of playlists of playlists")
        await _segments(found, settings, http, fd, told)
    except MediaError as error:
        raise JobFailed("bad_media", str(error)) from None
    except SourceError as error:
        if error.final:
            code = "fetch_failed" if isinstance(error, StatusError) else "forbidden_url"
            raise JobFailed(code, str(error)) from None
        raise TryAgain(str(error)) from None


async def _playlist(url: str, http: HttpFetch) -> UpstreamPlaylist | list[UpstreamVariant]:
    fetched = await http.get(url, PLAYLIST_LIMIT, WITHIN)
    return read_playlist(fetched.body, fetched.url)


async def _segments(
    found: UpstreamPlaylist, settings: VodSettings, http: HttpFetch, fd: int, told: Callable[[int, int], None]
) -> None:
    if not found.ended:
        raise JobFailed("bad_media", "the playlist has no end: it is live")
    if sum(piece.duration for piece in found.pieces) > settings.max_duration:
        raise JobFailed("bad_media", "it lasts longer than vod.max_duration")
    init: UpstreamPart | None = None
    size = 0
    for number, piece in enumerate(found.pieces):
        if piece.key is not None:
            raise JobFailed("bad_media", "it is encrypted")
        if piece.gap:
            continue
        for part in _parts(piece, init):
            octets = (await http.get(part.url, SEGMENT, WITHIN, part.span)).body
            size += len(octets)
            if size > settings.max_bytes:
                raise JobFailed("too_large", f"it has more than {in_mib(settings.max_bytes)}")
            _write(fd, octets)
        init = piece.init
        told(number + 1, len(found.pieces))


def _parts(piece: Piece, before: UpstreamPart | None) -> list[UpstreamPart]:
    """What is fetched for a segment: its initialisation section first, where it is the first one."""
    if piece.init is None or piece.init == before:
        return [piece.part]
    if before is not None:
        raise JobFailed("bad_media", "its initialisation section changes in the middle")
    return [piece.init, piece.part]


def _write(fd: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(fd, view) :]
