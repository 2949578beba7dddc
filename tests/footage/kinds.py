"""Draws films of each kind: `KINDS[name](seed)`; the same seed gives the same film."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

from hlsd.media.aac import SAMPLE_RATES
from hlsd.media.unit import Kind
from tests.footage.film import COME, LEAVE, MS, Duty, Film, Sent
from tests.footage.scene import Look, Scene
from tests.footage.sound import LAYOUTS, SoundShape

KINDS: dict[str, Callable[[int], Film]] = {}
RATES = (Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(50), Fraction(60))


def kind(draw: Callable[[random.Random, str, int], Film]) -> Callable[[random.Random, str, int], Film]:
    """Makes a function a kind of film under its name."""
    name = draw.__name__.strip("_").replace("_", "-")
    KINDS[name] = lambda seed: draw(random.Random(f"{name} {seed}"), name, seed)
    return draw


def common(rng: random.Random, **fixed: object) -> Look:
    """An ordinary stream of small pictures."""
    group = rng.choice((0.5, 1, 2, 2, 3))
    look = Look(
        codec=rng.choice(("h264", "h264", "h265")),
        fps=rng.choice(RATES),
        group=group,
        bframes=rng.choice((0, 0, 1, 2, 3)),
        pyramid=rng.random() < 0.5,
        rate=rng.choice((1e5, 3e5, 8e5)),
        swing=rng.uniform(0, 0.8),
        vui=rng.random() < 0.7,
        sound=SoundShape(rng.choice((48_000, 44_100))),
        sound_size=rng.randint(20, 300),
    )
    for name, value in fixed.items():
        setattr(look, name, value)
    return look


def _rest(film: Film, **more: object) -> Film:
    for name, value in more.items():
        setattr(film, name, value)
    return film


@kind
def steady(rng: random.Random, name: str, seed: int) -> Film:
    """Nothing goes wrong: all frame rates, groups, sizes, sounds."""
    fps = rng.choice((*RATES, Fraction(rng.randint(3, 119), 10), Fraction(rng.randint(1, 120)), Fraction(3, 10)))
    group = rng.choice((0.2, 0.5, 1, 2, 2, 4, 7.5, rng.uniform(0.2, 30)))
    codec = rng.choice(("h264", "h264", "h265"))
    opened = codec == "h264" and rng.random() < 0.2
    look = common(
        rng, codec=codec, fps=fps, group=group, opened=opened, refresh=codec == "h264" and rng.random() < 0.1,
        rate=rng.choice((1e5, 2e5, 1e6, 2e6)), swing=rng.uniform(0, 2), slices=rng.choice((1, 1, 1, 2, 4, 8)),
        sound=SoundShape(rng.choice(SAMPLE_RATES[:12]), rng.choice(LAYOUTS[:7])) if rng.random() < 0.8 else None,
    )  # fmt: skip
    if opened and not look.bframes:
        look.bframes = 2
    seconds = max(10.0, min(40.0, 2.2 * group), 6 / float(fps))
    scene = Scene(look, seconds, rng)
    film = scene.film(name, seed, start=rng.choice((0, rng.randrange(1 << 32))), enhanced=rng.random() < 0.3)
    return _rest(film, late=max(0.0, scene_delay(scene)))


def scene_delay(scene: Scene) -> float:
    """How much longer than a picture a frame of sound may take to be whole, seconds."""
    sound = scene.look.sound
    return 2 * sound.samples / sound.rate if sound else 0.0


@kind
def jitter(rng: random.Random, name: str, seed: int) -> Film:
    """Few pictures a second, each a few ms early or late."""
    fps = Fraction(rng.randint(3, 60), 10)
    look = common(
        rng, fps=fps, group=rng.choice((1 / float(fps), 2, 4, 10)), bframes=0,
        sound=SoundShape(rng.choice((48_000, 16_000, 8_000))) if rng.random() < 0.7 else None,
    )  # fmt: skip
    scene = Scene(look, max(40.0, 12 / float(fps)), rng)
    amount = rng.choice((1, 3, 5, 10, 20))
    last = -1
    for frame in scene.video:
        frame.dts = last = max(last + 1, frame.dts + rng.randint(-amount, amount), 0)
        frame.pts = frame.wire = frame.dts
        frame.at = frame.dts / 1000 + 0.03
    # Pictures more than a second apart without sound are plain HLS: a segment is listed when it is whole.
    whole = 0.0 if look.sound or fps > 1 else look.group
    return _rest(scene.film(name, seed), late=scene_delay(scene) + whole)


@kind
def holes(rng: random.Random, name: str, seed: int) -> Film:
    """Stretches in which nothing is sent, with and without frames that are lost in them."""
    look = common(rng, group=rng.choice((1, 2, 4, 8, 12)), bframes=rng.choice((0, 0, 2)))
    scene = Scene(look, 30.0, rng)
    moved, lost = 0, 0
    for _ in range(rng.randint(1, 3)):
        at = rng.uniform(5, 25)
        length = rng.choice((0.1, 0.2, 0.4, 0.8, 0.8, 1.5, 3.0, rng.uniform(0.1, 13)))
        if rng.random() < 0.5:  # the source stood still and goes on where it was
            for track in (scene.video, scene.audio):
                for frame in track:
                    if frame.dts >= at * 1000:
                        shift = round(length * 1000)
                        frame.dts, frame.pts, frame.wire = frame.dts + shift, frame.pts + shift, frame.wire + shift
                        frame.at += length
                        frame.epoch += 1
            moved += 1
        else:
            before = len(scene.video)
            scene.video = [one for one in scene.video if not at * 1000 <= one.dts < (at + length) * 1000]
            scene.audio = [one for one in scene.audio if not at * 1000 <= one.dts < (at + length) * 1000]
            for track in (scene.video, scene.audio):
                for frame in track:
                    frame.epoch += frame.dts >= at * 1000
            lost += before - len(scene.video)
    film = scene.film(name, seed)
    return _rest(
        film, seams=moved + 3, late=1.0 + film.still, words=f"{film.words}; {moved} stood still, {lost} pictures lost"
    )


@kind
def stray(rng: random.Random, name: str, seed: int) -> Film:
    """Now and then one frame is stamped hours away, its neighbours are fine."""
    look = common(rng)
    scene = Scene(look, 24.0, rng)
    every = rng.choice((2.0, 5.0, 9.0))
    away = rng.choice((-9_800_000, 9_800_000, -3_600_000, 86_400_000, -1500, 1500, 1 << 31))
    tracks = rng.choice(("video", "audio", "both"))
    for track, which in ((scene.video, "video"), (scene.audio, "audio")):
        if tracks not in {which, "both"}:
            continue
        last = 1.0
        for frame in track[:-3]:
            if frame.dts / 1000 >= last + every:
                last = frame.dts / 1000
                frame.wire += away
                frame.loose = 200 * MS
    film = scene.film(name, seed, start=rng.choice((0, 12_000_000)))
    # Sound that is anchored anew behind a stray may be as far off as it ever may.
    return _rest(film, late=0.5, words=f"{film.words}; {tracks} by {away} ms each {every} s")


@kind
def one_leaps(rng: random.Random, name: str, seed: int) -> Film:
    """One track's clock leaps alone and stays there."""
    look = common(rng)
    scene = Scene(look, 24.0, rng)
    away = rng.choice((3_000, 20_000, 600_000, 86_400_000, 432_000_000, -20_000, -86_400_000))
    which = rng.choice(("video", "audio"))
    at = rng.uniform(6, 16)
    for frame in scene.video if which == "video" else scene.audio:
        if frame.dts >= at * 1000:
            frame.wire += away
            frame.epoch = 1
    for frame in scene.video + scene.audio:
        if at - 0.1 <= frame.dts / 1000 < at + look.group + 3:
            frame.duty = Duty.STREAMED
    film = scene.film(name, seed)
    if abs(away) <= 10_000:
        film.video_off = (abs(away) + 10) * MS  # tracks may be so far apart, until it shows that they are not
    return _rest(
        film, seams=2, late=3.0, sound_off=3_000 * MS, words=f"{film.words}; {which} by {away} ms at {at:.1f} s"
    )


@kind
def both_leap(rng: random.Random, name: str, seed: int) -> Film:
    """The source's clock leaps for both tracks: a discontinuity, and no picture that can be decoded is lost."""
    look = common(rng)
    scene = Scene(look, 24.0, rng)
    away = rng.choice((3_000, 20_000, 86_400_000, -20_000, -86_400_000, -5_000))
    at = rng.uniform(6, 16)
    for frame in scene.video + scene.audio:
        if frame.dts >= at * 1000:
            frame.wire += away
            frame.epoch = 1
            if frame.dts < (at + look.group + 0.2) * 1000:
                frame.duty = Duty.STREAMED
        elif frame.dts >= (at - 0.1) * 1000 and frame.kind is Kind.AUDIO:
            frame.duty = Duty.STREAMED  # what stands across the leap
    film = scene.film(name, seed, start=rng.choice((0, 90_000_000)))
    return _rest(film, seams=1, late=1.0, words=f"{film.words}; by {away} ms at {at:.1f} s")


@kind
def apart(rng: random.Random, name: str, seed: int) -> Film:
    """Sound arrives seconds before or behind its picture."""
    look = common(rng, group=rng.choice((1, 2, 4)))
    scene = Scene(look, 30.0, rng)
    shift = rng.choice((-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0))
    for frame in scene.audio:
        frame.at += shift
    if shift < 0:
        for frame in scene.video + scene.audio:
            frame.at -= shift
    film = scene.film(name, seed)
    # The two need not begin together: what comes before the other one's first may go.
    for unit in film.units:
        if unit.dts < 4 * 90_000:
            unit.duty = Duty.MAY
    film.silences += 4
    # A second track is waited for, but not for ever: one that comes later is a change.
    film.seams = int(abs(shift) >= 2)
    return _rest(film, late=abs(shift) + 0.5, patience=2.0 + abs(shift), words=f"{film.words}; sound {shift:+} s")


@kind
def wraps(rng: random.Random, name: str, seed: int) -> Film:
    """The wire's clock wraps, at 32 and at 31 bits, or leaves 24 bits behind."""
    look = common(rng)
    scene = Scene(look, 16.0, rng)
    bits = rng.choice((31, 32, 24))
    start = (1 << bits) - rng.randint(3_000, 12_000)
    film = scene.film(name, seed, start=start, modulus=1 << (31 if bits == 31 else 32))
    return _rest(film, words=f"{film.words}; {bits} bits from {start}")


@kind
def pauses(rng: random.Random, name: str, seed: int) -> Film:
    """The network stands still and then brings all that was due."""
    look = common(rng)
    scene = Scene(look, 30.0, rng)
    longest = 0.0
    for _ in range(rng.randint(1, 3)):
        at, length = rng.uniform(4, 24), rng.choice((0.3, 1.0, 2.5, rng.uniform(0.2, 8)))
        longest = max(longest, length)
        for frame in scene.video + scene.audio:
            if at <= frame.at < at + length:
                frame.at = at + length
    return _rest(scene.film(name, seed), late=longest)


@kind
def bundles(rng: random.Random, name: str, seed: int) -> Film:
    """A sender that gathers half a second or more of each track and sends one track after the other."""
    look = common(rng)
    scene = Scene(look, 20.0, rng)
    length = rng.choice((0.3, 0.5, 1.0, 1.5))
    for frame in scene.video + scene.audio:
        frame.at = (frame.dts // (length * 1000) + 1) * length
    scene.interleaved = False
    film = scene.film(name, seed)
    for unit in film.units:
        if unit.kind is Kind.AUDIO and unit.dts < 2 * length * 90_000:
            unit.duty = Duty.MAY
    return _rest(film, late=2 * length, words=f"{film.words}; {length} s at a time")


@kind
def reconnects(rng: random.Random, name: str, seed: int) -> Film:
    """The publisher is cut off and comes back, once or more, with its clock from anywhere."""
    film = Film(name, seed, "")
    at = 0.0
    count = rng.randint(2, 4)
    look = common(rng)
    for number in range(count):
        scene = Scene(look, rng.uniform(5, 14), rng, first=number << 18)
        piece = scene.film(name, seed, start=rng.choice((0, rng.randrange(1 << 32))))
        film.words = piece.words
        film.group, film.still = piece.group, piece.still
        film.silent |= piece.silent
        film.silences += piece.silences + 400
        base = len(film.units)
        for index, unit in enumerate(piece.units):
            unit.number = base + index
            unit.at += at
            unit.epoch = base
        film.units += piece.units
        film.sent += [one._replace(at=one.at + at) for one in piece.sent]
        at += piece.seconds
        # What was under way when the connection broke is nobody's fault.
        for unit in piece.units[-6:]:
            unit.duty = Duty.MAY
        film.sent.append(Sent(at, LEAVE, 0, b""))
        at += rng.choice((0.1, 1.0, 4.0))
        film.sent.append(Sent(at, COME, 0, b""))
    film.sent.pop()
    return _rest(film, seams=count - 1, late=6.0, words=f"{film.words}; {count} connections")


@kind
def silences(rng: random.Random, name: str, seed: int) -> Film:
    """One track stops for seconds while the other goes on."""
    look = common(rng)
    scene = Scene(look, 36.0, rng)
    which = rng.choice(("video", "audio"))
    at, length = rng.uniform(6, 16), rng.choice((2.0, 5.0, 13.0))
    if which == "audio":
        scene.audio = [one for one in scene.audio if not at * 1000 <= one.dts < (at + length) * 1000]
    else:
        scene.video = [one for one in scene.video if not at * 1000 <= one.dts < (at + length) * 1000]
    film = scene.film(name, seed)
    # Pictures that refer to lost ones are shown all the same: a server cannot know.
    return _rest(film, seams=2, late=length + 1.0, words=f"{film.words}; {which} stops for {length} s at {at:.1f} s")


@kind
def varying(rng: random.Random, name: str, seed: int) -> Film:
    """Variable rate: most pictures are left out, or a rate that falls to a tenth and rises again."""
    look = common(rng, bframes=0, group=rng.choice((2, 4, 10)), fps=rng.choice((Fraction(25), Fraction(30))))
    if rng.random() < 0.3:
        look.sound = None
    scene = Scene(look, 40.0, rng)
    style = rng.choice(("thinned", "tenth"))
    keep = rng.choice((0.1, 0.15, 0.3))
    if style == "thinned":
        scene.video = [one for one in scene.video if one.key or rng.random() < keep]
    else:
        scene.video = [
            one for i, one in enumerate(scene.video) if one.key or not 12_000 <= one.dts < 28_000 or i % 10 == 0
        ]
    film = scene.film(name, seed)
    if look.sound is None:
        # Where parts would be empty, low latency squeezes the time between pictures, and sets the clock right at a key.
        film.video_off = 2_000 * MS
        film.seams = 8
    return _rest(film, late=1.0, words=f"{film.words}; {style} {keep}")


@kind
def offsets(rng: random.Random, name: str, seed: int) -> Film:
    """B pictures at low rates: composition offsets up to ten seconds."""
    fps = rng.choice((Fraction(1, 2), Fraction(1), Fraction(2), Fraction(5)))
    look = common(rng, fps=fps, bframes=3, pyramid=True, group=8 / float(fps), vui=True)
    scene = Scene(look, max(30.0, 30 / float(fps)), rng)
    film = scene.film(name, seed)
    return _rest(film, late=scene_delay(scene))


@kind
def alone(rng: random.Random, name: str, seed: int) -> Film:
    """Sound without pictures: every rate, with pauses."""
    shape = SoundShape(rng.choice(SAMPLE_RATES), rng.choice(LAYOUTS), rng.choice(("none", "none", "explicit", "late")))
    scene = Scene(Look(codec="none", sound=shape, sound_size=rng.choice((6, 20, 200, 700))), 30.0, rng)
    paused = rng.random() < 0.5
    length = 0.0
    if paused:
        at, length = rng.uniform(5, 20), rng.choice((0.2, 0.8, 3.0))
        scene.audio = [one for one in scene.audio if not at * 1000 <= one.dts < (at + length) * 1000]
        for frame in scene.audio:
            frame.epoch = int(frame.dts >= at * 1000)
    film = scene.film(name, seed)
    film.still = 2 * shape.samples / shape.rate + length * paused  # the frame before a pause lasts until its end
    return _rest(
        film, seams=int(paused), late=4.0 if paused else 0.5, hls_sound=shape.layout <= 7,
        words=f"{film.words}{'; a pause' * paused}",
    )  # fmt: skip


@kind
def sizes(rng: random.Random, name: str, seed: int) -> Film:
    """Pictures of every size there is, from ten bytes to four million."""
    look = common(rng, codec=rng.choice(("h264", "h265")), fps=Fraction(25), slices=1)
    scene = Scene(look, 8.0, rng)
    top = rng.choice((2_000, 70_000, 70_000, 400_000, 4 << 20))
    budget = 24 << 20
    for frame in scene.video:
        size = max(10, int(top ** rng.random() * rng.uniform(0.5, 1)) if rng.random() < 0.3 else rng.randint(10, 2000))
        size = min(size, max(10, budget))
        budget -= size
        unit = frame.units[-1]
        frame.units[-1] = unit[:-1] + scene.noise.take(max(1, size - len(unit) + 1)) if size > len(unit) else unit
    return _rest(scene.film(name, seed), words=f"{look}; up to {top} bytes")


@kind
def tags_apart(rng: random.Random, name: str, seed: int) -> Film:
    """Each slice in a tag of its own."""
    look = common(rng, slices=rng.randint(2, 8), width=640, height=368, rate=8e5)
    scene = Scene(look, 12.0, rng)
    for frame in scene.video:
        frame.split = True
    return scene.film(name, seed)


@kind
def many_units(rng: random.Random, name: str, seed: int) -> Film:
    """Pictures of thousands of slices."""
    look = common(rng, codec="h264", width=3840, height=2160 // 16 * 16, slices=rng.choice((700, 1100, 2700)),
                  rate=8e6, fps=Fraction(5), swing=0.2)  # fmt: skip
    return _rest(Scene(look, 5.0, rng).film(name, seed), late=0.4)


@kind
def first_picture_late(rng: random.Random, name: str, seed: int) -> Film:
    """Both headers and sound at once, the first picture seconds later."""
    look = common(rng)
    scene = Scene(look, 20.0, rng)
    wait = rng.uniform(2.5, 8.0)
    first = next((one for one in scene.video if one.key and one.dts >= wait * 1000), None)
    start = first.dts if first is not None else 0
    scene.video = [one for one in scene.video if one.dts >= start]
    film = scene.film(name, seed)
    config = next(one for one in film.sent if one.type == 9)
    film.sent.remove(config)
    film.sent.insert(0, config._replace(at=0.0))
    for unit in film.units:
        if unit.kind is Kind.AUDIO and unit.dts < start * MS + 90_000 // 2:
            unit.duty = Duty.MAY
    return _rest(film, patience=10.0, words=f"{film.words}; the first picture after {start / 1000:.1f} s")
