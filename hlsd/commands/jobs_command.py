"""Is `hlsd jobs`: lists, adds, watches, cancels and removes the jobs of a running server.

Exit codes as in `hlsd.commands.cli`: 1 it could not be done, or the job failed, 2 it was not understood.
"""

from __future__ import annotations

import json
import time
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from hlsd.api.client import ApiClient
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
from hlsd.commands.options import ConfigFile

LOOK: Final = 0.5
"""Seconds between two looks at a job."""
OVER: Final = frozenset({"done", "failed", "cancelled"})

jobs = typer.Typer(
    name="jobs", help="Jobs of a running server: list, add, watch, cancel, remove.", no_args_is_help=True
)
Ident = Annotated[str, typer.Argument(metavar="ID", help="Of the job, as `list` shows it.")]


def register(application: typer.Typer) -> None:
    """Adds the commands."""
    application.add_typer(jobs)


@jobs.command(name="list")
def listing(
    state: Annotated[str | None, typer.Option(help="queued, running, done, failed or cancelled.")] = None,
    limit: Most = 100,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """List jobs, the newest first."""
    with client_of(url, token, state_dir, config_file) as client:
        rows = told(lambda: list(client.pages("jobs", limit, state=state)))
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    screen().print(_table(rows))


@jobs.command()
def add(
    source: Annotated[str, typer.Argument(metavar="FILE|URL", help="A file of the server's, or http(s)://…")],
    title: Annotated[str, typer.Option(help="What people call it.")] = "",
    sd: Annotated[bool, typer.Option("--sd", help="Make a rendition of at most 480 lines.")] = False,
    hd: Annotated[bool, typer.Option("--hd", help="Make a rendition of at most 1080 lines.")] = False,
    priority: Annotated[int, typer.Option(min=1, max=9, help="1 goes before 9.")] = 5,
    watch_it: Annotated[bool, typer.Option("--watch", "-w", help="Show how it goes on until it is over.")] = False,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """Ask for a film to be made."""
    wish: Row = {("url" if "://" in source else "file"): source, "title": title, "priority": priority}
    wish["renditions"] = [name for name, wanted in (("sd", sd), ("hd", hd)) if wanted]
    with client_of(url, token, state_dir, config_file) as client:
        row = told(lambda: client.add_job(wish))
        if watch_it:
            _watch(client, row)
            return
    typer.echo(row["id"])


@jobs.command()
def watch(
    ident: Ident, url: Url = None, token: Token = None, state_dir: StateDir = None, config_file: ConfigFile = None
) -> None:
    """Show how a job goes on until it is over; exit 1 if it failed."""
    with client_of(url, token, state_dir, config_file) as client:
        _watch(client, told(lambda: client.job(ident)))


@jobs.command()
def cancel(
    ident: Ident, url: Url = None, token: Token = None, state_dir: StateDir = None, config_file: ConfigFile = None
) -> None:
    """Cancel a job that is not over."""
    with client_of(url, token, state_dir, config_file) as client:
        row = told(lambda: client.job(ident))
        if row["state"] in OVER:
            typer.echo(f"{ident}: {row['state']} already", err=True)
            raise typer.Exit(1)
        told(lambda: client.remove_job(ident))
    typer.echo(f"{ident}: cancelled")


@jobs.command()
def remove(
    ident: Ident, url: Url = None, token: Token = None, state_dir: StateDir = None, config_file: ConfigFile = None
) -> None:
    """Delete a job that is over, and all that it made."""
    with client_of(url, token, state_dir, config_file) as client:
        row = told(lambda: client.job(ident))
        if row["state"] not in OVER:
            typer.echo(f"{ident}: {row['state']}; cancel it first", err=True)
            raise typer.Exit(1)
        told(lambda: client.remove_job(ident))
    typer.echo(f"{ident}: deleted")


def _watch(client: ApiClient, row: Row) -> None:
    columns = TextColumn("{task.fields[step]:8}"), BarColumn(), TextColumn("{task.percentage:5.1f} %")
    more = TextColumn("{task.fields[speed]} {task.fields[left]}")
    with Progress(*columns, more, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=100, step="", speed="", left="")
        ident = row["id"]
        while row["state"] not in OVER:
            _show(shown, task, row)
            time.sleep(LOOK)
            row = told(client.job, ident)
        shown.update(task, completed=row["percent"], step=row["state"], speed="", left="")
    if row["state"] != "done":
        typer.echo(f"{row['id']}: {row['state']}: {plain(row['error'])}", err=True)
        raise typer.Exit(1)
    typer.echo(row["places"]["playlist"])


def _show(shown: Progress, task: TaskID, row: Row) -> None:
    speed = f"{row['speed']:.1f}x" if row["speed"] else ""
    left = f"{lasting(row['eta'])} left" if row["eta"] else ""
    shown.update(task, completed=row["percent"], step=row["step"] or row["state"], speed=speed, left=left)


def _table(rows: list[Row]) -> Table:
    names = ("id", "state", "step", "done", "lasts", "size", "title", "source", "why")
    table = table_of(counted(len(rows), "job"), [(name, name in {"done", "lasts", "size"}) for name in names])
    for row in rows:
        table.add_row(
            plain(row["id"]),
            plain(row["state"]),
            plain(row["step"] or "-"),
            plain(f"{row['percent']:.0f} %"),
            plain(lasting(row["duration_ms"] / 1000) if row["duration_ms"] else "-"),
            plain(size(row["bytes"]) if row["bytes"] else "-"),
            plain(row["title"][:40] or "-"),
            plain(row["source"][:60]),
            plain(row["error"][:80] or "-"),
        )
    return table
