"""What a stream begins with: a track that was announced is waited for, within bounds, and what is kept is bounded."""

from __future__ import annotations

import pytest

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.intake import Intake
from hlsd.ingest.opening import HELD_UNITS, LEAD_MS, PICTURE_PATIENCE, SOUND_KEPT_MS, SOUND_PATIENCE
from hlsd.media import flv, nal
from hlsd.media.unit import AccessUnit, Kind
from tests.support.collected import Collected, Tag, take
from tests.support.flvmedia import flv_tags, make_flv

METADATA = flv.metadata({"videocodecid": 7.0, "audiocodecid": 10.0})


def from_a_camera(late: float, *, header: bool = True, metadata: bool = False, seconds: float = 16.0) -> list[Tag]:
    """Sound from the start, the picture `late` seconds later, as `ffmpeg -c copy` sends it from amid a group."""
    film = [tag for tag in flv_tags(make_flv("h264", seconds=seconds, fps=10, gop=10)) if tag[0] != flv.SCRIPT]
    first = next(body for kind, _, body in film if kind == flv.VIDEO)
    tags = [tag for tag in film if tag[0] == flv.AUDIO or (tag[1] >= late * 1000 and tag[2][1] == 1)]
    begins = next(n for n, tag in enumerate(tags) if tag[0] == flv.VIDEO)
    tags.insert(0 if header else begins, (flv.VIDEO, 0, first))
    return [(flv.SCRIPT, 0, METADATA), *tags] if metadata else tags


@pytest.mark.thorough
@pytest.mark.parametrize("late", [0.5, 5.0, 8.0, 11.0])
@pytest.mark.parametrize(("header", "metadata"), [(True, False), (False, True), (True, True)])
def test_a_picture_that_was_announced_is_waited_for(late: float, header: bool, metadata: bool) -> None:
    """It began as sound alone after two seconds, and who came by then never got the picture."""
    collected = take(from_a_camera(late, header=header, metadata=metadata))
    (tracks,) = collected.announced
    assert tracks.video is not None
    assert tracks.audio is not None
    first = next(unit for unit in collected.units if unit.kind is Kind.VIDEO)
    assert first.key
    heard = next(unit for unit in collected.units if unit.kind is Kind.AUDIO)
    assert 0 <= first.dts - heard.dts <= LEAD_MS * 90
    assert abs(first.arrived - heard.arrived) <= LEAD_MS / 1000 + 0.01


def test_a_picture_that_never_comes_is_not_waited_for_for_ever() -> None:
    """Then sound alone is what there is, and the log says so."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    for kind, time, body in from_a_camera(15.9):
        intake.tag(kind, time, body, time / 1000, 0.0)
        assert bool(collected.calls) == (time >= PICTURE_PATIENCE * 1000), time
    assert collected.announced[0].video is None
    assert "without the picture that was announced" in collected.remarks[0]


def test_sound_kept_for_a_late_picture_is_bounded() -> None:
    """Seconds of it, and units, whatever its times say."""
    header = from_a_camera(1.0)[0]
    for step in (21, 0, 5_000):
        intake = Intake(Collected(), 0.0)
        intake.tag(*header, 0.0, 0.0)
        intake.tag(8, 0, b"\xaf\x00\x11\x90", 0.0, 0.0)
        for n in range(3 * HELD_UNITS):
            intake.tag(8, n * step, b"\xaf\x01\x21", 0.0, 0.0)
        opening = intake.normaliser.opening
        assert opening is not None
        assert len(opening) <= (SOUND_KEPT_MS // step + 2 if step else HELD_UNITS)
        assert opening.bytes == len(opening)


@pytest.mark.parametrize("announced", [True, False])
def test_sound_that_was_announced_is_waited_for_longer(announced: bool) -> None:
    """A camera's sound may come seconds after its picture; a microphone that is dead must not hold it up for ever."""
    tags = [tag for tag in flv_tags(make_flv("h264", seconds=6, fps=10, gop=10)) if tag[0] == flv.VIDEO]
    header = next(tag for tag in flv_tags(make_flv("h264", seconds=6, fps=10, gop=10)) if tag[0] == flv.AUDIO)
    collected = Collected()
    intake = Intake(collected, 0.0)
    for kind, time, body in [header, *tags] if announced else tags:
        intake.tag(kind, time, body, time / 1000, 0.0)
        assert bool(collected.calls) == (time >= (SOUND_PATIENCE if announced else 2.0) * 1000)
    assert len(collected.of(Kind.VIDEO)) == 60


def test_metadata_with_zero_for_a_codec_announces_none() -> None:
    """Some encoders name both keys always."""
    sound = [tag for tag in flv_tags(make_flv(None, seconds=2)) if tag[0] == flv.AUDIO]
    collected = Collected()
    intake = Intake(collected, 0.0)
    intake.tag(18, 0, flv.metadata({"videocodecid": 0.0, "audiocodecid": 10.0}), 0.0, 0.0)
    for kind, time, body in sound:
        intake.tag(kind, time, body, time / 1000, 0.0)
        assert bool(collected.calls) == (time >= 1_000)


def test_sound_that_is_not_carried_waits_for_its_announced_picture() -> None:
    """The refusal comes when it is clear that there is nothing else."""
    intake = Intake(Collected(), 0.0)
    intake.tag(18, 0, METADATA, 0.0, 0.0)
    intake.tag(8, 0, b"\x7e\xd5\xd5", 0.0, 0.0)
    intake.tick(PICTURE_PATIENCE - 0.1)
    with pytest.raises(UnsupportedCodec, match=r"G\.711 A-law"):
        intake.tick(PICTURE_PATIENCE)


def test_a_configuration_that_changes_at_each_key_picture_starts_all_the_same() -> None:
    """What was held was thrown away with each change; now all of it goes out, behind the tracks it belongs to."""
    tags: list[Tag] = []
    for n, size in enumerate([(320, 180), (640, 352)] * 2):
        for kind, time, body in flv_tags(make_flv("h264", audio=False, seconds=0.5, fps=10, gop=5, size=size)):
            if kind == flv.VIDEO:
                tags.append((kind, n * 500 + time, body))
    collected = take(tags)
    assert [tracks.video.width for tracks in collected.announced if tracks.video] == [320, 640, 320, 640]
    assert len(collected.units) == 20
    for tracks in collected.announced:
        after = collected.calls[collected.calls.index(tracks) + 1]
        assert isinstance(after, AccessUnit)
        assert after.key


def test_bad_tags_are_told_once_a_minute_with_their_number() -> None:
    """A thousand a second are a line; the reason is in it."""
    collected = Collected()
    intake = Intake(collected, 0.0)
    tags = flv_tags(make_flv("h264", seconds=0.5))
    for tag in tags:
        intake.tag(*tag, tag[1] / 1000, 0.0)
    for n in range(200):
        intake.tag(9, 600, b"\x27\x01\x00\x00\x00" + nal.join([b"\x41\xff"])[:-1], 1.0 + n * 0.6, 0.0)
    assert len(collected.remarks) == 2
    assert "lengths of NAL units do not add up" in collected.remarks[0]
    assert "times=100" in collected.remarks[1]
    assert collected.repairs["bad_tag"] == 200
