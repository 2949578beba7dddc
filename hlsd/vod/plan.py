"""Decides what is made of a film: which renditions, and of what is copied bit for bit. Pure.

Law: what players can play is copied, nothing is made larger than it was, and all renditions have key pictures at the
same instants.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

from hlsd.base.errors import MediaError
from hlsd.vod.forms import PICTURES, SOUND

SOUND_ALONE: Final = "audio"
"""Name of the rendition that has no pictures."""
TEXTS: Final = 8
"""Tracks of text that are carried."""
SOUNDS: Final = 8
"""Tracks of sound that are carried."""
MOST_TEXT: Final = 4 << 20
"""Bytes of one of them."""
MAX_WIDTH: Final = 8192
MAX_HEIGHT: Final = 4320
MAX_RATE: Final = 240
HD_FROM: Final = 720
"""Lines from which a film is HD."""
_LINES: Final = {
    "240p": 240, "360p": 360, "sd": 480, "480p": 480, "540p": 540, "720p": 720, "hd": 1080, "1080p": 1080,
    "1440p": 1440, "2160p": 2160,
}  # fmt: skip
"""Lines at most of a rendition, by its name; the smallest first."""
_MOST: Final = {
    240: 500_000, 360: 900_000, 480: 1_400_000, 540: 2_000_000, 720: 3_000_000, 1080: 5_000_000, 1440: 9_000_000,
    2160: 16_000_000,
}  # fmt: skip
"""Bits a second that pictures of so many lines may have for a while."""
RANGES: Final = {16: "PQ", 18: "HLG"}
"""What VIDEO-RANGE says of transfer characteristics (ITU-T H.273) that are HDR."""
_H264_PROFILES: Final = frozenset({66, 77, 88, 100, 578})
"""Baseline, Main, Extended, High and Constrained Baseline: 8 bits, 4:2:0."""
_H264_LEVEL: Final = 52
_HEVC_PROFILES: Final = frozenset({1, 2})
"""Main and Main 10."""
_AAC_LC: Final = frozenset({-99, 1, 4, 28})
"""Profiles of AAC as libavcodec counts: not told, LC, HE, HEv2."""


class TextTrack(NamedTuple):
    """A track of text: `stream` is its number in the file; what it says of its language and its name, or ""."""

    stream: int
    language: str
    title: str


class FilmSound(NamedTuple):
    """A track of sound: `stream` is its number in the file; what it says of its language and its name, or "".

    `fits`: players can play it as it is; if not, it becomes AAC of two `channels` at most.
    """

    stream: int
    language: str
    title: str
    fits: bool
    channels: int


class Unheard(NamedTuple):
    """A track of sound that is left out, and why."""

    stream: int
    language: str
    title: str
    reason: str


class Probed(NamedTuple):
    """What a film is, as far as its file says. `rotation` in degrees; `hdr`: PQ or HLG. Empty codec: it has none.

    `transfer` is as ITU-T H.273 counts.
    """

    form: str
    duration: float
    video: str
    profile: int
    level: int
    pixels: str
    width: int
    height: int
    frame_rate: float
    rotation: int
    hdr: bool
    interlaced: bool
    audio: str
    audio_profile: int
    audio_rate: int
    channels: int
    transfer: int = 0
    texts: Sequence[TextTrack] = ()
    sounds: Sequence[FilmSound] = ()
    """Those that can be read, the one first that is heard by who does not choose."""
    unheard: Sequence[Unheard] = ()

    @classmethod
    def read(cls, said: dict[str, Any]) -> Probed:
        """The same of JSON."""
        rows = {"texts": TextTrack, "sounds": FilmSound, "unheard": Unheard}
        return cls(**{**said, **{name: [row(*one) for one in said.get(name, ())] for name, row in rows.items()}})


class PlannedRendition(NamedTuple):
    """One rendition. `width` 0: there are no pictures; `copy_…`: as it is in the source.

    `further` are the tracks of sound that it has behind the first one.
    """

    name: str
    width: int
    height: int
    most: int
    copy_video: bool
    copy_audio: bool
    further: Sequence[FilmSound] = ()

    @classmethod
    def read(cls, said: dict[str, Any]) -> PlannedRendition:
        """The same of JSON."""
        return cls(**{**said, "further": [FilmSound(*one) for one in said.get("further", ())]})


def examine(film: Probed, longest: float) -> None:
    """Raises MediaError where a film is none that is taken; `longest` in seconds."""
    if not film.video and not film.audio:
        raise MediaError("it has neither pictures nor sound that can be read")
    if film.video and film.video not in PICTURES:
        raise MediaError(f"pictures of {film.video} are not read")
    if film.audio and film.audio not in SOUND and not film.video:
        raise MediaError(f"sound of {film.audio} is not read")
    if film.video and not (0 < film.width <= MAX_WIDTH and 0 < film.height <= MAX_HEIGHT):
        raise MediaError(f"pictures of {film.width}x{film.height}; {MAX_WIDTH}x{MAX_HEIGHT} is the most")
    if film.frame_rate > MAX_RATE:
        raise MediaError(f"more than {MAX_RATE} pictures a second")
    if film.duration > longest:
        raise MediaError(f"it lasts {film.duration:.0f} s; {longest:.0f} s is the most")


def plan(film: Probed, wanted: Sequence[str]) -> list[PlannedRendition]:
    """The renditions of a film that was examined; `wanted` by name, none for what fits it."""
    copy_audio = copies_sound(film.audio, film.audio_profile, film.channels)
    if not film.video:
        return [PlannedRendition("sd", 0, 0, 0, False, copy_audio)]
    alone = [PlannedRendition(SOUND_ALONE, 0, 0, 0, False, copy_audio)] if film.audio and SOUND_ALONE in wanted else []
    pictures = [name for name in wanted if name != SOUND_ALONE]
    return alone if alone and not pictures else [*_pictures(film, pictures, copy_audio=copy_audio), *alone]


def copies_sound(codec: str, profile: int, channels: int) -> bool:
    """Whether players can play such sound as it is; `profile` as libavcodec counts."""
    return codec == "aac" and profile in _AAC_LC and 0 < channels <= 8


def _pictures(film: Probed, wanted: Sequence[str], *, copy_audio: bool) -> list[PlannedRendition]:
    """The renditions with pictures, the smallest first, no two of one size."""
    width, height = (film.height, film.width) if film.rotation % 180 else (film.width, film.height)
    fits = can_copy(film)
    own = "hd" if min(width, height) >= HD_FROM else "sd"
    names = [name for name in _LINES if name in wanted] if wanted else [own] if fits else ["sd", "hd"]
    if own == "sd" and names != [own]:  # nothing is made larger: hd of a small film is its sd
        names = list(dict.fromkeys("sd" if name == "hd" else name for name in names))
    found: list[PlannedRendition] = []
    for name in names:
        copied = fits and (name == own or _LINES[name] >= min(width, height))
        across, lines = (width, height) if copied else scaled(width, height, _LINES[name])
        if not any((one.width, one.height) == (across, lines) for one in found):
            most, further = _MOST[_LINES[name]], film.sounds[1:]
            found.append(PlannedRendition(name, across, lines, most, copied, copy_audio, further))
    return found


def can_copy(film: Probed) -> bool:
    """Whether players can play its pictures as they are."""
    if film.rotation % 360 or film.interlaced:
        return False  # not every player turns a picture, none of a browser's makes whole ones of fields
    if film.video == "h264":
        return film.profile in _H264_PROFILES and film.level <= _H264_LEVEL and film.pixels in {"yuv420p", "yuvj420p"}
    if film.video == "hevc":
        return film.profile in _HEVC_PROFILES and film.pixels in {"yuv420p", "yuvj420p", "yuv420p10le"}
    return False


def scaled(width: int, height: int, lines: int) -> tuple[int, int]:
    """The largest even size of that shape with at most so many lines on its shorter side, and no larger than it was."""
    shorter = min(width, height)
    share = Fraction(min(shorter, lines), shorter)
    return max(2, round(width * share) // 2 * 2), max(2, round(height * share) // 2 * 2)
