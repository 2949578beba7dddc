"""Reads what stands before the packet in a tag of Enhanced RTMP: modifiers, and the tracks of a multitrack tag.

Law: track 0 is the one that is carried, in whichever form it comes ("It is RECOMMENDED that trackId 0 be used for the
default track of a given media type"); of the others no more is read than what they are. Bounded in modifiers and in
tracks. Audio and video have the same forms under other numbers. Source: Enhanced RTMP v2, ExAudioTagHeader and
ExVideoTagHeader.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Final, NamedTuple

from hlsd.base.errors import MediaError

MOD_EX: Final = 7
"""VideoPacketType and AudioPacketType: modifiers stand before the packet."""
VIDEO_MULTITRACK: Final = 6
"""VideoPacketType: a packet, or several, each of a track that is named."""
AUDIO_MULTITRACK: Final = 5
"""AudioPacketType: likewise."""

_MOD_EX_LIMIT: Final = 8
_TIMESTAMP_OFFSET_NANO: Final = 0
_LAST_NANOSECOND: Final = 999_999
_ONE_TRACK, _MANY_CODECS = 0, 2
_FOURCC_LETTERS: Final = frozenset(string.ascii_letters + string.digits + ".-")
_TRACKS_LIMIT: Final = 256
"""Tracks in a tag: the id of one is a byte (`videoTrackId = UI8`). 8 MB have room for two million empty ones."""


class TrackName(NamedTuple):
    """A track of a publisher's: its id, and its FourCC as text (`?` for what is no ASCII letter, digit or `.-`)."""

    id: int
    fourcc: str


def skip_modifiers(tag: bytes) -> tuple[int, int]:
    """The packet type behind ModEx packets, and where what follows it begins. They may repeat: eight is plenty.

    The one that there is adds nanoseconds, less than a millisecond, to the time of the message. Publishers' clocks are
    read in ms here, so it is checked and left: "modExData MUST be at least 3 bytes, storing values up to 999,999 ns".
    Raises MediaError.
    """
    position = 1
    try:
        for _ in range(_MOD_EX_LIMIT):
            size = tag[position] + 1
            position += 1
            if size == 256:
                size = (tag[position] << 8 | tag[position + 1]) + 1
                position += 2
            data = position
            position += size
            kind, packet = tag[position] >> 4, tag[position] & 15
            position += 1
            if kind == _TIMESTAMP_OFFSET_NANO:
                _check_nanoseconds(tag[data : data + min(size, 3)])
            if packet != MOD_EX:
                return packet, position
    except IndexError:
        raise MediaError("a tag that ends inside its modifiers") from None
    raise MediaError("too many modifiers in a tag")


def _check_nanoseconds(data: bytes) -> None:
    if len(data) < 3 or int.from_bytes(data, "big") > _LAST_NANOSECOND:
        raise MediaError(f"a nanosecond offset of {data.hex()}, where 3 bytes up to {_LAST_NANOSECOND} are lawful")


def default_track(tag: bytes, position: int) -> tuple[int, bytes, bytes] | None:
    """Packet type, FourCC and body of track 0 of a multitrack tag whose head ends at `position`.

    None if only other tracks are in it. Raises MediaError.
    """
    packet, tracks = _tracks(tag, position)
    for track, fourcc, begin, end in tracks:
        if track == 0:
            return packet, fourcc, tag[begin:end]
    return None


def other_tracks(tag: bytes, multitrack: int) -> list[TrackName]:
    """The tracks beside track 0 in a tag; `multitrack`: the packet type that says there are any. Raises MediaError."""
    packet, position = tag[0] & 15, 1
    if packet == MOD_EX:
        packet, position = skip_modifiers(tag)
    if packet != multitrack:
        return []
    return [TrackName(track, _text(fourcc)) for track, fourcc, _, _ in _tracks(tag, position)[1] if track]


def _text(fourcc: bytes) -> str:
    return "".join(chr(octet) if chr(octet) in _FOURCC_LETTERS else "?" for octet in fourcc)


def _tracks(tag: bytes, position: int) -> tuple[int, Iterator[tuple[int, bytes, int, int]]]:
    """The packet type of a multitrack tag, and of each track in it id, FourCC, and where its body begins and ends."""
    if position >= len(tag):
        raise MediaError("a multitrack tag without tracks")
    kind, packet = tag[position] >> 4, tag[position] & 15
    if packet == MOD_EX:  # what follows it would be modifiers, and no tracks
        raise MediaError("modifiers inside a multitrack tag")
    if kind > _MANY_CODECS:
        return packet, iter(())  # a multitrack type still to come
    return packet, _walk(tag, position + 1, kind)


def _walk(tag: bytes, position: int, kind: int) -> Iterator[tuple[int, bytes, int, int]]:
    fourcc = b""
    if kind != _MANY_CODECS:
        fourcc = tag[position : position + 4]
        position += 4
    if kind == _ONE_TRACK:
        if position >= len(tag):
            raise MediaError("a multitrack tag without tracks")
        yield tag[position], fourcc, position + 1, len(tag)
        return
    for _ in range(_TRACKS_LIMIT):
        if position >= len(tag):
            return
        if kind == _MANY_CODECS:
            fourcc = tag[position : position + 4]
            position += 4
        begin = position + 4
        end = begin + int.from_bytes(tag[position + 1 : begin], "big")
        if end > len(tag):
            raise MediaError("a multitrack tag that ends inside a track")
        yield tag[position], fourcc, begin, end
        position = end
    if position < len(tag):
        raise MediaError("more tracks in a tag than there are ids")
