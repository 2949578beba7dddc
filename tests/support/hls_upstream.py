"""Stands in for somebody else's HLS server: whatever playlists and segments a test wants; notes what was asked."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import ssl
from collections.abc import Iterable
from typing import Literal, Self

import av

from tests.support.flvmedia import make_flv


class Upstream:
    """Serves `files` by path on loopback; a list is taken from the front, its last one again and again.

    `redirects` are paths that lead elsewhere, `missing` are 404; an `endless` path sends for ever; with `ranges` off
    it sends all of what it was asked a part of.
    """

    def __init__(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.tls = tls
        self.port = 0
        self.files: dict[str, bytes | list[bytes]] = {}
        self.redirects: dict[str, str] = {}
        self.missing: set[str] = set()
        self.endless: set[str] = set()
        self.silent: set[str] = set()
        self.ranges = True
        self.cut = 0
        """Answers to come that end in the middle."""
        self.asked: list[str] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Its root, without the last slash."""
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}"

    def playlist(self, path: str, *texts: str) -> None:
        """What that path gives, one text after the other."""
        self.files[path] = [text.encode() for text in texts]

    def segments(self, names: Iterable[str], size: int = 376) -> None:
        """Segments that look like MPEG-TS, each with its name in it."""
        for name in names:
            self.files[f"/{name}"] = (b"G" + name.encode()).ljust(size, b".")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ")[1].partition("?")[0]
            self.asked.append(path)
            await self._answer(path, head, reader, writer)
        writer.close()

    async def _answer(self, path: str, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if path in self.silent:
            await reader.read()
        elif path in self.redirects:
            writer.write(
                f"HTTP/1.1 302 Found\r\nLocation: {self.redirects[path]}\r\nContent-Length: 0\r\n\r\n".encode()
            )
        elif path in self.endless:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nG")
            while not reader.at_eof():
                writer.write(bytes(65536))
                await writer.drain()
        elif path in self.missing or path not in self.files:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            found = self.files[path]
            body = found if isinstance(found, bytes) else found.pop(0) if len(found) > 1 else found[0]
            status = "200 OK"
            span = re.search(r"\r\nRange: bytes=(\d+)-(\d+)\r\n", head)
            if span is not None and self.ranges:
                body, status = body[int(span[1]) : int(span[2]) + 1], "206 Partial Content"
            size = len(body)
            if self.cut:
                self.cut -= 1
                body = body[: size // 2]
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + body)
        await writer.drain()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()


def media(first: int, names: Iterable[str], *, target: int = 2, ended: bool = False) -> str:
    """A media playlist. A name may have tags before it, each with its line end."""
    lines = [f"#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"]
    for name in names:
        *tags, uri = name.split("\n")
        lines += [f"{tag}\n" for tag in tags]
        lines.append(f"#EXTINF:{target},\n{uri}\n")
    return "".join(lines) + ("#EXT-X-ENDLIST\n" if ended else "")


def muxed(form: str, codec: Literal["h264", "av1"] = "h264") -> bytes:
    """A film in a container, as a segment would have it."""
    out = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if form == "mp4" else {}
    film = av.open(io.BytesIO(make_flv(codec, seconds=1.0, fps=25, gop=25)), "r")
    with film, av.open(out, "w", format=form, options=options) as container:
        media = [one for one in film.streams if one.type in {"video", "audio"}]
        streams = [container.add_stream_from_template(one, opaque=codec == "av1") for one in media]
        for packet in film.demux():
            if packet.dts is None or packet.pts is None:
                continue
            packet.stream = streams[packet.stream_index]
            container.mux(packet)
    return out.getvalue()
