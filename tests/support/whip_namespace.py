"""A server and a GStreamer that publishes to it, in a network namespace of their own.

`unshare -n python -m tests.support.whip_namespace SECONDS`: libnice sends nothing from an address of the machine to one
of loopback, so the namespace gets an address of its own. Prints, as JSON, the codecs that were on air and what the
publisher said.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.services import running

ADDRESS = "10.201.0.1"
SCRIPT = Path(__file__).parents[1] / "interop" / "gst_whip.py"
_LINKS = (
    "link set lo up",
    "link add v0 type veth peer name v1",
    f"addr add {ADDRESS}/24 dev v0",
    "link set v0 up",
    "link set v1 up",
)


async def main(seconds: float) -> None:
    """Publishes for so long."""
    for line in _LINKS:
        subprocess.run(["ip", *line.split()], check=True)
    codecs: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), {"http.bind": "0.0.0.0", "server.log_level": "error"}) as server:
            url = f"http://{ADDRESS}:{server.services['http'].port}/live/cam/whip"
            publisher = await asyncio.create_subprocess_exec(
                "/usr/bin/python3", str(SCRIPT), url, str(seconds), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            talking = asyncio.create_task(publisher.communicate())
            while not talking.done():
                codecs |= {row.codecs for row in server.node.directory.summaries()}
                await asyncio.wait({talking}, timeout=0.2)
            said, complained = talking.result()
    report = {"codecs": sorted(codecs), "said": said.decode().split(), "complained": complained.decode()[-2000:]}
    sys.stdout.write("\n" + json.dumps(report) + "\n")


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
