"""What HTTP says around a low-latency stream, and where the session stands in it (hls-rules §§6, 12), rule by rule."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.interop.test_ll_directives import looping
from tests.support.broadcast import wait_for_playlist
from tests.support.footage import Film
from tests.support.llcheck import parse
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FILM = Film(seconds=10, width=192, height=108, rate=30, gop=30)
FILMS = {"cam": FILM, "hevc": Film(seconds=10, codec="h265", width=192, height=108, rate=30, gop=30)}
ORIGIN = {"Origin": "https://player.example"}


@dataclass(slots=True)
class Place:
    """A running stream: the client, the server, and one URL of each kind."""

    client: httpx.Client
    server: HlsdServer
    top: httpx.URL
    media: httpx.URL
    segment: httpx.URL
    part: httpx.URL

    def each(self) -> dict[str, httpx.URL]:
        """One URL of each kind."""
        kinds = {"multivariant": self.top, "playlist": self.media, "segment": self.segment, "part": self.part}
        return kinds | {"missing": self.media.join("nothing/here.ts"), "nowhere": self.top.join("nobody.m3u8")}


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A server with an endless stream in each container."""
    folder = tmp_path_factory.mktemp("http")
    with HlsdServer(folder, low_latency=True, env={"HLSD_HTTP__KEEP_ALIVE": "20"}) as running, ExitStack() as stack:
        for name, film in FILMS.items():
            stack.enter_context(looping(running, films, name, folder / f"{name}.log", film))
        for name in FILMS:
            wait_for_playlist(running.hls(name))
        yield running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """Says nothing that a test does not say."""
    with httpx.Client(timeout=20, headers={"Accept-Encoding": "identity"}) as one:
        yield one


def tune(client: httpx.Client, server: HlsdServer, name: str = "cam") -> Place:
    """A session on the stream."""
    top = httpx.URL(server.hls(name))
    media = top.join(client.get(top).text.splitlines()[-1])
    now = parse(client.get(media).text)
    segment, part = now.finished[-1].uri, now.finished[-1].parts[-1].uri
    assert segment is not None
    return Place(client, server, top, media, media.join(segment), media.join(part))


@pytest.fixture
def place(client: httpx.Client, server: HlsdServer) -> Place:
    """A session on the MPEG-TS stream."""
    return tune(client, server)


def test_ht01_ht02_playlists_are_gzipped_for_who_accepts_it_and_media_never(place: Place) -> None:
    # Half of what a low-latency viewer loads beside media is playlist.
    for kind, url in place.each().items():
        if kind in {"missing", "nowhere"}:
            continue
        plain = place.client.get(url)
        assert "content-encoding" not in plain.headers
        answer = place.client.get(url, headers={"Accept-Encoding": "gzip"})
        listed = kind in {"multivariant", "playlist"}
        assert answer.headers.get("content-encoding") == ("gzip" if listed else None), kind
        if listed:
            assert "Accept-Encoding" in answer.headers["vary"]
            assert "Accept-Encoding" in plain.headers["vary"]
    now = parse(place.client.get(place.media).text)
    asked = place.media.copy_with(query=f"_HLS_msn={now.edge[0]}&_HLS_part={now.edge[1]}".encode())
    with place.client.stream("GET", asked, headers={"Accept-Encoding": "gzip"}) as blocked:
        raw = b"".join(blocked.iter_raw())
    assert len(raw) == int(blocked.headers["content-length"])
    assert gzip.decompress(raw).startswith(b"#EXTM3U\n")


def test_ht03_ht15_every_answer_may_be_read_by_other_pages(place: Place) -> None:
    # Without it hls.js gets nothing, and on errors not even the status.
    for kind, url in place.each().items():
        for query in (b"", b"_HLS_part=1"):
            answer = place.client.get(url.copy_with(query=query or None), headers=ORIGIN)
            assert answer.headers["access-control-allow-origin"] == "*", kind
    assert place.client.get(place.media.join("../../~forged/main/index.m3u8"), headers=ORIGIN).headers[
        "access-control-allow-origin"
    ]


def test_ht14_a_preflight_is_answered(place: Place) -> None:
    # hls.js sends Range, some players Authorization.
    for kind, url in place.each().items():
        asked = ORIGIN | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
        answer = place.client.options(url, headers=asked)
        assert answer.status_code == httpx.codes.NO_CONTENT, kind
        assert {"Range", "Authorization"} <= set(re.split(r",\s*", answer.headers["access-control-allow-headers"]))
        assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
        assert int(answer.headers["access-control-max-age"]) > 0
    exposed = place.client.get(place.segment, headers=ORIGIN).headers["access-control-expose-headers"]
    assert {"Age", "Content-Length", "Content-Range", "Date"} <= set(re.split(r",\s*", exposed))


def age(answer: httpx.Response) -> int:
    """The max-age, 0 for no-store and no-cache."""
    control = answer.headers["cache-control"]
    found = re.search(r"max-age=(\d+)", control)
    assert found or "no-" in control, control
    return int(found[1]) if found else 0


def test_ht04_ht05_how_long_each_answer_may_be_kept(place: Place) -> None:
    # B.1's table: a playlist that a cache keeps too long is a player that stops.
    get, target = place.client.get, 2
    assert "no-store" in get(place.top).headers["cache-control"]
    assert age(get(place.media)) <= max(1, target / 2)
    now = parse(get(place.media).text)
    blocked = get(place.media.copy_with(query=f"_HLS_msn={now.edge[0]}&_HLS_part={now.edge[1]}".encode()))
    assert age(blocked) == 6 * target
    assert "private" in blocked.headers["cache-control"]  # SE04: its path holds a session
    refused = get(place.media.copy_with(query=b"_HLS_part=1"))
    assert (refused.status_code, age(refused)) == (httpx.codes.BAD_REQUEST, 4 * target)
    for url in (place.segment, place.part):
        assert get(url).headers["cache-control"] == "max-age=3600, immutable"
    assert age(get(place.media.join("nothing/here.ts"))) <= 1
    for kind, url in place.each().items():
        assert "cache-control" in get(url).headers, kind


@pytest.mark.parametrize(("name", "media"), [("cam", "video/mp2t"), ("hevc", "video/mp4")])
def test_ht06_types(client: httpx.Client, server: HlsdServer, name: str, media: str) -> None:
    # AVPlayer refuses what it cannot identify.
    place = tune(client, server, name)
    for url in (place.top, place.media, place.media.copy_with(query=b"_HLS_skip=YES")):
        assert client.get(url).headers["content-type"] == "application/vnd.apple.mpegurl"
    for url in (place.segment, place.part):
        assert client.get(url).headers["content-type"] == media
    named = re.search(r'EXT-X-MAP:URI="([^"]+)"', client.get(place.media).text)
    if named:
        assert client.get(place.media.join(named[1])).headers["content-type"] == "video/mp4"
    assert bool(named) == (name == "hevc")


def test_ht07_ht08_head_is_get_without_a_body_and_lengths_are_right(place: Place) -> None:
    # HEAD is what monitoring asks; it must neither wait nor differ.
    for kind, url in place.each().items():
        get, head = place.client.get(url), place.client.head(url)
        assert head.content == b""
        assert head.status_code == get.status_code, kind
        assert "transfer-encoding" not in get.headers
        assert int(get.headers["content-length"]) == len(get.content)
        assert head.headers.get("content-type") == get.headers.get("content-type"), kind
        if kind in {"segment", "part"}:
            assert head.headers["content-length"] == get.headers["content-length"]
    # One that waited would be answered when what it waited for is there, each time; one that does not is answered
    # before, unless the machine is away just then.
    early: set[str] = set()
    for _ in range(30):
        now = parse(place.client.get(place.media).text)
        hint = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', now.text)[0]
        place.client.head(place.media.join(hint))
        if f'TYPE=PART,URI="{hint}"' in place.client.get(place.media).text:
            early.add("part")
        msn = parse(place.client.get(place.media).text).edge[0] + 1
        place.client.head(place.media.copy_with(query=f"_HLS_msn={msn}".encode()))
        if parse(place.client.get(place.media).text).edge[0] < msn:
            early.add("playlist")
        if len(early) == 2:
            break
    assert early == {"part", "playlist"}


def test_ht09_what_is_not_there_is_404_at_once(place: Place) -> None:
    # Never a hold, never a 5xx, never an empty 200.
    run = place.segment.path.split("/")[-2]
    sid_path = place.media.path.rpartition("/")[0]
    wrong = [
        place.top.join("/live/nobody.m3u8"),
        place.top.join("/live/nobody/master.m3u8"),
        place.media.join(f"{run}/s1.ts"),
        place.media.join(f"{run}/p99999999.ts"),
        place.media.join(f"{run}/i0.mp4"),
        place.media.join("1aaaaaaaa/s1.ts"),
        place.media.join(f"{run}/"),
        place.top.join(f"{sid_path}/nothing.m3u8"),
        place.media.join("../v480/index.m3u8"),
        place.media.join(f"../v480/{run}/s1.ts"),
    ]
    for url in wrong:
        began = time.monotonic()
        answer = place.client.get(url)
        assert answer.status_code in {400, 404}, url
        assert len(answer.content) < 200
        assert "EXTM3U" not in answer.text
        assert time.monotonic() - began < 5.0, url  # holds end after three target durations, six seconds


def test_ht10_ranges_of_media(place: Place) -> None:
    # Players probe with them; single ranges only.
    get = place.client.get
    whole = get(place.segment).content
    end = len(whole) - 1
    for wanted, first, last in (("0-187", 0, 187), ("188-", 188, end), ("-188", end - 187, end)):
        answer = get(place.segment, headers={"Range": f"bytes={wanted}"})
        assert answer.status_code == httpx.codes.PARTIAL_CONTENT
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
        assert answer.content == whole[first : last + 1]
    outside = get(place.segment, headers={"Range": f"bytes={len(whole)}-"})
    assert outside.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
    assert outside.headers["content-range"] == f"bytes */{len(whole)}"


def test_ht13_nothing_is_redirected(place: Place) -> None:
    # "No redirects for playlists and segments" (AS 8.18).
    for kind, url in place.each().items():
        assert not place.client.get(url, follow_redirects=False).is_redirect, kind


def test_ht16_validators_save_the_body_of_what_did_not_change(place: Place) -> None:
    # Strong, one for each version and coding; a blocking reload is always answered in full.
    for url in (place.segment, place.part):
        first = place.client.get(url)
        assert first.headers["etag"].startswith('"')
        assert place.client.get(url, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
        assert "last-modified" not in first.headers
    for _ in range(20):  # a new part may come in between
        first = place.client.get(place.media)
        again = place.client.get(place.media, headers={"If-None-Match": first.headers["etag"]})
        zipped = place.client.get(place.media, headers={"Accept-Encoding": "gzip"})
        if again.status_code == httpx.codes.NOT_MODIFIED:
            break
    assert again.status_code == httpx.codes.NOT_MODIFIED
    assert again.content == b""
    assert zipped.headers["etag"] != first.headers["etag"]
    now = parse(first.text)
    blocked = place.client.get(
        place.media.copy_with(query=f"_HLS_msn={now.first}".encode()), headers={"If-None-Match": first.headers["etag"]}
    )
    assert blocked.status_code == httpx.codes.OK


def test_ht17_ht18_date_and_no_age(place: Place) -> None:
    # An Age above 0 starts the players' search for a cache; Date is their clock.
    for kind, url in place.each().items():
        answer = place.client.get(url)
        assert "age" not in answer.headers, kind
        assert answer.headers["date"].endswith("GMT"), kind


def test_ht20_a_connection_outlives_three_target_durations(place: Place) -> None:
    # A held reload, and the pause after it, must not lose the connection.
    with httpx.Client(timeout=20, limits=httpx.Limits(max_connections=1, keepalive_expiry=60)) as single:
        first = single.get(place.media)
        stream = first.extensions["network_stream"]
        msn = parse(first.text).edge[0]
        for n in range(4):  # meanwhile another one waits for four segments, which is more than three target durations
            held = place.client.get(place.media.copy_with(query=f"_HLS_msn={msn + n + 1}".encode()))
            assert held.status_code == httpx.codes.OK
        second = single.get(place.media)
        assert second.extensions["network_stream"] is stream


def test_se01_directives_do_not_come_back_in_addresses(place: Place) -> None:
    # A URI with an old _HLS_msn in it would be asked for for ever.
    now = parse(place.client.get(place.media).text)
    query = f"_HLS_msn={now.edge[0]}&_HLS_part={now.edge[1]}&_HLS_skip=YES&token=1".encode()
    for url in (place.media, place.top):
        answer = place.client.get(url.copy_with(query=query))
        assert answer.status_code == httpx.codes.OK
        assert "_HLS" not in answer.text
        assert "token" not in answer.text


def test_se02_every_address_is_relative_and_keeps_the_session(place: Place) -> None:
    # The session is a part of the path: nothing is lost by a player that resolves URIs, which all do.
    text = place.client.get(place.media).text
    uris = re.findall(r'URI="([^"]+)"', text) + [line for line in text.splitlines() if line and line[0] != "#"]
    assert len(uris) > 10
    for uri in uris:
        assert re.fullmatch(r"[0-9a-z]+/[a-z]\d+\.\w+", uri), uri
        assert place.media.join(uri).path.startswith(place.media.path.rpartition("/")[0])


def test_se03_an_address_stays_what_it_was_all_session_long(place: Place) -> None:
    # MP05: the token does not rotate inside a session.
    first = parse(place.client.get(place.media).text)
    msn, part = first.edge
    later = parse(place.client.get(place.media.copy_with(query=f"_HLS_msn={msn}&_HLS_part={part}".encode())).text)
    then, now = ({one.msn: one.uri for one in play.finished} for play in (first, later))
    assert all(then[number] == now[number] for number in then.keys() & now.keys())


def test_se04_all_viewers_share_playlist_and_media(place: Place) -> None:
    # The only bytes of a viewer's own are the multivariant's.
    with httpx.Client(timeout=20) as other_client:
        other = tune(other_client, place.server)
        assert other.media != place.media
        name = "/".join(place.segment.path.split("/")[-2:])
        mine, theirs = place.client.get(place.segment), other_client.get(other.media.join(name))
        assert (mine.content, mine.headers["etag"]) == (theirs.content, theirs.headers["etag"])
    assert "private" in place.client.get(place.media).headers["cache-control"]
    assert "private" in place.client.get(place.top).headers["cache-control"]


def test_se05_a_forged_session_is_refused_in_words(place: Place) -> None:
    # Readable by the page, and nothing that looks like a playlist.
    name = "/".join(place.segment.path.split("/")[-2:])
    paths = [f"~x/main/{name}", f"~x/{name}", f"~{'A' * 36}/main/{name}", f"~{'A' * 36}/{name}"]
    for path in (*paths, "~" + "A" * 22 + "%00/main/index.m3u8", "~/index.m3u8"):
        answer = place.client.get(place.media.join(f"../../{path}"), headers=ORIGIN)
        assert answer.status_code in {400, 403, 404}, path
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "EXTM3U" not in answer.text
        assert answer.headers["content-type"].startswith("text/plain")


def test_se05_a_playlist_under_a_forged_session_leads_to_one_of_the_servers_own(place: Place) -> None:
    # "Unknown/expired id … on a playlist: treat as create (auth again), answer with a fresh sid" (rule 13).
    for forged in ("x/main", "A" * 36 + "/main", "x", "A" * 36):
        asked = place.media.join(f"../../~{forged}/index.m3u8")
        answer = place.client.get(asked, headers=ORIGIN, follow_redirects=False)
        assert answer.status_code == httpx.codes.FOUND
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.content == b""
        led = place.media.join(answer.headers["location"])
        assert led.path not in {place.media.path, asked.path}
        assert place.client.get(led).text.startswith("#EXTM3U")
