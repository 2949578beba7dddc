"""Is `hlsd records`: lists, fetches and removes the recordings of a running server, and repairs files.

Exit codes as in `hlsd.commands.cli`: 1 it could not be done, 2 it was not understood.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from hlsd.commands.operate import (
    Json,
    Most,
    Row,
    StateDir,
    Token,
    Url,
    client_of,
    counted,
    lasting,
    plain,
    screen,
    size,
    table_of,
    told,
)
from hlsd.commands.options import ConfigFile, fail

LOOK: Final = 0.5
"""Seconds between two looks at how a repair goes on."""
PIECE: Final = 1 << 20

records = typer.Typer(
    name="records", help="Recordings of a running server: list, get, remove, repair.", no_args_is_help=True
)
Ident = Annotated[str, typer.Argument(metavar="ID", help="Of the recording, as `list` shows it.")]


def register(application: typer.Typer) -> None:
    """Adds the commands."""
    application.add_typer(records)


@records.command(name="list")
def listing(
    stream: Annotated[str | None, typer.Option(metavar="APP/STREAM", help="Of this stream, or app.")] = None,
    limit: Most = 100,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """List recordings, the oldest first."""
    with client_of(url, token, state_dir, config_file) as client:
        rows = told(lambda: list(client.pages("records", limit, stream=stream)))
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    screen().print(_table(rows))


@records.command()
def get(
    ident: Ident,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where it goes.")] = None,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """Fetch a finished recording; what is there of it already is not fetched again."""
    with client_of(url, token, state_dir, config_file) as client:
        row = told(lambda: client.record(ident))
        to = output or Path(Path(row["file"]).name)
        there = to.stat().st_size if to.exists() else 0
        with _progress() as shown, to.open("ab") as file:
            task = shown.add_task(to.name, total=None, completed=there)

            def take(piece: bytes, total: int) -> None:
                file.write(piece)
                shown.update(task, advance=len(piece), total=total)

            told(lambda: client.fetch_record(ident, there, take))
    typer.echo(f"{to}: {size(to.stat().st_size)}")


@records.command()
def remove(
    ident: Ident,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """Delete a recording."""
    with client_of(url, token, state_dir, config_file) as client:
        told(lambda: client.remove_record(ident))
    typer.echo(f"{ident}: deleted")


@records.command()
def repair(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE…", help="Files to repair; none: all of a running server.")
    ] = None,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """Finish recordings that were left unfinished, and list what is not listed."""
    if files:
        raise typer.Exit(1 if sum([not _repaired(path) for path in files]) else 0)
    with client_of(url, token, state_dir, config_file) as client, Console().status("looking through all files") as line:
        said = told(client.repair)
        while said["running"]:
            line.update(f"{said['files']} files, {said['repaired']} repaired: {plain(said['file'])}")
            time.sleep(LOOK)
            said = told(client.repairing)
    typer.echo(
        f"{said['files']} files: {said['repaired']} repaired, {said['added']} listed anew, "
        f"{said['dropped']} gone, {said['failed']} not ours or damaged"
    )


def _repaired(path: Path) -> bool:
    """Repairs one file on this machine, with its progress; whether it is finished now."""
    from hlsd.record.boxes import BadBox  # noqa: PLC0415 - only this needs it
    from hlsd.record.repair import Empty, finish  # noqa: PLC0415
    from hlsd.record.take import PART  # noqa: PLC0415

    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        fail(f"repair: {path}: {error.strerror}", 1)
    try:
        with _progress() as shown:
            task = shown.add_task(path.name, total=os.fstat(fd).st_size)
            found = finish(fd, lambda done, of: shown.update(task, completed=done, total=of))
    except (BadBox, Empty) as error:
        typer.echo(f"{path}: cannot be repaired: {error or 'there is nothing whole in it'}", err=True)
        return False
    except OSError as error:
        typer.echo(f"{path}: {error.strerror}", err=True)
        return False
    finally:
        os.close(fd)
    if path.name.endswith(PART):
        path = path.rename(path.with_name(path.name.removesuffix(PART)))
    was = "was finished" if found.already else f"repaired, {size(found.cut)} cut off"
    typer.echo(f"{path}: {lasting(found.duration)}, {was}")
    return True


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
    )


def _where(row: Row) -> str:
    """Where its file is, and how it comes into the store: `local, 40 % sent`, `local, failed: …`, `both`, `store`."""
    where, upload = str(row.get("where", "local")), row.get("upload")
    if upload is None or upload["state"] == "stored":
        return where
    if upload["state"] == "uploading":
        return f"{where}, {100 * upload['sent'] // max(1, upload['bytes'])} % sent"
    return f"{where}, {upload['state']}{': ' + upload['error'] if upload['error'] else ''}"


def _table(rows: list[Row]) -> Table:
    names = ("id", "stream", "state", "where", "began", "lasts", "size", "why it ended")
    table = table_of(counted(len(rows), "recording"), [(name, name in {"lasts", "size"}) for name in names])
    for row in rows:
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["createtime"] / 1000))
        table.add_row(
            plain(row["id"]),
            plain(row["path"]),
            plain(row["state"]),
            plain(_where(row)),
            plain(began),
            plain(lasting(row["duration_ms"] / 1000)),
            plain(size(row["bytes"])),
            plain(row["reason"] or "-"),
        )
    return table
