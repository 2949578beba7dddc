"""AES-128 of live segments: what playlists say, which bytes come, which keys there are, and that it is done once."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from hlsd.base.errors import ProtocolError
from hlsd.media import segment_keys
from hlsd.media.key_vault import KeyVault, of_rendition
from hlsd.media.segment_keys import SegmentKeys
from hlsd.media.unit import Tracks
from hlsd.ports import Media
from hlsd.segmenter.encryption import told
from hlsd.segmenter.feed.state import facts_of, state_of
from hlsd.segmenter.live import Live
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from tests.support.frames import VIDEO, audio, interleaved, video
from tests.support.runs import RUN, feed, settings, text

KEYS = SegmentKeys(b"s" * 32, 3)
UNITS = interleaved(video(25, 26), audio(26))


def decrypted(body: bytes | memoryview, key: bytes, iv: int) -> bytes:
    """What a player makes of it, by a decryptor that knows nothing of ours."""
    opened = Cipher(algorithms.AES(key), modes.CBC(iv.to_bytes(16, "big"))).decryptor()
    padded = opened.update(bytes(body)) + opened.finalize()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def on_air(keys: SegmentKeys | None = KEYS, **changes: object) -> Segmenter:
    made = Segmenter(Run(RUN, settings(**changes), first_msn=1000, keys=keys))
    feed(made, UNITS)
    return made


def got(live: Live, uri: str) -> Media:
    run, _, name = uri.partition("/")
    found = live.media(run, name)
    assert found is not None, uri
    return found


@pytest.mark.parametrize("container", ["auto", "fmp4"])
def test_every_segment_opens_by_the_key_and_number_that_the_playlist_says(container: str) -> None:
    live, plain = on_air(container=container).live, on_air(None, container=container, low_latency=False).live
    listed = text(live)
    key, number, seen, keys = b"", int(re.findall(r"MEDIA-SEQUENCE:(\d+)", listed)[0]), 0, set[str]()
    for line in text(live).splitlines():
        if line.startswith("#EXT-X-KEY"):
            found = re.fullmatch(r'#EXT-X-KEY:METHOD=AES-128,URI="([^"]+)"', line)
            assert found is not None, line
            keys.add(found[1])
            resource = got(live, found[1])
            assert (resource.secret, resource.init, resource.content_type) == (True, True, "application/octet-stream")
            key = bytes(resource.body)
            assert len(key) == 16
        elif line and not line.startswith("#"):
            assert f"/s{number}." in line
            assert decrypted(got(live, line).body, key, number) == bytes(got(plain, line).body)
            number, seen = number + 1, seen + 1
    assert seen > 5
    assert len(keys) >= 2, "it is rotated within the list"


def test_the_initialisation_section_stands_before_any_key_and_is_in_the_clear() -> None:
    made = on_air(container="fmp4")
    lines = text(made.live).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("#EXT-X-KEY"))
    assert any(line.startswith("#EXT-X-MAP") for line in lines[:first])
    made.jump()
    other = Tracks(VIDEO, None)
    feed(made, video(25, 12), other)
    again = text(made.live).splitlines()
    at = max(number for number, line in enumerate(again) if line.startswith("#EXT-X-MAP"))
    assert again[at - 1] == segment_keys.NONE
    assert again[at + 1].startswith("#EXT-X-KEY:METHOD=AES-128")
    init = re.findall(r'EXT-X-MAP:URI="([^"]+)"', "\n".join(again))[-1]
    assert bytes(got(made.live, init).body)[4:8] == b"ftyp"


def test_there_is_no_low_latency_and_no_part_in_the_clear() -> None:
    made = on_air(low_latency=True)
    listed = text(made.live)
    assert "PART" not in listed
    assert "SERVER-CONTROL" not in listed
    parts = [part for segment in made.window.segments for part in segment.parts]
    assert parts, "it is cut in parts all the same"
    for part in parts:
        run, _, name = part.uri.partition("/")
        assert made.live.media(run, name) is None


def test_a_key_is_there_while_a_segment_is_served_that_has_it_and_no_other() -> None:
    made = on_air(list=3)
    window, live = made.window, made.live
    oldest = (window.removed or window.segments)[0].msn
    numbers = {n for n in range(300, 400) if live.media(RUN, f"k{n}.key") is not None}
    assert numbers == set(range(oldest // 3, (window.last_msn + 1) // 3 + 1))
    for wrong in ("k-1.key", "k0333.key", "k٣.key", "k.key", "K333.key", "k333.key.key", f"k{10**30}.key"):
        assert live.media(RUN, wrong) is None
    assert on_air(None).live.media(RUN, "k333.key") is None


def test_a_segment_is_encrypted_once_and_counted_as_long_as_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = segment_keys.encrypt

    def counted(body: bytes | memoryview, key: bytes, iv: int) -> bytes:
        calls.append(iv)
        return real(body, key, iv)

    monkeypatch.setattr(segment_keys, "encrypt", counted)
    made = on_air(list=3)
    window, live = made.window, made.live
    text(live)  # what was put off while nobody asked is written now
    before = window.bytes
    first = window.segments[0]
    name = first.uri.rpartition("/")[2]
    bodies = {id(got(live, f"{RUN}/{name}").body) for _ in range(5)}
    assert (len(calls), len(bodies)) == (1, 1)
    assert window.bytes == before + len(first.sealed)
    feed(made, [one._replace(dts=one.dts + 26 * 90_000, pts=one.pts + 26 * 90_000) for one in UNITS], None)
    assert live.media(RUN, name) is None
    held = sum(one.size + len(one.sealed) for one in (*window.removed, *window.segments))
    held += window.open.size if window.open is not None else 0
    assert window.bytes == held + sum(map(len, window.inits.values()))


def test_nothing_is_encrypted_for_streams_that_are_not_named() -> None:
    vault = KeyVault(b"x" * 32, ["live/secret_*", "~vod/[0-9]+"], 60)
    assert vault.live("live", "cam", "r") is None
    assert vault.recording("live", "cam", "r") is None
    assert vault.seals("live", "secret_1")
    assert vault.seals("vod", "123")
    assert "KEY" not in text(on_air(None).live)


def test_keys_differ_by_run_rendition_kind_number_and_server() -> None:
    vault, other = KeyVault(b"x" * 32, ["*/*"], 60), KeyVault(b"y" * 32, ["*/*"], 60)
    a = vault.live("live", "cam", "r")
    made = [
        a,
        vault.live("live", "cam", "r2"),
        vault.recording("live", "cam", "r"),
        other.live("live", "cam", "r"),
        of_rendition(a, "main"),
        of_rendition(a, "480p"),
    ]
    found = [one.key(0) for one in made if one is not None]
    assert a is not None
    found.append(a.key(1))
    assert len(set(found)) == 7
    assert (a.number(59), a.number(60)) == (0, 1)


def test_another_process_is_told_the_keys_and_serves_the_same() -> None:
    live = on_air().live
    state = state_of(live, live.window)
    facts = facts_of(state, 7)
    assert facts.keys is not None
    assert live.facts.keys is not None
    assert facts.keys.key(5) == live.facts.keys.key(5)
    for wrong in ([], ["00", 3], ["zz" * 32, 3], ["00" * 32, 0], ["00" * 32, -1], [7, 3], "00" * 32):
        with pytest.raises(ProtocolError):
            facts_of(state | {"keys": wrong}, 7)


def test_the_operator_is_told_what_it_costs() -> None:
    assert told(settings()) == []
    said = "\n".join(told(settings(encrypt=["live/*"])))
    assert "live/*" in said
    assert "Low-Latency" in said
    assert "Low-Latency" not in "\n".join(told(settings(encrypt=["live/*"], low_latency=False)))
    with pytest.raises(ValueError, match="encrypt"):
        settings(encrypt=["live"])
