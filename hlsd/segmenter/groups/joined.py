"""Is a group as delivery serves it: one multivariant playlist, and each member a rendition of it.

Law: a member is offered while its publisher is there and its playlists promise what those of all do (MV12). Who plays
one that has gone while others are there is answered 404 and changes to another; the last one ends as any stream does.
Nothing is muxed or kept twice: a member's media is its own run's, under the group's path and session.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hlsd.ports import MAIN, Lateness, Media, Rendering
from hlsd.segmenter.playlist import RenditionReport, Variant, multivariant_playlist

if TYPE_CHECKING:
    from collections.abc import Callable

    from hlsd.segmenter.groups.member import GroupMember
    from hlsd.segmenter.live import Live

GATHERING: Final = 4.0
"""Seconds from the first member's coming for which those are waited for that have not come."""


class MemberView:
    """One member's run, as a rendition of the group (`hlsd.ports.Playable`)."""

    def __init__(self, member: GroupMember, joined: JoinedStream) -> None:
        self.name = member.name
        self.member = member
        self.live: Live = member.inner.live
        self._joined = joined
        self._rendered: dict[bool, tuple[int, Rendering | None]] = {}

    @property
    def on(self) -> bool:
        """Whether it is offered."""
        run, terms = self.member.run, self._joined.terms
        fits = run.target_duration == terms.target_duration and run.promises == terms.promises
        return bool(self.live.target_duration) and fits and not (self.member.away or self.live.gone)

    @property
    def target_duration(self) -> int:
        """As `Playable`."""
        return self.live.target_duration

    @property
    def low_latency(self) -> bool:
        """As `Playable`."""
        return self.live.low_latency

    @property
    def part_target(self) -> float:
        """As `Playable`."""
        return self.live.part_target

    @property
    def ended(self) -> bool:
        """As `Playable`: the last one's end is the group's."""
        return self.live.ended

    @property
    def gone(self) -> bool:
        """As `Playable`; also once its publisher has left and others have not."""
        return self.live.gone or not self._joined.keeps(self)

    @property
    def away(self) -> bool:
        """As `Playable`."""
        return self.live.away

    @property
    def version(self) -> int:
        """As `Playable`."""
        return self._joined.version

    @property
    def whole(self) -> bool:
        """As `Playable`."""
        return self._joined.whole

    def watch(self, changed: Callable[[], None]) -> None:
        """As `Playable`."""
        self.live.watch(changed)
        self._joined.watch(changed, self.live)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """As `Playable`."""
        self.live.unwatch(changed)
        self._joined.unwatch(changed)

    def rendition(self, name: str) -> MemberView | None:
        """As `Playable`."""
        return self._joined.rendition(name)

    def multivariant(self, base: str, only: str = "") -> bytes | None:
        """As `Playable`."""
        return self._joined.multivariant(base, only)

    def playlist(self, *, skip: bool = False) -> Rendering | None:
        """As `Playable`, with reports of the group's other members (LL21)."""
        live = self.live
        if not live.target_duration:
            return None
        cached = self._rendered.get(skip)
        if cached is not None and cached[0] == live.facts.version:
            live.ask()
            return cached[1]
        rendering = live.rendered(self._joined.reports(self), skip=skip)
        self._rendered[skip] = live.facts.version, rendering
        return rendering

    def report(self) -> RenditionReport | None:
        """What the playlists of the others say of it."""
        report = self.live.report() if self.on else None
        return report._replace(uri=f"../{self.name}/index.m3u8") if report is not None else None

    def variant(self, base: str) -> Variant | None:
        """What the multivariant playlist says of it."""
        variant = self.live.variant(base)
        return replace(variant, uri=f"{base}{self.name}/index.m3u8") if variant is not None else None

    def media(self, run: str, name: str) -> Media | None:
        """As `Playable`."""
        media = self.live.media(run, name)
        return replace(media, rendition=self.name) if media is not None else None

    def expects(self, run: str, name: str) -> bool:
        """As `Playable`."""
        return self.live.expects(run, name)

    def lateness(self, msn: int, part: int | None) -> Lateness:
        """As `Playable`."""
        return self.live.lateness(msn, part)


class JoinedStream:
    """The members of one group (`hlsd.ports.Playable`), the best one first."""

    def __init__(self, names: tuple[str, ...], now: Callable[[], float]) -> None:
        self._names = names
        self._now = now
        self._began: float | None = None
        self._views: dict[str, MemberView] = {}
        self._past = 0  # versions of runs that are here no more
        self._watchers: dict[Callable[[], None], None] = {}

    def take(self, member: GroupMember) -> None:
        """A member's new run."""
        if self._began is None:
            self._began = self._now()
            self.terms = member.run.terms
        old = self._views.get(member.name)
        if old is not None:
            self._past += old.live.version + 1
        self._views[member.name] = MemberView(member, self)
        for changed in self._watchers:
            member.inner.live.watch(changed)
        self.tell()

    def tell(self) -> None:
        """A member has come or gone: another playlist for all, and news for who waits."""
        self._past += 1
        for changed in tuple(self._watchers):
            changed()

    def keeps(self, view: MemberView) -> bool:
        """Whether its viewers have nowhere better to go."""
        return self._views.get(view.name) is view and (not view.member.away or not self._offered)

    @property
    def _ordered(self) -> list[MemberView]:
        views = self._views
        return [views[name] for name in self._names if name in views]

    @property
    def _offered(self) -> list[MemberView]:
        return [view for view in self._ordered if view.on]

    @property
    def _there(self) -> list[MemberView]:
        """Those that are offered; without any, those that may be again, or have ended."""
        return self._offered or [view for view in self._ordered if not view.live.gone]

    @property
    def _first(self) -> MemberView | None:
        return next(iter(self._there), None)

    def reports(self, but: MemberView) -> list[RenditionReport]:
        """Of all that are offered but one."""
        return [report for view in self._offered if view is not but and (report := view.report()) is not None]

    @property
    def version(self) -> int:
        """As `Playable`."""
        return self._past + sum([view.live.version for view in self._views.values()])

    @property
    def target_duration(self) -> int:
        """As `Playable`."""
        return max((view.live.target_duration for view in self._there), default=0)

    @property
    def low_latency(self) -> bool:
        """As `Playable`."""
        first = self._first
        return first is not None and first.live.low_latency

    @property
    def part_target(self) -> float:
        """As `Playable`."""
        first = self._first
        return first.live.part_target if first is not None else 0.0

    @property
    def ended(self) -> bool:
        """As `Playable`: all of them have."""
        return all(view.live.ended for view in self._views.values())

    @property
    def gone(self) -> bool:
        """As `Playable`: all of them are."""
        return all(view.live.gone for view in self._views.values())

    @property
    def away(self) -> bool:
        """As `Playable`: nobody is there."""
        return all(view.live.away for view in self._views.values())

    @property
    def whole(self) -> bool:
        """As `Playable`: those that have come have playlists, and the others had their time to come."""
        coming = [view for view in self._ordered if not (view.member.away or view.live.gone)]
        if any(not view.live.target_duration for view in coming):
            return False
        waited = self._now() - self._began if self._began is not None else 0.0
        return len(coming) >= len(self._names) or waited >= GATHERING

    @property
    def about(self) -> tuple[str, str]:
        """The run and the codecs of the best member: what events tell."""
        first = self._first
        return first.live.about if first is not None else ("", "")

    def watch(self, changed: Callable[[], None], known: Live | None = None) -> None:
        """As `Playable`; `known` is watched already, and alone."""
        self._watchers[changed] = None
        if known is None:
            for view in self._views.values():
                view.live.watch(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """As `Playable`."""
        self._watchers.pop(changed, None)
        for view in self._views.values():
            view.live.unwatch(changed)

    def rendition(self, name: str) -> MemberView | None:
        """As `Playable`: a member that is there; `main` or none: the best one."""
        if name in ("", MAIN):
            return self._first
        view = self._views.get(name)
        return view if view is not None and self.keeps(view) and not view.live.gone else None

    def playlist(self, *, skip: bool = False) -> Rendering | None:
        """As `Playable`: of the best member."""
        first = self._first
        return first.playlist(skip=skip) if first is not None else None

    def multivariant(self, base: str, only: str = "") -> bytes | None:
        """As `Playable`."""
        views = [view for view in self._there if only in ("", MAIN, view.name)]
        variants = [variant for view in views if (variant := view.variant(base)) is not None]
        if not variants:
            return None
        variants.sort(key=lambda one: not one.tracks.video)
        facts = [view.live.facts for view in views]
        version = max(9 if one.promises else one.playlist_version for one in facts)
        independent = all(one.independent for one in facts)
        return multivariant_playlist(variants, version=version, independent=independent).encode()

    def media(self, run: str, name: str) -> Media | None:
        """As `Playable`."""
        first = self._first
        return first.media(run, name) if first is not None else None

    def expects(self, run: str, name: str) -> bool:
        """As `Playable`."""
        first = self._first
        return first is not None and first.expects(run, name)

    def lateness(self, msn: int, part: int | None) -> Lateness:
        """As `Playable`."""
        first = self._first
        return first.lateness(msn, part) if first is not None else Lateness.READY
