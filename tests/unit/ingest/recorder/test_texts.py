"""What a page says is understood or refused with words, and what it is told is JSON of a few forms."""

from __future__ import annotations

import json

import pytest

from hlsd.base.errors import UnsupportedCodec
from hlsd.ingest.recorder import texts
from hlsd.ingest.recorder.texts import BadText, PageText, read_text


def start(**members: object) -> str:
    """A first text."""
    return json.dumps({"type": "start", **members})


def test_a_start_says_what_will_come() -> None:
    said = read_text(start(mime='application/x-hlsd-chunks;codecs="avc1.42001f, opus"', framerate=30, resume="a" * 32))
    assert said == PageText("start", texts.CHUNKS, ("avc1.42001f", "opus"), "a" * 32, (("framerate", 30),))
    assert said.picture
    assert said.sound
    assert said.converted
    assert not read_text(start(mime="video/mp4;codecs=avc1.42E01F,mp4a.40.2")).converted
    said = read_text(start(mime="video/x-matroska;codecs=avc1", videoBitsPerSecond="much", resume="../../x"))
    assert (said.codecs, said.resume, said.facts, said.sound) == (("avc1",), "", (), False)
    assert read_text('{"type":"pause"}').type == "pause"
    assert read_text('{"type":"resume","more":1}').type == "resume"
    assert read_text('{"type":"hello"}').type == "other"


@pytest.mark.parametrize(
    ("mime", "name"), [("video/webm;codecs=vp8,opus", "VP8"), ('video/mp4; codecs="vp09.00.10.08"', "VP9")]
)
def test_codecs_that_are_not_carried_are_named_before_anything_comes(mime: str, name: str) -> None:
    with pytest.raises(UnsupportedCodec, match=name):
        read_text(start(mime=mime))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "[" * 4000,
        '{"type":7}',
        "{}",
        start(),
        start(mime=7),
        start(mime="video/x-flv"),
        start(mime="video/webm" + " " * 300),
        start(mime="video/webm", resume=7),
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadText):
        read_text(text)


def test_what_a_page_is_told() -> None:
    assert json.loads(texts.ready("x")) == {"type": "ready", "id": "x", "ack_every": 1000}
    assert json.loads(texts.ready("x", 0))["from"] == 0
    assert json.loads(texts.ack(7, 0.1234)) == {"type": "ack", "bytes": 7, "lag_ms": 123}
    assert json.loads(texts.state("away")) == {"type": "state", "state": "away"}
    assert json.loads(texts.complaint("what")) == {
        "type": "error", "name": "INVALID_PARAMETERS", "message": "what", "fatal": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("busy", "NAME_IN_USE"),
        ("denied", "NOT_ALLOWED"),
        ("kicked", "NOT_ALLOWED"),
        ("codec", "UNSUPPORTED_CODEC"),
        ("media", "BAD_MEDIA"),
        ("limit", "LIMIT"),
        ("shutdown", "ENDED"),
        ("error:internal", "CONNECTION_FAILED"),
    ],
)
def test_endings_have_the_names_that_pages_know(reason: str, name: str) -> None:
    assert json.loads(texts.refusal(reason, "words")) == {
        "type": "error", "name": name, "message": "words", "fatal": True,
    }  # fmt: skip
