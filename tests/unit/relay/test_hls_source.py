"""Following another server's HLS: what is fetched, in which order, where a stretch begins, and what is too much.

By RFC 8216bis: sections (§) are its own.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.net.names import Names
from hlsd.net.tls import Certificates
from hlsd.relay import hls_source
from hlsd.relay.dial import Dial, SourceError
from hlsd.relay.guard import HostList
from hlsd.relay.hls_playlist import ByteSpan
from hlsd.relay.hls_source import HlsSource, Stretch
from hlsd.relay.http_fetch import HttpFetch, StatusError
from tests.support.hls_upstream import Upstream, media
from tests.support.relay_peers import Sink


class Life:
    """A source over a real connection to `upstream`, whose time passes when it sleeps; `slept` is how long."""

    def __init__(self, upstream: Upstream, path: str = "/x.m3u8", dial: Dial | None = None, most: int = 10**7) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.bytes = 0
        fetch = HttpFetch(dial or Dial(tuple), self._received)
        log = structlog.get_logger()
        url = upstream.url + path
        self.source = HlsSource(url, fetch, max_bandwidth=most, now=lambda: self.time, log=log, sleep=self._sleep)

    def _received(self, size: int) -> None:
        self.bytes += size

    async def _sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept.append(round(seconds, 3))

    async def take(self, count: int = 10_000) -> list[Stretch]:
        """The next stretches; all of them if there are no more."""
        found: list[Stretch] = []
        async for stretch in self.source.stretches():
            found.append(stretch)
            if len(found) == count:
                break
        return found


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        server.segments(f"{number}.ts" for number in range(1, 40))
        yield server


def told(stretches: list[Stretch]) -> list[tuple[str, str]]:
    """Form and name of each."""
    return [(one.form, one.body.strip(b"G.").decode().removesuffix(".ts")) for one in stretches]


async def test_a_playlist_that_has_ended_is_given_from_its_beginning_to_its_end(upstream: Upstream) -> None:
    upstream.playlist("/x.m3u8", media(7, [f"{n}.ts" for n in range(1, 6)], ended=True))
    life = Life(upstream)
    assert told(await life.take()) == [("mpegts", "1"), ("", "2"), ("", "3"), ("", "4"), ("", "5")]
    assert life.slept == []
    assert life.bytes > 5 * 376


async def test_a_live_one_begins_three_segments_before_its_end_and_each_comes_once(upstream: Upstream) -> None:
    """§6.3.3, §6.3.4: reloaded after a target duration, after half of one where nothing was new."""
    upstream.playlist(
        "/x.m3u8",
        media(1, [f"{n}.ts" for n in range(1, 6)]),
        media(2, [f"{n}.ts" for n in range(2, 7)]),
        media(2, [f"{n}.ts" for n in range(2, 7)]),
        media(4, [f"{n}.ts" for n in range(4, 9)], ended=True),
    )
    life = Life(upstream)
    assert [name for _, name in told(await life.take())] == ["3", "4", "5", "6", "7", "8"]
    assert life.slept == [2.0, 2.0, 1.0]
    assert upstream.asked.count("/x.m3u8") == 4


async def test_a_playlist_that_is_still_empty_is_waited_for(upstream: Upstream) -> None:
    upstream.playlist("/x.m3u8", media(0, []), media(30, ["1.ts", "2.ts"], ended=True))
    assert [name for _, name in told(await Life(upstream).take())] == ["1", "2"]


async def test_a_new_stretch_begins_where_one_demuxer_could_not_go_on(upstream: Upstream) -> None:
    """Discontinuities, and other initialisation sections; the same section is not fetched again."""
    for name in ("a", "b"):
        upstream.files[f"/{name}.mp4"] = b"\x00\x00\x00\x08ftyp" + name.encode()
    upstream.playlist(
        "/x.m3u8",
        media(
            1,
            [
                "1.ts", "2.ts", "#EXT-X-DISCONTINUITY\n3.ts", '#EXT-X-MAP:URI="a.mp4"\n4.ts', "5.ts",
                '#EXT-X-MAP:URI="b.mp4"\n6.ts', "#EXT-X-DISCONTINUITY\n7.ts",
            ],
            ended=True,
        ),
    )  # fmt: skip
    stretches = await Life(upstream).take()
    assert [one.form for one in stretches] == ["mpegts", "", "mpegts", "mp4", "", "", "mp4", "", "mp4", ""]
    assert [one.body[8:] for one in stretches if one.form == "mp4"] == [b"a", b"b", b"b"]


@pytest.mark.parametrize("ranges", [True, False])
async def test_byte_ranges_are_fetched_as_such(upstream: Upstream, ranges: bool) -> None:
    """§4.4.4.2: without an offset it goes on where the last one ended. Some servers send all of it."""
    upstream.ranges = ranges
    upstream.files["/all.ts"] = b"".join(b"G%d" % n * 100 for n in range(3))
    upstream.playlist(
        "/x.m3u8",
        media(
            1, ["#EXT-X-BYTERANGE:200@0\nall.ts", "#EXT-X-BYTERANGE:200\nall.ts", "#EXT-X-BYTERANGE:50@500\nall.ts"],
            ended=True,
        ),
    )  # fmt: skip
    bodies = [one.body for one in await Life(upstream).take()]
    assert bodies == [b"G0" * 100, b"G1" * 100, b"G2" * 25]


async def test_gaps_are_not_fetched_and_what_is_not_there_is_left_out(upstream: Upstream) -> None:
    """§4.4.4.7. A segment that is not there is asked for twice: a server may list it a moment too early."""
    upstream.missing.add("/4.ts")
    upstream.playlist("/x.m3u8", media(1, ["1.ts", "#EXT-X-GAP\n2.ts", "3.ts", "4.ts", "5.ts"], ended=True))
    assert told(await Life(upstream).take()) == [("mpegts", "1"), ("mpegts", "3"), ("mpegts", "5")]
    assert "/2.ts" not in upstream.asked
    assert upstream.asked.count("/4.ts") == 2


async def test_a_source_whose_segments_are_all_missing_is_lost(upstream: Upstream) -> None:
    upstream.missing |= {f"/{n}.ts" for n in range(1, 10)}
    upstream.playlist("/x.m3u8", media(1, [f"{n}.ts" for n in range(1, 10)], ended=True))
    with pytest.raises(StatusError, match="404"):
        await Life(upstream).take()


async def test_an_answer_that_was_cut_short_is_asked_for_again(upstream: Upstream) -> None:
    """Half a segment is handed to nobody."""
    upstream.playlist("/x.m3u8", media(1, ["1.ts", "2.ts"], ended=True))
    iterator = Life(upstream).source.stretches()
    assert (await anext(iterator)).body.startswith(b"G1.ts")
    upstream.cut = 1
    assert len((await anext(iterator)).body) == 376
    assert upstream.asked.count("/2.ts") == 2
    iterator = Life(upstream).source.stretches()
    await anext(iterator)
    upstream.cut = 2
    with pytest.raises(SourceError, match="cut short"):
        await anext(iterator)


async def test_who_falls_behind_goes_on_near_the_end(upstream: Upstream) -> None:
    """A relay that is slower than its source must not lie ever further behind, nor keep what it will never send."""
    upstream.playlist(
        "/x.m3u8", media(1, ["1.ts", "2.ts", "3.ts"]), media(1, [f"{n}.ts" for n in range(1, 21)]),
        media(1, [f"{n}.ts" for n in range(1, 22)], ended=True),
    )  # fmt: skip
    assert told(await Life(upstream).take()) == [
        ("mpegts", "1"), ("", "2"), ("", "3"), ("mpegts", "18"), ("", "19"), ("", "20"), ("", "21"),
    ]  # fmt: skip


async def test_what_is_not_listed_any_more_is_left_out(upstream: Upstream) -> None:
    upstream.playlist("/x.m3u8", media(1, ["1.ts", "2.ts", "3.ts"]), media(6, ["6.ts", "7.ts"], ended=True))
    assert told(await Life(upstream).take())[3:] == [("mpegts", "6"), ("", "7")]


async def test_a_server_that_begins_anew_is_followed(upstream: Upstream) -> None:
    """It lost its numbers with a restart: waiting for the old ones would be for ever."""
    upstream.playlist("/x.m3u8", media(500, ["1.ts", "2.ts", "3.ts"]), media(0, ["4.ts", "5.ts"], ended=False),
                      media(0, ["4.ts", "5.ts"], ended=True))  # fmt: skip
    assert told(await Life(upstream).take())[3:] == [("mpegts", "4"), ("", "5")]


async def test_a_playlist_that_stumbles_is_tried_again_and_one_that_is_gone_is_not(upstream: Upstream) -> None:
    upstream.playlist("/x.m3u8", media(1, ["1.ts"]), media(1, ["1.ts", "2.ts"], ended=True))
    life = Life(upstream)
    iterator = life.source.stretches()
    await anext(iterator)
    upstream.cut = 2
    assert (await anext(iterator)).body.startswith(b"G2.ts")
    upstream.playlist("/x.m3u8", media(1, ["1.ts"]))
    life = Life(upstream)
    iterator = life.source.stretches()
    await anext(iterator)
    upstream.missing.add("/x.m3u8")
    with pytest.raises(StatusError) as caught:
        await anext(iterator)
    assert caught.value.final


async def test_the_best_variant_within_the_bound_is_chosen(upstream: Upstream) -> None:
    master = (
        "#EXTM3U\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS="avc1.64001f,mp4a.40.2"\nlow.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=4000000,CODECS="avc1.64001f,mp4a.40.2"\nmid.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=4500000,CODECS="av01.0.05M.08,mp4a.40.2"\nav1.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS="avc1.64001f,mp4a.40.2"\nhigh.m3u8\n'
    )
    upstream.playlist("/x.m3u8", master)
    for number, name in enumerate(("low", "mid", "high"), 1):
        upstream.playlist(f"/{name}.m3u8", media(1, [f"{number}.ts"], ended=True))
    for most, name in ((5_000_000, "2"), (10**7, "3"), (1, "1")):
        assert [one for _, one in told(await Life(upstream, most=most).take())] == [name]
    upstream.playlist("/mid.m3u8", master)
    with pytest.raises(SourceError, match="multivariant playlist again"):
        await Life(upstream, most=5_000_000).take()


# -- the guard


async def test_redirections_are_followed_and_what_is_relative_is_relative_to_where_they_end(upstream: Upstream) -> None:
    upstream.redirects |= {"/x.m3u8": "/a/x.m3u8", "/a/x.m3u8": f"{upstream.url}/b/x.m3u8"}
    upstream.playlist("/b/x.m3u8", media(1, ["1.ts"], ended=True))
    upstream.segments(["b/1.ts"])
    assert len(await Life(upstream).take()) == 1
    assert upstream.asked == ["/x.m3u8", "/a/x.m3u8", "/b/x.m3u8", "/b/1.ts"]


async def test_redirections_without_an_end_are_not_followed_for_ever(upstream: Upstream) -> None:
    upstream.redirects["/x.m3u8"] = "/x.m3u8"
    with pytest.raises(SourceError, match="too many redirections"):
        await Life(upstream).take()
    assert len(upstream.asked) == 6


@pytest.mark.parametrize("what", ["redirect", "segment", "map", "key", "variant", "segment redirect"])
async def test_whatever_leads_to_a_forbidden_address_leads_nowhere(upstream: Upstream, what: str) -> None:
    """A relay by API: the listed host points at one that is not, and nobody there ever sees a connection."""
    sink = Sink()
    try:
        there = f"http://127.0.0.2:{sink.port}"
        upstream.playlist(
            "/x.m3u8",
            {
                "segment": media(1, [f"{there}/1.ts"], ended=True),
                "map": media(1, [f'#EXT-X-MAP:URI="{there}/i.mp4"\n1.ts'], ended=True),
                "key": media(1, [f'#EXT-X-KEY:METHOD=AES-128,URI="{there}/k"\n1.ts'], ended=True),
                "variant": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{there}/v.m3u8\n",
            }.get(what, media(1, ["1.ts"], ended=True)),
        )
        if what == "redirect":
            upstream.redirects["/x.m3u8"] = f"{there}/x.m3u8"
        if what == "segment redirect":
            upstream.redirects["/1.ts"] = f"{there}/1.ts"
        with pytest.raises(SourceError, match="allow_hosts") as caught:
            await Life(upstream, dial=Dial(tuple, HostList(["127.0.0.1"]))).take()
        assert caught.value.final
        assert sink.connections() == 0
    finally:
        sink.close()


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "rtmp://127.0.0.1/a/b", "tcp://127.0.0.1:1", "data:x", "concat:a|b"]
)
async def test_nothing_but_http_is_fetched(upstream: Upstream, uri: str) -> None:
    upstream.playlist("/x.m3u8", media(1, [uri], ended=True))
    with pytest.raises(SourceError):
        await Life(upstream).take()
    assert upstream.asked == ["/x.m3u8"] or uri.startswith("concat:")


async def test_what_a_public_server_points_at_is_public_too(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator names a partner's playlist; its owner must not thereby fetch from the operator's own network."""
    asked: list[str] = []

    async def look_up(_: Names, host: str) -> list[str]:
        asked.append(host)
        return [{"partner.example": "93.184.216.34", "inside.example": "10.0.0.5"}.get(host, host)]

    monkeypatch.setattr(Names, "addresses", look_up)
    abroad = Dial(tuple).abroad()
    from hlsd.relay.address import read_address

    assert await abroad.resolve(read_address("http://partner.example/x")) == "93.184.216.34"
    for url in ("http://inside.example/1.ts", "http://169.254.169.254/x", "http://127.0.0.1:8000/api"):
        with pytest.raises(SourceError, match="not public"):
            await abroad.resolve(read_address(url))
    upstream.playlist("/x.m3u8", media(1, ["1.ts"], ended=True))
    monkeypatch.setattr("hlsd.relay.http_fetch.is_public", lambda _: True)  # as if 127.0.0.1 were on the Internet
    with pytest.raises(SourceError, match="not public"):
        await Life(upstream).take()
    assert upstream.asked == ["/x.m3u8"]


async def test_a_server_does_not_feed_itself_by_a_detour(upstream: Upstream) -> None:
    """A playlist elsewhere whose segments are this server's own."""
    own = 65_000
    upstream.playlist("/x.m3u8", media(1, [f"http://127.0.0.1:{own}/live/film.ts"], ended=True))
    with pytest.raises(SourceError, match="must not feed itself"):
        await Life(upstream, dial=Dial(lambda: (own,))).take()


async def test_by_https_the_certificate_must_be_good_and_the_authorities_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading them takes tens of milliseconds of the event loop: not for each segment."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_self_signed(cert, key, ["localhost"])
    async with Upstream("localhost", Certificates([(cert, key)]).open(structlog.get_logger(), 0.0)) as upstream:
        upstream.segments(f"{n}.ts" for n in range(1, 6))
        upstream.playlist("/x.m3u8", media(1, [f"{n}.ts" for n in range(1, 6)], ended=True))
        with pytest.raises(SourceError, match="cannot be reached"):
            await Life(upstream).take()
        assert upstream.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        made: list[ssl.SSLContext] = []
        make = ssl.create_default_context

        def counted() -> ssl.SSLContext:
            made.append(make())
            return made[-1]

        monkeypatch.setattr(ssl, "create_default_context", counted)
        assert len(await Life(upstream).take()) == 5
        assert len(made) == 1


# -- the bounds


async def test_a_playlist_that_is_too_large_is_refused(upstream: Upstream) -> None:
    upstream.playlist("/x.m3u8", media(1, ["1.ts"]) + "#" + "x" * 1_048_576)
    with pytest.raises(SourceError, match="more than 1048576 bytes"):
        await Life(upstream).take()
    upstream.endless.add("/x.m3u8")
    with pytest.raises(SourceError, match="more than 1048576 bytes"):
        await Life(upstream).take()


async def test_a_segment_without_an_end_is_given_up(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its size, or by the time it takes."""
    monkeypatch.setattr(hls_source, "SEGMENT_LIMIT", 300_000)
    upstream.endless.add("/1.ts")
    upstream.playlist("/x.m3u8", media(1, ["1.ts"], ended=True))
    life = Life(upstream)
    with pytest.raises(SourceError, match="more than 300000 bytes"):
        await life.take()
    assert life.bytes < 2_000_000
    assert upstream.asked.count("/1.ts") == 1, "it is not asked for once more"
    upstream.silent.add("/2.ts")
    fetch = HttpFetch(Dial(tuple), lambda _: None)
    with pytest.raises(SourceError, match="longer than"):
        await fetch.get(f"{upstream.url}/2.ts", 1000, 0.2)
    with pytest.raises(SourceError, match="another range"):
        await fetch.get(f"{upstream.url}/3.ts", 1000, 5.0, ByteSpan(300, 100))


# -- encryption


def sealed(body: bytes, key: bytes, iv: bytes) -> bytes:
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(body) + padder.finalize()) + encryptor.finalize()


async def test_aes_128_is_opened_with_a_vector_or_the_sequence_number(upstream: Upstream) -> None:
    """§4.4.4.4, §5.2; the key is fetched once."""
    key, iv = bytes(range(16)), bytes(range(16, 32))
    upstream.files |= {
        "/k": key,
        "/a.ts": sealed(b"Ga", key, (77).to_bytes(16, "big")),
        "/b.ts": sealed(b"Gb", key, iv),
    }
    tag = '#EXT-X-KEY:METHOD=AES-128,URI="k"'
    upstream.playlist(
        "/x.m3u8",
        media(77, [f"{tag}\na.ts", f"{tag},IV=0x{iv.hex()}\nb.ts", "#EXT-X-KEY:METHOD=NONE\n1.ts"], ended=True),
    )
    assert [one.body[:2] for one in await Life(upstream).take()] == [b"Ga", b"Gb", b"G1"]
    assert upstream.asked.count("/k") == 1


async def test_other_encryption_is_refused_with_the_reason(upstream: Upstream) -> None:
    for tag, words in (
        ('METHOD=SAMPLE-AES,URI="k"', "SAMPLE-AES"),
        ('METHOD=AES-128,URI="k",KEYFORMAT="com.apple.streamingkeydelivery"', "streamingkeydelivery"),
    ):
        upstream.playlist("/x.m3u8", media(1, [f"#EXT-X-KEY:{tag}\n1.ts"], ended=True))
        with pytest.raises(SourceError, match=words) as caught:
            await Life(upstream).take()
        assert caught.value.final
    upstream.files["/k"] = bytes(16)
    upstream.playlist("/x.m3u8", media(1, ['#EXT-X-KEY:METHOD=AES-128,URI="k"\n1.ts'], ended=True))
    with pytest.raises(SourceError, match="does not open"):
        await Life(upstream).take()
