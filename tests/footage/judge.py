"""Holds what came out against the truth: every unit, once, in order, in time, with no seam that the film does not have.

Words of a fault begin with a short name of the rule, so that failures can be sorted by kind.
"""

from __future__ import annotations

import statistics
from collections import defaultdict

from hlsd.media.unit import Kind
from tests.footage.film import Duty, Film, Unit
from tests.footage.house import Result
from tests.footage.shown import Shown, View

_TAIL = 2
"""Units at the very end that nobody need see: what a cut-off publisher left in the air."""
SLACK = 1.2
"""Seconds beyond part target and pictures that a unit may take to be listed, by the clock of the film."""


def judge(film: Film, result: Result) -> list[str]:
    """Every fault, each with the way out that has it."""
    faults = list(result.errors)
    if result.refused:
        return [f"refused: {result.refused}", *faults]
    for view in result.views:
        found = _judge_view(film, view)
        faults += [f"{view.name}: {fault}" for fault in (*view.faults, *found)]
    return faults


def _judge_view(film: Film, view: View) -> list[str]:
    tagged = view.name in {"flv", "rtmp", "relay"}
    pairs, faults = _matched(film, view, tagged)
    if not pairs:
        return [*faults, "lost: nothing came out at all"]
    faults += _once(pairs)
    faults += _times(film, pairs)
    if view.gaps > film.gaps:
        faults.append(f"gaps: {view.gaps}, {film.gaps} are due")
    if film.layout is not None and view.layouts - {0, film.layout & 7 if film.layout < 8 else 0}:
        faults.append(f"layout: ADTS names {view.layouts}, the frames have layout {film.layout}")
    if view.name.startswith("unwatched"):
        return faults  # who looks in now and then does not see all of it
    faults += _all(film, pairs, tagged)
    faults += _decodable(pairs, tagged)
    seams = film.seams + (film.iso_seams if view.name.endswith("fmp4") else 0)
    if view.seams > seams:
        faults.append(f"seams: {view.seams} discontinuities, {seams} are due")
    if not tagged:
        faults += _promptly(film, view, pairs)
    return faults


def _matched(film: Film, view: View, tagged: bool) -> tuple[list[tuple[Shown, Unit]], list[str]]:
    """What came out beside what was sent, and what of it was not sent."""
    known = {unit.payload: unit for unit in film.units}
    pairs: list[tuple[Shown, Unit]] = []
    strangers = silences = 0
    for one in view.shown:
        unit = known.get(one.payload)
        if unit is None and film.suffixed and one.kind is Kind.AUDIO:
            tails = (one.payload[at:] for at in range(1, 64))
            unit = next((known[tail] for tail in tails if tail in known), None)
        if unit is not None:
            pairs.append((one, unit))
        elif one.payload in film.silent and not tagged:
            silences += 1
        else:
            strangers += 1
    faults = [f"bytes: {strangers} units came out in bytes that nobody sent"] if strangers else []
    if silences > film.silences:
        faults.append(f"silence: {silences} frames of it, {film.silences} may be")
    return pairs, faults


def _once(pairs: list[tuple[Shown, Unit]]) -> list[str]:
    """In the order of the source, none twice, no time that falls."""
    faults = []
    for kind in Kind:
        last: tuple[Shown, Unit] | None = None
        twice = back = falls = 0
        for one, unit in pairs:
            if unit.kind is not kind:
                continue
            if last is not None:
                twice += unit.number == last[1].number
                back += unit.number < last[1].number
                falls += one.run == last[0].run and one.dts < last[0].dts
            last = one, unit
        name = kind.name.lower()
        if twice or back:
            faults.append(f"order: {name} {twice} twice, {back} out of order")
        if falls:
            faults.append(f"clock: {name} DTS falls {falls} times")
    return faults


def _all(film: Film, pairs: list[tuple[Shown, Unit]], tagged: bool) -> list[str]:
    faults = []
    seen = {unit.number for _, unit in pairs}
    for kind in Kind:
        units = [unit for unit in film.units if unit.kind is kind]
        if kind is Kind.AUDIO and not tagged and not film.hls_sound:
            continue
        due = [unit for unit in units if unit.duty is Duty.SHOW or (tagged and unit.duty is Duty.STREAMED)]
        missing = [unit for unit in due if unit.number not in seen]
        name = "pictures" if kind is Kind.VIDEO else "sounds"
        if len(missing) > _TAIL or any(unit not in due[-_TAIL:] for unit in missing):
            where = ", ".join(f"{unit.at:.2f}" for unit in missing[:5])
            faults.append(f"lost: {len(missing)} of {len(due)} {name}, at {where} s")
        wrong = [unit for unit in units if unit.duty is Duty.NEVER and unit.number in seen]
        if wrong:
            faults.append(f"undecodable: {len(wrong)} {name} that cannot be decoded, first at {wrong[0].at:.2f} s")
    return faults


def _times(film: Film, pairs: list[tuple[Shown, Unit]]) -> list[str]:
    """Distances between units, and between the tracks, are the source's."""
    faults = []
    groups: dict[tuple[int, int], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for one, unit in pairs:
        if not unit.loose:
            groups[one.run, unit.epoch][unit.kind].append(one.pts - unit.pts)
    worst = 0
    skewed = 0.0
    for video, sound in groups.values():
        if len(video) > 1:
            worst = max(worst, max(video) - min(video))
        if sound:
            middle = statistics.median(video) if video else statistics.median(sound)
            skewed = max(skewed, *(abs(offset - middle) for offset in (min(sound), max(sound))))
    if worst > film.video_off:
        faults.append(f"times: pictures up to {worst / 90:.0f} ms from where the source had them")
    if skewed > film.sound_off + film.video_off:
        faults.append(f"skew: sound up to {skewed / 90:.0f} ms from its picture")
    for one, unit in pairs:
        if unit.loose and abs((one.pts - unit.pts) - _near(pairs, one)) > unit.loose:
            faults.append(f"times: a stray at {unit.at:.2f} s was put {(one.pts - unit.pts) / 90:.0f} ms away")
            break
    return faults


def _near(pairs: list[tuple[Shown, Unit]], one: Shown) -> int:
    offsets = [other.pts - unit.pts for other, unit in pairs if other.run == one.run and not unit.loose]
    return round(statistics.median(offsets)) if offsets else 0


def _decodable(pairs: list[tuple[Shown, Unit]], tagged: bool) -> list[str]:
    """What follows a seam begins with a key picture, and so does the whole."""
    run = -1
    for one, unit in pairs:
        if unit.kind is Kind.VIDEO and (run < 0 if tagged else one.run != run):
            if not unit.key:
                return [f"undecodable: a picture that is no key picture comes first, at {unit.at:.2f} s"]
            run = one.run
    return []


def _promptly(film: Film, view: View, pairs: list[tuple[Shown, Unit]]) -> list[str]:
    """Nothing that has arrived is kept back for long."""
    faults = []
    due = [unit for unit in film.units if unit.duty is Duty.SHOW]
    low_latency = view.name.startswith("ll")
    group = min(film.group, 10.0)
    if view.first is not None and due:
        bound = max(2.5, 2 * group) + film.patience + film.late + film.still + SLACK
        took = view.first - due[0].at
        if took > bound:
            faults.append(f"first: a playlist after {took:.1f} s, {bound:.1f} s are due")
    hold = 0.4 if low_latency else max(2.5, min(2 * group, 10.5))
    bound = hold + 2 * film.still + film.late + SLACK
    begun = (view.first or 0.0) + 0.001
    waits = [(one.at - max(unit.at, begun), unit) for one, unit in pairs if not unit.loose]
    if waits:
        longest, unit = max(waits, key=lambda row: row[0])
        if longest > bound:
            faults.append(f"late: what came at {unit.at:.2f} s was listed {longest:.1f} s later, {bound:.1f} s are due")
    return faults
