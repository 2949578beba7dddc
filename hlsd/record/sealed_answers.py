"""Answers for recordings whose segments are not as they stand in the file: they are encrypted, or have less tracks.

The playlist with its keys, the keys, the segments. Files stand on the disk in the clear and whole; a segment is made by
a thread when somebody first asks for it, and the bytes are shared by all who want it then, or soon after. Bounded:
`BYTES` of such segments, in use or kept; more are refused.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.types import Send

from hlsd.delivery.answer import Reply
from hlsd.delivery.replies import Replies
from hlsd.delivery.request import Request
from hlsd.media.key_vault import KeyVault
from hlsd.media.segment_keys import KEY_TYPE, SegmentKeys, key_number
from hlsd.ports import Media, Rendering, ViewerSession
from hlsd.record.boxes import BadBox
from hlsd.record.open_recordings import Crowded, OpenRecording, OpenRecordings, Unreadable
from hlsd.record.sealed_playlist import sealed_rendering, vector_of
from hlsd.record.segments import FIRST, piece_of
from hlsd.record.shape import Layout
from hlsd.record.track_choice import TrackChoice, chosen_span

BYTES: Final = 192 << 20
LISTED: Final = 64
"""Playlists that are kept."""
_SEGMENT: Final = re.compile(r"s([1-9][0-9]{0,8})\.m4s", re.ASCII)
Charge = Callable[[ViewerSession | None, int, int], None]


class _Sealed:
    """One such segment, and how many are being sent it."""

    __slots__ = ("sealing", "size", "users")

    def __init__(self, sealing: asyncio.Future[bytes], size: int) -> None:
        self.sealing = sealing
        self.size = size
        self.users = 0


class SealedAnswers:
    """Of one way to what was recorded. `vault` says whose segments are encrypted; None: nobody's."""

    def __init__(self, open_recordings: OpenRecordings, replies: Replies, vault: KeyVault | None) -> None:
        self._open_recordings = open_recordings
        self._replies = replies
        self._vault = vault
        self._segments: OrderedDict[tuple[str, str], _Sealed] = OrderedDict()
        self._size = 0
        self._texts: OrderedDict[str, Rendering] = OrderedDict()

    def keys(self, recording: OpenRecording) -> SegmentKeys | None:
        """What it is encrypted by; None if by nothing."""
        row = recording.row
        return self._vault.recording(row.app, row.name, row.id) if self._vault is not None else None

    def listed(self, recording: OpenRecording) -> Rendering:
        """The playlist, with its keys if it has any; made once for what there is of it."""
        keys, plain = self.keys(recording), recording.listed
        if keys is None:
            return plain
        found = self._texts.get(plain.etag)
        if found is None:
            found = self._texts[plain.etag] = sealed_rendering(plain, lambda _: keys)
            if len(self._texts) > LISTED:
                self._texts.popitem(last=False)
        return found

    def no_file(self, request: Request) -> Reply:
        """Its file would be all of it in the clear."""
        return self._replies.refuse(request, 403, words="it is encrypted, and not to be downloaded")

    async def piece(  # noqa: PLR0913, PLR0917 - whose, of what, and where it goes
        self,
        request: Request,
        name: str,
        recording: OpenRecording,
        layout: Layout,
        keys: SegmentKeys | None,
        charge: Charge,
        send: Send,
    ) -> Reply | None:
        """A key, or a segment; None once it is sent. Raises Crowded, StoreFault, Unreadable."""
        count = len(recording.spans)
        number = key_number(name)
        if number is not None and keys is not None:
            # a piece is numbered by its first fragment, of which there are more than segments
            if number > keys.number(max(FIRST + count, len(layout.fragments))):
                return self._replies.refuse(request, 404, cache=b"max-age=1")
            tag = f'"{recording.row.id}-{name}"'
            return self._replies.resource(request, Media(keys.key(number), KEY_TYPE, tag, init=True, secret=True))
        found = _SEGMENT.fullmatch(name)
        place = piece_of(name, layout.fragments)
        if found is not None and int(found[1]) < FIRST + count:
            span = recording.spans[int(found[1]) - FIRST]
            place = span.offset, span.size
        if place is None:
            return self._replies.refuse(request, 404, cache=b"max-age=1")
        one = self._take(recording, name, place, keys)
        try:
            body = await asyncio.shield(one.sealing)
            tag = f'"{recording.row.id}-{name}{"" if keys is None else "-k"}"'
            reply = self._replies.resource(request, Media(body, "video/mp4", tag))
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            await send({"type": "http.response.body", "body": reply.body})
            charge(request.session, len(reply.body), reply.media)
        finally:
            one.users -= 1
        return None

    def _take(self, recording: OpenRecording, name: str, place: tuple[int, int], keys: SegmentKeys | None) -> _Sealed:
        """The segment as it is sent, which may be still under way; its user is counted."""
        key = recording.row.id, name
        one = self._segments.get(key)
        if one is None:
            self._make_room(place[1])
            made = asyncio.ensure_future(self._make(recording, name, place, keys))
            one = self._segments[key] = _Sealed(made, place[1])
            self._size += one.size
            made.add_done_callback(lambda done: self._made(key, done))
        self._segments.move_to_end(key)
        one.users += 1
        return one

    def _make_room(self, size: int) -> None:
        """Lets go of what nobody is being sent, the oldest first. Raises Crowded if that is not enough."""
        for key, one in list(self._segments.items()):
            if self._size + size <= BYTES:
                return
            if not one.users and one.sealing.done():
                del self._segments[key]
                self._size -= one.size
        if self._size + size > BYTES:
            raise Crowded("many segments are being made and sent")

    def _made(self, key: tuple[str, str], done: asyncio.Future[bytes]) -> None:
        if done.cancelled() or done.exception() is not None:  # whoever asks next tries again
            one = self._segments.pop(key, None)
            self._size -= one.size if one is not None else 0
        elif (one := self._segments.get(key)) is not None:  # it has less than its place in the file, or padding
            self._size += len(done.result()) - one.size
            one.size = len(done.result())

    async def _make(
        self, recording: OpenRecording, name: str, place: tuple[int, int], keys: SegmentKeys | None
    ) -> bytes:
        offset, size = place
        recording.users += 1
        try:
            plain = await self._open_recordings.read(recording, offset, size)
            if len(plain) != size:
                raise Unreadable("the recording is shorter than it was")
            return await self._open_recordings.do(lambda: _made(plain, name, recording.choice, keys))
        except BadBox as error:
            raise Unreadable(f"the recording is damaged: {error}") from None
        finally:
            self._open_recordings.put_back(recording)


def _made(plain: bytes, name: str, choice: TrackChoice | None, keys: SegmentKeys | None) -> bytes:
    """What is sent of a segment that stands in the file as `plain`. Raises BadBox."""
    octets = chosen_span(plain, choice) if choice is not None else plain
    return keys.seal(octets, *vector_of(name)) if keys is not None else octets
