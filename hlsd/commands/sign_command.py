"""Is the command `hlsd sign`: prints a URL that this server's rules let in for a while.

With a secret of the configuration (or of an environment variable) it signs as Node-Media-Server does; with `--jwt` it
makes a token of the first of `auth.jwt_secrets`, good for that one stream. The secret itself is never printed.
"""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import typer

from hlsd import config
from hlsd.auth import sign, tokens
from hlsd.auth.settings import AuthRules
from hlsd.base.errors import ConfigError
from hlsd.base.quantities import parse_duration
from hlsd.base.stream_name import bare, read_path
from hlsd.commands.options import ConfigFile, fail

_MOST = 3650 * 86_400.0


def register(application: typer.Typer) -> None:
    """Adds the command to the program."""
    application.command(name="sign")(sign_command)


def sign_command(
    action: Annotated[str, typer.Argument(metavar="play|publish", help="What the URL is for.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="APP/STREAM, such as live/cam.")],
    ttl: Annotated[str, typer.Option(metavar="TIME", help="How long it holds: 90s, 30m, 1h, 7d.")] = "1h",
    secret_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable with the secret, instead of the file's.")
    ] = None,
    token: Annotated[bool, typer.Option("--jwt", help="Make a token (HS256) instead of a sign.")] = False,
    user: Annotated[str | None, typer.Option(help="User id for the token (sub).")] = None,
    host: Annotated[str, typer.Option(help="Host name of the server in the URL.")] = "localhost",
    config_file: ConfigFile = None,
) -> None:
    """Print a URL for OBS, ffmpeg or a player that this server lets in for a while."""
    if action not in {"play", "publish"}:
        fail(f"sign: what for? play or publish, not {action}", 2)
    found = read_path(bare(path))
    if found is None:
        fail(f"sign: PATH should be APP/STREAM, such as live/cam; it is {path}", 2)
    app, name = found
    try:
        settings = config.load(config_file or config.default_path(), os.environ, {})
        seconds = parse_duration(ttl)
    except (ConfigError, ValueError) as error:
        fail(f"sign: {error}", 2)
    if not isinstance(seconds, int | float) or not 0 < seconds <= _MOST:
        fail("sign: --ttl should be above 0 and at most 3650d", 2)
    if user is not None and not token:
        fail("sign: --user needs --jwt: a sign names nobody", 2)
    secret = _secret(settings.auth.rules(app), secret_env, token=token)
    expires = int(time.time() + seconds)
    where = f"/{app}/{name}"
    if token:
        claims: dict[str, Any] = {"exp": expires, "hlsd": [{"action": action, "path": where}]}
        if user is not None:
            claims["sub"] = user
        query = f"jwt={tokens.make(claims, secret)}"
    else:
        query = f"sign={sign.make(where, expires, secret)}"
    base = f"rtmp://{host}:{settings.rtmp.port}" if action == "publish" else f"http://{host}:{settings.http.port}"
    typer.echo(f"{base}{where}{'' if action == 'publish' else '.m3u8'}?{query}")


def _secret(rules: AuthRules, variable: str | None, *, token: bool) -> str:
    if variable is not None:
        secret = os.environ.get(variable, "")
        if not secret:
            fail(f"sign: the variable {variable} is not set", 2)
        return secret
    secrets = rules.jwt_secrets if token else rules.secrets
    if not secrets:
        key = "jwt_secrets" if token else "secrets"
        fail(f"sign: no secret: set auth.{key}, or name a variable by --secret-env", 2)
    return secrets[0].get_secret_value()
