"""Reads what a publisher announces (SDP, RFC 8866): of each track its codec, its clock and what is told beside. Pure.

Law: never raises for what is in it; a track that cannot be carried is named, and the others are taken.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from hlsd.base.errors import MediaError
from hlsd.ingest.mpeg.latm import LatmSound
from hlsd.media import aac
from hlsd.media.sounds import SoundFormat

LINES: Final = 1000
TRACKS: Final = 16
_STATIC: Final = {0: ("PCMU", 8000, 1), 8: ("PCMA", 8000, 1), 14: ("MPA", 90_000, 0), 33: ("MP2T", 90_000, 0)}
"""RFC 3551 §6."""
PICTURES: Final = {"H264": "h264", "H265": "h265"}
_SPROPS: Final = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")
SETS: Final = 16
"""Parameter sets that are taken of a description."""


@dataclass(frozen=True, slots=True)
class AnnouncedTrack:
    """One. `rate`: ticks a second of its RTP times. `form`: of sound that is carried."""

    control: str
    kind: str
    """"video", "audio" or something else."""
    payload: int
    codec: str
    """As SDP names it, in capitals; empty: not told."""
    rate: int = 90_000
    facts: dict[str, str] = field(default_factory=dict)
    form: SoundFormat | None = None
    sets: tuple[bytes, ...] = ()
    """Parameter sets told beside the pictures."""

    @property
    def carried(self) -> bool:
        """Whether it can be."""
        return self.codec in PICTURES if self.kind == "video" else self.form is not None

    @property
    def named(self) -> str:
        """For people."""
        return f"{self.kind} {self.codec or self.payload}"


def read_description(text: bytes) -> list[AnnouncedTrack]:
    """The tracks, in order."""
    sections: list[list[str]] = []
    for line in text.decode("utf-8", "replace").splitlines()[:LINES]:
        if line.startswith("m="):
            sections.append([line])
        elif sections:
            sections[-1].append(line)
    return [_track(section, number) for number, section in enumerate(sections[:TRACKS])]


def _track(lines: list[str], number: int) -> AnnouncedTrack:
    words = lines[0][2:].split()
    kind = words[0].lower() if words else ""
    payload = (
        int(words[3]) if len(words) > 3 and words[3].isascii() and words[3].isdigit() and len(words[3]) < 4 else -1
    )
    codec, rate, channels = _STATIC.get(payload, ("", 90_000, 1))
    control, facts = f"trackID={number}", dict[str, str]()
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name == "a=control" and value.strip():
            control = value.strip()
        elif name == "a=rtpmap" and value.split(" ", 1)[0] == str(payload):
            codec, rate, channels = _map(value, rate)
        elif name == "a=fmtp" and value.split(" ", 1)[0] == str(payload):
            facts = _facts(value.partition(" ")[2])
    form = _form(codec, rate, channels, facts) if kind == "audio" else None
    sets = _sets(facts) if kind == "video" else ()
    return AnnouncedTrack(control, kind, payload, codec, rate, facts, form, sets)


def _map(value: str, rate: int) -> tuple[str, int, int]:
    """`96 MPEG4-GENERIC/48000/2`."""
    parts = value.partition(" ")[2].strip().split("/")
    numbers = [int(part) if part.isascii() and part.isdigit() and len(part) < 8 else 0 for part in parts[1:3]]
    return parts[0].upper(), (numbers[0] if numbers else 0) or rate, (numbers[1] if len(numbers) > 1 else 0) or 1


def _facts(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for piece in text.split(";")[:64]:
        key, _, value = piece.strip().partition("=")
        if key:
            found.setdefault(key.lower(), value.strip())
    return found


def _sets(facts: dict[str, str]) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for name in _SPROPS:
        for text in facts.get(name, "").split(","):
            try:
                unit = base64.b64decode(text.strip(), validate=True)
            except (binascii.Error, ValueError):
                continue
            if 2 < len(unit) <= 4096 and len(found) < SETS:
                found.append(unit)
    return tuple(found)


def _form(codec: str, rate: int, channels: int, facts: dict[str, str]) -> SoundFormat | None:
    if codec in ("PCMU", "PCMA") and channels <= 2 and rate <= 48_000:
        return SoundFormat("pcm_mulaw" if codec == "PCMU" else "pcm_alaw", b"", rate, channels)
    if codec == "OPUS":
        # "The number of channels … MUST be 2" in rtpmap; what packets hold, they say (RFC 7587 §7)
        return SoundFormat("opus", b"", 48_000, 2)
    if codec == "MPEG4-GENERIC":
        if facts.get("mode", "aac-hbr").lower() not in ("aac-hbr", "aac-lbr"):
            return None
        return _aac(_hex(facts.get("config", "")))
    if codec == "MP4A-LATM" and facts.get("cpresent", "1") == "0":
        return LatmSound().told(_hex(facts.get("config", "")))
    return None


def _aac(config: bytes) -> SoundFormat | None:
    """Of a track whose configuration is not told nothing can be made: it is nowhere else."""
    try:
        track = aac.read_record(config)
    except MediaError:
        return None
    return SoundFormat("aac", config, track.sample_rate, track.channels)


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text[:2048])
    except ValueError:
        return b""
