"""Thumbnails of recordings: which picture stands where, what WebVTT says of it, and whole sheets of a real server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest

from hlsd.media.unit import TICKS
from hlsd.ports import KeyPicture
from hlsd.record.folder import BESIDE, RecordFolder
from hlsd.record.key_pictures import key_picture, picture_track
from hlsd.record.segments import SegmentSpan, spans
from hlsd.record.service import RecordService
from hlsd.record.shape import scan
from hlsd.record.thumbnails import (
    HEIGHT,
    MOST,
    ROW,
    SHEET,
    SIZE,
    WIDTH,
    Canvas,
    SheetName,
    sheet_name,
    stride_of,
    tiles,
    webvtt,
)
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.recording import Operator, finished, publish, reading, recorded, recording_server
from tests.support.units import units_of

FILM = Film(seconds=26, width=320, height=180, gop=50)


def segments(count: int) -> list[SegmentSpan]:
    return [
        SegmentSpan(100 * at, 100, 6 * TICKS * at, 6 * TICKS * (at + 1), seam=False, wall=None, key=True)
        for at in range(count)
    ]


def test_cues_cover_all_of_it_each_with_a_tile_of_its_own() -> None:
    text = webvtt(segments(205), "abc")
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:06.000\nabc/t1-0.jpg#xywh=0,0,160,90\n\n")
    found = re.findall(r"(\S+) --> (\S+)\nabc/(\S+)#xywh=(\d+),(\d+),160,90\n", text)
    assert len(found) == len({one[2:] for one in found}) == 205
    assert [one[1] for one in found[:-1]] == [one[0] for one in found[1:]], "where one ends the next begins"
    assert found[-1][1:] == ("00:20:30.000", "t1-2.jpg", "640", "0")
    assert all(int(x) + WIDTH <= SIZE[0] and int(y) + HEIGHT <= SIZE[1] for *_, x, y in found)


@pytest.mark.parametrize("count", [0, 1, MOST, MOST + 1, 14_400, 100_000])
def test_there_are_no_more_tiles_than_may_be(count: int) -> None:
    found = segments(count)
    stride = stride_of(count)
    sheets = [tiles(found, SheetName(stride, at)) for at in range(7)]
    assert sum(map(len, sheets)) == webvtt(found, "a").count("-->") <= MOST
    assert sheets[6] == []
    assert all(len(one) <= SHEET for one in sheets)


def test_while_it_grows_no_tile_shows_something_else() -> None:
    before = tiles(segments(MOST), SheetName(1, 0))
    assert tiles(segments(MOST - 100), SheetName(1, 0)) == before
    assert tiles(segments(MOST + 10), SheetName(2, 0))[:50] == before[::2]


@pytest.mark.parametrize(
    "text", ["t0-0.jpg", "t1-6.jpg", "t1.jpg", "t01-0.jpg", "t1-0.jpg/", "t１-0.jpg", "t999999-0.jpg"]
)
def test_what_is_no_sheet_is_none(text: str) -> None:
    assert sheet_name(text) is None


def test_a_tile_stands_where_its_cue_says() -> None:
    canvas = Canvas()
    tile = b"\xff" * (WIDTH * HEIGHT) + b"\x10" * (WIDTH * HEIGHT // 4) + b"\x20" * (WIDTH * HEIGHT // 4)
    canvas.put(ROW + 2, tile)
    planes = canvas.planes
    width = SIZE[0]
    assert planes[HEIGHT * width + 2 * WIDTH] == planes[(2 * HEIGHT - 1) * width + 3 * WIDTH - 1] == 0xFF
    assert planes.count(b"\xff") == WIDTH * HEIGHT
    assert planes.count(b"\x10") == planes.count(b"\x20") == WIDTH * HEIGHT // 4


def test_the_picture_with_which_a_segment_begins_is_found_in_the_file() -> None:
    units = interleaved(video(25, 20), audio(20))
    (file,) = recorded(BOTH, units)
    whole, _ = finished(file)
    layout = scan(reading(whole), len(whole))
    track = picture_track(layout)
    assert track is not None
    assert (track.codec, track.video_range) == ("h264", "SDR")
    assert BOTH.video is not None
    assert track.record[:4] == BOTH.video.record[:4]
    keys = [unit.payload for unit in units if unit.kind == 0 and unit.key]
    found = [
        key_picture(reading(whole), layout, track, one.offset, one.size) for one in spans(layout.fragments, whole=True)
    ]
    assert [one.unit for one in found if one is not None] == [keys[0], keys[3], keys[6], keys[9]]
    second = layout.fragments[1]
    assert key_picture(reading(whole), layout, track, second.offset, second.size) is None


def test_what_lies_beside_a_file_goes_with_it_and_leads_nowhere(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path)
    (tmp_path / "a").mkdir()
    assert not folder.write_beside("a/one.mp4", "t1-0.jpg", b"x"), "of a recording that is there"
    (tmp_path / "a" / "one.mp4").write_bytes(b"film")
    assert folder.write_beside("a/one.mp4", "t1-0.jpg", b"x")
    assert folder.write_beside("a/one.mp4", "t1-0.jpg", b"y")
    assert folder.read_beside("a/one.mp4", "t1-0.jpg") == b"y"
    assert folder.read_beside("a/one.mp4", "../one.mp4") is None
    assert list(folder.walk()) == ["a/one.mp4"]
    assert [one.name for one in (tmp_path / "a" / f"one.mp4{BESIDE}").iterdir()] == ["t1-0.jpg"]
    assert folder.remove("a/one.mp4")
    assert list(tmp_path.iterdir()) == []
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "two.mp4").write_bytes(b"film")
    (tmp_path / f"two.mp4{BESIDE}").symlink_to(outside)
    assert not folder.write_beside("two.mp4", "t1-0.jpg", b"x")
    assert list(outside.iterdir()) == []


@pytest.mark.thorough
async def test_a_sheet_is_made_when_it_is_asked_for_kept_and_removed_with_its_recording(
    films: Path, tmp_path: Path
) -> None:
    tracks, units = units_of(FILM.make(films).read_bytes())
    async with recording_server(tmp_path, snapshot__cpu=4) as (server, operator):
        claim = await publish(server, tracks)
        for unit in units:
            claim.unit(unit)
        claim.end("closed")
        server.hub.abandon("live", "cam")
        (row,) = await operator.done()
        cues = await operator.web.get(f"/live/cam/r/{row['id']}.vtt")
        assert cues.headers["content-type"] == "text/vtt; charset=utf-8"
        assert cues.text.count("-->") == 5
        base = str(cues.url).rpartition("/")[0]
        url = f"{base}/{row['id']}/t1-0.jpg"
        answers = await asyncio.gather(*[operator.web.get(url) for _ in range(8)])
        assert {answer.status_code for answer in answers} == {200}
        assert answers[0].headers["hlsd-tiles"] == "5/5"
        assert "immutable" in answers[0].headers["cache-control"]
        frame = next(av.open(io.BytesIO(answers[0].content), "r").decode(video=0))
        assert (frame.width, frame.height) == SIZE
        grey = frame.to_ndarray(format="gray")
        bright = [grey[10:80, 10 + WIDTH * at : 150 + WIDTH * at].mean() for at in range(6)]
        assert min(bright[:5]) > 20, "there are pictures"
        assert bright[5] < 5, "and none where no segment is"
        decoded = sum(server.services["snapshot"].stats.errors.values())  # type: ignore[attr-defined]
        assert decoded == 0
        kept = tmp_path / "records" / f"{row['file']}{BESIDE}" / "t1-0.jpg"
        assert kept.read_bytes() == answers[0].content
        for wrong in ("t2-0.jpg", "t1-1.jpg", "t1-0.png"):
            assert (await operator.web.get(f"{base}/{row['id']}/{wrong}")).status_code == 404
        again = await operator.web.get(url, headers={"if-none-match": answers[0].headers["etag"]})
        assert again.status_code == 304
        await operator.ask("DELETE", f"/records/{row['id']}")
        assert not kept.parent.exists()
        assert (await operator.web.get(url)).status_code == 404


class Painter:
    """Makes pictures as it is told to: `tiles` and `sheets` are what it answers in turn, and then what it does well."""

    def __init__(self, tiles: list[bool], sheets: list[bool]) -> None:
        self._tiles, self._sheets = tiles, sheets
        self._count = 0

    async def tile(self, key: KeyPicture, width: int) -> bytes | None:
        assert key.unit
        well = self._tiles.pop(0) if self._tiles else True
        self._count += well
        return bytes([40 * self._count]) * (width * (width * 9 // 16) * 3 // 2) if well else None

    async def sheet(self, planes: bytes, width: int, height: int) -> bytes | None:
        return planes[: width * height] if not self._sheets or self._sheets.pop(0) else None


NO = [False, False]
"""Both tries at a tile."""


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("tiles", "shown", "kept"),
    [
        ([False], [40, 80, 120, 160, 200], True),
        ([True, *NO, True], [40, 40, 80, 120, 160], False),
        ([*NO, *NO, True], [40, 40, 40, 80, 120], False),
    ],
)
async def test_a_tile_that_cannot_be_made_is_not_black_and_not_for_ever(
    films: Path, tmp_path: Path, tiles: list[bool], shown: list[int], kept: bool
) -> None:
    """One that failed was black, and stayed so in the file beside the recording."""
    async with thumbnailed(films, tmp_path, Painter(tiles, [])) as (operator, url, file):
        answer = await operator.web.get(url)
        assert answer.headers["hlsd-tiles"] == "5/5"
        assert [answer.content[10 + WIDTH * at] for at in range(6)] == [*shown, 0]
        if kept:
            await eventually(file.exists, what="its file: who asks does not wait for the disk")
        assert (await operator.web.get(url)).content == answer.content
        assert file.exists() == kept


@pytest.mark.thorough
async def test_a_sheet_whose_picture_failed_is_made_when_it_is_asked_for_again(films: Path, tmp_path: Path) -> None:
    """Its tiles were all there, so that nothing was done any more, and it was 503 for ever."""
    async with thumbnailed(films, tmp_path, Painter([], [False])) as (operator, url, file):
        assert (await operator.web.get(url)).status_code == 503
        assert not file.exists()
        answer = await operator.web.get(url)
        assert (answer.status_code, answer.headers["hlsd-tiles"]) == (200, "5/5")
        await eventually(file.exists, what="its file: who asks does not wait for the disk")
        assert file.read_bytes() == answer.content


@pytest.mark.thorough
async def test_where_no_picture_can_be_made_there_is_no_sheet(films: Path, tmp_path: Path) -> None:
    async with thumbnailed(films, tmp_path, Painter(NO * 5, [])) as (operator, url, file):
        for _ in range(2):
            answer = await operator.web.get(url)
            assert (answer.status_code, answer.text) == (404, "404 its pictures cannot be decoded\n")
        assert not file.exists()


@contextlib.asynccontextmanager
async def thumbnailed(films: Path, state: Path, painter: Painter) -> AsyncIterator[tuple[Operator, str, Path]]:
    """A server with a recording of five tiles: who asks it, the address of its sheet, and where that would be kept."""
    tracks, units = units_of(FILM.make(films).read_bytes())
    async with recording_server(state) as (server, operator):
        claim = await publish(server, tracks)
        for unit in units:
            claim.unit(unit)
        claim.end("closed")
        server.hub.abandon("live", "cam")
        (row,) = await operator.done()
        service = server.services["record"]
        assert isinstance(service, RecordService)
        service.sprites._maker = lambda: painter
        base = str((await operator.web.get(f"/live/cam/r/{row['id']}.vtt")).url).rpartition("/")[0]
        yield operator, f"{base}/{row['id']}/t1-0.jpg", state / "records" / f"{row['file']}{BESIDE}" / "t1-0.jpg"
