"""Session ids: made by the server, shaped for a path."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.sessions.signing import RandomSids


def test_ids_are_unescaped_path_characters_and_admitted_again() -> None:
    """An id that a player would percent-encode comes back as another id."""
    sids = RandomSids()
    for _ in range(200):
        sid = sids.mint("live", "cam")
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", sid)
        assert sids.admits(sid, "live", "cam")


def test_ids_do_not_repeat() -> None:
    """Two viewers with one id would be one session."""
    sids = RandomSids()
    assert len({sids.mint("live", "cam") for _ in range(2000)}) == 2000


@pytest.mark.parametrize(
    "sid", ["", "a", "x" * 22 + "A", "A" * 21, "A" * 20 + "=A", "A" * 21 + "B", "Ä" * 22, "A" * 22 + "\n"]
)
def test_what_is_no_id_is_not_admitted(sid: str) -> None:
    """Shape is all that is checked yet, so it is checked to the bit."""
    assert not RandomSids().admits(sid, "live", "cam")


@given(st.text(max_size=40))
def test_any_text_is_judged_without_an_error(sid: str) -> None:
    """The id comes from a stranger."""
    assert RandomSids().admits(sid, "live", "cam") in (True, False)
