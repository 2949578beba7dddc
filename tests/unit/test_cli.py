"""The command: what it prints, where, and with which exit code. Run as its users run it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hlsd import __version__
from tests.support.command import environment, hlsd


def test_version() -> None:
    """By the interpreter: the others are forks of what has imported it."""
    command = [sys.executable, "-m", "hlsd"]
    done = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"hlsd {__version__}\n", "")
    wrong = subprocess.run([*command, "served"], capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 2
    assert "served" in wrong.stderr


def test_check_prints_values_with_their_origins(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[hls]\nlist = 7\n", encoding="utf-8")
    done = hlsd("check", "-c", str(path), HLSD_RTMP__PORT="1936")
    assert done.returncode == 0
    assert done.stderr == ""
    rows = {line.split(" = ")[0]: " ".join(line.split()) for line in done.stdout.splitlines() if " = " in line}
    assert rows["list"] == f"list = 7 # {path}"
    assert rows["time"] == 'time = "2s" # default'
    assert "port = 1936 # HLSD_RTMP__PORT" in " ".join(done.stdout.split())


def test_check_tells_every_mistake_on_stderr_and_exits_2(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[rtmp]\nprot = 1\n[hls]\ntime = 'x'\n", encoding="utf-8")
    for command in ("check", "serve", "demo"):
        done = hlsd(command, "-c", str(path))
        assert done.returncode == 2, command
        assert done.stdout == ""
        told = done.stderr.splitlines()
        assert len(told) == 2, done.stderr
        assert told[0] == f"hlsd: {path}: rtmp.prot: no such key; did you mean rtmp.port?"
        assert all(line.startswith("hlsd: ") for line in told)


def test_a_configuration_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    done = hlsd("check", HLSD_CONFIG=str(tmp_path / "none.toml"))
    assert done.returncode == 2
    assert "none.toml: cannot be read" in done.stderr


def test_a_bad_option_is_named_as_one() -> None:
    done = hlsd("serve", "--rtmp-port", "70000")
    assert done.returncode == 2
    assert "command line: rtmp.port: should be less than or equal to 65535" in done.stderr


@pytest.mark.parametrize("room", ["rtmp", "http"])
def test_a_taken_port_is_one_line_not_a_traceback(room: str, tmp_path: Path) -> None:
    """The commonest mistake of all."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"rtmp": 0, "http": 0} | {room: port}
        done = hlsd(
            *("serve", "--bind", "127.0.0.1", "--rtmp-port", str(ports["rtmp"]), "--http-port", str(ports["http"])),
            *("--state-dir", str(tmp_path), "--log-level", "error"),
        )
    assert done.returncode == 1
    assert done.stderr == f"hlsd: {room}.port: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    "options", [("--codec", "av1"), ("--size", "big"), ("--fps", "0"), ("--gop", "0"), ("--name", "live")]
)
def test_demo_refuses_what_it_cannot_make(options: tuple[str, str]) -> None:
    done = hlsd("demo", *options)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_publish_tells_a_bad_file_and_a_bad_url_and_a_closed_door(tmp_path: Path) -> None:
    from tests.unit.test_publish import footage

    film = footage(tmp_path / "a.mp4", audio=None)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        cases = {
            (str(tmp_path / "none.mp4"), "rtmp://127.0.0.1/live/a"): (2, "No such file"),
            (str(film), "http://127.0.0.1/live/a"): (2, "rtmp"),
            (str(film), f"rtmp://127.0.0.1:{port}/live/a?token=hunter2"): (1, "reached"),
        }
        for arguments, (code, words) in cases.items():
            done = hlsd("publish", *arguments)
            assert done.returncode == code, done.stderr
            assert words in done.stderr
            assert "Traceback" not in done.stderr
            assert "hunter2" not in done.stderr


def test_cert_writes_a_pair_that_the_server_takes_and_spares_one_that_is_there(tmp_path: Path) -> None:
    # What `hlsd cert` prints is meant to be put into the configuration as it stands.
    pair = ("--cert", str(tmp_path / "c.pem"), "--key", str(tmp_path / "k.pem"))
    made = hlsd("cert", *pair, "stream.example")
    assert made.returncode == 0, made.stderr
    (tmp_path / "hlsd.toml").write_text(made.stdout)
    assert hlsd("check", "-c", str(tmp_path / "hlsd.toml")).returncode == 0
    assert (tmp_path / "k.pem").stat().st_mode & 0o077 == 0
    before = (tmp_path / "c.pem").read_bytes()
    again = hlsd("cert", *pair)
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert (tmp_path / "c.pem").read_bytes() == before


def test_check_says_which_congestion_control_this_kernel_gives() -> None:
    done = hlsd("check", HLSD_HTTP__CONGESTION="reno", HLSD_RTMP__CONGESTION="nobodys_own", HLSD_RELAY__CONGESTION="")
    assert done.returncode == 0
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        system = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    lines = done.stdout.splitlines()
    assert "#   http.congestion: reno" in lines
    assert "#   https.congestion: reno" in lines, "as http"
    assert f"#   relay.congestion: {system}" in lines
    rtmp = next(line for line in lines if line.startswith("#   rtmp.congestion: "))
    assert rtmp.startswith(f"#   rtmp.congestion: {system} (not nobodys_own: the kernel has none of this name")


def test_a_congestion_control_that_cannot_be_one_is_a_mistake() -> None:
    done = hlsd("check", HLSD_HTTPS__CONGESTION="b b r")
    assert done.returncode == 2
    assert "environment HLSD_HTTPS__CONGESTION: https.congestion: should be" in done.stderr


def test_a_shell_gets_completion() -> None:
    script = hlsd(_HLSD_COMPLETE="source_bash")
    assert "_HLSD_COMPLETE=complete_bash" in script.stdout
    shown = hlsd("do", _HLSD_COMPLETE="complete_bash", COMP_WORDS="hlsd do", COMP_CWORD="1")
    assert shown.stdout.split() == ["doctor"]
