"""Is the process that reads one source with libav and hands its media to the relay that started it.

`python -m hlsd.publishing.relay_child` takes an order, one line of JSON, on standard input; writes FLV to standard
output; says why it ends in one line on standard error. Law: it can hurt nobody but itself. Its memory is bounded, it
writes no files, it ends with its input, libav may use the protocols of its kind of source and no others, and never
speaks HTTP itself: an MPEG-TS stream is fetched here, each address judged like the first one; segments of HLS, and what
SRT brings, come by standard input behind the order, fetched by the relay, and are all that libav gets to see of it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import av

from hlsd.base import masking
from hlsd.base.confinement import confine
from hlsd.base.errors import HlsdError, MediaError
from hlsd.media import flv
from hlsd.publishing.announcement import announced
from hlsd.publishing.sound_tagger import announcement_of, is_tagged, tagger_of
from hlsd.publishing.tagger import Tag, codec_name, dated
from hlsd.relay.address import Address, read_address
from hlsd.relay.guard import HostList
from hlsd.relay.handover import DATA, HEADER
from hlsd.relay.http_response import ResponseReader, request
from hlsd.relay.public import is_public
from hlsd.relay.rtsp_gate import RtspGate

AGENT: Final = "hlsd"
REDIRECTS: Final = 3
ANY_PUBLIC: Final = HostList(["*"])
RATE: Final = 1.001
"""How much faster than the wall clock paced media may go: clocks of sources are off by less."""
JUMP: Final = 5.0
"""Seconds by which media time may leap before the pace begins anew."""
_READ: Final = 64 * 1024
_ORDER: Final = 64 * 1024
_FILES: Final = 256
"""That libav may have open: connections, and the segments of a playlist."""
_WHITELIST: Final = {
    "rtsp": "rtsp,rtp,tcp,udp",
    "rtsps": "rtsp,rtsps,rtp,tcp,tls,udp",
    "udp": "udp",
    "rtp": "rtp,udp",
}
"""What libav may open, by scheme."""
_GATED: Final = "tcp"
"""What it may open where it speaks to our gate: no UDP, no RTP of its own, no TLS in which nothing could be read."""
_NOTHING: Final = "none"
"""No protocol is called so: what libav wants is fetched here, or by the relay."""
_FORMATS: Final = {"mpegts": "mpegts", "mp4": "mov", "aac": "aac"}
"""What a stretch may be, and what libav may take it for: it would else look for anything (SDP, concat, …)."""


class Fetcher:
    """Fetches over HTTP for libav.

    With `hosts`, every address is judged, and connected to as it was judged. Without, the operator has named the first
    one, which may be anywhere; but what a public server then points at (redirections, playlists) is public too, or its
    owner would reach into this machine's network.
    """

    def __init__(self, hosts: HostList | None, timeout: float) -> None:
        self._hosts = hosts
        self._timeout = timeout
        self._outside: bool | None = None
        """Whether the server that the operator named is a public one; None before the first fetch."""

    def open(self, url: str, *_: object) -> TagBody:
        """A file to read the body from. Raises OSError, HlsdError; ValueError for an address that is none."""
        for _hop in range(1 if self._hosts is not None else REDIRECTS + 1):
            address = read_address(url)
            if address.scheme not in {"http", "https"}:
                raise MediaError(f"{masking.address(url)} is not fetched from here")
            body = TagBody(self._connect(address))
            body.ask(request(address, AGENT))
            if body.status == 200:
                return body
            body.close()
            location = body.location if 300 <= body.status < 400 else ""
            if not location or self._hosts is not None:
                raise MediaError(f"HTTP status {body.status}")
            if not location.startswith("/") and "://" not in location:
                raise MediaError("a redirection to nowhere")
            url = location if "://" in location else f"{address.scheme}://{address.authority}{location}"
        raise MediaError("too many redirections")

    def _connect(self, address: Address) -> socket.socket:
        if self._hosts is not None:
            self._hosts.lists(address)
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)]
        if self._hosts is not None:
            ip = self._hosts.judge(address.scheme, found)
        elif self._outside:
            ip = ANY_PUBLIC.judge(address.scheme, found)
        else:
            ip = found[0]
            if self._outside is None:
                self._outside = is_public(ipaddress.ip_address(ip.partition("%")[0]))
        connection = socket.create_connection((ip, address.port), self._timeout)
        if address.secure:
            return ssl.create_default_context().wrap_socket(connection, server_hostname=address.host)
        return connection


class TagBody:
    """The body of one response, as a file that can only be read."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._response = ResponseReader()
        self._ready = b""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def location(self) -> str:
        """Where a redirection points."""
        return self._response.headers.get("location", "")

    def ask(self, octets: bytes) -> None:
        """Sends the request and reads the head of the answer."""
        self._connection.sendall(octets)
        while not self._response.status:
            received = self._connection.recv(_READ)
            if not received:
                raise MediaError("no answer")
            self._ready += self._response.feed(received)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; b"" at the end."""
        while not self._ready and not self._response.done:
            received = self._connection.recv(_READ)
            if not received:
                break
            self._ready = self._response.feed(received)
        taken, self._ready = (self._ready, b"") if size < 0 else (self._ready[:size], self._ready[size:])
        return taken

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


class StretchReader:
    """One stretch of what the relay hands over, as a file that can only be read. It ends where the next one begins."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = 0
        self.next: str | None = None
        """The form of the stretch behind it, "" if it is the last; None while it has not ended."""

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; b"" at the end. Ends the process if its relay is gone."""
        while not self._left:
            if self.next is not None:
                return b""
            kind, length = HEADER.unpack(self._exactly(HEADER.size))
            if kind == DATA:
                self._left = length
            else:
                self.next = self._exactly(length).decode()
        octets = self._exactly(self._left if size < 0 else min(size, self._left))
        self._left -= len(octets)
        return octets

    def _exactly(self, size: int) -> bytes:
        octets = self._stream.read(size)
        if len(octets) < size:
            os._exit(0)  # as `_end_with`: libav would make an error of an exception, and go on
        return octets


def stretches(stream: BinaryIO) -> Iterator[tuple[str, StretchReader]]:
    """The stretches of standard input, each with its form. What is left of one by its reader is skipped."""
    reader = StretchReader(stream)
    while True:
        while reader.read(_READ):
            pass
        form = reader.next
        if not form:
            return
        if form not in _FORMATS:
            raise MediaError(f"a stretch of {form}")
        reader = StretchReader(stream)
        yield form, reader


class SourcePace:
    """Holds media back to its own time. `now` and `sleep` are the clock's; seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self._now = now
        self._sleep = sleep
        self._start = 0.0
        self._first: float | None = None
        self._last = 0.0

    def wait(self, at: float) -> None:
        """Returns when what stands at media time `at` may go."""
        now = self._now()
        if self._first is None or abs(at - self._last) > JUMP:
            self._first, self._start = at, now
        self._last = at
        early = (at - self._first) / RATE - (now - self._start)
        if early < -1.0:
            self._first, self._start = at, now  # the source was behind: no hurry afterwards
        elif early > 0:
            self._sleep(early)


def _open(order: dict[str, Any]) -> Any:  # noqa: ANN401 - an InputContainer; its stubs differ by version
    """The source, opened. Raises what libav raises."""
    url, kind = str(order["url"]), str(order["kind"])
    timeout = float(order["timeout"])
    address = read_address(url)
    hosts = HostList(order["allow"]) if order["guarded"] else None
    fetcher = Fetcher(hosts, timeout)
    options = {"analyzeduration": "3000000", "protocol_whitelist": _NOTHING}
    limits = (timeout, timeout)
    if kind == "mpegts":
        return av.open(cast(Any, fetcher.open(url)), format="mpegts", options=options)
    options["protocol_whitelist"] = _WHITELIST[address.scheme]
    if kind == "udp":
        form = "rtp" if address.scheme == "rtp" else "mpegts"
        if hosts is not None:
            url = f"{address.scheme}://{_bracketed(str(order['ip']))}:{address.port}"  # libav would resolve once more
        return av.open(url, format=form, options=options, timeout=limits)
    options |= {"rtsp_transport": str(order["transport"]), "timeout": str(int(timeout * 1e6))}
    if hosts is None:
        return av.open(url, format="rtsp", options=options, timeout=limits)
    gate = RtspGate(str(order["ip"]), address.port, timeout, address.host if address.secure else "")
    user = f"{address.user}@" if address.user else ""
    url = f"rtsp://{user}127.0.0.1:{gate.port}{address.target}"
    options |= {"protocol_whitelist": _GATED, "rtsp_transport": "tcp"}
    try:
        return av.open(url, format="rtsp", options=options, timeout=limits)
    except av.FFmpegError:
        if gate.why:
            raise MediaError(gate.why) from None
        raise


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def tags_of(container: Any) -> Iterator[Tag]:  # noqa: ANN401 - as `_open`
    """The tags of the first video and the first audio track that are carried. Raises MediaError if there is neither."""
    found = [*container.streams.video[:1], *container.streams.audio[:1]]
    names = [codec_name(stream) for stream in found]
    chosen = [stream for stream, name in zip(found, names, strict=True) if is_tagged(name)]
    if not chosen:
        raise MediaError(
            f"it has {', '.join(names) or 'no media'}; H.264, H.265, AV1, AAC and what becomes it are carried"
        )
    taggers = {stream.index: tagger_of(stream) for stream in chosen}
    packets = dated(container.demux(chosen))
    tags = (tag for packet in packets for tag in taggers[packet.stream_index].tags(packet))
    yield from announced(tags, announcement_of(chosen, taggers))


def _media(order: dict[str, Any]) -> Iterator[Tag]:
    if order["kind"] == "file":
        from hlsd.publishing.publish import Source  # noqa: PLC0415 - brings a terminal's libraries, which only this kind pays for

        yield from Source(Path(read_address(order["url"]).path), loop=True, any_sound=True).tags()
        return
    if order["kind"] in {"hls", "srt"}:
        for form, stretch in stretches(sys.stdin.buffer):
            yield from _stretch(form, stretch)
        return
    with closing(_open(order)) as container:
        yield from tags_of(container)


def _stretch(form: str, stretch: StretchReader) -> Iterator[Tag]:
    """The tags of one stretch. It has a container of its own: what is in it may be quite another thing."""
    options = {"analyzeduration": "3000000", "protocol_whitelist": _NOTHING, "format_whitelist": _FORMATS[form]}
    with closing(av.open(cast(Any, stretch), format=form, options=options)) as container:
        yield from tags_of(container)


def run(order: dict[str, Any], out: BinaryIO) -> None:
    """Carries out an order until the source ends. Raises HlsdError, OSError, or what libav raises."""
    # Live sources come at their own pace; what can be read faster than it plays is held back to it.
    pace = SourcePace() if order["kind"] in {"file", "hls", "mpegts"} else None
    out.write(flv.file_header(video=True, audio=True))
    for kind, at, body in _media(order):
        if pace is not None:
            pace.wait(at / 1000)
        out.write(flv.file_tag(kind, at, body))
        out.flush()


def _end_with(stream: BinaryIO) -> None:
    while stream.read(1024):
        pass
    os._exit(0)


def main() -> int:
    """One order; 0 if the source came to its end."""
    order = json.loads(sys.stdin.buffer.readline(_ORDER))
    confine(int(order["memory"]), _FILES)
    if order["kind"] not in {"hls", "srt"}:  # whose reader sees the end of the input by itself
        # Raw, or the thread would hold the lock of a buffer that the interpreter wants at its end
        raw = cast(BinaryIO, os.fdopen(os.dup(0), "rb", buffering=0))
        threading.Thread(target=_end_with, args=(raw,), daemon=True).start()
    try:
        run(order, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(0)
    except (av.FFmpegError, OSError) as error:
        sys.stderr.write(f"{error.strerror or type(error).__name__}\n")  # its whole text has the address in it
        return 1
    except (HlsdError, ValueError, MemoryError) as error:
        sys.stderr.write(f"{error or type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
