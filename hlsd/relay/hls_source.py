"""Follows another server's HLS: says what to fetch next, fetches it in the loop, and gives media as stretches of bytes.

Law: a segment is handed over whole or not at all, once, in order. A stretch is what one demuxer can read: a new one
begins at a discontinuity, another initialisation section, a gap, and wherever segments were left out. What is bounded:
playlists and segments in bytes and seconds, redirections, tries, and how far behind the end it may fall. RFC 8216bis
§6.3; times in seconds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple

from structlog.typing import FilteringBoundLogger

from hlsd.base.errors import MediaError
from hlsd.relay.backoff import Backoff
from hlsd.relay.dial import SourceError
from hlsd.relay.handover import form_of
from hlsd.relay.hls_playlist import (
    PLAYLIST_LIMIT,
    KeyTag,
    Piece,
    UpstreamPart,
    UpstreamPlaylist,
    UpstreamVariant,
    choose,
    read_playlist,
)
from hlsd.relay.http_fetch import HttpFetch, StatusError

FROM_END: Final = 3
"""Segments before the end at which playing begins: "SHOULD NOT choose a segment that starts less than three target
durations from the end" (§6.3.3)."""
MAX_BEHIND: Final = 10
"""Segments of a live playlist that may wait; beyond it those up to the last three are left out."""
SEGMENT_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of a segment. Three may be in memory: one is fetched, one waits, one is handed over."""
INIT_LIMIT: Final = 1024 * 1024
KEY_SIZE: Final = 16
PLAYLIST_WITHIN: Final = 10.0
RELOADS: Final = 4
"""Tries of a playlist that was there before."""
LOST: Final = 3
"""Segments one after another that are listed and cannot be had, until the source counts as lost."""
NOWHERE: Final = -1
"""Before the first segment was listed."""
LARGE: Final = 8 * 1024
"""Bytes of a playlist above which it is read beside the event loop."""


class Stretch(NamedTuple):
    """Some media. `form` is the container where a new stretch begins, else ""."""

    form: str
    body: bytes


class HlsSource:
    """One upstream. `now` is a monotonic clock."""

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        url: str,
        fetch: HttpFetch,
        *,
        max_bandwidth: int,
        now: Callable[[], float],
        log: FilteringBoundLogger,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._most = max_bandwidth
        self._now = now
        self._log = log
        self._sleep = sleep
        self._loaded = 0.0
        """When the playlist was last asked for."""
        self._stale = False
        """Whether it was the same as before then."""
        self._next = NOWHERE
        """The media sequence number of the segment to come."""
        self._fresh = True
        """Whether the next segment begins a stretch."""
        self._form = ""
        self._init: UpstreamPart | None = None
        self._key: tuple[str, bytes] = ("", b"")
        """The key fetched last, and where from."""
        self._lost = 0

    async def stretches(self) -> AsyncIterator[Stretch]:
        """The media until the playlist ends. Raises SourceError when the source is lost, or cannot be carried."""
        listing = await self._open()
        self._next = self._start(listing)
        while True:
            piece = next((one for one in listing.pieces if one.msn >= self._next), None)
            if piece is None:
                if listing.ended:
                    return
                listing = await self._reload(listing)
                continue
            self._next = piece.msn + 1
            if piece.gap:  # "MUST NOT be loaded by clients" (§4.4.4.7)
                self._fresh = True
            else:
                for stretch in await self._media(piece, listing.target):
                    yield stretch
            if not listing.ended and self._now() - self._loaded > 2 * listing.target:
                listing = await self._reload(listing, at_once=True)

    # Playlists.

    async def _open(self) -> UpstreamPlaylist:
        found = await self._load()
        if isinstance(found, UpstreamPlaylist):
            return found
        try:
            chosen = choose(found, self._most)
        except MediaError as error:
            raise SourceError(str(error), final=True) from None
        self._log.info("relay variant chosen", bandwidth=chosen.bandwidth, codecs=chosen.codecs, of=len(found))
        if chosen.parted:
            self._log.warning("relay: sound or picture of this variant has a playlist of its own, and is left out")
        self._url = chosen.url
        found = await self._load()
        if not isinstance(found, UpstreamPlaylist):
            raise SourceError("a variant that is a multivariant playlist again", final=True)
        return found

    async def _load(self) -> UpstreamPlaylist | list[UpstreamVariant]:
        self._loaded = self._now()
        self._url, body = await self._fetch.get(self._url, PLAYLIST_LIMIT, PLAYLIST_WITHIN)
        try:
            if len(body) > LARGE:
                return await asyncio.to_thread(read_playlist, body, self._url)
            return read_playlist(body, self._url)
        except MediaError as error:
            raise SourceError(str(error), final=True) from None

    def _start(self, listing: UpstreamPlaylist) -> int:
        """Where to begin: three segments before the end of what goes on, at the first one of what does not."""
        if not listing.pieces:
            return NOWHERE
        at = 0 if listing.ended else max(0, len(listing.pieces) - FROM_END)
        self._fresh = True
        return listing.pieces[at].msn

    async def _reload(self, last: UpstreamPlaylist, *, at_once: bool = False) -> UpstreamPlaylist:
        """The playlist once more, when its time has come: "the target duration", half of it if nothing was new."""
        wait = self._loaded + last.target * (0.5 if self._stale else 1.0) - self._now()
        if wait > 0 and not at_once:
            await self._sleep(wait)
        backoff = Backoff(0.5, max(0.5, last.target))
        for attempt in range(1, RELOADS + 1):
            try:
                found = await self._load()
            except SourceError as error:
                if error.final or attempt == RELOADS:
                    raise
                await self._sleep(backoff.pause(random.random()))  # noqa: S311 - jitter
                continue
            if not isinstance(found, UpstreamPlaylist):
                raise SourceError("a media playlist that became a multivariant one", final=True)
            self._stale = found == last
            self._catch_up(found)
            return found
        raise AssertionError  # the last attempt returns or raises

    def _catch_up(self, listing: UpstreamPlaylist) -> None:
        """Leaves out what is not listed any more, and what there is no hope of getting in time."""
        if not listing.pieces:
            return
        first, last = listing.pieces[0].msn, listing.pieces[-1].msn
        if self._next == NOWHERE:
            self._next = self._start(listing)
        elif last < self._next - 1 and not listing.ended:
            # "MUST NOT decrease" (§4.4.3.2): the server has begun anew
            self._log.warning("relay: the playlist began anew", expected=self._next, last=last)
            self._next = self._start(listing)
        elif first > self._next or (not listing.ended and last - self._next >= MAX_BEHIND):
            start = self._start(listing)
            at = start if last - self._next >= MAX_BEHIND and not listing.ended else first
            self._log.warning("relay: segments left out", count=at - self._next)
            self._next, self._fresh = at, True

    # Media.

    async def _media(self, piece: Piece, target: float) -> list[Stretch]:
        """The segment, with what must go before it; nothing if it cannot be had."""
        within = 2 * max(target, piece.duration) + 5.0
        try:
            body = await self._part(piece.part, SEGMENT_LIMIT, within, again=True)
        except StatusError as error:
            self._lost += 1
            if self._lost >= LOST:
                raise
            self._log.info("relay: a segment is not there", status=error.status)
            self._fresh = True
            return []
        self._lost = 0
        try:
            if piece.key is not None:
                body = await self._decrypt(body, piece.key, piece.msn)
            return await self._joined(piece, body, within)
        except MediaError as error:
            raise SourceError(str(error)) from None

    async def _joined(self, piece: Piece, body: bytes, within: float) -> list[Stretch]:
        """The segment as the next of its stretch, or the first of a new one, then behind its initialisation section."""
        new = self._fresh or piece.discontinuity or piece.init != self._init
        form = "mp4" if piece.init is not None else self._form if not new else form_of(body)
        if not form:
            raise MediaError("segments that are no MPEG-TS, fMP4 or AAC")
        if not new:
            return [Stretch("", body)]
        self._fresh, self._form, self._init = False, form, piece.init
        if piece.init is None:
            return [Stretch(form, body)]
        head = await self._part(piece.init, INIT_LIMIT, within, again=True)
        if not form_of(head) and piece.key is not None:
            if piece.key.iv is None:  # "REQUIRED if it encrypts a Media Initialization Section" (§4.4.4.5)
                raise MediaError("an encrypted initialisation section without a vector")
            head = await self._decrypt(head, piece.key, 0)
        return [Stretch(form, head), Stretch("", body)]

    async def _part(self, part: UpstreamPart, limit: int, within: float, *, again: bool) -> bytes:
        """The bytes of a resource; tried a second time if the first one failed, for a new segment may be late."""
        if part.span is not None and part.span.size > limit:
            raise SourceError(f"a byte range of more than {limit} bytes")
        try:
            return (await self._fetch.get(part.url, limit, within, part.span)).body
        except SourceError as error:
            if not again or (error.final and not isinstance(error, StatusError)):
                raise
        await self._sleep(0.5)
        return await self._part(part, limit, within, again=False)

    async def _decrypt(self, body: bytes, key: KeyTag, msn: int) -> bytes:
        """AES-128 in CBC mode with PKCS7 padding (§4.4.4.4); other methods belong to players with a licence."""
        if key.method != "AES-128" or key.form != "identity":
            raise SourceError(f"encrypted by {key.method} ({key.form}), which is not carried", final=True)
        if self._key[0] != key.url:
            secret = await self._part(UpstreamPart(key.url), KEY_SIZE, PLAYLIST_WITHIN, again=True)
            if len(secret) != KEY_SIZE:
                raise SourceError("a key that is not 16 bytes", final=True)
            self._key = (key.url, secret)
        # "the Media Sequence Number is to be used as the IV ... big-endian" (§5.2)
        return await asyncio.to_thread(_plain, body, self._key[1], key.iv or msn.to_bytes(16, "big"))


def _plain(body: bytes, key: bytes, iv: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - few need it
    from cryptography.hazmat.primitives.padding import PKCS7  # noqa: PLC0415

    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    unpadder = PKCS7(128).unpadder()
    try:
        padded = decryptor.update(body) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise MediaError("an encrypted segment that its key does not open") from None
