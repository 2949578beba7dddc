"""The publisher's library as it is built: its size, its types, its global, its pure parts, and how it is served."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hlsd.delivery.pages import PLAYER
from tests.unit.delivery.conftest import Running

FOLDER = Path(__file__).parents[3] / "web" / "publish"
MOST = 12_000
"""Bytes, zipped: what a page may be asked to load before anybody is live."""

built = pytest.mark.skipif(
    not (FOLDER / "dist" / "publish.umd.js").is_file(), reason="the library is not built: make web-modules"
)
by_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *arguments], capture_output=True, text=True, timeout=100, check=False, cwd=FOLDER)


@built
def test_it_is_small() -> None:
    assert len(gzip.compress((FOLDER / "dist" / "publish.js").read_bytes(), 9)) < MOST


def test_it_has_no_dependency_at_run_time() -> None:
    package = (FOLDER / "package.json").read_text()
    assert '"dependencies"' not in package
    named = [
        name
        for source in sorted((FOLDER / "src").glob("*.ts"))
        for name in re.findall(r'from "([^"]+)"', source.read_text())
    ]
    assert named
    assert [name for name in named if not name.startswith("./")] == []


@built
@by_node
@pytest.mark.thorough
def test_its_pure_parts_and_the_qr_codes_of_the_page() -> None:
    done = node("--test", "tests/")
    assert done.returncode == 0, done.stdout[-4000:]
    assert re.search(r"pass \d{2}", done.stdout), done.stdout[-400:]


@built
@by_node
@pytest.mark.thorough
def test_a_program_compiles_against_its_declarations() -> None:
    done = node("node_modules/typescript/bin/tsc", "-p", "tests")
    assert done.returncode == 0, done.stdout


@built
@by_node
@pytest.mark.thorough
def test_without_modules_it_is_a_global_and_with_commonjs_a_module() -> None:
    script = """
      const code = require("fs").readFileSync("dist/publish.umd.js", "utf8");
      const page = {};
      page.self = page;
      require("vm").runInNewContext(code, page);
      const module_ = { exports: {} };
      new Function("module", code)(module_);
      for (const one of [page.HlsdPublisher, module_.exports]) {
        console.log([one, one.BrowserToRtmpClient, one.PublishError].map((what) => typeof what).join());
      }
    """
    done = node("--input-type=commonjs", "-e", script)
    assert done.stdout.splitlines() == ["function,function,function"] * 2, done.stderr


@built
async def test_pages_of_other_sites_may_import_it(running: Running) -> None:
    for name in ("publish.js", "publish.umd.js"):
        answer = await running.client.get(f"/_/{name}", headers={"origin": "https://elsewhere.example"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["access-control-allow-origin"] == "*"
    other = await running.client.get("/_/page.js", headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in other.headers


def test_the_page_and_its_plain_script_show_the_same_events() -> None:
    """Who has no npm has the same page: what it listens to, both tell."""
    page = (PLAYER / "publish-page.js").read_text()
    plain = (PLAYER / "publish-plain.js").read_text()
    for name in re.findall(r'\.on\("(\w+)"', page):
        assert re.search(rf'#emit\("{name}"', plain), name
    for name in ("start", "pause", "resume", "replace", "stop"):
        assert re.search(rf"publisher\.{name}\(", page), name
        assert re.search(rf"^  async {name}\(", plain, re.MULTILINE), name
