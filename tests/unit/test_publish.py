"""Publishing a file: what may be sent, and when."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import av
import pytest

from hlsd.base.errors import MediaError
from hlsd.ingest.rtmp.amf0 import decode
from hlsd.publishing.publish import Sent, Source, describe
from hlsd.publishing.tagger import AUDIO, SCRIPT, VIDEO, Tag


def footage(path: Path, video: str | None = "libx264", audio: str | None = "aac", frames: int = 25) -> Path:
    """A file of one second at 25 fps with B-frames, black and silent."""
    with av.open(str(path), "w") as out:
        pictures = out.add_stream(video, rate=25) if video else None
        sounds = out.add_stream(audio, rate=48_000, layout="mono") if audio else None
        if isinstance(pictures, av.VideoStream):
            pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
            for number in range(frames):
                frame = av.VideoFrame(64, 64, "yuv420p")
                for plane in frame.planes:
                    plane.update(bytes((number,)) * plane.buffer_size)
                frame.pts = number
                out.mux(pictures.encode(frame))
            out.mux(pictures.encode(None))
        if isinstance(sounds, av.AudioStream):
            for number in range(47):
                block = av.AudioFrame(format="fltp", layout="mono", samples=1024)
                block.planes[0].update(bytes(block.planes[0].buffer_size))
                block.sample_rate = 48_000
                block.pts = number * 1024
                out.mux(sounds.encode(block))
            out.mux(sounds.encode(None))
    return path


def times(tags: list[Tag], kind: int) -> list[int]:
    return [tag.time for tag in tags if tag.kind == kind]


@pytest.mark.parametrize(
    ("name", "video"), [("a.mp4", "libx264"), ("a.ts", "libx264"), ("a.mkv", "libx265"), ("a.mp4", "libsvtav1")]
)
def test_a_file_comes_through_with_every_frame_and_its_headers_first(tmp_path: Path, name: str, video: str) -> None:
    tags = list(Source(footage(tmp_path / name, video)).tags())
    pictures = [tag for tag in tags if tag.kind == VIDEO]
    first = pictures[0].body
    heads = {"libx264": b"\x17\x00", "libx265": b"\x90hvc1", "libsvtav1": b"\x90av01"}
    assert first.startswith(heads[video])
    media = [tag for tag in pictures if (tag.body[0] & 15 in (1, 3) if tag.body[0] & 128 else tag.body[1] == 1)]
    assert len(media) == 25
    for kind in (VIDEO, AUDIO):
        assert times(tags, kind) == sorted(times(tags, kind))
        assert 700 <= times(tags, kind)[0] <= 1100, "near one second, whatever the file's own clock says"
    assert tags[0].kind == SCRIPT


def test_a_loop_goes_on_and_never_back(tmp_path: Path) -> None:
    """A publisher whose clock jumps back makes a discontinuity each round."""
    source = Source(footage(tmp_path / "a.mp4"), loop=True)
    once = len(list(Source(footage(tmp_path / "b.mp4")).tags()))
    tags = list(islice(source.tags(), once * 3))
    pictures = sorted(set(times(tags, VIDEO)))
    assert times(tags, VIDEO)[1:] == sorted(times(tags, VIDEO)[1:])
    gaps = {later - earlier for earlier, later in pairwise(pictures)}
    assert max(gaps) <= 100
    assert sum(tag.kind == VIDEO and tag.body[1] == 0 for tag in tags) == 1, "one sequence header for all rounds"


def test_picture_or_sound_alone_is_enough(tmp_path: Path) -> None:
    assert Source(footage(tmp_path / "v.mp4", audio=None)).tracks == "H.264"
    assert Source(footage(tmp_path / "a.mp4", video=None)).tracks == "AAC"


@pytest.mark.parametrize(("video", "audio", "named"), [("mpeg4", None, "mpeg4"), ("libx264", "libopus", "opus")])
def test_other_codecs_are_named_in_the_refusal(tmp_path: Path, video: str, audio: str | None, named: str) -> None:
    with pytest.raises(MediaError, match=rf"is {named}; H.264, H.265, AV1 and AAC can be published"):
        Source(footage(tmp_path / "x.mkv", video, audio))


def test_what_is_no_media_file_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello", encoding="utf-8")
    with pytest.raises(MediaError, match="cannot be read: Invalid data"):
        Source(tmp_path / "x")
    with pytest.raises(MediaError, match="cannot be read: No such file"):
        Source(tmp_path / "none.mp4")


def test_a_file_name_is_never_an_address(tmp_path: Path) -> None:
    """FFmpeg would open concat:, http: and more."""
    for name in ("http://127.0.0.1:9/a.mp4", f"concat:{footage(tmp_path / 'a.ts')}"):
        with pytest.raises(MediaError, match="cannot be read: No such file"):
            Source(Path(name))


def test_progress_reads_well() -> None:
    assert describe(Sent(62.0, 62 * 312_500, 1860, 62.0)) == "0:01:02  2.50 Mbit/s  30.0 fps"


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_one_announcement_says_all_there_is(tmp_path: Path, name: str) -> None:
    """A second onMetaData is news for viewers: `hlsd demo` sent one for each track, and warned of it at each start."""
    tags = list(islice(Source(footage(tmp_path / name), loop=True).tags(), 200))
    assert [place for place, tag in enumerate(tags) if tag.kind == SCRIPT] == [0]
    said = decode(tags[0].body)[1]
    assert isinstance(said, dict)
    assert {"width", "height", "videocodecid", "audiocodecid", "audiosamplerate", "stereo"} <= set(said)
    assert (said["videocodecid"], said["audiocodecid"]) == (7.0, 10.0)
    alone = decode(next(Source(footage(tmp_path / f"v-{name}", audio=None)).tags()).body)[1]
    assert isinstance(alone, dict)
    assert "audiocodecid" not in alone
