"""Whatever bytes come, the media room answers with media, a MediaError, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.ingest.colour_info import read_colour_info
from hlsd.ingest.intake import Intake
from hlsd.media import aac, av1, flv, h264, h265, hdr, nal
from hlsd.media.enhanced import AUDIO_MULTITRACK, MOD_EX, VIDEO_MULTITRACK, default_track, other_tracks, skip_modifiers
from hlsd.media.sounds import SoundFormat
from hlsd.media.timed_event import TimedEvent
from hlsd.media.unit import AccessUnit, Aside, Kind, Tracks
from tests.support.flvmedia import flv_tags, make_flv

_units = st.lists(st.binary(min_size=1, max_size=40).filter(lambda unit: unit[-1] != 0), min_size=1, max_size=12)
_media = {codec: flv_tags(make_flv(codec, seconds=0.4, gop=4)) for codec in ("h264", "h265", "av1")}


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200), length_size=st.sampled_from([1, 2, 4]))
def test_any_access_unit_is_a_sample_or_a_media_error(body: bytes, length_size: int) -> None:
    """A sample always consists of whole NAL units, none of them a parameter set."""
    for codec, sets in ((h264, {7, 8, 9}), (h265, {32, 33, 34, 35})):
        with suppress(MediaError):
            payload, _, _ = codec.normalise(body, length_size)
            units = nal.split(payload, 4) if payload else []
            assert nal.join(units) == payload
            types = {unit[0] & 31 if codec is h264 else h265.unit_type(unit) for unit in units}
            assert not types & sets


@settings(max_examples=100, deadline=None)
@given(units=_units)
def test_lengths_and_start_codes_say_the_same(units: list[bytes]) -> None:
    """Byte stream format is only another wrapping, as long as no start code is inside."""
    stream = b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
    if stream.count(b"\x00\x00\x01") == len(units) and b"\x00\x00\x00" not in b"".join(units):
        assert nal.split_start_codes(stream) == units
    assert nal.split(nal.join(units), 4) == units


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=120))
def test_any_record_or_tag_is_read_or_refused(body: bytes) -> None:
    """No IndexError, no ValueError, no endless loop."""
    for read in (
        h264.read_record,
        h265.read_record,
        aac.read_record,
        h264.parse_sps,
        h265.parse_sps,
        flv.decode_video,
        flv.decode_audio,
        av1.read_record,
        av1.parse_sequence_header,
        lambda octets: av1.read_record(b"\x81\x00\x0c\x00" + octets),
        lambda octets: av1.parse_sequence_header(b"\x0a" + bytes((len(octets),)) + octets),
        lambda octets: av1.from_metadata(b"\x2a" + bytes((len(octets),)) + octets, Aside()),
        lambda octets: other_tracks(b"\x96" + octets, VIDEO_MULTITRACK),
        lambda octets: other_tracks(b"\x97\x02\x00\x00\x01\x05" + octets, AUDIO_MULTITRACK),
        lambda octets: h264.parse_sps(b"\x67" + octets),
        lambda octets: h265.parse_sps(b"\x42\x01" + octets),
        lambda octets: flv.decode_video(b"\x96" + octets),
        lambda octets: flv.decode_video(b"\x97" + octets),
        lambda octets: flv.FileReader().feed(b"FLV\x01" + octets),
        lambda octets: hdr.from_sei(nal.join([b"\x4e\x01" + octets]), "h265", Aside()),
        lambda octets: hdr.from_sei(nal.join([b"\x06" + octets]), "h264", Aside()),
        lambda octets: hdr.dolby_profile(nal.join([b"\x7c\x01" + octets])),
        lambda octets: read_colour_info(b"\x02\x00\x09colorInfo" + octets),
    ):
        with suppress(MediaError):
            read(body)


_obus = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 15]), st.booleans(), st.binary(max_size=20)), max_size=12
)


@pytest.mark.thorough
@settings(max_examples=300, deadline=None)
@given(obus=_obus, damage=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=2))
def test_any_temporal_unit_is_a_sample_of_av1_or_a_media_error(
    obus: list[tuple[int, bool, bytes]], damage: list[tuple[int, int]]
) -> None:
    """What is left can be read again and is the same, has a frame, and nothing that has no place in it."""
    body = bytearray()
    for kind, extension, payload in obus:
        body += bytes((kind << 3 | extension << 2 | 2,)) + bytes(extension) + bytes((len(payload),)) + payload
    for at, octet in damage:
        if at < len(body):
            body[at] = octet
    with suppress(MediaError):
        sample, flags, found = av1.normalise(bytes(body), 4)
        if not damage:
            kept = [kind for kind, _, _ in obus if kind not in {2, 7, 8, 15}]
            assert [kind for kind, *_ in av1._obus(sample)] == (kept if {3, 6} & set(kept) else [])
        assert bool(sample) is bool(flags & nal.PICTURE)
        if sample:
            assert av1.normalise(sample, 4) == (sample, flags, found)
            assert not flags & nal.KEY or found
        for unit in found or ():
            with suppress(MediaError):
                track = av1.make_track((unit,))
                assert av1.read_record(track.record) == (track, 4)


@pytest.mark.thorough
@settings(max_examples=300, deadline=None)
@given(
    modifiers=st.lists(st.tuples(st.integers(0, 15), st.binary(min_size=1, max_size=300)), max_size=9),
    form=st.integers(0, 2),
    tracks=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=30)), min_size=1, max_size=6),
    cut=st.none() | st.integers(1, 400),
)
def test_modifiers_and_tracks_are_read_as_they_were_written(
    modifiers: list[tuple[int, bytes]], form: int, tracks: list[tuple[int, bytes]], cut: int | None
) -> None:
    """Written by the specification: each comes back as it went in, and what is cut is a media error."""
    tag = bytearray(b"\x97" if modifiers else b"\x96")
    for n, (kind, data) in enumerate(modifiers):
        size = len(data) - 1
        after = MOD_EX if n + 1 < len(modifiers) else VIDEO_MULTITRACK
        tag += (
            (bytes((size,)) if size < 255 else b"\xff" + size.to_bytes(2, "big")) + data + bytes((kind << 4 | after,))
        )
    names = [b"av01", b"hvc1", b"avc1", b"av01", b"vp09", b"hvc1"]
    tag += bytes((form << 4 | 1,)) + (names[0] if form < 2 else b"")
    for (track, body), name in zip(tracks if form else tracks[:1], names, strict=False):
        tag += (name if form == 2 else b"") + bytes((track,)) + (len(body).to_bytes(3, "big") if form else b"") + body
    written = tracks if form else tracks[:1]
    lawful = len(modifiers) <= 8 and all(
        kind or (len(data) >= 3 and int.from_bytes(data[:3], "big") < 1_000_000) for kind, data in modifiers
    )
    try:
        packet, position = skip_modifiers(bytes(tag[:cut])) if modifiers else (VIDEO_MULTITRACK, 1)
        chosen = default_track(bytes(tag[:cut]), position)
        others = other_tracks(bytes(tag[:cut]), VIDEO_MULTITRACK)
    except MediaError:
        assert cut is not None or not lawful
        return
    if cut is None:
        assert packet == VIDEO_MULTITRACK
        assert chosen == next(
            ((1, names[n] if form == 2 else names[0], body) for n, (track, body) in enumerate(written) if not track),
            None,
        )
        assert [track for track, _ in others] == [track for track, _ in written if track]


class _Watch:
    """A publication that checks the contract of every call."""

    name = "show"
    origin = 1_000

    def __init__(self) -> None:
        self.tracks_now: Tracks | None = None
        self.last = [999, 999]
        self.need_key = True

    def tracks(self, tracks: Tracks) -> None:
        assert tracks.video or tracks.audio
        assert tracks != self.tracks_now
        if self.tracks_now is None or tracks.video != self.tracks_now.video:
            self.need_key = True
        self.tracks_now = tracks

    def unit(self, unit: AccessUnit) -> None:
        assert self.tracks_now is not None
        assert unit.dts > self.last[unit.kind]
        assert unit.pts >= unit.dts
        assert unit.payload
        self.last[unit.kind] = unit.dts
        if unit.kind is Kind.VIDEO:
            assert self.tracks_now.video is not None
            assert unit.key or not self.need_key
            self.need_key = False
        else:
            assert self.tracks_now.audio is not None

    def event(self, event: TimedEvent) -> None:
        assert event.tag

    def as_sent(self, form: SoundFormat, ticks: int, packet: bytes) -> None:
        assert form.codec
        assert packet
        assert ticks >= self.origin

    def event_lost(self, reason: str) -> None:
        assert reason in {"early", "large", "often", "unreadable"}

    def jump(self) -> None:
        self.need_key = True

    def received(self, size: int) -> None:
        raise AssertionError

    def repaired(self, kind: str) -> None:
        assert kind in {"backward", "wrap", "stray", "jump", "audio", "bad_tag", "leading"}

    def left_out(self, codecs: tuple[str, ...]) -> None:
        assert all(codecs)

    def tracks_left_out(self, names: tuple[str, ...]) -> None:
        assert names

    def converted(self, codecs: tuple[str, ...]) -> None:
        """Nothing is converted here."""

    def remark(self, event: str, facts: Mapping[str, object]) -> None:
        assert event

    def end(self, reason: str) -> None:
        raise AssertionError


@pytest.mark.thorough
@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.floats(0, 0.3))
def test_damaged_publishers_keep_the_contract_of_units(seed: int, rate: float) -> None:
    """Tags lost, cut, flipped, of the wrong kind, in two codecs, with clocks that jump."""
    chance = Random(seed)  # hypothesis' own remembers each of some hundred draws, and can take minutes over them
    tags = [tag for codec in ("h264", "h265", "av1") for tag in _media[codec]] * 2
    intake = Intake(_Watch(), 0.0)
    shift = 0
    for n, tag in enumerate(tags):
        kind, time, body = _damaged(chance, tag) if chance.random() < rate else tag
        if chance.random() < rate / 4:
            shift += chance.randrange(-3_000, 3_000)
        with suppress(UnsupportedCodec):
            intake.tag(kind, (time + shift) % 2**32, body, n / 60, 0.0)
    intake.close()


def _damaged(chance: Random, tag: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    kind, time, body = tag
    match chance.randrange(5):
        case 0:
            return kind, time, b""
        case 1:
            return kind, time, body[: chance.randrange(len(body))]
        case 2:
            at = chance.randrange(min(len(body), 80))
            return kind, time, body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
        case 3:
            return chance.choice([8, 9, 18]), time, body
        case _:
            return kind, chance.randrange(2**32), body
