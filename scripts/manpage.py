"""Writes docs/man/hlsd.1 from the commands themselves (`make man`), so that page and `--help` cannot differ.

man(7) macros only, which groff and mandoc both know.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import typer

from hlsd import __version__
from hlsd.commands.cli import application
from hlsd.config import INSTALLED_FILE

Command = Any
Context = Any
"""typer's own; it has a copy of click inside, whose types it does not hand out."""

PAGE = Path(__file__).resolve().parents[1] / "docs" / "man" / "hlsd.1"
DAY = "2026-12-01"
"""When what follows was last written: mandoc wants a date, and that of the build would make each build another."""
FURTHER = f"""\
.SH FILES
.TP
.I {INSTALLED_FILE}
The configuration, where no file is named and hlsd does not run from a checkout.
.B hlsd check \\-\\-template
prints one with every key, its default and what it does.
.TP
.I /var/lib/hlsd
State of the service: sequence numbers, the key of sessions, bans,
events that wait, recordings.
.TP
.I api.token
In the state folder: the token by which the commands of this machine
ask a running server.
.SH ENVIRONMENT
.TP
.B HLSD_CONFIG
The configuration file.
.TP
.BI HLSD_ SECTION __ KEY
A setting; it goes before the file.
.B HLSD_RTMP__PORT=1936
is
.I port
of section
.IR [rtmp] .
.TP
.BI HLSD_ SECTION __ KEY _FILE
A file that holds a setting: for secrets.
.SH SIGNALS
.TP
.B SIGTERM\\fR, \\fBSIGINT
.B hlsd serve
drains: held requests are answered, players go on in the next server.
.SH EXIT STATUS
.TP
.B 0
Done; a SIGTERM that drained included.
.TP
.B 1
It could not be done: a taken port, a refused publication.
.TP
.B 2
What was asked for is not understood: arguments, configuration,
a file that cannot be published.
.SH SEE ALSO
.BR ffmpeg (1),
.BR systemctl (1)
"""


def escaped(text: str) -> str:
    """A line of text as roff: a backslash, a hyphen that is a minus, and what would be a request at its beginning."""
    quoted = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("→", "\\(->")
    return re.sub(r"^([.'])", r"\\&\1", quoted)


def paragraph(text: str) -> list[str]:
    """A paragraph in lines of less than 80, as mandoc wants them."""
    lines = textwrap.wrap(" ".join(text.split()), 66, break_long_words=False, break_on_hyphens=False)
    return [escaped(line) for line in lines]


def heading(record: str) -> str:
    """The left side of an option's help: names in bold, what they take in italics."""
    names, _, takes = record.partition(" ") if not record.endswith(",") else (record, "", "")
    while takes.startswith("-"):  # `-c, --config FILE`
        more, _, takes = takes.partition(" ")
        names += f" {more}"
    said = f"\\fB{escaped(names)}\\fR"
    return f"{said} \\fI{escaped(takes)}\\fR" if takes else said


def parameters(command: Command, context: Context) -> list[str]:
    """The options and arguments of a command that have help; `--help` is the same for all."""
    lines = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts or record[0].startswith(("--install-comp", "--show-comp")):
            continue
        if parameter.param_type_name == "argument":
            left = f"\\fI{escaped(parameter.metavar or parameter.name.upper())}\\fR"
        else:
            left = heading(record[0])
        lines += [".TP", left, *(paragraph(record[1]) or ["\\&"])]
    return lines


def described(command: Command, context: Context) -> list[str]:
    """The section of a command, or of each of its own."""
    if getattr(command, "commands", None):
        lines = []
        for name, under in command.commands.items():
            lines += described(under, under.context_class(under, info_name=name, parent=context))
        return lines
    usage = re.sub("[{}]", "", " ".join(piece for piece in command.collect_usage_pieces(context) if piece))
    text: list[str] = []
    for part in (command.help or "").split("\n\n"):
        text += [*([".PP"] if text else []), *paragraph(part)]
    return [f'.SS "{escaped(context.command_path)} {escaped(usage)}"', *text, *parameters(command, context)]


def page() -> str:
    """The whole page."""
    root: Command = typer.main.get_command(application)
    context = root.context_class(root, info_name="hlsd")
    lines = [
        '.\\" Written by scripts/manpage.py from the commands: change those.',
        f'.TH HLSD 1 "{DAY}" "hlsd {__version__}" "hlsd"',
        ".SH NAME",
        "hlsd \\- a live HLS server that knows its viewers",
        ".SH SYNOPSIS",
        ".B hlsd",
        ".RB [ \\-\\-version ]",
        ".RB [ \\-\\-help ]",
        ".I command",
        ".RI [ arguments ]",
        ".SH DESCRIPTION",
        *paragraph(
            "Takes video by RTMP, SRT, WebRTC and others, and serves it as HLS and Low-Latency HLS, HTTP-FLV and"
            " WebRTC; each viewer is a session that can be seen, counted and ended."
        ),
        ".PP",
        "Each command has",
        ".BR \\-\\-help .",
        ".B hlsd \\-\\-install\\-completion",
        "completes them in bash, zsh and fish.",
        ".SH COMMANDS",
    ]
    for name, command in root.commands.items():
        lines += described(command, command.context_class(command, info_name=name, parent=context))
    return "\n".join(lines) + "\n" + FURTHER


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
