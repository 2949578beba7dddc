"""Every script that a page of ours loads can be read: a browser that cannot read one shows a page that does nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "hlsd"
READ = """
const { readFileSync } = require("node:fs");
const { Script, SourceTextModule } = require("node:vm");
const wrong = [];
for (const file of JSON.parse(process.argv[1])) {
  const text = readFileSync(file, "utf8");
  try {
    if (/^(import|export)\\b|import[.]meta/m.test(text)) new SourceTextModule(text);
    else new Script(text);
  } catch (error) {
    wrong.push(`${file}: ${error.message}`);
  }
}
console.log(JSON.stringify(wrong));
"""


@pytest.mark.thorough
def test_every_script_of_ours_can_be_read() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here")
    files = [str(file) for file in PACKAGE.rglob("*.js") if not {"node_modules", "assets"} & set(file.parts)]
    assert len(files) > 15
    command = [node, "--experimental-vm-modules", "--no-warnings", "-e", READ, json.dumps(files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == []
