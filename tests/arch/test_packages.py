"""The files of the Debian package and of the container are fit for what reads them; `make deb` is tried by hand."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.sources import CHECKOUT

DEB = CHECKOUT / "packaging" / "deb"
SCRIPTS = ("postinst", "prerm", "postrm")
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")


def test_control_has_what_debian_s_policy_wants_of_a_package() -> None:
    """Debian Policy 5.3 has the mandatory ones; `make deb` fills in the rest."""
    text = (DEB / "control").read_text(encoding="utf-8")
    fields = dict(re.findall(r"(?m)^([A-Z][\w-]+): (.+)$", text))
    assert {"Package", "Version", "Architecture", "Maintainer", "Description", "Depends"} <= fields.keys()
    assert re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", fields["Package"])
    assert re.fullmatch(r"[^<]+ <[^@\s]+@[^@\s]+>", fields["Maintainer"])
    # Compiled packages are of one minor version: another python3 would find none of them.
    assert "python3 (>= @PYTHON@~), python3 (<< @NEXT@~)" in fields["Depends"]
    assert all(len(line) <= 80 and line.startswith(" ") for line in text.partition("Description: ")[2].splitlines()[1:])
    assert text.endswith("\n")
    # Each word between @ is filled in by the script, and none is forgotten.
    filled = set(re.findall(r"@([A-Z]+)@", (CHECKOUT / "scripts" / "deb.sh").read_text(encoding="utf-8")))
    assert set(re.findall(r"@([A-Z]+)@", text)) == filled


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_of_the_package_is_a_shell_s_and_ends_at_the_first_fault(name: str) -> None:
    """Debian Policy 10.4: "should almost certainly start with set -e so that errors are detected"."""
    text = (DEB / name).read_text(encoding="utf-8")
    assert text.startswith("#!/bin/sh\nset -e\n")
    done = subprocess.run(["sh", "-n", str(DEB / name)], capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_removing_keeps_the_state_and_purging_does_not() -> None:
    """Debian Policy 6.8: a removed package leaves its conffiles and data, a purged one nothing."""
    removal, purge = (DEB / "postrm").read_text(encoding="utf-8").split('if [ "$1" = purge ]; then')
    for mine in ("/var/lib/hlsd", "/etc/hlsd", "deluser"):
        assert mine in purge
        assert mine not in removal
        assert mine not in (DEB / "prerm").read_text(encoding="utf-8")


def test_what_an_operator_edits_is_never_overwritten() -> None:
    (conffile,) = (DEB / "conffiles").read_text(encoding="utf-8").split()
    assert conffile == "/etc/hlsd/hlsd.toml"
    # Every line of it is a comment or a section, so that a new default reaches who has changed nothing.
    assert {
        key: value for key, value in tomllib.loads((CHECKOUT / "conf" / "hlsd.toml").read_text()).items() if value
    } == {}


def test_the_container_s_rules_are_kept() -> None:
    hadolint = Path(shutil.which("hadolint", path=str(CHECKOUT / ".venv" / "bin")) or shutil.which("hadolint") or "")
    if not hadolint.is_file():
        pytest.skip("hadolint is not there: make test installs it")
    done = subprocess.run(
        [hadolint, "--no-color", str(CHECKOUT / "Dockerfile")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_is_nobody_s_root_and_can_be_asked_how_it_is() -> None:
    stages = re.split(r"(?m)^FROM ", DOCKERFILE)[1:]
    assert len(stages) == 2, "what builds does not serve"
    said = dict(re.findall(r"(?m)^([A-Z]+) (.+?)(?<!\\)$", stages[1]))
    user, _, group = said["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0, "by number: a platform that forbids root must see that it is none"
    assert f"--uid {user}" in stages[1]
    assert "/healthz" in stages[1].partition("HEALTHCHECK")[2]
    assert said["ENTRYPOINT"] == '["hlsd"]', "without a shell between, SIGTERM reaches it"
    for tool in ("make", "python3-venv", "pip"):
        assert tool not in stages[1]
    assert "--require-hashes" in stages[0]


def test_the_container_opens_the_ports_that_hlsd_has() -> None:
    ports = {int(port) for port in re.findall(r"\b(\d+)/(?:tcp|udp)", DOCKERFILE)}
    assert ports == {1935, 8000, 8443}
    text = (CHECKOUT / "conf" / "hlsd.toml").read_text(encoding="utf-8")
    for port in (1935, 8000):
        assert re.search(rf"(?m)^#port = {port}$", text)
