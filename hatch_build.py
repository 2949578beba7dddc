"""Puts into the wheel what the pages load, where it was fetched and built before: hls.js, mpegts.js, publish.js.

And the addresses of cameras by their make, which a checkout has in conf/.

`make wheel` fetches and builds them first. Without them the wheel is built all the same, and says what it lacks. A
source archive carries them too, so that a wheel can be built from it without npm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PRESETS = "conf/relay-presets.toml"
MODULES = "web/node_modules"
FILES = {
    f"{MODULES}/hls.js/dist/hls.light.min.js": "hls.light.min.js",
    f"{MODULES}/hls.js/dist/hls.min.js": "hls.min.js",
    f"{MODULES}/hls.js/LICENSE": "hls.js.LICENSE",
    f"{MODULES}/mpegts.js/dist/mpegts.js": "mpegts.js",
    f"{MODULES}/mpegts.js/LICENSE": "mpegts.js.LICENSE",
    "web/publish/dist/publish.js": "publish.js",
    "web/publish/dist/publish.umd.js": "publish.umd.js",
}
"""What is taken, and what it is called in `hlsd/web`, where `hlsd.delivery.pages` finds it."""


class WebFiles(BuildHookInterface[Any]):
    """The hook."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Names the files to the builder."""
        if version == "editable":
            return
        if self.target_name == "wheel":
            build_data["force_include"][str(Path(self.root, PRESETS))] = "hlsd/relay/relay-presets.toml"
        for source, name in FILES.items():
            path = Path(self.root, source)
            if not path.is_file():
                self.app.display_warning(
                    f"hlsd: {source} is not there: pages will lack {name} (`make wheel` fetches it)"
                )
                continue
            build_data["force_include"][str(path)] = source if self.target_name == "sdist" else f"hlsd/web/{name}"
