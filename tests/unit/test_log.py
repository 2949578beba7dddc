"""The log tells facts, never secrets, and lets no peer write lines of its own."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hlsd.base import log


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(level: log.Level = "info") -> io.StringIO:
    out = io.StringIO()
    log.configure(level, "json", out)
    return out


def only(out: io.StringIO) -> dict[str, Any]:
    (line,) = out.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_fact_is_one_json_line_with_a_utc_time() -> None:
    out = lines()
    structlog.get_logger().info("publishing", stream="/live/a", bytes=7)
    fact = only(out)
    assert (fact["event"], fact["level"], fact["stream"], fact["bytes"]) == ("publishing", "info", "/live/a", 7)
    assert fact["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "name",
    ["token", "sign", "secret", "password", "key", "jwt", "authorization", "query", "stream_key", "jwt_secret",
     "Authorization", "access-token"],
)  # fmt: skip
def test_values_under_secret_names_are_masked(name: str) -> None:
    out = lines()
    structlog.get_logger().info("x", **{name: "hunter2"}, nested={name: ["hunter2"]})
    assert "hunter2" not in out.getvalue()


def test_names_that_only_sound_alike_are_not_masked() -> None:
    out = lines()
    structlog.get_logger().info("x", key_frames=3, keyframe=True, design="d")
    fact = only(out)
    assert (fact["key_frames"], fact["keyframe"], fact["design"]) == (3, True, "d")


@pytest.mark.parametrize(
    "text",
    [
        "rtmp://h/live/a?token=hunter2",
        "http://h/live/a.m3u8?hunter2",
        "GET /live/a.m3u8?sign=hunter2 HTTP/1.1",
        "a?sign=1-hunter2&b=hunter2",
        "rtmp://user:hunter2@h/live/a",
    ],
)
def test_queries_and_credentials_are_cut_from_any_text(text: str) -> None:
    """A stream key in a log is a stream that others can take over."""
    out = lines()
    logger = structlog.get_logger()
    logger.info(text, a=text, b=[text], c={"d": text})
    logger.error("failed", error=ValueError(text))
    logger.error("raised", exc_info=ValueError(text))
    logging.getLogger("uvicorn.error").warning("%s", text)
    assert len(out.getvalue().splitlines()) == 4
    assert "hunter2" not in out.getvalue()
    assert "ValueError" in out.getvalue()


@given(st.text(), st.sampled_from(["console", "json"]))
def test_a_peer_cannot_write_lines_or_escape_sequences(text: str, fmt: log.Format) -> None:
    """Names and versions come from the network; a terminal obeys ESC, a collector believes in lines."""
    out = io.StringIO()
    log.configure("info", fmt, out)
    structlog.get_logger().info("connected", version=text)
    written = out.getvalue()
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1
    assert not log._CONTROLS.search(written)


def test_long_texts_are_cut() -> None:
    out = lines()
    structlog.get_logger().info("x", version="v" * 10_000)
    assert len(only(out)["version"]) == log.TEXT_LIMIT


def test_libraries_speak_from_warnings_on_and_through_us() -> None:
    out = lines()
    logging.getLogger("uvicorn.access").info("GET /")
    logging.getLogger("httpx").info("request")
    logging.getLogger("uvicorn.error").warning("too late")
    fact = only(out)
    assert (fact["event"], fact["logger"], fact["level"]) == ("too late", "uvicorn.error", "warning")


def test_the_level_is_kept() -> None:
    out = lines("warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert only(out)["event"] == "loud"
