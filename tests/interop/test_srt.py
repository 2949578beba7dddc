"""Real clients publish and play by SRT: in the clear, encrypted, over a bad line; and are told why they may not."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hlsd.ingest.srt.room import SrtRoom
from hlsd.ingest.srt.service import SrtService
from tests.support.encoders import current_ffmpeg
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.ports import free_port
from tests.support.services import running
from tests.support.srt_clients import PLAYERS, PUBLISHERS, missing, play, publish, running_client
from tests.support.tsfilm import demuxed
from tests.support.udp_dropper import udp_dropper
from tests.support.watched import Watched

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FILM = Film(seconds=8, width=320, height=180, rate=30, gop=30)
SECRET = "correct horse"


def film_of(films: Path, folder: Path) -> Path:
    """The film as a transport stream."""
    into = folder / "film.ts"
    command = [current_ffmpeg(), "-v", "error", "-i", str(FILM.make(films)), "-map", "0", "-c", "copy", str(into)]
    subprocess.run(command, check=True)
    return into


@asynccontextmanager
async def port_of(state: Path, more: dict[str, object] | None = None) -> AsyncIterator[tuple[Watched, SrtRoom]]:
    settings = {
        "srt.port": free_port(),
        "srt.bind": "127.0.0.1",
        "srt.passphrases": [{"match": "safe/*", "passphrase": SECRET}],
        "hls.low_latency": True,
        "publish.grace": "3s",  # players write their last bytes when the stream ends
        "rtmp.idle_timeout": "5s",  # srt-live-transmit says no goodbye
        **(more or {}),
    }
    async with running(state, settings) as server:
        service = server.services["srt"]
        assert isinstance(service, SrtService)
        yield Watched(server), service.room


END = 5
"""Pictures that it may have with it."""


def pictures(here: Watched, app: str) -> int:
    stream = here.server.hub.get(app, "cam")
    return stream.stats.video_frames if stream is not None else 0


def assert_whole(here: Watched, app: str) -> None:
    """Nothing of the film is missing but its very end: libsrt hangs up with its last datagrams unsent (captured)."""
    stream = here.server.hub.get(app, "cam")
    assert stream is not None
    assert FILM.seconds * 30 - END <= stream.stats.video_frames <= FILM.seconds * 30
    assert not stream.stats.repairs["bad_tag"]


def ended(here: Watched) -> list[object]:
    return [event.facts["reason"] for event in here.told if event.action.value == "donePublish"]


def assert_steady(shown: list[int]) -> None:
    """No picture is missing between the first and the last: 30 a second, to the millisecond."""
    assert {2970, 3060} >= {later - earlier for earlier, later in itertools.pairwise(shown)}


@pytest.mark.parametrize("client", PUBLISHERS)
@pytest.mark.parametrize("safe", [False, True])
async def test_every_picture_of_a_publisher_arrives(client: str, safe: bool, films: Path, tmp_path: Path) -> None:
    if why := missing(client):
        pytest.skip(why)
    app, more = ("safe", f"&passphrase={SECRET}&pbkeylen=32") if safe else ("live", "")
    if safe and client.startswith("ffmpeg"):
        more += "&kmrefreshrate=100&kmpreannounce=40"  # another key after each hundred packets
    film = film_of(films, tmp_path)
    async with port_of(tmp_path / "state") as (here, room):
        command = publish(client, film, room.port, f"publish:{app}/cam", more)
        async with running_client(command, tmp_path / "log"):
            await eventually(lambda: ended(here), 60, what="the end of the film")
        assert ended(here) == ["idle" if client == "srt-live-transmit" else "closed"]  # which says no goodbye
        assert_whole(here, app)
        assert room.stats.packets["lost"] == 0
        assert room.stats.packets["undecrypted"] == 0


@pytest.mark.parametrize("client", PLAYERS)
@pytest.mark.parametrize("safe", [False, True])
async def test_every_picture_reaches_a_player(client: str, safe: bool, films: Path, tmp_path: Path) -> None:
    if why := missing(client):
        pytest.skip(why)
    app, more = ("safe", f"&passphrase={SECRET}&pbkeylen=16") if safe else ("live", "")
    film, into = film_of(films, tmp_path), tmp_path / "played.ts"
    async with port_of(tmp_path / "state") as (here, room):
        command = publish("ffmpeg-current", film, room.port, f"publish:{app}/cam", more)
        async with running_client(command, tmp_path / "publisher.log"):
            await eventually(lambda: pictures(here, app) > 10, what="pictures")
            async with running_client(play(client, into, room.port, f"read:{app}/cam", more), tmp_path / "player.log"):
                await eventually(lambda: list(here.server.sessions), what="the session")
                before = pictures(here, app)
                await eventually(lambda: ended(here), 60, what="the end of the film")
                (session,) = here.sessions.values()
                # It began with the newest key picture: from there on nothing may be missing, nor at the end.
                sent = pictures(here, app) - before
                assert sent > 100
                await eventually(lambda: len(_shown(into)) >= sent, what="the pictures")
        if client != "vlc":  # its muxer writes times of its own; its pictures are counted
            assert_steady(_shown(into))
        assert session.protocol == "srt"
        assert here.balanced()


def _shown(into: Path) -> list[int]:
    """The times of the pictures that were played, in order."""
    if not into.exists():
        return []
    return sorted(item.pts for item in demuxed(into.read_bytes()) if getattr(item, "codec", "") == "h264")  # type: ignore[union-attr]


async def test_a_twentieth_of_all_datagrams_lost_costs_no_picture(films: Path, tmp_path: Path) -> None:
    # In and out at once: publisher and player both behind the dropper.
    film, into = film_of(films, tmp_path), tmp_path / "played.ts"
    async with port_of(tmp_path / "state") as (here, room), udp_dropper(room.port, 0.05, 11) as line:
        command = publish("ffmpeg-current", film, line.port, "publish:live/cam", latency=500)
        async with running_client(command, tmp_path / "publisher.log"):
            await eventually(lambda: pictures(here, "live") > 10, what="pictures")
            player = play("ffmpeg-current", into, line.port, "read:live/cam", latency=500)
            async with running_client(player, tmp_path / "player.log"):
                await eventually(lambda: ended(here), 60, what="the end of the film")
                await eventually(lambda: len(_shown(into)) >= 200, what="the pictures")
        assert line.dropped > 20
        assert_whole(here, "live")
        assert room.stats.packets["recovered"] > 5
        assert room.stats.packets["lost"] == 0
        shown = _shown(into)
        assert_steady(shown)


@pytest.mark.parametrize("client", ["ffmpeg-system", "srt-live-transmit"])
async def test_a_client_shows_why_it_may_not(client: str, films: Path, tmp_path: Path) -> None:
    if why := missing(client):
        pytest.skip(why)
    film = film_of(films, tmp_path)
    auth = {"auth.publish": True, "auth.secrets": ["a-secret-of-this-test-only"]}
    async with port_of(tmp_path / "state", auth) as (here, room):
        for number, (stream_id, more, words) in enumerate(
            (
                ("publish:safe/cam", "&passphrase=another one", "Incorrect passphrase"),
                ("publish:safe/cam", "", "Password required or unexpected"),
                ("publish:live/cam", "", "Application-defined rejection reason"),
            )
        ):
            log = tmp_path / f"{number}.log"
            async with running_client(publish(client, film, room.port, stream_id, more), log) as process:
                if client.startswith("ffmpeg"):
                    assert await asyncio.wait_for(process.wait(), 30) != 0
                await eventually(lambda log=log, words=words: words in log.read_text(errors="replace"), what=words)  # type: ignore[misc]
        assert not ended(here)
        assert room.stats.refused["passphrase"] == 1
        assert room.stats.refused["unencrypted"] == 1
        assert room.stats.refused["denied"] >= 1
