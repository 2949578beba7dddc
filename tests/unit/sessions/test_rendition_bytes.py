"""Bytes of each rendition on a session's account: told apart, and no more than there are."""

from __future__ import annotations

from hlsd.ports import MEDIA, MORE, WORDS, Grant, PlayRequest, RenditionBody, rest_of
from hlsd.sessions.accounting import Ledger
from hlsd.sessions.session import Session, facts


def watched() -> tuple[Ledger, Session, list[str]]:
    begun: list[str] = []
    ledger = Ledger(begins=lambda session: begun.append(session.name))
    session = Session(b"c2Vzc2lvbi1pZC0x", PlayRequest("live", "a", "hls", "::1"), Grant(), now=0.0, epoch=0.0)
    return ledger, session, begun


def test_who_has_had_the_main_one_only_has_no_list_of_them() -> None:
    ledger, session, begun = watched()
    ledger.charge(session, 100, MEDIA)
    assert session.rare is None, "and pays nothing for it"
    told = facts(session)
    assert told["rendition"] == "main"
    assert "renditions" not in told
    assert begun == ["a"]


def test_bytes_are_told_apart_and_add_up() -> None:
    ledger, session, begun = watched()
    small, init = RenditionBody.of(MEDIA, "360p"), RenditionBody.of(MORE, "360p")
    ledger.charge(session, 10, init)
    assert begun == []
    ledger.charge(session, 300, small)
    ledger.charge(session, 90, MEDIA)
    ledger.charge(session, 50, WORDS)
    ledger.charge(session, 40, RenditionBody.of(MEDIA, "audio"))
    ledger.charge(session, -100, small)
    told = facts(session)
    assert told["renditions"] == {"main": 90, "360p": 210, "audio": 40}
    assert told["rendition"] == "360p"
    assert sum(told["renditions"].values()) == session.media_bytes == told["media_bytes"]
    assert ledger.total == session.out_bytes
    assert (begun, session.segments) == (["a"], 3)


def test_the_rest_of_a_body_begins_nothing() -> None:
    ledger, session, _ = watched()
    ledger.charge(session, 5, rest_of(RenditionBody.of(MEDIA, "360p")))
    assert session.segments == 0
    assert session.of_renditions == {"360p": 5}
    assert (rest_of(MEDIA), rest_of(MORE), rest_of(WORDS)) == (MORE, MORE, WORDS)
