"""`hlsd sign`: what it prints is let in, and what it is asked wrongly it says in one line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hlsd.auth import sign, tokens
from hlsd.auth.tokens import Keys, TokenRules
from hlsd.auth.verdict import Pass
from hlsd.commands.cli import application

SECRET = "nodemedia2017privatekey"


def run(folder: Path, *arguments: str, text: str = "", env: dict[str, str] | None = None) -> tuple[int, str]:
    path = folder / "hlsd.toml"
    path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(application, ["sign", *arguments, "-c", str(path)], env=env)
    return done.exit_code, done.output.strip()


@pytest.mark.parametrize(
    ("action", "path", "begins"),
    [
        ("play", "live/cam", "http://localhost:8000/live/cam.m3u8?sign="),
        ("play", "/live/cam.m3u8", "http://localhost:8000/live/cam.m3u8?sign="),
        ("publish", "live/cam", "rtmp://localhost:1935/live/cam?sign="),
    ],
)
def test_a_signed_url_is_let_in_for_its_time(tmp_path: Path, action: str, path: str, begins: str) -> None:
    code, url = run(tmp_path, action, path, "--ttl", "90s", text=f'[auth]\nsecrets = ["{SECRET}", "older"]\n')
    assert code == 0
    assert url.startswith(begins)
    value, now = url.partition("sign=")[2], time.time()
    assert isinstance(sign.check(value, "/live/cam", [SECRET], now + 80, 0.0), Pass)
    assert not isinstance(sign.check(value, "/live/cam", [SECRET], now + 100, 0.0), Pass)


def test_a_secret_may_come_from_a_variable_and_of_an_app(tmp_path: Path) -> None:
    _, url = run(tmp_path, "play", "live/cam", "--secret-env", "MY_SECRET", env={"MY_SECRET": SECRET})
    assert isinstance(sign.check(url.partition("sign=")[2], "/live/cam", [SECRET], time.time(), 0.0), Pass)
    text = f'[auth]\nsecrets = ["other"]\n[auth.apps.live]\nsecrets = ["{SECRET}"]\n'
    _, url = run(tmp_path, "play", "live/cam", text=text)
    assert isinstance(sign.check(url.partition("sign=")[2], "/live/cam", [SECRET], time.time(), 0.0), Pass)


def test_a_token_is_for_that_stream_and_that_action(tmp_path: Path) -> None:
    text = f'[auth]\njwt_secrets = ["{SECRET}"]\n'
    code, url = run(tmp_path, "publish", "live/cam", "--jwt", "--user", "42", text=text)
    assert code == 0
    token = url.partition("jwt=")[2]

    def check(action: str, path: str) -> bool:
        found = tokens.check(
            token, action=action, path=path, ip="", keys=Keys((SECRET,)), rules=TokenRules(frozenset({"HS256"})),
            now=time.time(),
        )  # fmt: skip
        return isinstance(found, Pass) and found.user_id == "42"

    assert check("publish", "/live/cam")
    assert not check("play", "/live/cam")
    assert not check("publish", "/live/cam2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["watch", "live/cam"], "play or publish"),
        (["play", "cam"], "PATH should be APP/STREAM"),
        (["play", "live/a..b"], "PATH should be APP/STREAM"),
        (["play", "live/cam", "--ttl", "soon"], "should be a number"),
        (["play", "live/cam", "--ttl", "0"], "--ttl should be above 0"),
        (["play", "live/cam", "--user", "42"], "--user needs --jwt"),
        (["play", "live/cam"], "no secret: set auth.secrets"),
        (["play", "live/cam", "--jwt"], "no secret: set auth.jwt_secrets"),
        (["play", "live/cam", "--secret-env", "NOT_THERE"], "NOT_THERE is not set"),
    ],
)
def test_mistakes_are_one_line_and_two(tmp_path: Path, arguments: list[str], words: str) -> None:
    code, said = run(tmp_path, *arguments)
    assert code == 2
    assert words in said
    assert len(said.splitlines()) == 1
