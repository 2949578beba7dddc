"""Is the command `hlsd`: serve, demo, publish, check, cert, sign; and those that ask a running server (`operate`).

Exit codes: 0 done (a SIGTERM that drained included), 1 it could not be done (a taken port, a refused publication), 2
what was asked for is not understood (arguments, configuration, a file that cannot be published). An error of the
operator's is one line on standard error for each problem, never a traceback.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hlsd import __version__, config
from hlsd.base import log
from hlsd.commands import congestion, jobs_command, operate, process, records_command, sign_command, worker_command
from hlsd.commands.doctor import command as doctor_command
from hlsd.commands.options import ConfigFile
from hlsd.commands.process import configuration as _configuration
from hlsd.commands.process import fail as _fail
from hlsd.commands.serve_options import settings_of
from hlsd.segmenter import encryption

application = typer.Typer(
    name="hlsd",
    help="A live HLS server that knows its viewers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Bind = Annotated[str | None, typer.Option(help="Address to listen on, for RTMP, HTTP and HTTPS.")]
RtmpPort = Annotated[int | None, typer.Option(help="TCP port for RTMP; 0 takes a free one.")]
HttpPort = Annotated[int | None, typer.Option(help="TCP port for HTTP; 0 takes a free one.")]
StateDir = Annotated[Path | None, typer.Option(help="Folder for what must survive a restart.")]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]
LogFormat = Annotated[str | None, typer.Option(help="console or json.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hlsd {__version__}")
        raise typer.Exit


@application.callback()
def _root(
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A live HLS server that knows its viewers."""


@application.command()
def serve(
    config_file: ConfigFile = None,
    bind: Bind = None,
    rtmp_port: RtmpPort = None,
    http_port: HttpPort = None,
    state_dir: StateDir = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    workers: Annotated[
        str | None, typer.Option(metavar="N", help="Processes that serve viewers; auto: one for each processor.")
    ] = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    overrides = _overrides(bind, rtmp_port, http_port, state_dir, log_level, log_format)
    if workers is not None:
        overrides |= settings_of("--workers", workers)
    raise typer.Exit(process.serve(config_file, overrides))


@application.command()
def demo(
    config_file: ConfigFile = None,
    bind: Bind = None,
    rtmp_port: RtmpPort = None,
    http_port: HttpPort = None,
    state_dir: StateDir = None,
    log_level: LogLevel = "warning",
    log_format: LogFormat = None,
    name: Annotated[str, typer.Option(help="APP/STREAM to publish as.")] = "live/demo",
    codec: Annotated[str, typer.Option(help="h264 or h265.")] = "h264",
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Pixels; 1280x720, for h265 960x540, which costs more to encode.")
    ] = None,
    fps: Annotated[int, typer.Option(help="Frames per second.")] = 30,
    gop: Annotated[float, typer.Option(help="Seconds from key frame to key frame.")] = 1.0,
) -> None:
    """Serve, and publish a test picture with a clock and a beep each second to it by RTMP."""
    from hlsd.publishing.demo_source import Shape  # noqa: PLC0415

    overrides = _overrides(bind, rtmp_port, http_port, state_dir, log_level, log_format)
    settings = _configuration(config_file, overrides).settings
    if codec not in ("h264", "h265"):
        _fail(f"--codec should be h264 or h265; it is {codec}", 2)
    if name.count("/") != 1:
        _fail(f"--name should be APP/STREAM, such as live/demo; it is {name}", 2)
    try:
        shape = Shape.of("h264" if codec == "h264" else "h265", size, fps, gop)
    except ValueError as error:
        _fail(f"demo: {error}", 2)
    log.configure(settings.server.log_level, settings.server.log_format)
    from hlsd.commands import demo as demonstration  # noqa: PLC0415

    raise typer.Exit(process.run(demonstration.run(settings, name, shape)))


@application.command()
def publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file with H.264, H.265 or AV1, and AAC.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="rtmp://host[:port]/app/stream[?arguments]")],
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end, for ever.")] = False,
) -> None:
    """Push a file by RTMP in real time, without re-encoding it."""
    from hlsd.publishing import publish as publishing  # noqa: PLC0415

    raise typer.Exit(publishing.run(file, url, loop=loop, console=Console(stderr=True)))


@application.command()
def check(
    config_file: ConfigFile = None,
    template: Annotated[bool, typer.Option("--template", help="Print the reference file instead.")] = False,
) -> None:
    """Print the effective configuration and where each value comes from; exit 2 if it has mistakes."""
    if template:
        typer.echo(config.template(), nl=False)
        return
    path = config_file or config.default_path()
    found = _configuration(config_file, {})
    typer.echo(f"# {path or 'no file: defaults and environment'}")
    typer.echo(config.listing(found), nl=False)
    typer.echo(congestion.listing(found.settings), nl=False)
    for line in encryption.told(found.settings.hls):
        typer.echo(f"# {line}")
    from hlsd.commands.certificates import told  # noqa: PLC0415 - it loads a library that only this needs

    lines, usable = told(found.settings)
    for line in lines:
        typer.echo(f"# {line}")
    if not usable:
        _fail("\n".join([*lines, "check: a port of TLS has no certificate that can be used"]), 2)


@application.command()
def cert(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME…", help="Host names and addresses; if there is none, those of this machine."),
    ] = None,
    cert_file: Annotated[Path, typer.Option("--cert", metavar="FILE", help="Where the certificate goes.")] = Path(
        "var/cert.pem"
    ),
    key_file: Annotated[Path, typer.Option("--key", metavar="FILE", help="Where its key goes.")] = Path("var/key.pem"),
    rsa: Annotated[
        bool, typer.Option("--rsa", help="RSA of 2048 bits, for clients that know nothing else; ECDSA costs a tenth.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write a self-signed certificate for HTTPS in development, and say how to use it."""
    from hlsd.delivery.tls.certificate import own_names, write_self_signed  # noqa: PLC0415

    try:
        write_self_signed(cert_file, key_file, names or own_names(), rsa=rsa, overwrite=overwrite)
    except FileExistsError as error:
        _fail(f"cert: {error.strerror}; --overwrite replaces it", 1)
    except ValueError as error:
        _fail(f"cert: {error}", 2)
    except OSError as error:
        _fail(f"cert: {error.filename or cert_file} cannot be written: {error.strerror}", 1)
    typer.echo(f'[https]\ncert = "{cert_file.resolve()}"\nkey = "{key_file.resolve()}"')


sign_command.register(application)
operate.register(application)
records_command.register(application)
jobs_command.register(application)
worker_command.register(application)
doctor_command.register(application)


def _overrides(
    bind: str | None,
    rtmp_port: int | None,
    http_port: int | None,
    state_dir: Path | None,
    log_level: str | None,
    log_format: str | None,
) -> dict[str, object]:
    given = {
        "--bind": bind,
        "--rtmp-port": rtmp_port,
        "--http-port": http_port,
        "--state-dir": state_dir,
        "--log-level": log_level,
        "--log-format": log_format,
    }
    settings: dict[str, object] = {}
    for option, value in given.items():
        if value is not None:
            settings |= settings_of(option, str(value))
    return settings


def main() -> None:
    """The entry point."""
    try:
        application()
    except BrokenPipeError:
        # The reader of our listing has gone; Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
