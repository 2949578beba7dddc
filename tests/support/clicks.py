"""Films with a flash and a click at each full second, in every codec of sound; and when both come out again.

The picture is white for a frame when the click begins, so whoever has decoded both can say how far they are apart. The
sound is encoded by real encoders: Debian's ffmpeg for what FLV knew, a current one for what came by FourCC.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import av
import numpy as np

from hlsd.media import aac, flv
from hlsd.media.unit import AccessUnit, Kind, Tracks
from tests.support.encoders import current_ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.support.collected import Tag

PLAIN: Final = {
    "speex": ("libspeex", 16_000, 1),
    "speex-several": ("libspeex", 16_000, 1),
    "nellymoser-8": ("nellymoser", 8_000, 1),
    "nellymoser-11": ("nellymoser", 11_025, 1),
    "nellymoser-22": ("nellymoser", 22_050, 1),
    "nellymoser-44": ("nellymoser", 44_100, 1),
    "g711a": ("pcm_alaw", 8_000, 1),
    "g711a-16": ("pcm_alaw", 16_000, 1),
    "g711u-44-stereo": ("pcm_mulaw", 44_100, 2),
    "mp3": ("libmp3lame", 44_100, 2),
    "mp3-48": ("libmp3lame", 48_000, 1),
    "adpcm": ("adpcm_swf", 22_050, 1),
    "pcm": ("pcm_s16le", 44_100, 2),
}
"""Encoder, hertz and channels of what Debian's ffmpeg puts into FLV."""
BY_FOURCC: Final = {
    "opus": ("libopus", 48_000, 2),
    "ac-3": ("ac3", 48_000, 2),
    "e-ac-3": ("eac3", 48_000, 2),
    "flac": ("flac", 44_100, 2),
}
"""Likewise of what a current one writes as Enhanced RTMP."""
NAMES: Final = {
    "speex": "Speex",
    "nellymoser": "Nellymoser",
    "g711a": "G.711 A-law",
    "g711u": "G.711 mu-law",
    "mp3": "MP3",
    "adpcm": "ADPCM",
    "pcm": "PCM",
    "opus": "Opus",
    "ac": "AC-3",
    "e": "E-AC-3",
    "flac": "FLAC",
}
"""What the API calls a codec, by the beginning of a film's name."""


def name_of(codec: str) -> str:
    """What the API calls the codec of a film."""
    return NAMES[codec.partition("-")[0]]


def missing() -> str:
    """Why films cannot be made here; empty if they can."""
    return "" if shutil.which("ffmpeg") else "ffmpeg is not installed"


@dataclass(frozen=True, slots=True)
class ClickFilm:
    """A film of `seconds` at 25 pictures a second with sound in `codec`, a key of PLAIN or BY_FOURCC."""

    codec: str
    seconds: int = 20
    busy: bool = False
    """Whether there are tones and noise too: what encoders have work with."""

    def make(self, directory: Path) -> Path:
        """The file in `directory`, encoded if it is not there yet; who wants the same one meanwhile waits for it."""
        path = directory / f"clicks-{hashlib.sha256(repr(self).encode()).hexdigest()[:16]}.flv"
        if not path.exists():
            directory.mkdir(parents=True, exist_ok=True)
            with path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not path.exists():
                    self._encode(path.with_suffix(".part"))
                    path.with_suffix(".part").replace(path)
        return path

    def tags(self, directory: Path) -> list[Tag]:
        """Its tags: type, ms, body."""
        return [(tag.type, tag.timestamp, tag.body) for tag in flv.FileReader().feed(self.make(directory).read_bytes())]

    def _encode(self, path: Path) -> None:
        encoder, rate, channels = {**PLAIN, **BY_FOURCC}[self.codec]
        picture = "color=black:s=96x64:r=25,drawbox=c=white:t=fill:enable='lt(mod(n,25),1)'"
        rest = "0.03*(sin(400*PI*t)+sin(1310*PI*t)+sin(3970*PI*t))+0.02*random(0)" if self.busy else "0"
        click = f"aevalsrc='if(lt(mod(t,1),0.03),0.7*sin(1600*PI*mod(t,1)),{rest})':s={rate}"
        command = [
            *(current_ffmpeg() if self.codec in BY_FOURCC else "ffmpeg", "-v", "error", "-nostdin", "-y"),
            *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", click, "-t", str(self.seconds)),
            *("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-g", "25", "-bf", "0"),
            *("-pix_fmt", "yuv420p", "-c:a", encoder, "-ar", str(rate), "-ac", str(channels)),
            *(("-frames_per_packet", "8") if self.codec == "speex-several" else ()),
            *("-f", "flv", str(path)),
        ]
        subprocess.run(command, check=True)


def as_id_13(tags: Iterable[Tag], *, head: bool) -> list[Tag]:
    """Opus by FourCC as sound format 13, which nobody standardised: raw packets, with or without an OpusHead before."""
    turned: list[Tag] = []
    for kind, time, body in tags:
        if kind != flv.AUDIO or body[1:5] != b"Opus":
            turned.append((kind, time, body))
        elif body[0] == 0x91 or (body[0] == 0x90 and head):
            turned.append((kind, time, b"\xdf" + body[5:]))
    return turned


def bundled(tags: Sequence[Tag], count: int) -> list[Tag]:
    """The sound of `count` tags in one, as some senders put Nellymoser."""
    turned: list[Tag] = []
    waiting: list[Tag] = []
    for tag in tags:
        if tag[0] != flv.AUDIO:
            turned.append(tag)
            continue
        waiting.append(tag)
        if len(waiting) == count:
            turned.append((flv.AUDIO, waiting[0][1], waiting[0][2] + b"".join(body[1:] for _, _, body in waiting[1:])))
            waiting = []
    return turned


@dataclass(frozen=True, slots=True)
class Heard:
    """What came out: seconds on the stream's own timeline."""

    flashes: list[float]
    clicks: list[float]
    samples: NDArray[np.float32]
    """The sound, the loudest of its channels, laid out by the times of its frames; silence where there is none."""
    begin: float
    """When its first sample is heard."""

    def apart(self) -> list[float]:
        """How much later than its flash each click is heard, seconds; AssertionError where one has no other half."""
        assert self.flashes
        assert self.clicks
        found = []
        for flash in self.flashes:
            if not self.begin + 0.1 < flash < self.begin + len(self.samples) / 48_000 - 0.2:
                continue
            nearest = min(self.clicks, key=lambda click: abs(click - flash))
            assert abs(nearest - flash) < 0.45, f"no click at {flash:.3f} s"
            found.append(nearest - flash)
        return found

    def apart_after(self, begin: float) -> list[float]:
        """As `apart`, of the flashes from that second on; what is heard without a flash is left aside."""
        end = self.begin + len(self.samples) / 48_000 - 0.2
        return [min((click - flash for click in self.clicks), key=abs) for flash in self.flashes if begin < flash < end]


def heard(units: Sequence[AccessUnit], tracks: Tracks) -> Heard:
    """Decodes what a stream handed to its outputs."""
    assert tracks.audio is not None
    sound, begin = _sound([unit for unit in units if unit.kind is Kind.AUDIO], tracks.audio.record)
    return Heard(_flashes(units, tracks), _onsets(sound, begin), sound, begin)


def _sound(units: Sequence[AccessUnit], record: bytes) -> tuple[NDArray[np.float32], float]:
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = record
    rate = aac.read_record(record).sample_rate
    begin = units[0].dts / 90_000
    samples = np.zeros(round((units[-1].dts - units[0].dts) / 90_000 * rate) + 4096, np.float32)
    for unit in units:
        for frame in decoder.decode(av.Packet(unit.payload)):
            at = round((unit.dts / 90_000 - begin) * rate)
            samples[at : at + frame.samples] = np.abs(frame.to_ndarray()).max(axis=0)
    return samples, begin


def _onsets(sound: NDArray[np.float32], begin: float) -> list[float]:
    """When it becomes loud after at least 0.3 s of being quiet."""
    loud = np.flatnonzero(sound > 0.2)
    if not len(loud):
        return []
    return [begin + int(at) / 48_000 for at in loud[np.insert(np.diff(loud) > 14_400, 0, True)]]


def _flashes(units: Sequence[AccessUnit], tracks: Tracks) -> list[float]:
    assert tracks.video is not None
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = tracks.video.record
    found, before = [], True  # the first one may have begun earlier
    for unit in units:
        if unit.kind is not Kind.VIDEO:
            continue
        packet = av.Packet(unit.payload)
        packet.pts = unit.pts
        for frame in decoder.decode(packet):
            white = bool(frame.to_ndarray(format="gray").mean() > 128)
            if white and not before and frame.pts is not None:
                found.append(frame.pts / 90_000)
            before = white
    return found


def heard_file(path: Path) -> Heard:
    """As `heard`, of a file that a player has saved."""
    flashes: list[float] = []
    pieces: list[tuple[float, NDArray[np.float32]]] = []
    before = True
    with av.open(str(path)) as container:
        for frame in container.decode(video=0, audio=0):
            assert isinstance(frame, av.VideoFrame | av.AudioFrame)
            if frame.time is None:
                continue
            if isinstance(frame, av.VideoFrame):
                white = bool(frame.to_ndarray(format="gray").mean() > 128)
                if white and not before:
                    flashes.append(frame.time)
                before = white
            else:
                pieces.append((frame.time, np.abs(frame.to_ndarray()).max(axis=0)))
    begin = pieces[0][0]
    samples = np.zeros(round((pieces[-1][0] - begin) * 48_000) + 4096, np.float32)
    for at, piece in pieces:
        first = round((at - begin) * 48_000)
        samples[first : first + len(piece)] = piece
    return Heard(flashes, _onsets(samples, begin), samples, begin)
