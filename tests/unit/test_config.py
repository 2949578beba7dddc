"""The configuration: order, origins, and errors that help."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hlsd import config
from hlsd.base.errors import ConfigError
from hlsd.base.log import MASK

CHECKOUT = Path(__file__).resolve().parents[2]


def write(folder: Path, text: str) -> Path:
    path = folder / "hlsd.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path | None, env: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(path, env or {}, {})
    return str(caught.value).splitlines()


def test_command_line_goes_before_environment_before_file_before_default(tmp_path: Path) -> None:
    path = write(tmp_path, "[rtmp]\nport = 1\nchunk_size = 1000\nbind = '::1'\n")
    env = {"HLSD_RTMP__PORT": "2", "HLSD_RTMP__CHUNK_SIZE": "2000"}
    found = config.read(path, env, {"rtmp.port": 3})
    rtmp = found.settings.rtmp
    assert (rtmp.port, rtmp.chunk_size, rtmp.bind, rtmp.enabled) == (3, 2000, "::1", True)
    assert found.origins["rtmp.port"] == "command line"
    assert found.origins["rtmp.chunk_size"] == "HLSD_RTMP__CHUNK_SIZE"
    assert found.origins["rtmp.bind"] == str(path)
    assert "rtmp.enabled" not in found.origins


def test_all_mistakes_of_a_file_are_told_at_once_each_with_key_and_nearest_name(tmp_path: Path) -> None:
    """An operator who mends one line at a time restarts the server each time."""
    path = write(tmp_path, '[rtmp]\nprot = 1\nport = "x"\n[htpp]\n[hls]\ncontainer = "fmp"\ntakeover = "never"\n')
    told = problems(path)
    assert f"{path}: rtmp.prot: no such key; did you mean rtmp.port?" in told
    assert f"{path}: [htpp]: no such section; did you mean [http]?" in told
    assert f"{path}: hls.takeover: no such key; did you mean publish.takeover?" in told
    assert any(line.startswith(f"{path}: rtmp.port: should be a valid integer") and '"x"' in line for line in told)
    assert any(line.startswith(f"{path}: hls.container:") and 'did you mean "fmp4"?' in line for line in told)
    assert len(told) == 5


def test_a_rule_between_keys_names_the_file_and_the_section(tmp_path: Path) -> None:
    path = write(tmp_path, "[hls]\ntime = 1\npart = 1.5\n")
    assert problems(path) == [f"{path}: [hls]: part must not be longer than time"]


@pytest.mark.parametrize("text", ["[rtmp", "a = ", "\x00"])
def test_what_is_not_toml_is_one_line(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    (told,) = problems(path)
    assert told.startswith(f"{path}: is not TOML: ")


def test_a_missing_file_and_a_binary_one_are_told_as_such(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.toml") == [f"{tmp_path}/none.toml: cannot be read: No such file or directory"]
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe")
    assert problems(binary) == [f"{binary}: is not UTF-8 text"]


def test_a_section_that_is_a_value_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "rtmp = 1935\n")
    assert problems(path) == [f"{path}: rtmp: is a section: write [rtmp] and its keys below"]


def test_an_unknown_variable_under_our_prefix_is_an_error() -> None:
    """A typing error in a unit file must not be a silent default."""
    assert problems(None, {"HLSD_RTMP__PROT": "1"}) == [
        "environment HLSD_RTMP__PROT: no such variable; did you mean HLSD_RTMP__PORT?"
    ]


def test_a_bad_value_names_its_variable() -> None:
    (told,) = problems(None, {"HLSD_HLS__TIME": "soon"})
    assert told.startswith("environment HLSD_HLS__TIME: hls.time: should be a number")


def test_other_variables_are_left_alone() -> None:
    config.load(None, {"HLSD_CONFIG": "x", "HLSDX": "1", "PATH": "/bin"}, {})


@pytest.mark.parametrize("text", ['["https://a.example", "https://b.example"]', "https://a.example, https://b.example"])
def test_lists_in_variables_are_json_or_commas(text: str) -> None:
    settings = config.load(None, {"HLSD_HTTP__ALLOW_ORIGIN": text}, {})
    assert settings.http.allow_origin == ["https://a.example", "https://b.example"]


def test_a_broken_json_list_is_told() -> None:
    (told,) = problems(None, {"HLSD_HTTP__ALLOW_ORIGIN": '["a'})
    assert "HLSD_HTTP__ALLOW_ORIGIN: http.allow_origin: is not a JSON list" in told


def test_a_variable_may_name_a_file_that_holds_the_value(tmp_path: Path) -> None:
    secret = tmp_path / "id"
    secret.write_text("node-7\n", encoding="utf-8")
    found = config.read(None, {"HLSD_SERVER__ID_FILE": str(secret)}, {})
    assert found.settings.server.id == "node-7"
    assert found.origins["server.id"] == "HLSD_SERVER__ID_FILE"
    (told,) = problems(None, {"HLSD_SERVER__ID_FILE": str(tmp_path / "none")})
    assert "HLSD_SERVER__ID_FILE: server.id:" in told
    assert "No such file" in told


def test_a_value_given_twice_by_the_environment_is_refused(tmp_path: Path) -> None:
    (told,) = problems(None, {"HLSD_SERVER__ID": "a", "HLSD_SERVER__ID_FILE": str(tmp_path)} | {})[:1]
    assert "HLSD_SERVER__ID_FILE" in told


def test_a_switch_is_no_number(tmp_path: Path) -> None:
    """Pydantic alone reads `port = true` as port 1."""
    path = write(tmp_path, "[rtmp]\nport = true\n")
    assert problems(path) == [f"{path}: rtmp.port: is a number, not a switch"]


def test_quantities_are_read_in_sections(tmp_path: Path) -> None:
    path = write(tmp_path, '[server]\ndrain_timeout = "1500ms"\n[limits]\nmax_memory = "1GiB"\n')
    settings = config.load(path, {"HLSD_PUBLISH__GRACE": "1m"}, {})
    assert (settings.server.drain_timeout, settings.limits.max_memory, settings.publish.grace) == (1.5, 1 << 30, 60)


def test_the_listing_is_toml_that_gives_the_same_configuration(tmp_path: Path) -> None:
    first = config.read(None, {"HLSD_HLS__PART": "250ms", "HLSD_HTTP__ALLOW_ORIGIN": "https://a.example"}, {})
    again = config.read(write(tmp_path, config.listing(first)), {}, {})
    assert again.settings == first.settings


class _Secretive(BaseModel):
    """A section with a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    password: SecretStr | None = Field(None, min_length=4, description="Secret.")
    keys: list[SecretStr] = Field(default=[], description="Secrets.")


def test_secrets_are_masked_in_listing_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """No section has a secret yet; the first that does must not have to think of this."""
    for module in ("writing", "explain", "reading"):
        monkeypatch.setattr(f"hlsd.config.{module}.sections", lambda: {"server": _Secretive})
    shown = _Secretive(password=SecretStr("hunter2"), keys=[SecretStr("hunter3")])

    class _Settings(BaseModel):
        server: _Secretive

    listing = config.listing(config.Configuration(_Settings(server=shown), {}))  # type: ignore[arg-type]
    assert "hunter" not in listing
    assert f'password = "{MASK}"' in listing
    (told,) = problems(None, {"HLSD_SERVER__PASSWORD": "abc"})
    assert "server.password" in told
    assert "abc" not in told


def test_the_reference_file_lists_every_key_at_its_default() -> None:
    """conf/hlsd.toml is the reference: `make conf` writes it; this says when it must."""
    text = (CHECKOUT / "conf" / "hlsd.toml").read_text(encoding="utf-8")
    assert text == config.template(), "run: make conf"
    # Uncommented it must be the defaults, key for key.
    active = "\n".join(line.removeprefix("#") for line in text.splitlines() if not line.startswith(("# ", "#\n")))
    given = tomllib.loads("\n".join(line for line in active.splitlines() if not line.endswith("=")))
    settings = config.load(None, {}, {})
    for section, model in config.sections().items():
        for key, field in model.model_fields.items():
            assert field.description, f"{section}.{key} says nothing of itself"
            value = getattr(getattr(settings, section), key)
            assert (key in given[section]) == (value is not None), f"{section}.{key}"
        assert model.model_validate(given[section]) == getattr(settings, section)


def test_the_unit_for_systemd_sets_variables_that_exist() -> None:
    unit = (CHECKOUT / "conf" / "systemd" / "hlsd.service").read_text(encoding="utf-8")
    pairs = [
        (pair.partition("=")[0], pair.partition("=")[2])
        for line in unit.splitlines()
        if line.startswith("Environment=")
        for pair in line.removeprefix("Environment=").split()
    ]
    config.load(None, dict(pairs), {})


@pytest.mark.parametrize("url", ["htps:/user:SECRET@host/SECRET", "ftp://u:SECRET@h/SECRET?k=SECRET", "SECRET"])
def test_what_is_no_address_is_not_shown_in_full_either(url: str) -> None:
    """A slip of the finger must not put a webhook's password into a ticket."""
    for value in (url, [url]):
        with pytest.raises(ConfigError) as error:
            config.load(None, {}, {"notify.url": value})
        assert "notify.url" in str(error.value)
        assert "SECRET" not in str(error.value)


def told(tmp_path: Path, text: str) -> list[str]:
    """What is said about a file of this text, without its name."""
    file = tmp_path / "hlsd.toml"
    file.write_text(text)
    return [line.removeprefix(f"{file}: ") for line in problems(file, {})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 8080\n", "port: stands in no section: write it below a [section]; is rtmp.port or"),
        ("colour = 1\n", "colour: stands in no section: write it below a [section]"),
        (
            "[relay]\nmax_pulls = 3\n[[relay]]\nmatch = 'a'\n",
            "[relay] and [[relay]] cannot stand beside each other: write",
        ),
        (
            "[[relay]]\nmatch = 'a'\n[relay]\nmax_pulls = 3\n",
            "[relay] and [[relay]] cannot stand beside each other: write",
        ),
        ("[http]\nport = 1\n[http]\n", "[http] stands there twice"),
        ("[api]\ntoken = 'abc'\n", "api.token: should have at least 16 characters, not 3"),
        ("[hls]\ntime = 0.01\n", "hls.time: should be greater than or equal to 0.5 seconds; it is 0.01"),
        ("[limits]\nmax_memory = 5\n", "limits.max_memory: should be greater than"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(tmp_path: Path, text: str, said: str) -> None:
    """A newcomer read of "16 items", "cannot overwrite a value" and "no such section" for a key that stood alone."""
    (line,) = told(tmp_path, text)
    assert line.startswith(said)
    assert "items" not in line


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "hlsd.toml"
    file.write_bytes(b"\xef\xbb\xbf[http]\nport = 8081\n")
    assert config.load(file, {}, {}).http.port == 8081
