"""The way from a socket to the judge and back."""

from __future__ import annotations

import asyncio

import httpx

from tests.support.eventually import eventually
from tests.support.playable import MemoryPlayable
from tests.unit.delivery.conftest import Running

SID = "A" * 22
PLAYLIST = f"/live/cam/~{SID}/index.m3u8"
BLOCKING = f"/live/ll/~{SID}/index.m3u8?_HLS_msn=103&_HLS_part=0"


def stream(running: Running, name: str) -> MemoryPlayable:
    playable = running.directory.find("live", name)
    assert isinstance(playable, MemoryPlayable)
    return playable


async def test_a_player_walks_from_the_multivariant_to_the_media(running: Running) -> None:
    """The whole way by relative URIs, as every player resolves them."""
    body = bytes(range(256)) * 2000
    stream(running, "cam").add_media("r1", "100.ts", body)
    multivariant = await running.client.get("/live/cam.m3u8")
    playlist = await running.client.get(multivariant.url.join(multivariant.text.splitlines()[-1]))
    media = await running.client.get(playlist.url.join("r1/100.ts"))
    assert (multivariant.status_code, playlist.status_code, media.status_code) == (200, 200, 200)
    assert media.content == body
    assert media.headers["content-length"] == str(len(body))


async def test_ht18_date_is_there_from_the_first_answer_and_no_server_name(running: Running) -> None:
    """Players tell the age of a playlist by it."""
    answer = await running.client.get(PLAYLIST)
    assert answer.headers["date"].endswith("GMT")
    assert "server" not in answer.headers
    assert "age" not in answer.headers


async def test_gzip_range_and_not_modified_pass_the_wire(running: Running) -> None:
    """Httpx decodes gzip itself, so the text proves the coding."""
    stream(running, "cam").add_media("r1", "100.ts", b"0123456789")
    zipped = await running.client.get(PLAYLIST, headers={"accept-encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.text.startswith("#EXTM3U\n")
    same = await running.client.get(
        PLAYLIST, headers={"accept-encoding": "gzip", "if-none-match": zipped.headers["etag"]}
    )
    assert (same.status_code, same.content) == (304, b"")
    part = await running.client.get(f"/live/cam/~{SID}/r1/100.ts", headers={"range": "bytes=-3"})
    assert (part.status_code, part.content) == (206, b"789")


async def test_head_has_the_headers_and_the_connection_goes_on(running: Running) -> None:
    """A wrong length after HEAD would poison the next answer on the connection."""
    reader, writer = await running.connect()
    writer.write(f"HEAD {PLAYLIST} HTTP/1.1\r\nHost: x\r\n\r\nGET /live/none.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: " in head
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404")


async def test_a_held_reload_is_released_by_its_part(running: Running) -> None:
    """DD01 over a socket."""
    low = stream(running, "ll")
    request = asyncio.create_task(running.client.get(BLOCKING))
    await eventually(lambda: running.holds.waiting == 1)
    assert running.holds.waiting == 1
    low.add_part()
    answer = await request
    assert answer.status_code == 200
    assert "r1/103.0.ts" in answer.text
    assert running.holds.waiting == 0


async def test_dd16_the_reload_and_the_hinted_part_are_released_together(running: Running) -> None:
    """One event wakes both."""
    low = stream(running, "ll")
    low.hint = ("r1", "p0.ts")
    both = [
        asyncio.create_task(running.client.get(BLOCKING)),
        asyncio.create_task(running.client.get(f"/live/ll/~{SID}/r1/p0.ts")),
    ]
    await eventually(lambda: running.holds.waiting == 2)
    low.parts += 1
    low.add_media("r1", "p0.ts", b"part")
    playlist, part = await asyncio.gather(*both)
    assert (playlist.status_code, part.status_code, part.content) == (200, 200, b"part")


async def test_the_first_playlist_is_waited_for_and_comes(running: Running) -> None:
    """A viewer who is faster than the encoder's first segment sees a picture, not an error."""
    new = stream(running, "new")
    request = asyncio.create_task(running.client.get("/live/new.m3u8"))
    await eventually(lambda: running.holds.waiting == 1)
    new.begin()
    assert (await request).status_code == 200


async def test_dd17_a_disconnect_frees_the_wait(running: Running) -> None:
    """A viewer who leaves must cost nothing until the next part."""
    _, writer = await running.connect()
    writer.write(f"GET {BLOCKING} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await eventually(lambda: running.holds.waiting == 1)
    writer.transport.abort()
    await eventually(lambda: running.holds.waiting == 0)
    assert running.holds.waiting == 0


async def test_dd17_one_waiter_too_many_is_503_and_the_others_wait_on(running: Running) -> None:
    """Every waiter list has a bound; here it is 3 for each stream."""
    low = stream(running, "ll")
    held = [asyncio.create_task(running.client.get(BLOCKING)) for _ in range(3)]
    await eventually(lambda: running.holds.waiting == 3)
    refused = await running.client.get(BLOCKING)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    low.add_part()
    assert [answer.status_code for answer in await asyncio.gather(*held)] == [200, 200, 200]


async def test_a_viewer_at_the_door_is_let_in_with_the_next_part(running: Running) -> None:
    """Or after one part's time; and a full house is no reason to send it away."""
    low = stream(running, "ll")
    low.part_target = 0.3
    request = asyncio.create_task(running.client.get("/live/ll.m3u8"))
    await eventually(lambda: running.holds.waiting == 1)
    low.add_part()
    assert (await request).status_code == 200
    request = asyncio.create_task(running.client.get("/live/ll.m3u8"))
    await eventually(lambda: running.holds.waiting == 1)
    assert (await request).status_code == 200, "the sweep ends it"
    held = [asyncio.create_task(running.client.get(BLOCKING.replace("part=0", "part=2"))) for _ in range(3)]
    await eventually(lambda: running.holds.waiting == 3)
    assert (await running.client.get("/live/ll.m3u8")).status_code == 200
    low.end()
    await asyncio.gather(*held)


async def test_a_viewer_who_leaves_at_the_door_has_no_session(running: Running) -> None:
    """It was never let in."""
    low = stream(running, "ll")
    low.part_target = 0.3
    _, writer = await running.connect()
    writer.write(b"GET /live/ll.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n")
    await eventually(lambda: running.holds.waiting == 1)
    writer.transport.abort()
    await eventually(lambda: running.holds.waiting == 0)
    low.add_part()
    assert low.minted == []


async def test_r17_the_end_of_the_stream_answers_everybody(running: Running) -> None:
    """No waiter is left behind."""
    low = stream(running, "ll")
    held = [asyncio.create_task(running.client.get(BLOCKING)) for _ in range(3)]
    await eventually(lambda: running.holds.waiting == 3)
    low.end()
    answers: list[httpx.Response] = await asyncio.gather(*held)
    assert all("#EXT-X-ENDLIST" in answer.text for answer in answers)
    assert running.holds.waiting == 0


async def test_a_body_with_a_get_is_dropped_while_waiting(running: Running) -> None:
    """It must neither end the wait nor pile up."""
    low = stream(running, "ll")
    reader, writer = await running.connect()
    writer.write(f"GET {BLOCKING} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n".encode() + b"x" * 200_000)
    await eventually(lambda: running.holds.waiting == 1)
    low.add_part()
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_paths_are_judged_raw(running: Running) -> None:
    """ASGI's decoded path would let `%2f` through as a slash."""
    reader, writer = await running.connect()
    for target, status in ((b"/live%2fcam.m3u8", b"404"), (b"/live/..%2fcam.m3u8", b"400"), (b"/live/%2e%2e", b"400")):
        writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] == status
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
