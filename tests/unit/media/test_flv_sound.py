"""What stands in FLV audio tags that are no AAC."""

from __future__ import annotations

import pytest

from hlsd.base.errors import MediaError
from hlsd.media import flv, flv_sound
from hlsd.media.flv_sound import SoundTold, decode, told_by
from hlsd.media.sounds import SoundFormat

NOTHING = SoundTold()


@pytest.mark.parametrize(
    ("head", "form"),
    [
        ("b6", ("speex", 16_000, 1)),
        ("b2", ("speex", 16_000, 1)),
        ("42", ("nellymoser", 16_000, 1)),
        ("52", ("nellymoser", 8_000, 1)),
        ("66", ("nellymoser", 11_025, 1)),
        ("6a", ("nellymoser", 22_050, 1)),
        ("6e", ("nellymoser", 44_100, 1)),
        ("72", ("pcm_alaw", 0, 0)),
        ("82", ("pcm_mulaw", 0, 0)),
        ("2f", ("mp3", 0, 0)),
        ("e2", ("mp3", 0, 0)),
        ("1a", ("adpcm_swf", 22_050, 1)),
        ("df", ("opus", 0, 0)),
        ("3f", ("pcm_s16le", 44_100, 2)),
        ("31", ("pcm_u8", 5_512, 2)),
    ],
)
def test_the_first_byte_says_the_codec(head: str, form: tuple[str, int, int]) -> None:
    packet = decode(bytes.fromhex(head) + b"\x01\x02", NOTHING)
    codec, rate, channels = form
    assert packet == (SoundFormat(codec, b"", rate, channels), flv.FRAMES, b"\x01\x02")


@pytest.mark.parametrize("fourcc", [b"Opus", b"fLaC", b"ac-3", b"ec-3", b".mp3"])
def test_fourccs_have_configurations_and_frames(fourcc: bytes) -> None:
    config, frame = decode(b"\x90" + fourcc + b"cfg", NOTHING), decode(b"\x91" + fourcc + b"frm", NOTHING)
    assert config is not None
    assert frame is not None
    assert (config.packet, config.body) == (flv.CONFIG, b"cfg")
    assert (frame.packet, frame.body) == (flv.FRAMES, b"frm")
    layout = decode(b"\x94" + fourcc + b"\x01\x02", NOTHING)
    assert layout is not None
    assert layout.packet not in (flv.CONFIG, flv.FRAMES), "MultichannelConfig is neither"
    with pytest.raises(MediaError, match="larger than"):
        decode(b"\x90" + fourcc + bytes(flv_sound.CONFIG_LIMIT + 1), NOTHING)


@pytest.mark.parametrize("tag", [b"\xaf\x01abc", b"\xa2", b"\xf2ab", b"\x91mp4aabc", b"\x91abcdabc", b"\x96"])
def test_what_is_not_for_here_is_nothing(tag: bytes) -> None:
    assert decode(tag, NOTHING) is None or tag[0] == 0x96


def test_what_metadata_tells() -> None:
    values: dict[str, float | bool | str] = {"audiocodecid": 7.0, "audiosamplerate": 16_000.0, "stereo": True}
    assert told_by(flv.metadata(values)) == (7, 16_000, 2)
    assert not told_by(flv.metadata(values)).is_aac
    assert told_by(flv.metadata({"audiocodecid": 10.0})).is_aac
    assert told_by(flv.metadata({"audiocodecid": "mp4a"})).is_aac
    assert not told_by(flv.metadata({"audiocodecid": "Opus"})).is_aac
    assert told_by(flv.metadata({"audiosamplerate": 1e300, "audiochannels": 77.0})) == (0, 0, 0)
    assert told_by(b"") == NOTHING
    for cut in range(len(flv.metadata(values))):
        told_by(flv.metadata(values)[:cut])


def test_metadata_decides_for_pcm_and_goes_along_for_g711() -> None:
    told = SoundTold(7, 16_000, 1)
    assert (packet := decode(b"\x72ab", told)) is not None
    assert packet.form[2:] == (16_000, 1)
    assert (packet := decode(b"\x3fab", told)) is not None
    assert packet.form[2:] == (16_000, 1)
