"""The signature of a webhook: a receiver can tell ours from a forgery and fresh from replayed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hlsd.operator.signature import sign, verify

SECRET = b"nodemedia2017privatekey"
BODY = b'{"action":"donePlay"}'
AT = 1503458721
VECTOR = "t=1503458721,v1=4c9fa6e5b45033ea43b456000f76ff7ec6f5fee4c435856e09ecf00dc77cc5f5"


def test_the_vector_of_the_documentation_holds() -> None:
    """Receivers in three languages were written from it (contract §2.3)."""
    assert sign(SECRET, AT, BODY) == VECTOR


def test_a_signature_older_than_five_minutes_is_refused() -> None:
    """A recorded donePlay must not be billed twice."""
    assert verify(SECRET, VECTOR, BODY, AT + 300)
    assert not verify(SECRET, VECTOR, BODY, AT + 301)
    assert not verify(SECRET, VECTOR, BODY, AT - 301)


@given(st.integers(0, len(VECTOR) - 1), st.characters(min_codepoint=32, max_codepoint=126))
def test_one_changed_character_is_enough(at: int, letter: str) -> None:
    """Whatever is changed in the header, it is no longer ours."""
    forged = VECTOR[:at] + letter + VECTOR[at + 1 :]
    assert verify(SECRET, forged, BODY, AT) == (forged == VECTOR)


@given(st.text(max_size=100))
def test_any_header_is_judged_without_an_exception(header: str) -> None:
    """Strangers write it."""
    assert not verify(SECRET, header, BODY, AT)


def test_another_body_is_refused() -> None:
    """The signature covers what it came with."""
    assert not verify(SECRET, VECTOR, BODY.replace(b"done", b"post"), AT)
    assert not verify(b"another secret, longer", VECTOR, BODY, AT)
