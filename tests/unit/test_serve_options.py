"""`hlsd serve` is read by the entry as by the command line, which it leaves everything to that may be a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hlsd.commands import process, serve_options
from hlsd.commands.cli import application

_OPTIONS = (
    "--bind", "--rtmp-port", "--http-port", "--state-dir", "--log-level", "--log-format", "--workers", "--config", "-c",
    "--help", "--verbose", "--rtmp",
)  # fmt: skip
_VALUES = ("0", "8080", "auto", "4", "::", "a b", "/tmp/x.toml", "-1", "--bind", "", "debug", "1_0", "x=y", "-", "--")
_WORDS = st.sampled_from(_OPTIONS) | st.sampled_from(_VALUES)
_PAIRS = st.builds("{}={}".format, st.sampled_from(_OPTIONS), st.sampled_from(_VALUES))


def _by_the_command_line(arguments: list[str], env: dict[str, str]) -> tuple[Path | None, dict[str, Any]] | None:
    asked: list[tuple[Path | None, dict[str, Any]]] = []

    def serve(file: Path | None, overrides: dict[str, Any]) -> int:
        asked.append((file, overrides))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "serve", serve)
        CliRunner(env={"HLSD_CONFIG": None, **env}).invoke(application, ["serve", *arguments])
    return asked[0] if asked else None


@given(arguments=st.lists(_WORDS | _PAIRS, max_size=5), file=st.sampled_from((None, "", "/etc/else.toml")))
@example(arguments=[], file=None)
@example(arguments=["--rtmp-port", "0", "--bind=::", "-c", "a.toml", "--workers", "auto", "--rtmp-port=1"], file="b")
@example(arguments=["-ca.toml"], file=None)
@example(arguments=["-c=a.toml"], file=None)
def test_what_the_entry_takes_means_what_the_command_line_says(arguments: list[str], file: str | None) -> None:
    env = {} if file is None else {"HLSD_CONFIG": file}
    mine = serve_options.plain(["serve", *arguments], env)
    assert mine is None or mine == _by_the_command_line(arguments, env)


def test_a_plain_serve_is_taken() -> None:
    """Or else everything would be left to the command line, and the test above would hold."""
    asked = serve_options.plain(
        ["serve", "-c", "a.toml", "--state-dir=/var/lib/hlsd", "--rtmp-port", "0"], {"HLSD_CONFIG": "b"}
    )
    assert asked == (Path("a.toml"), {"server.state_dir": Path("/var/lib/hlsd"), "rtmp.port": 0})


@pytest.mark.parametrize(
    "arguments", [[], ["demo"], ["--version"], ["serve", "--help"], ["serve", "--bind"], ["serve", "--rtmp-port", "x"]]
)
def test_everything_else_is_left_to_the_command_line(arguments: list[str]) -> None:
    assert serve_options.plain(arguments, {}) is None


def test_a_shell_that_asks_for_completions_is_answered_by_the_command_line() -> None:
    assert serve_options.plain(["serve"], {"_HLSD_COMPLETE": "complete_bash"}) is None
