"""h2spec, the cases of others for HTTP/2, finds nothing but what a later standard has taken back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hlsd.delivery.tls.certificate import write_self_signed
from tests.support.ports import free_port
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(400)]

TOOL = shutil.which("h2spec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
TAKEN_BACK = {"Sends PRIORITY frame that depend on itself"}
"""RFC 9113 §5.3.2: "the priority signaling in RFC 7540 is deprecated"; who receives such a frame reads past it."""
TRIES = 4
"""RFC 9113 §8.1: "A server can send a complete response prior to the client sending an entire request". Where that was
quicker than a second frame that is wrong, nothing is left to be refused; what is done wrong is so each time."""


@pytest.mark.skipif(TOOL is None, reason="h2spec is not here: scripts/h2spec.sh")
def test_the_cases_of_others_find_nothing(tmp_path: Path) -> None:
    assert TOOL is not None
    write_self_signed(tmp_path / "cert.pem", tmp_path / "key.pem", ["localhost"])
    port = free_port()
    env = {
        "HLSD_HTTPS__CERT": str(tmp_path / "cert.pem"),
        "HLSD_HTTPS__KEY": str(tmp_path / "key.pem"),
        "HLSD_HTTPS__PORT": str(port),
        "HLSD_HTTP__MAX_CONNECTIONS_PER_IP": "1000",
    }
    with HlsdServer(tmp_path, env=env):  # its log is looked at when it ends: no error may be in it
        command = [TOOL, "-h", "127.0.0.1", "-p", str(port), "-t", "-k", "-o", "5"]
        failed: set[str] | None = None
        for _ in range(TRIES):
            said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100).stdout
            found = set(re.findall(r"^ *× \d+: (.+)$", said, re.MULTILINE))
            counted = re.search(r"(\d+) tests, (\d+) passed", said)
            assert counted is not None, said
            assert int(counted[1]) >= 140
            assert int(counted[1]) - int(counted[2]) == len(found)
            failed = found if failed is None else failed & found
            if failed <= TAKEN_BACK:
                return
    raise AssertionError(f"{failed}\n{said}")
