"""Section auth: what is refused at the start rather than left open, what one app changes, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlsd import config
from hlsd.auth.settings import AuthSettings
from hlsd.base.errors import ConfigError

SECRET = "nodemedia2017privatekey"


def load(folder: Path, text: str, env: dict[str, str] | None = None) -> config.Configuration:
    path = folder / "hlsd.toml"
    path.write_text(text, encoding="utf-8")
    return config.read(path, env or {}, {})


def mistake(folder: Path, text: str, env: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, env)
    return str(caught.value)


def test_nothing_set_is_nothing_checked() -> None:
    assert not AuthSettings().active


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[auth]\nsecrets = [""]\n', "auth.secrets[0]"),
        ('[auth]\nsecrets = ["  "]\n', "a secret is empty"),
        ('[auth]\njwt_secrets = [""]\n', "auth.jwt_secrets[0]"),
        ('[auth]\ncallback_secret = ""\n', "auth.callback_secret"),
        ("[auth]\nplay = true\n", "play is on, but nothing says who may"),
        ("[auth]\npublish = true\n", "publish is on, but nothing says who may"),
        ('[auth]\nplay = true\nkeys = { cam = "k" }\n', "play is on, but nothing says who may"),
        ('[auth]\nplay = true\nplay_methods = ["jwt"]\nsecrets = ["x"]\n', "names jwt, which is not set up"),
        ("[auth.apps.live]\npublish = true\n", "apps.live: publish is on, but nothing says who may"),
        ('[auth]\nallow_ips = ["192.0.2.1/24"]\n', "auth.allow_ips"),
        ('[auth]\njwt_algorithms = ["none"]\n', "no algorithm for tokens"),
        ('[auth]\nkeys = { cam = "a b" }\n', "it is a stream name"),
        ('[auth]\nkeys = { cam = "cam" }\n', "is its public name"),
        ('[auth]\nkeys = { cam = "k1", door = "k1" }\n', "another stream's as well"),
        ('[auth]\nkeys = { "a/b/c" = "k1" }\n', "should be a stream's name"),
        ('[auth]\ncallback_url = "ftp://x"\n', "auth.callback_url"),
        ('[auth]\njwt_jwks = "keys.json"\njwt_algorithms = ["HS256"]\n', "no algorithm of public keys"),
        ('[auth.apps."a/b"]\nplay = false\n', "is no name of an app"),
    ],
)
def test_what_would_leave_a_door_open_or_shut_by_mistake_is_told(tmp_path: Path, text: str, words: str) -> None:
    assert words in mistake(tmp_path, text)


def test_an_app_changes_single_rules_and_keeps_the_others(tmp_path: Path) -> None:
    text = f"""
    [auth]
    publish = true
    secrets = ["{SECRET}"]
    [auth.apps.vip]
    play = true
    skew = "5s"
    [auth.apps.open]
    publish = false
    """
    auth = load(tmp_path, text).settings.auth
    assert (auth.rules("live").play, auth.rules("live").publish) == (False, True)
    assert (auth.rules("vip").play, auth.rules("vip").publish, auth.rules("vip").skew) == (True, True, 5.0)
    assert auth.rules("vip").secrets == auth.secrets
    assert not auth.rules("open").publish
    assert auth.active


def test_the_environment_sets_all_of_it_secrets_from_files_included(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    env = {
        "HLSD_AUTH__PLAY": "true",
        "HLSD_AUTH__SECRETS_FILE": str(file),
        "HLSD_AUTH__KEYS": '{"cam": "k1"}',
        "HLSD_AUTH__APPS": '{"live": {"publish": true}}',
        "HLSD_AUTH__DENY_IPS": "192.0.2.0/24, 2001:db8::/32",
    }
    auth = load(tmp_path, "", env).settings.auth
    assert [secret.get_secret_value() for secret in auth.secrets] == [SECRET]
    assert auth.rules("live").methods("publish") == {"sign", "key"}
    assert auth.rules("live").methods("play") == {"sign"}
    assert len(auth.deny_ips) == 2
    assert "is not a JSON object" in mistake(tmp_path, "", {"HLSD_AUTH__KEYS": "cam=hush-hush"})
    assert "hush" not in mistake(tmp_path, "", {"HLSD_AUTH__KEYS": "cam=hush-hush"})


def test_no_secret_is_shown_by_check_or_by_an_error(tmp_path: Path) -> None:
    """What an operator pastes into a bug report."""
    text = """
    [auth]
    publish = true
    secrets = ["hush-1"]
    jwt_secrets = ["hush-2"]
    keys = { cam = "hush-3" }
    callback_url = "http://user:hush-4@back.example/x?key=hush-5"
    callback_secret = "hush-6"
    [auth.apps.live]
    secrets = ["hush-7"]
    keys = { door = "hush-8" }
    """
    found = load(tmp_path, text)
    shown = config.listing(found)
    assert "hush" not in shown
    assert "hush" not in repr(found.settings)
    assert '"door" = "********"' in shown
    for wrong in ('skew = "hush-9"', 'keyz = { a = "hush-9" }', 'jwt_secrets = "hush-9"', 'play = "hush-9"'):
        told = mistake(tmp_path, text + wrong + "\n")
        assert "auth.apps" in told
        assert "hush" not in told
