"""A whole server whose streams have a past: what is listed of it, to whom, and what becomes of it when files go."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from hlsd.app import Server
from hlsd.media.unit import TICKS, AccessUnit
from hlsd.timeshift.forms import Form
from hlsd.timeshift.service import TimeshiftService
from hlsd.timeshift.shifted import Shifted, ShiftedPlaylists
from tests.support.eventually import eventually
from tests.support.frames import BOTH, WALL, audio, interleaved, video
from tests.support.packets import read_packets
from tests.support.playlistcheck import MediaPlaylist, check_playlist, parse_media
from tests.support.recording import Operator, moved, publish, recording_server
from tests.support.seeds import rng
from tests.support.told import yes

pytestmark = pytest.mark.thorough

GOP = 2.0
UNITS = interleaved(video(25, 20, GOP), audio(20))
GAPS = (0.0, 30.0, 7.3, 400.0)
"""Seconds of nothing before each publication of twenty."""
BEGINS = [WALL + sum(GAPS[: number + 1]) + 20 * number for number in range(len(GAPS))]
NO_LIVE = {"MP10"}


async def published(server: Server, units: list[AccessUnit] = UNITS, *, at: float = WALL, name: str = "cam") -> None:
    """A publication whose pictures came from `at` on."""
    claim = await publish(server, BOTH, name)
    for unit in units:
        later = unit._replace(dts=unit.dts + claim.origin, pts=unit.pts + claim.origin)
        claim.unit(later._replace(arrived=unit.arrived - WALL + at))
    claim.end("closed")
    server.hub.abandon("live", name)


async def recorded(server: Server, operator: Operator, most: int = len(GAPS)) -> list[dict[str, Any]]:
    """Publications with gaps between them, each a recording."""
    for number in range(most):
        await published(server, at=BEGINS[number])
        await operator.done(number + 1)
    return await operator.done(most)


async def media(operator: Operator, form: str, path: str = "/live/cam") -> tuple[MediaPlaylist, str, str]:
    """The media playlist of a form, its text and its address; whatever is numbered meanwhile is waited for."""
    answer = httpx.Response(503)

    async def there() -> bool:
        nonlocal answer
        answer = await operator.web.get(f"{path}/{form}.m3u8?flat=1")
        return answer.status_code != 503

    await eventually(there, what=form)
    assert answer.status_code == 200, (form, answer.text)
    return parse_media(answer.text), answer.text, str(answer.url)


async def fetched(operator: Operator, playlist: MediaPlaylist, url: str) -> int:
    """How many pictures there are in its segments, each of which is there and can be decoded by itself."""
    count = 0
    for segment in playlist.segments:
        assert segment.init is not None
        init = await operator.web.get(urljoin(url, segment.init))
        body = await operator.web.get(urljoin(url, segment.uri))
        assert (init.status_code, body.status_code) == (200, 200), segment.uri
        pictures = read_packets(init.content + body.content).video
        assert pictures[0].key
        assert len(pictures) == pytest.approx(segment.duration * 25, abs=1)
        count += len(pictures)
    return count


def faults(text: str) -> list[Any]:
    return [one for one in check_playlist(text) if one.rule not in NO_LIVE]


@pytest.mark.timeout(1800 if yes("LONG") else 120)
async def test_any_archive_is_whole_and_right_to_one_gop(tmp_path: Path) -> None:
    async with recording_server(tmp_path, record__rotate=12) as (server, operator):
        for number, begin in enumerate(BEGINS):
            await published(server, at=begin)
            await operator.done(2 * number + 2)  # each is two files
        draw, numbers = rng("archives"), dict[str, int]()
        ends = [begin + 20 for begin in BEGINS]
        for _ in range(1000 if yes("LONG") else 20):
            since, length = int(draw.uniform(WALL - 5, ends[-1] + 5)), draw.randint(1, 200)
            there = [
                (max(begin, since), min(end, since + length))
                for begin, end in zip(BEGINS, ends, strict=True)
                if begin < since + length and end > since
            ]
            form = f"archive-{since}-{length}"
            if not there:
                assert (await operator.web.get(f"/live/cam/{form}.m3u8")).status_code == 404
                continue
            playlist, text, url = await media(operator, form)
            assert faults(text) == [], text
            assert "#EXT-X-PLAYLIST-TYPE:VOD\n" in text
            assert text.endswith("#EXT-X-ENDLIST\n")
            first, last = playlist.segments[0], playlist.segments[-1]
            assert first.date is not None
            assert last.date is not None
            begins, ended = first.date.timestamp(), last.date.timestamp() + last.duration
            assert there[0][0] - GOP - 0.1 <= begins <= there[0][0] + 0.1
            assert there[-1][1] - 0.1 <= ended <= there[-1][1] + GOP + 0.1
            assert await fetched(operator, playlist, url) == pytest.approx(
                25 * sum(one.duration for one in playlist.segments), abs=2
            )
            for segment in playlist.segments[1:-1]:
                assert numbers.setdefault(segment.uri, segment.msn) == segment.msn


async def test_all_forms_give_a_segment_the_same_number_and_address(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        await recorded(server, operator)
        behind = int(server.node.clock.wall() - BEGINS[2] - 15)
        forms = [
            "rewind-3600", "rewind-1", f"archive-{int(WALL) - 10}-3600", f"archive-{int(WALL) - 10}-now",
            f"timeshift_rel-{behind}", f"timeshift_abs-{int(BEGINS[2]) + 15}",
        ]  # fmt: skip
        listed = [await media(operator, form) for form in forms]
        numbers: dict[str, int] = {}
        for playlist, text, _ in listed:
            assert faults(text) == [], text
            for segment in playlist.segments:
                assert numbers.setdefault(segment.uri, segment.msn) == segment.msn
        assert len(listed[0][0].segments) == 16
        assert len(listed[1][0].segments) == 7, "no window is shorter than six segments and three target durations"
        assert listed[4][1] == listed[5][1], "what is delayed to a moment"
        assert listed[5][2].rpartition("/")[2].startswith("timeshift_rel-")
        delayed = listed[4][0].segments[-1]
        assert delayed.date is not None
        assert BEGINS[2] + 5 <= delayed.date.timestamp() + delayed.duration <= BEGINS[2] + 17
        assert "#EXT-X-ENDLIST" not in listed[4][1], "what is delayed goes on"


async def test_while_it_is_recorded_it_grows_and_ends_when_the_stream_has(tmp_path: Path) -> None:
    async with recording_server(tmp_path, record__rotate=14) as (server, operator):
        claim = await publish(server, BOTH)
        texts: dict[str, list[str]] = {"rewind-60": [], f"archive-{int(WALL)}-now": [], f"archive-{int(WALL)}-30": []}
        for turn in range(3):
            for unit in moved(UNITS, turn * 20 * TICKS):
                claim.unit(unit._replace(dts=unit.dts + claim.origin, pts=unit.pts + claim.origin))
            wanted = 20 * (turn + 1) // 6 - 1

            async def grown(wanted: int = wanted) -> bool:
                answer = await operator.web.get("/live/cam/rewind-60.m3u8?flat=1")
                return answer.text.count("#EXTINF") >= wanted

            await eventually(grown, what="more segments")
            for form, seen in texts.items():
                seen.append((await media(operator, form))[1])
        assert "#EXT-X-ENDLIST" not in texts["rewind-60"][-1]
        assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in texts[f"archive-{int(WALL)}-now"][-1]
        assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in texts[f"archive-{int(WALL)}-30"][0]
        assert "#EXT-X-PLAYLIST-TYPE:VOD\n" in texts[f"archive-{int(WALL)}-30"][-1]
        claim.end("closed")
        server.hub.abandon("live", "cam")
        await operator.done(4)

        async def ended() -> bool:
            return "#EXT-X-ENDLIST" in (await operator.web.get("/live/cam/rewind-60.m3u8?flat=1")).text

        await eventually(ended, what="the end")
        for form, seen in texts.items():
            seen.append((await media(operator, form))[1])
            for was, now in pairwise(seen):
                old, new = parse_media(was), parse_media(now)
                assert new.first >= old.first
                kept = {one.msn: one.uri for one in new.segments}
                if form != f"archive-{int(WALL)}-30":  # whose last segment is cut down when it is whole
                    assert all(kept[one.msn] == one.uri for one in old.segments if one.msn >= new.first)


async def test_numbers_outlive_a_restart_and_rise_where_they_were_lost(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        await recorded(server, operator, 2)
        before = (await media(operator, "rewind-3600"))[0]
    async with recording_server(tmp_path) as (server, operator):
        again = (await media(operator, "rewind-3600"))[0]
        assert [(one.msn, one.uri) for one in again.segments] == [(one.msn, one.uri) for one in before.segments]
        await published(server, at=BEGINS[2])
        await operator.done(3)
        after = (await media(operator, "rewind-3600"))[0]
        assert [one.msn for one in after.segments] == list(range(before.first, before.first + 12))
    for name in ("hlsd.sqlite", "hlsd.sqlite-wal", "hlsd.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    async with recording_server(tmp_path) as (server, operator):
        await operator.done(3)
        anew = (await media(operator, "rewind-3600"))[0]
        assert [one.uri for one in anew.segments] == [one.uri for one in after.segments]
        assert anew.first >= before.first


async def test_what_is_deleted_is_gone_and_nothing_else(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        rows = await recorded(server, operator)
        whole, _, url = await media(operator, "rewind-3600")
        service = server.services["timeshift"]
        assert isinstance(service, TimeshiftService)
        await operator.ask("DELETE", f"/records/{rows[0]['id']}")  # as retention does: the oldest
        await service.tapes.get("live", "cam", anew=True)
        left = parse_media((await operator.web.get(url)).text)
        assert left.first == whole.first + 4
        assert [one.uri for one in left.segments] == [one.uri for one in whole.segments[4:]]
        gone = await operator.web.get(urljoin(url, whole.segments[0].uri))
        assert gone.status_code in {404, 410}
        await operator.ask("DELETE", f"/records/{rows[2]['id']}")  # from between two others
        await service.tapes.get("live", "cam", anew=True)
        text = (await operator.web.get(url)).text
        holed = parse_media(text)
        assert [one.gap for one in holed.segments] == [False] * 4 + [True] * 4 + [False] * 4
        assert [one.uri for one in holed.segments if not one.gap] == [
            one.uri for one in left.segments if rows[2]["id"] not in one.uri
        ]
        assert (await operator.web.get(urljoin(url, holed.segments[5].uri))).status_code == 404
        for row in (rows[1], rows[3]):
            await operator.ask("DELETE", f"/records/{row['id']}")
        await service.tapes.get("live", "cam", anew=True)
        assert (await operator.web.get(url)).status_code == 404
        await published(server, at=BEGINS[3] + 100)
        await operator.done(1)
        assert (await media(operator, "rewind-3600"))[0].first == whole.first + 16, "numbers go on behind what is gone"


async def test_one_session_from_live_to_the_past_and_back(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        claim = await publish(server, BOTH)
        for unit in UNITS:
            claim.unit(unit)
        live = await operator.web.get("/live/cam.m3u8")
        (variant,) = [line for line in live.text.splitlines() if not line.startswith("#")]
        base = urljoin(str(live.url), variant)
        sid = re.findall(r"~([^/]+)/", base)[0]
        shifted = await operator.web.get(f"/live/cam/rewind-60.m3u8?sid={sid}")
        assert f"~{sid}/d/rewind-60.m3u8" in shifted.text
        assert faults(shifted.text) == []
        inside = await operator.web.get(urljoin(base, "../d/rewind-60.m3u8"))
        assert inside.status_code == 200
        playlist = parse_media(inside.text)
        body = await operator.web.get(urljoin(str(inside.url), playlist.segments[0].uri))
        assert body.status_code == 200
        kept = (await operator.web.get(urljoin(base, "../d/kept.json"))).json()
        assert kept["ranges"][0][0] == round(WALL * 1000)
        assert (await operator.web.get(base)).status_code == 200, "and back to live"
        (session,) = (await operator.ask("GET", "/sessions"))["items"]
        assert (session["protocol"], session["segments"]) == ("hls", 1)
        assert session["media_bytes"] == len(body.content)
        figures = (await operator.api.get(f"{operator.base}/metrics")).text
        assert 'hlsd_sessions_opened_total{app="live",protocol="hls"} 1\n' in figures
        # The stream is over: whoever watches its past stays.
        claim.end("closed")
        server.hub.abandon("live", "cam")
        await operator.done(1)
        mine = server.node.sessions.get(session["id"])
        assert mine is not None
        mine.last -= 30.0
        await asyncio.to_thread(lambda: None)
        server.node.sessions.sweep()
        assert server.node.sessions.get(session["id"]) is mine
        await operator.ask("DELETE", f"/sessions/{session['id']}")
        assert (await operator.web.get(str(inside.url))).status_code == 403, "but for who is sent away"


async def test_a_viewer_is_counted_once_and_who_looks_is_nobody(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        await recorded(server, operator, 1)
        assert (await operator.web.head("/live/cam.m3u8?dvr=60")).status_code == 200
        assert (await operator.web.head("/live/none.m3u8?dvr=60")).status_code == 404
        ahead = await operator.web.get("/live/cam/rewind-60.m3u8", headers={"sec-purpose": "prefetch"})
        assert ahead.status_code == 503
        assert (await operator.ask("GET", "/sessions"))["items"] == []
        answer = await operator.web.get("/live/cam.m3u8?dvr=60")
        assert "\ncam/~" in answer.text
        assert faults(answer.text) == []
        archive = await operator.web.get(f"/live/cam/archive-{int(WALL)}-10.m3u8")
        assert faults(archive.text) == []
        sessions = (await operator.ask("GET", "/sessions"))["items"]
        assert [one["protocol"] for one in sessions] == ["hls", "vod"]
        assert (await operator.web.post("/live/cam/rewind-60.m3u8")).status_code == 405
        assert (await operator.web.options("/live/cam/rewind-60.m3u8")).status_code == 204
        strange = await operator.web.get("/live/cam/~" + "A" * 44 + "/d/rewind-60.m3u8")
        assert strange.status_code in {200, 403}, "let in anew, or not at all"


async def test_who_comes_costs_one_look_at_the_tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was looked for once to let the viewer in, and once more to answer."""
    looks: list[Form] = []
    find = ShiftedPlaylists.find

    async def counted(self: ShiftedPlaylists, app: str, name: str, form: Form) -> Shifted | None:
        looks.append(form)
        return await find(self, app, name, form)

    async with recording_server(tmp_path) as (server, operator):
        await recorded(server, operator, 1)
        await media(operator, "rewind-60")
        monkeypatch.setattr(ShiftedPlaylists, "find", counted)
        answer = await operator.web.get("/live/cam.m3u8?dvr=60", headers={"accept-encoding": "gzip"})
        assert answer.status_code == 200
        assert len(looks) == 1
        assert "content-encoding" not in answer.headers, "a few hundred bytes of one viewer"
        monkeypatch.setattr("hlsd.timeshift.shifted.variant", None)  # of six hours it looks at 3,600 segments
        other = await operator.web.get("/live/cam.m3u8?dvr=60")
        assert other.text != answer.text, "the address is this viewer's"
        assert other.text.splitlines()[:-1] == answer.text.splitlines()[:-1]


NONSENSE = [
    "/live/cam.m3u8?dvr=-1", "/live/cam.m3u8?dvr=nan", "/live/cam.m3u8?dvr=", "/live/cam.m3u8?dvr=1&dvr=2",
    "/live/cam/rewind--1.m3u8", "/live/cam/rewind-1e5.m3u8", "/live/cam/archive-NaN-1.m3u8",
    "/live/cam/archive-1-99999999999.m3u8", "/live/cam/timeshift_abs-0x1.m3u8", "/live/cam/archive-1-2-3.m3u8",
]  # fmt: skip


async def test_nonsense_is_the_asker_s_fault(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (_, operator):
        for path in NONSENSE:
            answer = await operator.web.get(path)
            assert answer.status_code == 400, path
            assert len(answer.text) > 8
        assert (await operator.ask("GET", "/sessions"))["items"] == []


async def test_whatever_is_asked_for_is_bounded(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        await recorded(server, operator, 2)
        await media(operator, "rewind-3600")
        service = server.services["timeshift"]
        assert isinstance(service, TimeshiftService)
        held: Callable[[], int] = lambda: len(service.playlists._texts)  # noqa: E731 - what is to be bounded
        base = (await media(operator, "rewind-60"))[2].rpartition("/")[0]
        for seconds in range(0, 1200, 3):
            answer = await operator.web.get(f"{base}/rewind-{seconds + 1}.m3u8")
            assert answer.status_code == 200
        assert held() <= 8, "windows of about the same length are one, and what is listed alike is one text"
        for moment in (0, 10**9, 2**31, 10**11, 999_999_999_999):
            assert (await operator.web.get(f"{base}/archive-{moment}-5.m3u8")).status_code == 404
            assert (await operator.web.get(f"{base}/timeshift_rel-{moment}.m3u8")).status_code in {200, 404}
        zipped = await operator.web.get(f"{base}/rewind-60.m3u8", headers={"accept-encoding": "gzip"})
        assert zipped.headers["content-encoding"] == "gzip"
        again = await operator.web.get(
            f"{base}/rewind-60.m3u8", headers={"accept-encoding": "gzip", "if-none-match": zipped.headers["etag"]}
        )
        assert again.status_code == 304


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with recording_server(tmp_path, dvr__on=False) as (server, operator):
        await recorded(server, operator, 1)
        assert (await operator.web.get("/live/cam/rewind-60.m3u8")).status_code == 404
        assert (await operator.web.get("/live/cam.m3u8?dvr=60")).status_code == 404


async def test_what_two_recorders_have_at_once_is_on_the_tape_once(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, operator):
        claim = await publish(server, BOTH)
        for unit in UNITS[:400]:
            claim.unit(unit)
        await operator.ask("POST", "/streams/live/cam/record", 201)
        for unit in UNITS[400:]:
            claim.unit(unit)
        claim.end("closed")
        server.hub.abandon("live", "cam")
        rows = await operator.done(2)
        playlist, text, _ = await media(operator, f"archive-{int(WALL)}-60")
        assert faults(text) == []
        assert sum(one.duration for one in playlist.segments) == pytest.approx(20.0, abs=0.2)
        assert {rows[0]["id"]} == {one.uri.split("/")[2] for one in playlist.segments}
