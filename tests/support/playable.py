"""A stream's HLS output in memory: small, but it waits, wakes and judges directives as a real one must.

Playlists are real enough to be told apart by version; media is bytes under a name. Who watches it stands in a list.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable

from hlsd.ports import MAIN, Denial, Lateness, Media, Playable, PlayRequest, Rendering, StreamSummary


class MemoryPlayable:
    """A `Playable` that a test drives: `add_part`, `finish_segment`, `begin`, `end`."""

    def __init__(self, *, low_latency: bool = False, target: int = 2, begun: bool = True, first_msn: int = 100) -> None:
        self.low_latency = low_latency
        self.part_target = 1.0 if low_latency else 0.0  # so long that nobody at the door waits for the next
        self.ended = False
        self.target = target
        self.msn = first_msn  # the open segment
        self.parts = 0  # of the open segment
        self.done: dict[int, int] = {}  # finished segments: number of parts
        self.resources: dict[tuple[str, str], Media] = {}
        self.hint: tuple[str, str] | None = None
        self.version = 0
        self.away = False
        self.gone = False
        self.watchers: list[Callable[[], None]] = []
        self.minted: list[str] = []
        self.others: dict[str, MemoryPlayable] = {}
        self.leading: MemoryPlayable | None = None
        if begun:
            self.begin()

    @property
    def target_duration(self) -> int:
        return self.target if self.done else 0

    def begin(self, segments: int = 3) -> None:
        """The first playlist."""
        for _ in range(segments):
            self.parts = 4
            self.finish_segment()

    def add_part(self) -> None:
        self.parts += 1
        self._wake()

    def finish_segment(self) -> None:
        self.done[self.msn] = self.parts
        self.msn += 1
        self.parts = 0
        self._wake()

    def add_media(self, run: str, name: str, body: bytes) -> None:
        self.resources[run, name] = Media(body, "video/mp2t", f'"{run}-{name}"')
        if self.hint == (run, name):
            self.hint = None
        self._wake()

    def add_rendition(self, name: str) -> MemoryPlayable:
        """Another one of the same run."""
        other = self.others[name] = MemoryPlayable(low_latency=self.low_latency, target=self.target)
        other.leading = self
        return other

    def end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self.version += 1
        if self.leading is not None:
            self.leading.version += 1
        for changed in tuple(self.watchers):
            changed()

    def remove(self) -> None:
        self.gone = True
        self._wake()

    # -- Playable

    def watch(self, changed: Callable[[], None]) -> None:
        self.watchers.append(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        self.watchers.remove(changed)

    def playlist(self, *, skip: bool = False) -> Rendering | None:
        if not self.done:
            return None
        lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{self.target}", f"#EXT-X-MEDIA-SEQUENCE:{min(self.done)}"]
        if skip:
            lines.append("#EXT-X-SKIP:SKIPPED-SEGMENTS=1")
        lines += [f"#EXTINF:2.00000,\nr1/{msn}.ts" for msn in self.done]
        lines += [f'#EXT-X-PART:DURATION=0.5,URI="r1/{self.msn}.{n}.ts"' for n in range(self.parts)]
        lines += ["#EXT-X-ENDLIST"] if self.ended else []
        body = ("\n".join(lines) + "\n").encode()
        return Rendering(body, gzip.compress(body, mtime=0), f'"v{self.version}{"s" if skip else ""}"')

    def rendition(self, name: str) -> MemoryPlayable | None:
        return self if name in ("", MAIN) else self.others.get(name)

    whole = True

    def multivariant(self, base: str, only: str = "") -> bytes | None:
        if not self.done:
            return None
        variant = f"{base}{only or MAIN}/index.m3u8"
        self.minted.append(variant)
        return f'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS="avc1.64001f"\n{variant}\n'.encode()

    def media(self, run: str, name: str) -> Media | None:
        return self.resources.get((run, name))

    def expects(self, run: str, name: str) -> bool:
        return self.hint == (run, name)

    def lateness(self, msn: int, part: int | None) -> Lateness:
        if msn > self.msn + 1:
            return Lateness.TOO_FAR
        if part is not None and part > (self.parts if msn == self.msn else self.done.get(msn, 0)) + 6:
            return Lateness.TOO_FAR
        if msn in self.done and part is not None and part >= self.done[msn]:
            msn, part = msn + 1, 0  # DD03
        if msn < self.msn or (msn == self.msn and (part or 0) < self.parts):
            return Lateness.READY
        return Lateness.WAIT


class MemoryDirectory:
    """A `Directory` of the given streams, by `app/name`."""

    def __init__(self, **streams: Playable) -> None:
        self.streams: dict[tuple[str, str], Playable] = {("live", name): stream for name, stream in streams.items()}
        self.awaited: dict[tuple[str, str], MemoryPlayable] = {}
        self.rows: list[StreamSummary] = []

    def find(self, app: str, name: str) -> Playable | None:
        return self.streams.get((app, name))

    def expected(self, app: str, name: str) -> Playable:
        return self.awaited.setdefault((app, name), MemoryPlayable(begun=False))

    def obtainable(self, app: str, name: str) -> bool:
        return False

    async def obtain(self, request: PlayRequest) -> Playable | Denial:
        return self.find(request.app, request.name) or Denial(404, "not found")

    def summaries(self) -> list[StreamSummary]:
        return self.rows
