"""Follows a live stream as a low-latency player does and judges it, rule by rule, while it runs.

`watch` holds one reload open at a time, asks for the hinted part ahead, fetches each part again once it is listed and
each segment once it is whole. Rule ids are those of the project's rule list (LL low-latency tags, DD delivery
directives). `Watch.looked` says how often each rule was looked at, so that a test can tell "never broken" from "never
seen". Also a command: `python -m tests.support.llcheck URL [seconds]`.
"""

from __future__ import annotations

import asyncio
import difflib
import re
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import httpx

from tests.support.playlistcheck import Violation, parse_attributes

_OF_SEGMENT = ("#EXTINF", "#EXT-X-PART:", "#EXT-X-PROGRAM", "#EXT-X-MAP", "#EXT-X-DISCONTINUITY", "#EXT-X-GAP")
_TICK = 0.00001  # durations are printed with five decimals


@dataclass(slots=True)
class Part:
    """An EXT-X-PART line."""

    uri: str
    duration: float
    independent: bool
    gap: bool


@dataclass(slots=True)
class Segment:
    """A segment, open while it has no URI. `tags` are the names of the lines before it, in order."""

    msn: int
    tags: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    duration: float | None = None
    uri: str | None = None


@dataclass(slots=True)
class Playlist:
    """A media playlist with its low-latency tags. `at` is when its last byte was there."""

    text: str
    at: float = 0.0
    target: int = 0
    control: str = ""
    part_target: float = 0.0
    first: int = 0
    skipped: int = 0
    segments: list[Segment] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    ended: bool = False

    @property
    def finished(self) -> list[Segment]:
        """The segments that are whole."""
        return [segment for segment in self.segments if segment.uri]

    @property
    def edge(self) -> tuple[int, int]:
        """MSN and number of the part that comes next."""
        last = self.segments[-1]
        return (last.msn + 1, 0) if last.uri else (last.msn, len(last.parts))

    def parts(self) -> list[tuple[int, int, Part]]:
        """Every listed part with its MSN and its number in the segment."""
        return [(segment.msn, n, part) for segment in self.segments for n, part in enumerate(segment.parts)]


def parse(text: str, at: float = 0.0) -> Playlist:  # noqa: PLR0912 - one branch a tag
    """Reads a media playlist or a delta update; ValueError for attribute lists that are none."""
    playlist = Playlist(text, at)
    segment = Segment(0)
    for line in text.splitlines():
        name, _, value = line.removeprefix("#").partition(":")
        if line.startswith("#EXT-X-TARGETDURATION"):
            playlist.target = int(value)
        elif line.startswith("#EXT-X-SERVER-CONTROL"):
            playlist.control = value
        elif line.startswith("#EXT-X-PART-INF"):
            playlist.part_target = float(parse_attributes(value)["PART-TARGET"])
        elif line.startswith("#EXT-X-MEDIA-SEQUENCE"):
            playlist.first = int(value)
            segment.msn = playlist.first
        elif line.startswith("#EXT-X-SKIP"):
            playlist.skipped = int(parse_attributes(value)["SKIPPED-SEGMENTS"])
            segment.msn = playlist.first + playlist.skipped
        elif line.startswith("#EXT-X-PRELOAD-HINT"):
            playlist.hints.append(value)
        elif line == "#EXT-X-ENDLIST":
            playlist.ended = True
        elif line.startswith(_OF_SEGMENT):
            if name == "EXT-X-DISCONTINUITY-SEQUENCE":
                continue
            segment.tags.append(name)
            segment.lines.append(line)
            if name == "EXTINF":
                segment.duration = float(value.partition(",")[0])
            elif name == "EXT-X-PART":
                given = parse_attributes(value)
                segment.parts.append(
                    Part(
                        given["URI"].strip('"'),
                        float(given["DURATION"]),
                        given.get("INDEPENDENT") == "YES",
                        given.get("GAP") == "YES",
                    )
                )
        elif line and not line.startswith("#"):
            segment.uri = line
            segment.lines.append(line)
            playlist.segments.append(segment)
            segment = Segment(segment.msn + 1)
    if segment.tags:
        playlist.segments.append(segment)
    return playlist


def merge(before: str, delta: str) -> str:
    """The full playlist that a delta update stands for (rfc8216bis §6.3.7): skipped segments come from `before`."""
    update = parse(delta)
    if not update.skipped:
        return delta
    old = parse(before)
    first, skipped = update.first, range(update.first, update.first + update.skipped)
    kept = [line for segment in old.segments if segment.msn in skipped for line in segment.lines]
    # Parts of what was skipped are beyond the boundary in any case: a player drops them as the server does (LL18).
    kept = [line for line in kept if not line.startswith("#EXT-X-PART:")]
    maps = [line for one in old.segments if one.msn <= first for line in one.lines if line.startswith("#EXT-X-MAP")]
    if maps and not any(line.startswith("#EXT-X-MAP") for line in kept):
        # It stood before a segment that has left the playlist; it stays in force, and now stands before the first.
        kept.insert(1 if kept and kept[0] == "#EXT-X-DISCONTINUITY" else 0, maps[-1])
    lines = []
    for line in delta.splitlines():
        if line.startswith("#EXT-X-SKIP"):
            lines += kept
        else:
            lines.append(line)
    assert min(segment.msn for segment in old.segments) <= first, "the delta skips what this client never had"
    return "\n".join([*lines, ""])


@dataclass(slots=True)
class Watch:
    """What a play has shown."""

    violations: list[Violation] = field(default_factory=list)
    looked: Counter[str] = field(default_factory=Counter)
    playlists: list[Playlist] = field(default_factory=list)
    listed_after: list[float] = field(default_factory=list)
    """Seconds from one part's listing to the next one's."""
    together: list[bool] = field(default_factory=list)
    """Whether the reload that was asked for with a hinted part ends with just that part (DD16)."""
    media: dict[str, bytes] = field(default_factory=dict)
    """Parts and segments by URI; "init" is the initialisation section, if there is one."""

    def note(self, rule: str, holds: bool, text: str = "") -> None:
        """A rule was looked at."""
        self.looked[rule] += 1
        if not holds and len(self.violations) < 200:
            self.violations.append(Violation(rule, text))

    def broken(self, rule: str) -> list[str]:
        """What breaks the rule; LookupError if it was never looked at."""
        if not self.looked[rule]:
            raise LookupError(f"{rule} was not looked at in {len(self.playlists)} playlists")
        return [violation.text for violation in self.violations if violation.rule == rule]


def judge(watch: Watch, now: Playlist, before: Playlist | None) -> None:
    """Looks at one playlist, and at what became of the one before it."""
    _judge_header(watch, now, before)
    _judge_parts(watch, now)
    _judge_end(watch, now)
    if before is not None:
        _judge_change(watch, now, before)


def _judge_header(watch: Watch, now: Playlist, before: Playlist | None) -> None:
    note = watch.note
    control = parse_attributes(now.control) if now.control else {}
    hold_back = float(control.get("PART-HOLD-BACK", 0))
    note("LL01", control.get("CAN-BLOCK-RELOAD") == "YES" and {"PART-HOLD-BACK", "CAN-SKIP-UNTIL"} <= set(control))
    note("LL02", now.part_target > 0, "no EXT-X-PART-INF")
    note("LL03", hold_back >= 2 * now.part_target, now.control)
    note("LL04", hold_back >= 3 * now.part_target, now.control)
    note("LL05", float(control.get("HOLD-BACK", 3 * now.target)) >= 3 * now.target, now.control)
    note("LL06", float(control.get("CAN-SKIP-UNTIL", 0)) >= 6 * now.target, now.control)
    if before is not None:
        same = (now.control, now.part_target, now.target) == (before.control, before.part_target, before.target)
        note("LL07", same, f"{before.control} {before.part_target} became {now.control} {now.part_target}")
    for segment in now.segments:
        note("LL26", "EXT-X-PROGRAM-DATE-TIME" in segment.tags, f"segment {segment.msn}: {segment.tags}")


def _judge_parts(watch: Watch, now: Playlist) -> None:
    note = watch.note
    target = now.part_target
    for segment in now.segments:
        where = f"segment {segment.msn}"
        parts = segment.parts
        for number, part in enumerate(parts):
            last = number + 1 == len(parts)
            note("LL08", part.duration <= target, f"{where} part {number}: {part.duration} > {target}")
            exempt = part.independent or part.gap or (last and segment.uri) or (not last and parts[number + 1].gap)
            newest = last and not segment.uri  # it may yet turn out to be its segment's last
            long = part.duration >= 0.85 * target
            note("LL09", bool(exempt or newest or long), f"{where} part {number}: {part.duration} of {target}")
        if parts and segment.duration is not None:
            total = sum(part.duration for part in parts)
            off = abs(total - segment.duration)
            note("LL10", off <= _TICK * (len(parts) + 1), f"{where}: parts {total:.5f}, EXTINF {segment.duration}")
        if parts:
            ahead = segment.tags[: segment.tags.index("EXT-X-PART")]
            late = [tag for tag in segment.tags[len(ahead) :] if tag not in {"EXT-X-PART", "EXTINF"}]
            note("LL22", not late, f"{where}: {late} after the first part")
            if segment.uri is None:
                note("LL30", "EXT-X-PROGRAM-DATE-TIME" in ahead, f"{where}: {segment.tags}")
                note("LL30", segment.duration is None, f"{where}: EXTINF without URI")
    behind = sum(part.duration for part in now.segments[-1].parts) if now.segments[-1].uri is None else 0.0
    for segment in reversed(now.finished):
        if behind > 3 * now.target:
            note("LL18", not segment.parts, f"segment {segment.msn}: parts {behind:.2f} s from the end")
        elif behind <= 3 * now.target - 0.001 and now.first < segment.msn:
            note("LL18", True)
        behind += segment.duration or 0.0


def _judge_end(watch: Watch, now: Playlist) -> None:
    if now.ended:
        return
    lines = now.text.splitlines()
    watch.note("LL15", lines[-1].startswith("#EXT-X-PRELOAD-HINT:TYPE=PART,URI="), lines[-1])
    watch.note("LL17", sum("TYPE=PART" in hint for hint in now.hints) == 1, f"{now.hints}")


def _judge_change(watch: Watch, now: Playlist, before: Playlist) -> None:
    note = watch.note
    old = {(msn, n): part for msn, n, part in before.parts()}
    new = {(msn, n): part for msn, n, part in now.parts()}
    for key in old.keys() & new.keys():
        note("LL24", old[key] == new[key], f"{key}: {old[key]} became {new[key]}")
    fresh = [key for key in new if key >= before.edge]
    if fresh and before.hints:
        hinted = parse_attributes(before.hints[-1])["URI"].strip('"')
        note("LL16", new[min(fresh)].uri == hinted, f"{min(fresh)} is {new[min(fresh)].uri}, hinted was {hinted}")
        watch.listed_after.append(now.at - before.at)


async def watch(url: str, seconds: float, *, own_rate: float | None = None, rendition: str = "") -> Watch:
    """Plays `url` (multivariant) for so many seconds or to its end.

    `rendition`: the one to be played, by its name; empty: the first. `own_rate` is what the media takes from part to
    part at most, for LL20 (default: the part target), seconds.
    """
    seen = Watch()
    async with httpx.AsyncClient(timeout=20, headers={"Accept-Encoding": "gzip"}) as client:
        top = await client.get(url)
        top.raise_for_status()
        named_so = [line for line in top.text.splitlines() if line and line[0] != "#" and f"{rendition}/index" in line]
        variant = top.url.join(named_so[0])
        now = await _load(client, variant, {})
        judge(seen, now, None)
        seen.playlists.append(now)
        named = re.search(r'#EXT-X-MAP:URI="([^"]+)"', now.text)
        if named:
            seen.media["init"] = (await client.get(variant.join(named[1]))).content
        deadline = time.monotonic() + seconds
        fetched: set[str] = set()
        while time.monotonic() < deadline and not now.ended:
            before, now = now, await _step(client, variant, now, seen)
            judge(seen, now, before)
            seen.playlists.append(now)
            await _fetch_new(client, variant, now, before, seen, fetched)
        await _fetch_dropped(client, variant, seen)
    _judge_pace(seen, own_rate)
    return seen


async def _load(client: httpx.AsyncClient, variant: httpx.URL, params: dict[str, str]) -> Playlist:
    answer = await client.get(variant.copy_merge_params(params))
    if answer.status_code != httpx.codes.OK:
        raise AssertionError(f"{answer.url}: {answer.status_code} {answer.text[:100]}")
    # Where other renditions stand changes by itself, and is no part of what is merged or comes last.
    own = [line for line in answer.text.splitlines(keepends=True) if not line.startswith("#EXT-X-RENDITION-REPORT")]
    return parse("".join(own), time.monotonic())


async def _step(client: httpx.AsyncClient, variant: httpx.URL, now: Playlist, seen: Watch) -> Playlist:
    """One blocking reload, as a whole playlist and as a delta update, with the hinted part asked for ahead."""
    msn, part = now.edge
    asked = {"_HLS_msn": f"{msn}", "_HLS_part": f"{part}"}
    hint = parse_attributes(now.hints[-1])["URI"].strip('"')
    full, delta, hinted = await asyncio.gather(
        _load(client, variant, asked),
        _load(client, variant, {**asked, "_HLS_skip": "YES"}),
        _media(client, variant.join(hint)),
    )
    late = full.edge <= now.edge and not full.ended
    seen.note("DD01", not late, f"asked for {msn}.{part}, got a playlist that ends before {full.edge}")
    status, body = hinted
    if not full.ended:
        seen.note("DD14", status == httpx.codes.OK and len(body) > 0, f"hinted {hint}: {status}, {len(body)} bytes")
        seen.together.append([part.uri for _, _, part in full.parts()][-1:] == [hint])
    if status == httpx.codes.OK:
        seen.media[hint] = body
    if delta.edge == full.edge:
        whole = merge(now.text, delta.text)
        if whole != full.text:
            differ = difflib.unified_diff(full.text.splitlines(), whole.splitlines(), "full", "merged", "", "", 1, "")
            seen.note("DD11", False, "\n".join(differ))
        seen.note("DD11", True)
        _judge_skip(seen, full, delta)
    return full


def _judge_skip(seen: Watch, full: Playlist, delta: Playlist) -> None:
    until = float(parse_attributes(full.control)["CAN-SKIP-UNTIL"])
    behind, expected = 0.0, 0  # "before the end of the last segment": the open one's parts do not count
    for segment in reversed(full.finished):
        expected += behind > until + 0.001  # printed decimals add up to a rounding more or less
        behind += segment.duration or 0.0
    seen.note("DD12", delta.skipped <= expected, f"{delta.skipped} skipped, {expected} are beyond {until} s")
    seen.note("DD10", delta.skipped == expected, f"{delta.skipped} skipped, {expected} are beyond {until} s")


async def _media(client: httpx.AsyncClient, url: httpx.URL) -> tuple[int, bytes]:
    answer = await client.get(url)
    return answer.status_code, answer.content


async def _fetch_new(
    client: httpx.AsyncClient, variant: httpx.URL, now: Playlist, before: Playlist, seen: Watch, fetched: set[str]
) -> None:
    """Fetches what is newly listed: parts at once and whole (LL25), segments equal to their parts (LL11, LL12)."""
    for msn, number, part in now.parts():
        if (msn, number) < before.edge or part.gap or part.uri in fetched:
            continue
        fetched.add(part.uri)
        status, body = await _media(client, variant.join(part.uri))
        again = seen.media.setdefault(part.uri, body)
        seen.note("LL25", status == httpx.codes.OK and body == again and bool(body), f"{part.uri}: {status}")
    for segment in now.finished:
        if segment.uri in fetched or segment.uri is None or segment.msn < before.edge[0] or not segment.parts:
            continue
        fetched.add(segment.uri)
        status, body = await _media(client, variant.join(segment.uri))
        seen.media[segment.uri] = body
        parts = [seen.media.get(part.uri, b"" if part.gap else None) for part in segment.parts]
        if None not in parts:
            joined = b"".join(part for part in parts if part)
            seen.note("LL12", body == joined, f"{segment.uri}: {len(body)} bytes, its parts {len(joined)}")


async def _fetch_dropped(client: httpx.AsyncClient, variant: httpx.URL, seen: Watch) -> None:
    """LL19: a part that is no longer listed stays for three target durations more."""
    last = seen.playlists[-1]
    listed = {part.uri for _, _, part in last.parts()}
    for playlist in reversed(seen.playlists):
        if last.at - playlist.at > 2.5 * last.target:
            break
        for _, _, part in playlist.parts():
            if part.uri not in listed and not part.gap:
                listed.add(part.uri)
                status, _ = await _media(client, variant.join(part.uri))
                seen.note("LL19", status == httpx.codes.OK, f"{part.uri}: {status}")


def _judge_pace(seen: Watch, own_rate: float | None) -> None:
    if seen.listed_after:
        # One part is late where the machine is busy: the middle tells how the server paces.
        bound = own_rate or seen.playlists[-1].part_target
        middle = statistics.median(seen.listed_after)
        seen.note("LL20", middle <= bound + 0.02, f"a part each {middle:.3f} s, part target {bound}")
    if seen.together:
        # Released by one event: the playlist that comes with the part ends with it. On a busy machine a request may
        # come after its part and be answered with a later one: a quarter of the parts tell how the server answers.
        # That both leave in one turn of its loop is counted in tests/unit/delivery.
        share = sum(seen.together) / len(seen.together)
        seen.note("DD16", share >= 0.25, f"{share:.0%} of the reloads ended with the part that was hinted")
    numbers = [
        int(re.findall(r"\d+", part.uri.rpartition("/")[2])[0]) for _, _, part in seen.playlists[-1].parts()
    ]  # one running counter
    seen.note("LL16", all(b == a + 1 for a, b in pairwise(numbers)), f"part numbers {numbers}")


def main() -> int:
    """Watches the URL on the command line and prints what it found."""
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20
    seen = asyncio.run(watch(sys.argv[1], seconds))
    for violation in dict.fromkeys(seen.violations):
        print(*violation)  # noqa: T201 - a command
    print(dict(sorted(seen.looked.items())))  # noqa: T201
    return bool(seen.violations)


if __name__ == "__main__":
    sys.exit(main())
