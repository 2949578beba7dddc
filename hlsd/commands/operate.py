"""Is the part of the command line that talks to a running server: sessions, streams, kick, events.

The server is the one of the configuration on this machine, or `--url`; the tokens of the configuration and of its state
folder are only ever sent to the configuration's server, or where `--state-dir` says whose they are. What strangers
chose (names, agents) is shown without control characters and without markup.
Exit codes as in `hlsd.commands.cli`: 1 it could not be done, 2 it was not understood.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar
from urllib.parse import quote

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hlsd.api import local_token
from hlsd.api.client import ApiClient, ApiRefused, address_of, token_of
from hlsd.commands.options import ConfigFile, configuration, fail

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", envvar="HLSD_URL", help="The server; without it that of the configuration."),
]
Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", envvar="HLSD_TOKEN", help="Token of its API; better in the environment."),
]
StateDir = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="State folder of the server, where its own token is; else as configured."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Most = Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000_000, help="Entries at most.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on, every other second, until Ctrl-C.")]

_PIPE_WIDTH = 220
"""Columns where there is no terminal to ask."""
_PAUSE = 2.0
_WAIT = 20.0

Row = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")


def register(application: typer.Typer) -> None:
    """Adds the commands."""
    for command in (sessions, streams, kick, events, reload, console):
        application.command()(command)


def sessions(
    stream: Annotated[str | None, typer.Option(metavar="APP/STREAM", help="Viewers of this stream.")] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Of this user.")] = None,
    ip: Annotated[str | None, typer.Option(metavar="ADDRESS", help="From this address.")] = None,
    protocol: Annotated[str | None, typer.Option(help="hls, flv, wsflv, rtmp, srt or whep.")] = None,
    watch: Watch = False,
    limit: Most = 100,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """List who watches on a running server."""
    client = client_of(url, token, state_dir, config_file)

    def look() -> list[Row]:
        return list(client.pages("sessions", limit, stream=stream, user_id=user, ip=ip, protocol=protocol))

    _show(client, look, _sessions_table, watch=watch, as_json=as_json)


def streams(
    app: Annotated[str | None, typer.Option(help="Streams of this app.")] = None,
    watch: Watch = False,
    limit: Most = 100,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """List the streams of a running server."""
    client = client_of(url, token, state_dir, config_file)
    _show(client, lambda: list(client.pages("streams", limit, app=app)), _streams_table, watch=watch, as_json=as_json)


def kick(
    target: Annotated[
        str, typer.Argument(metavar="SESSION|/APP/STREAM", help="A session's id, or the stream whose publisher goes.")
    ],
    ban: Annotated[float, typer.Option(min=0, max=31_536_000, help="Seconds for which it may not come back.")] = 60.0,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """End a viewer's session, or send a publisher away."""
    if "/" in target and target.strip("/").count("/") != 1:
        fail(f"kick: should be a session's id or /APP/STREAM; it is {target}", 2)
    with client_of(url, token, state_dir, config_file) as client:
        told(client.kick, target, ban)
    typer.echo(f"{target}: gone" + (f", and kept out for {ban:g} s" if ban else ""))


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they happen, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", min=0, max=1000, help="Events of before to begin with.")] = 20,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """Print what happened on a running server."""
    with client_of(url, token, state_dir, config_file) as client, _until_ctrl_c():
        shown, after = told(client.latest, lines)
        while True:
            for event in shown:
                typer.echo(json.dumps(event) if as_json else _line(event))
            sys.stdout.flush()
            if not follow:
                return
            shown, after = told(client.events, after, wait=_WAIT)


def reload(
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """Have a running server read its configuration again; nobody is dropped. Says what changed, what wants a restart.

    A configuration with mistakes changes nothing. As SIGHUP, which tells the log instead.
    """
    with client_of(url, token, state_dir, config_file) as client:
        done = told(client.reload)
    if as_json:
        typer.echo(json.dumps(done))
        return
    for key in done["changed"]:
        typer.echo(f"changed: {key}")
    for key in done["needs_restart"]:
        typer.echo(f"needs a restart: {key}")
    if not done["changed"] and not done["needs_restart"]:
        typer.echo("nothing has changed")


def console(
    url: Url = None,
    token: Token = None,
    state_dir: StateDir = None,
    config_file: ConfigFile = None,
) -> None:
    """Print the address of the console of a running server, with a token behind the hash that signs in.

    It is the token of this machine where that can be read, which the server's end makes worthless; else the one that
    was given. A browser tells no server what stands behind the hash, but may keep it in its history.
    """
    with client_of(url, token, state_dir, config_file) as client:
        local = ""
        if token is None and url is None:
            local = local_token.read(state_dir or configuration(config_file, {}).settings.server.state_dir)
        shown = local or client.token
        told(client.server)
        if not told(client.has_console):
            fail("the server has no console: console.enabled or api.enabled is off", 1)
        typer.echo(f"{client.url}/console#token={quote(shown, safe='')}")


def client_of(url: str | None, token: str | None, state_dir: Path | None, config_file: Path | None) -> ApiClient:
    """Who asks the server that the options name."""
    try:
        if url is not None:
            return ApiClient(url, token or (local_token.read(state_dir) if state_dir is not None else ""))
        settings = configuration(config_file, {}).settings
        local = local_token.read(state_dir or settings.server.state_dir)
        return ApiClient(address_of(settings.http), token or token_of(settings.api, local))
    except ApiRefused as error:
        fail(str(error), 2)


def told(ask: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What a server says, or the line that says why not, and the end."""
    try:
        return ask(*given, **named)
    except ApiRefused as error:
        fail(str(error), 1)


@contextmanager
def _until_ctrl_c() -> Iterator[None]:
    """Ctrl-C ends what goes on and on, in order, with the shell's status for it."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _show(
    client: ApiClient, look: Callable[[], list[Row]], table: Callable[[list[Row]], Table], *, watch: bool, as_json: bool
) -> None:
    console = screen()

    def once() -> None:
        rows = told(look)
        if as_json:
            for row in rows:
                typer.echo(json.dumps(row))
            sys.stdout.flush()
        else:
            console.print(table(rows))

    with client, _until_ctrl_c():
        if not watch:
            once()
            return
        if as_json or not console.is_terminal:
            while True:
                once()
                time.sleep(_PAUSE)
        with Live(table(told(look)), console=console, auto_refresh=False, screen=True) as live:
            while True:
                time.sleep(_PAUSE)
                live.update(table(told(look)), refresh=True)


def screen() -> Console:
    """Where lists are shown: a terminal, or a pipe that is wide enough for them."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def table_of(title: str, columns: Iterable[tuple[str, bool]]) -> Table:
    """An empty table; of each column its name, and whether it stands to the right."""
    found = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name, right in columns:
        found.add_column(name, justify="right" if right else "left", no_wrap=True)
    return found


def _sessions_table(rows: list[Row]) -> Table:
    columns = ("id", 0), ("stream", 0), ("user", 0), ("ip", 0), ("by", 0), ("state", 0), ("since", 1), ("sent", 1)
    table = table_of(counted(len(rows), "session"), [(name, bool(right)) for name, right in (*columns, ("agent", 0))])
    now = time.time() * 1000
    for row in rows:
        table.add_row(
            plain(row["id"]),
            plain(row["path"]),
            plain(row["user_id"]),
            plain(row["ip"]),
            plain(row["protocol"]),
            plain(row["state"]),
            plain(lasting((now - row["createtime"]) / 1000)),
            plain(size(row["outbytes"])),
            plain(row["user_agent"][:60]),
        )
    return table


def _streams_table(rows: list[Row]) -> Table:
    columns = ("stream", 0), ("state", 0), ("publisher", 0), ("by", 0), ("video", 0), ("audio", 0), ("kbit/s", 1)
    more = ("viewers", 1), ("since", 1)
    table = table_of(counted(len(rows), "stream"), [(name, bool(right)) for name, right in (*columns, *more)])
    now = time.time() * 1000
    for row in rows:
        publisher, video, audio = row["publisher"] or {}, row["video"], row["audio"]
        table.add_row(
            plain(row["path"]),
            plain(row["state"]),
            plain(publisher.get("ip", "-")),
            plain(publisher.get("protocol", "-")),
            plain(f"{video['codec']} {video['width']}x{video['height']} {video['frame_rate']:g}" if video else "-"),
            plain(f"{audio['codec']} {audio['sample_rate']}" if audio else "-"),
            plain(f"{row['bitrate'] / 1000:.0f}"),
            plain(str(row["sessions"])),
            plain(lasting((now - row["createtime"]) / 1000)),
        )
    return table


def _line(event: Row) -> str:
    """An event in a line: when, what, where, who, and how it stands."""
    at = event["event_ts"]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1000)) + f".{at % 1000:03d}"
    words = [when, f"{event['action']:<13}", event.get("path", "") or "-", event["id"], event.get("ip", "") or "-"]
    words += [f"{key}={event[key]}" for key in ("user_id", "reason") if event.get(key)]
    if event.get("outbytes"):
        words.append(f"sent={size(event['outbytes'])}")
    if event.get("inbytes") and not event.get("outbytes"):
        words.append(f"received={size(event['inbytes'])}")
    return plain(" ".join(words)).plain


def counted(number: int, noun: str) -> str:
    """`1 stream`, `2 streams`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def plain(text: str) -> Text:
    """What a stranger may have chosen: no markup, no control characters."""
    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text))


def lasting(seconds: float) -> str:
    """`59s`, `2m05s`, `3h07m`, `2d4h`."""
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def size(count: int) -> str:
    """Bytes for eyes: `512 B`, `1.5 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
