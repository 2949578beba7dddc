"""Tells what a file is by its first bytes, and which codecs are read at all. Pure.

Law: a name proves nothing, and libavformat is told what to take a file for, so that it never looks for another form:
playlists, SDP and lists of files name other files and hosts, and a file that says it is a film must not be one of
these.
"""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import MediaError

LOOK: Final = 1024
"""Bytes that are enough to tell."""
_MOV: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_PACKET: Final = 188
OPTIONS: Final = {
    "protocol_whitelist": "none",  # no protocol is called so: the file itself is handed in
    "max_streams": "16",
    "probesize": "5000000",
    "analyzeduration": "5000000",
}
"""What libavformat is told besides the form."""
MORE: Final = {"mov": {"enable_drefs": "0", "use_absolute_path": "0"}}
"""Of one form: a MOV may say that its media is in another file (data references)."""
PICTURES: Final = frozenset(
    {"h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "msmpeg4v3", "mpeg2video", "mpeg1video", "mjpeg", "prores", "flv1"}
)
SOUND: Final = frozenset(
    {"aac", "mp3", "mp2", "ac3", "eac3", "opus", "vorbis", "flac", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le",
     "pcm_s24be", "pcm_f32le"}
)  # fmt: skip
TEXT: Final = frozenset({"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"})
"""Text that is shown beside pictures: libavcodec has two decoders for SRT and for ASS."""
DECODERS: Final = ",".join(
    sorted(PICTURES | SOUND | TEXT | {"libdav1d", "libvpx", "libvpx-vp9", "flv", "mp3float", "mp2float", "libopus"})
)
"""Names by which libavcodec knows what reads these."""


def form_of(head: bytes) -> str:
    """The demuxer of libavformat for a file that begins so. Raises MediaError where it is none that is taken."""
    if len(head) >= 8 and head[4:8] in _MOV:
        return "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":  # EBML: Matroska and WebM
        return "matroska"
    if head[:3] == b"FLV":
        return "flv"
    packets = head[: 4 * _PACKET : _PACKET]
    if len(head) > 3 * _PACKET and packets == b"G" * len(packets):
        return "mpegts"
    raise MediaError("it is no MP4, MOV, MKV, WebM, TS or FLV")


def is_mp4(head: bytes) -> bool:
    """Whether it begins as ISO files of today do: with ftyp."""
    return head[4:8] == b"ftyp"
