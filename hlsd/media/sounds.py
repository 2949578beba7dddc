"""Says which codecs of sound become AAC, what each is called, and what a packet of one is made of.

A codec is named as libavcodec names its decoder; SOUNDS has the names for people: logs, events, the API.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SOUNDS: Final[dict[str, str]] = {
    "aac": "AAC",
    "ac3": "AC-3",
    "adpcm_ima_smjpeg": "ADPCM",
    "adpcm_swf": "ADPCM",
    "eac3": "E-AC-3",
    "flac": "FLAC",
    "g726": "G.726",
    "g726le": "G.726",
    "mp2": "MP2",
    "mp3": "MP3",
    "nellymoser": "Nellymoser",
    "opus": "Opus",
    "pcm_alaw": "G.711 A-law",
    "pcm_f32le": "PCM",
    "pcm_mulaw": "G.711 mu-law",
    "pcm_s16le": "PCM",
    "pcm_u8": "PCM",
    "speex": "Speex",
}


class SoundFormat(NamedTuple):
    """What a packet of sound is made of.

    `codec`: one of SOUNDS. `config`: an OpusHead, a STREAMINFO (with or without `fLaC` and its block header), an
    AudioSpecificConfig, or of G.726 one byte, the bits of a sample; empty where the codec has none, or none was sent.
    `rate` (hertz) and `channels` matter to codecs whose packets do not say them (G.711, PCM, ADPCM, Nellymoser); 0: not
    known.
    """

    codec: str
    config: bytes = b""
    rate: int = 0
    channels: int = 0
