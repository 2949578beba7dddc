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

pytestmark = [pytest.mark.interop, pytest.mark.alone]  # an answer that is there before the body that is wrong is lawful

TOOL = shutil.which("h2spec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
TAKEN_BACK = {"Sends PRIORITY frame that depend on itself"}
"""RFC 9113 §5.3.2: "the priority signaling in RFC 7540 is deprecated"; who receives such a frame reads past it."""
ANSWERED = "header field which does not equal the"
"""Of a body that is not as long as was said. RFC 9113 §8.1: "A server can send a complete response prior to the client
sending an entire request"; where the answer was quicker than the body, which comes in a write of its own, nothing is
left to be refused."""


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
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100).stdout
    failed = set(re.findall(r"^ *× \d+: (.+)$", said, re.MULTILINE))
    assert {one for one in failed if ANSWERED not in one} <= TAKEN_BACK, said
    counted = re.search(r"(\d+) tests, (\d+) passed", said)
    assert counted is not None, said
    assert int(counted[1]) >= 140
    assert int(counted[1]) - int(counted[2]) == len(failed)
