"""Writes the tracks of text of a film as WebVTT, one file for each. In the media process.

Law: libavcodec gives every kind of text as lines of ASS; of these the words are kept, and nothing of how they look.
What is written is bounded, and no word of a stranger's can end a cue or begin another one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import av

from hlsd.vod.film import Film
from hlsd.vod.hybrid import ORIGIN
from hlsd.vod.orders import MediaOrder
from hlsd.vod.plan import MOST_TEXT

MOST_CUES: Final = 50_000
"""Of a track."""
LONGEST: Final = 2000
"""Characters of a cue."""
_STAYS: Final = 5.0
"""Seconds for which text is shown that does not say how long."""
_FIELDS: Final = 8
"""Commas before the text in a line of ASS as libavcodec gives it: ReadOrder, Layer, Style, Name, margins, Effect."""
_LOOKS: Final = re.compile(r"\{[^}]*\}")
_HEAD: Final = f"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{int(ORIGIN * 90_000)},LOCAL:00:00:00.000\n"
""""X-TIMESTAMP-MAP ... maps WebVTT cue timestamps to media timestamps" (RFC 8216 §3.5): a film begins at ORIGIN."""


class Cue(NamedTuple):
    """Text, from when to when; seconds of the film."""

    begin: float
    end: float
    text: str


def write_texts(order: MediaOrder, film: Film, told: Callable[[float], None]) -> list[int]:
    """Writes each track of `order.texts` into its file; how many cues each has."""
    streams = {one.stream: film.container.streams[one.stream] for one in order.texts}
    found: dict[int, list[Cue]] = {index: [] for index in streams}
    try:
        for packet in film.container.demux(list(streams.values())):
            if packet.pts is None or not packet.size:
                continue  # what comes behind the last one, to be decoded, is of no track
            cues = found[packet.stream_index]
            if len(cues) >= MOST_CUES:
                continue
            at = float(packet.pts * packet.time_base) - film.start
            text = _text(packet, streams[packet.stream_index].codec_context)
            if text:
                last = float(packet.duration * packet.time_base) if packet.duration else _STAYS
                cues.append(Cue(max(0.0, at), max(0.0, at) + min(last, 3600.0), text))
            told(at)
    except av.FFmpegError:
        pass  # what was read up to here is there
    for one, fd in zip(order.texts, order.outputs, strict=True):
        view = memoryview(webvtt(found[one.stream]))
        while view:
            view = view[os.write(fd, view) :]
    return [len(found[one.stream]) for one in order.texts]


def _text(packet: Any, context: Any) -> str:  # noqa: ANN401 - libav's
    try:
        said = context.decode2(packet)
    except av.FFmpegError:
        return ""
    lines = [words(bytes(one.ass)) for one in said or () if getattr(one, "ass", b"")]
    return "\n".join(line for line in lines if line)


def words(ass: bytes) -> str:
    """What a line of ASS says, as the text of a cue; "" if nothing."""
    pieces = ass.decode("utf-8", "replace")[: 4 * LONGEST].split(",", _FIELDS)
    plain = _LOOKS.sub("", pieces[-1]).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    plain = "".join(one for one in plain if one == "\n" or one.isprintable())
    # "-->" and an empty line would end it (WebVTT §4.1); `&` and `<` begin what is no text
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "\n".join(line.strip() for line in plain[:LONGEST].split("\n") if line.strip())


def webvtt(cues: list[Cue]) -> bytes:
    """The file."""
    out = bytearray(_HEAD.encode())
    for one in sorted(cues):
        piece = f"\n{_time(one.begin)} --> {_time(max(one.end, one.begin + 0.1))}\n{one.text}\n".encode()
        if len(out) + len(piece) > MOST_TEXT:
            break
        out += piece
    return bytes(out)


def _time(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
