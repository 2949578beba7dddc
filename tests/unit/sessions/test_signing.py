"""Session ids: signed for one stream, shaped for a path."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.sessions.key_file import load_key
from hlsd.sessions.signing import PUBLIC, Issue, Key, Signer, Terms

KEY = Key(b"0123456789abcdef")
NOW = 1_700_000_000


def signer(*keys: Key) -> Signer:
    return Signer(keys or (KEY,), lambda: NOW)


def test_an_id_is_unescaped_path_characters_and_tells_when_it_was_issued() -> None:
    """An id that a player would percent-encode comes back as another id."""
    for _ in range(200):
        sid = signer().mint("/live/cam")
        assert re.fullmatch(rb"[A-Za-z0-9_-]{48}", sid)
        assert signer().read(sid, "/live/cam") == Issue(NOW, here=False)


def test_ids_do_not_repeat() -> None:
    """Two viewers with one id would be one session."""
    assert len({signer().mint("/live/cam") for _ in range(2000)}) == 2000


def test_an_id_is_good_for_its_stream_only() -> None:
    """A free stream's id must not open a paid one."""
    sid = signer().mint("/live/cam")
    for path in ("/live/cam2", "/live/ca", "/liv/ecam", "/live/CAM", ""):
        assert signer().read(sid, path) is None


def test_every_changed_character_is_refused() -> None:
    """Token forgery: bit-flip every char, 0 accepted."""
    sid = signer().mint("/live/cam")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place in range(len(sid)):
        for char in alphabet:
            forged = sid[:place] + bytes([char]) + sid[place + 1 :]
            assert (signer().read(forged, "/live/cam") is None) is (forged != sid)


@given(
    st.integers(0, 2**32 - 1), st.integers(0, 0xFFFF), st.booleans(), st.booleans(), st.sampled_from(["", "7", "Zoë"])
)
def test_an_id_says_on_what_terms_its_viewer_was_let_in(
    ends: int, most: int, unique: bool, bound: bool, user: str
) -> None:
    """After a restart nobody else knows; and the public id is that of before, whatever the terms are."""
    by = signer()
    terms = Terms(float(ends), by.who(user), most, unique, bound)
    first = by.mint("/live/cam")
    sid = by.mint("/live/cam", terms, like=first)
    assert sid[:PUBLIC] == first[:PUBLIC]
    assert by.read(sid, "/live/cam") == Issue(NOW, terms, here=True)
    assert signer().read(sid, "/live/cam") == Issue(NOW, terms, here=False), "another process, as after a restart"


def test_what_does_not_fit_is_stricter_and_never_no_bound() -> None:
    sid = signer().mint("/live/cam", Terms(ends=NOW + 0.2, most=10**6))
    issue = signer().read(sid, "/live/cam")
    assert issue is not None
    assert (issue.terms.most, issue.terms.ends) == (0xFFFF, NOW + 1)


def test_the_public_id_opens_nothing() -> None:
    """It stands in logs, events and the API: without the MAC at the end it is as good as any other text."""
    sid = signer().mint("/live/cam")
    for guess in (sid[:PUBLIC], sid[:PUBLIC] * 3, sid[:-12] + sid[:12]):
        assert signer().read(guess, "/live/cam") is None


def test_a_key_is_replaced_without_ending_anybody_and_an_epoch_ends_all() -> None:
    """Two keys are good while one is being replaced; a new epoch is the way to revoke."""
    old, new = KEY, Key(b"fedcba9876543210")
    sid = signer(old).mint("/live/cam")
    assert signer(new, old).read(sid, "/live/cam") == Issue(NOW, here=False)
    assert signer(new).read(sid, "/live/cam") is None
    assert signer(Key(KEY.secret, epoch=1)).read(sid, "/live/cam") is None


@given(st.binary(max_size=40))
def test_any_bytes_are_judged_without_an_error(sid: bytes) -> None:
    """The id comes from a stranger."""
    assert signer().read(sid, "/live/cam") is None


def test_the_key_is_kept_for_the_owner_only_and_found_again(tmp_path: Path) -> None:
    """Whoever reads it can make sessions; a restart must not end them."""
    path = tmp_path / "state" / "session.key"
    made = load_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path) == made
    assert len(made.secret) == 32
    assert made.secret.hex() not in repr(made)


@pytest.mark.parametrize("text", ["", "zz", "00ff", "not a key at all, but long enough to be one"])
def test_a_file_that_is_no_key_is_an_error_and_stays(tmp_path: Path, text: str) -> None:
    """An empty key would sign for everybody."""
    path = tmp_path / "session.key"
    path.write_text(text)
    with pytest.raises(ValueError, match="session key"):
        load_key(path)
    assert path.read_text() == text


def test_a_short_key_is_refused() -> None:
    """16 bytes at least."""
    with pytest.raises(ValueError, match="16 bytes"):
        Signer([Key(b"short")], lambda: NOW)


def test_no_id_begins_like_an_option_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    # "hlsd kick ID": one in 64 did, and the command knew no option of that name.
    drawn = iter([bytes([0xF8 + number]) + bytes(7) for number in range(4)] + [bytes([0xFC]) + bytes(7)])

    def draw(size: int) -> bytes:
        return next(drawn) if size == 8 else bytes(size)

    monkeypatch.setattr("hlsd.sessions.signing.secrets.token_bytes", draw)
    signer = Signer([Key(b"k" * 32)], lambda: 1.0)
    assert signer.mint("/live/cam").startswith(b"_A")
