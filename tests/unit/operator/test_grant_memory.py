"""Who is let in while nobody answers: exactly who was, for an hour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.operator import memory
from hlsd.operator.memory import GrantMemory, key_of
from hlsd.operator.silence import OUT_OF_ORDER, UNKNOWN, unanswered
from hlsd.ports import Grant

YES = Grant("u7", 2, method="callback")


def test_a_yes_is_good_for_an_hour_and_a_no_takes_it_back() -> None:
    known = GrantMemory()
    known.note(b"a", YES, 100.0)
    found = known.find(b"a", 100.0 + memory.KEPT)
    assert found is not None
    assert found.grant == YES
    assert known.find(b"a", 101.0 + memory.KEPT) is None
    assert len(known) == 0
    known.note(b"a", YES, 100.0)
    known.forget(b"a")
    assert known.find(b"a", 100.0) is None


def test_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers make new arguments for ever."""
    monkeypatch.setattr(memory, "MOST", 3)
    known = GrantMemory()
    for number in range(5):
        known.note(b"%d" % number, YES, float(number))
        known.note(b"0", YES, float(number))
    assert [known.find(b"%d" % number, 5.0) is not None for number in range(5)] == [True, False, False, True, True]


@pytest.mark.thorough
@given(
    st.tuples(st.text(max_size=3), st.text(max_size=3), st.dictionaries(st.text(max_size=2), st.text(max_size=2))),
    st.tuples(st.text(max_size=3), st.text(max_size=3), st.dictionaries(st.text(max_size=2), st.text(max_size=2))),
)
def test_two_questions_have_one_key_only_if_they_are_the_same(
    one: tuple[str, str, dict[str, str]], other: tuple[str, str, dict[str, str]]
) -> None:
    """`a` and `b=c` must not read as `ab` and `=c`: somebody else's yes."""
    assert (key_of(one[:2], one[2]) == key_of(other[:2], other[2])) == (one == other)


@pytest.mark.parametrize(
    ("rule", "known", "stranger"),
    [
        ("deny", OUT_OF_ORDER, OUT_OF_ORDER),
        ("stale", YES, UNKNOWN),
        ("allow", YES, Grant(auth_duration=30, method="callback")),
    ],
)
def test_what_holds_in_silence_is_the_operators_to_say(rule: object, known: object, stranger: object) -> None:
    assert unanswered(rule, YES) == known  # type: ignore[arg-type]
    assert unanswered(rule, None) == stranger  # type: ignore[arg-type]
