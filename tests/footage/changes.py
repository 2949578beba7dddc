"""Draws films whose tracks come, go and change, and whose tags hold what tags may hold: more of `KINDS`."""

from __future__ import annotations

import dataclasses
import random
from fractions import Fraction

from hlsd.media import flv, nal
from hlsd.media.aac import SAMPLE_RATES
from hlsd.media.unit import Kind
from tests.footage import avc, hevc, sound
from tests.footage.film import MS, Duty, Film, Sent, Unit
from tests.footage.kinds import _rest, common, kind
from tests.footage.scene import Frame, Scene
from tests.footage.sound import LAYOUTS, SoundShape


@kind
def leading(rng: random.Random, name: str, seed: int) -> Film:
    """H.265 with CRA, BLA and IDR pictures and leading pictures of every kind; the start is amid of it."""
    look = common(rng, codec="h265", bframes=rng.choice((1, 2, 3)), opened=True, group=rng.choice((0.5, 1, 2)))
    scene = Scene(look, 20.0, rng)
    keys = [index for index, one in enumerate(scene.video) if one.key]
    begin = rng.choice((0, keys[1])) if len(keys) > 1 else 0
    skipped = rng.choice((0, rng.randrange(1, 8))) if not begin else 0
    cleaned = []
    for key in keys[1:]:
        cut = rng.random()
        leads = [i for i in range(key + 1, min(key + 9, len(scene.video))) if scene.video[i].what.startswith("rasl")]
        if cut < 0.25:  # a splice: what leads belongs to what was before
            _retype(scene, key, "bla_lp")
            for index in leads:
                scene.video[index].duty = Duty.NEVER
        elif cut < 0.5:  # leading pictures that need nothing from before
            _retype(scene, key, rng.choice(("cra", "idr_radl")))
            for index in leads:
                _retype(scene, index, scene.video[index].what.replace("rasl", "radl"))
        else:
            cleaned.append(key)
    if begin:
        for index in range(begin + 1, min(begin + 9, len(scene.video))):
            if scene.video[index].what.startswith("rasl"):
                scene.video[index].duty = Duty.NEVER
    start = scene.video[begin].dts
    scene.video = scene.video[begin:]
    for frame in scene.audio:
        if frame.dts < start:
            frame.duty = Duty.MAY
    for frame in scene.video[1 : 1 + skipped] if skipped and begin else []:
        frame.duty = Duty.MAY
    scene.audio = [one for one in scene.audio if one.dts >= start - 200]
    film = scene.film(name, seed)
    # HE03: a CRA is only cut at where no IDR comes.
    return _rest(film, group=4.5 + look.group, words=f"{film.words}; from key {keys.index(begin)}")


def _retype(scene: Scene, index: int, what: str) -> None:
    """Writes another NAL unit type over a picture's slices (the header of an IDR picture is another one)."""
    frame = scene.video[index]
    old = frame.what
    frame.what = what
    kind_ = hevc.TYPES[what]
    if what.startswith("idr") or old.startswith("idr"):
        number = scene.number()
        anew = hevc.HevcPicture(number, what, "i", 0, sum(map(len, frame.units)), len(frame.units))
        frame.units = hevc.picture(scene.hevc, anew, scene.noise)
        return
    frame.units = [bytes((kind_ << 1, unit[1])) + unit[2:] for unit in frame.units]


@kind
def parameters(rng: random.Random, name: str, seed: int) -> Film:
    """New ids at each key picture, the same said in other bytes, headers repeated: none of it is a change."""
    look = common(rng, codec="h264", vui=False, group=rng.choice((0.5, 1, 2)))
    assert look.sound is not None
    style = rng.choice(("ids", "in-band", "aac", "repeated", "all"))
    scene = Scene(look, 16.0, rng)
    film = Film(name, seed, f"{look}; {style}", group=look.group)
    scene.allow_silence(film)
    shape, number = scene.avc, 0
    plain = sound.config(look.sound)
    long = sound.config(dataclasses.replace(look.sound, long_form=True))
    film.still = 1 / float(look.fps)
    sent: list[Sent] = [
        Sent(0.0, flv.VIDEO, 0, flv.video_config("h264", scene.video_records[0])),
        Sent(0.0, flv.AUDIO, 0, flv.audio_config(plain)),
    ]
    for order, frame in enumerate(scene.frames):
        if frame.kind is Kind.AUDIO:
            if style in {"aac", "all", "repeated"} and order % 97 == 0:
                other = plain if style == "repeated" or order % 2 else long
                sent.append(Sent(frame.at, flv.AUDIO, frame.wire, flv.audio_config(other)))
            sent.append(Sent(frame.at, flv.AUDIO, frame.wire, flv.audio_frame(frame.units[0])))
            payload = frame.units[0]
        else:
            units = frame.units
            if frame.key:
                number += 1
                if style in {"ids", "all"}:
                    shape = dataclasses.replace(shape, sps=number % 32, pps=number % 256)
            if style in {"ids", "all"}:
                units = _renumbered(shape, frame.units)
            sets = list(avc.parameter_sets(shape))
            body = units
            if (frame.key and style in {"in-band", "all"}) or (frame.key and style == "ids" and number > 1):
                body = [*sets, *units]
            if frame.key and style == "repeated":
                sent.append(Sent(frame.at, flv.VIDEO, frame.wire, flv.video_config("h264", scene.video_records[0])))
            head = flv.video_head("h264", frame.key, frame.pts - frame.dts)
            sent.append(Sent(frame.at, flv.VIDEO, frame.wire, head + nal.join(body)))
            payload = nal.join(units)
        film.units.append(_unit(film, frame, payload))
    film.sent = sent
    _spare_first_sounds(film)
    if style in {"ids", "all"}:
        # `avc1` names its parameter sets outside of the media: other ids are another track there, and not in MPEG-TS.
        film.iso_seams = number
        for unit in film.units:
            if unit.dts < max(2.0, look.group) * 90_000 and unit.duty is Duty.SHOW:
                unit.duty = Duty.STREAMED
    return _rest(film, late=0.2)


def _renumbered(shape: avc.AvcShape, units: list[bytes]) -> list[bytes]:
    """The slices with another picture parameter set id in their headers."""
    return [unit if unit[0] & 31 == avc.RECOVERY_POINT else avc.with_pps(unit, shape.pps) for unit in units]


def _unit(film: Film, frame: Frame, payload: bytes) -> Unit:
    return Unit(
        len(film.units), frame.kind, frame.dts * MS, frame.pts * MS, frame.key, payload, frame.at, 0, frame.duty
    )


def _spare_first_sounds(film: Film) -> None:
    """Until the second picture nobody can know that the first one is whole."""
    second = [unit.at for unit in film.units if unit.kind is Kind.VIDEO][1]
    for unit in film.units:
        if unit.kind is Kind.AUDIO and unit.at <= second:
            unit.duty = Duty.MAY


@kind
def sound_comes(rng: random.Random, name: str, seed: int) -> Film:
    """Sound begins seconds after the picture, or ends for good, or both."""
    look = common(rng, group=rng.choice((1, 2)))
    scene = Scene(look, 30.0, rng)
    comes = rng.choice((0, rng.uniform(3, 12)))
    goes = rng.choice((30, rng.uniform(16, 24)))
    for frame in scene.audio:
        # It is announced with the next key picture.
        if frame.dts < (comes + look.group + 0.5) * 1000:
            frame.duty = Duty.MAY
    scene.audio = [one for one in scene.audio if comes * 1000 <= one.dts < goes * 1000]
    film = scene.film(name, seed)
    return _rest(
        film, seams=1 if comes else 0, late=30.0 - goes + 1, words=f"{film.words}; sound {comes:.1f} to {goes:.1f} s"
    )


@kind
def picture_changes(rng: random.Random, name: str, seed: int) -> Film:
    """The picture's size, or the sound's rate, changes at a key picture."""
    look = common(rng, codec="h264", group=rng.choice((1, 2)))
    first = Scene(look, 12.0, rng)
    which = rng.choice(("video", "audio"))
    other = dataclasses.replace(look)
    if which == "video":
        other.width, other.height = 640, 368
    else:
        other.sound = SoundShape(rng.choice((32_000, 24_000)), look.sound.layout if look.sound else 2)
    second = Scene(other, 12.0, rng, first=1 << 20)
    count = round(12.0 * look.fps)
    shift = round(1000 * count / look.fps)
    for frame in second.video + second.audio:
        frame.dts, frame.pts, frame.wire = frame.dts + shift, frame.pts + shift, frame.wire + shift
        frame.at += shift / 1000
        frame.config = 1
    for frame in second.audio:
        if frame.dts < shift + (look.group + 0.5) * 1000:
            frame.duty = Duty.MAY  # what has changed is announced with the next key picture
        frame.epoch = int(which == "audio")
    if which == "audio":
        for frame in first.video:
            frame.config = 0
        for frame in second.video:
            frame.config = 0
        first.audio_records.append(second.audio_records[0])
    else:
        first.video_records.append(second.video_records[0])
        for frame in second.audio:
            frame.config = 0
    first.video += second.video
    first.audio = [one for one in first.audio if one.dts < shift - 30] + second.audio
    for frame in first.audio:
        if shift - 200 < frame.dts < shift + 100 and which == "audio":
            frame.duty = Duty.MAY
    film = first.film(name, seed)
    film.silences += int(100 * (look.group + 1))  # until the change is announced
    return _rest(film, seams=1, late=0.5, words=f"{film.words}; {which} changes at {shift} ms")


@kind
def layouts(rng: random.Random, name: str, seed: int) -> Film:
    """Every layout and rate of AAC with a picture, program config elements among them."""
    layout = rng.choice((*LAYOUTS, 0, 0))
    shape = SoundShape(
        rng.choice(SAMPLE_RATES[:12]), layout, rng.choice(("none", "none", "explicit", "late", "ps")),
        short=rng.random() < 0.1,
    )  # fmt: skip
    look = common(rng, sound=shape, sound_size=rng.choice((8, 60, 300, 1200)))
    film = Scene(look, 12.0, rng).film(name, seed)
    # What a container cannot name, or no browser decodes, may be left out; 1 to 7 it must carry.
    film.hls_sound = 1 <= layout <= 7 and not shape.short
    return _rest(film, suffixed=layout == 0, layout=layout, late=2 * shape.samples / shape.rate)


@kind
def heavy(rng: random.Random, name: str, seed: int) -> Film:
    """Many bits a second: 8 to 80 Mbit/s, large pictures, many a second."""
    look = common(
        rng, fps=rng.choice((Fraction(25), Fraction(60), Fraction(120))), rate=rng.choice((8e6, 12e6, 80e6)),
        width=1920, height=1088, slices=rng.choice((1, 4, 8)), swing=rng.uniform(0, 1.5),
    )  # fmt: skip
    return Scene(look, 4.0 if look.rate > 2e7 else 8.0, rng).film(name, seed)
