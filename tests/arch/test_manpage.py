"""The manual page is what the commands say, names them all, and both readers of manual pages read it without a word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from typing import Any

import pytest
import typer

from hlsd.commands.cli import application
from scripts import manpage
from tests.support.sources import CHECKOUT


def test_the_page_is_what_its_script_writes() -> None:
    # Whoever adds an option runs scripts/manpage.py: a page that lacks it is worse than none.
    assert manpage.PAGE.read_text(encoding="utf-8") == manpage.page()


def test_it_has_each_command_and_each_option() -> None:
    text = manpage.PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    sections = dict(re.findall(r'\.SS "(hlsd [a-z ]*[a-z])[^\n]*\n((?:.|\n)*?)(?=\n\.S[SH] )', text))
    named = set[str]()

    def look(command: Any, path: str) -> None:
        below = getattr(command, "commands", None)
        for name, under in (below or {}).items():
            look(under, f"{path} {name}")
        if not below:
            named.add(path)
            for parameter in command.params:
                if parameter.param_type_name == "option" and not parameter.hidden:
                    assert f"\\fB{parameter.opts[0]}" in sections[path] or f" {parameter.opts[0]}" in sections[path]

    look(typer.main.get_command(application), "hlsd")
    assert set(sections) == named
    assert len(named) > 20


@pytest.mark.parametrize(
    "reader",
    [["mandoc", "-Tlint", "-Wstyle"], ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]],
    ids=["mandoc", "man"],
)
def test_a_reader_of_manual_pages_has_nothing_to_say(reader: list[str]) -> None:
    if shutil.which(reader[0]) is None:
        pytest.skip(f"{reader[0]} is not there (apt-get install mandoc man-db)")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*reader, str(manpage.PAGE)], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    said = done.stderr + (done.stdout if reader[0] == "mandoc" else "")
    assert (done.returncode, said) == (0, "")


def test_the_wheel_takes_it_along() -> None:
    wheel = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    taken = wheel["targets"]["wheel"]["shared-data"]
    assert taken[str(manpage.PAGE.relative_to(CHECKOUT))] == "share/man/man1/hlsd.1"
