"""Says what hlsd is made with: `bom` writes CycloneDX 1.6 to build/hlsd.cdx.json, `licences` docs/licences.md.

What is locked is what is named, with its hashes; licences are what the packages that are installed say of themselves.
Pages load what `web/package-lock.json` has. Tools and tests are no part of it: nothing of them reaches who installs it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import tomllib
import uuid
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
DOCUMENT = CHECKOUT / "docs" / "licences.md"
WORDS = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "Apache Software License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What packages say, and what SPDX calls it."""
ELSEWHERE = {"async-timeout": "Apache-2.0", "psycopg-binary": "LGPL-3.0-only", "tzdata": "Apache-2.0"}
"""Of packages that are installed with some versions of Python only."""
BUNDLED = {
    "av": "FFmpeg: LGPL-3.0-or-later; x264, x265: GPL-2.0-or-later; see below",
    "pylibsrtp": "libsrtp: BSD-3-Clause",
    "cryptography": "OpenSSL: Apache-2.0",
    "psycopg-binary": "libpq: PostgreSQL; OpenSSL: Apache-2.0",
    "httptools": "llhttp: MIT",
    "uvloop": "libuv: MIT",
    "watchfiles": "crates of Rust: MIT or Apache-2.0",
    "obstore": "crates of Rust: MIT or Apache-2.0",
    "pydantic-core": "crates of Rust: MIT or Apache-2.0",
    "pyyaml": "libyaml: MIT",
}
"""What wheels carry besides their own code."""


@dataclass(frozen=True)
class Component:
    """A package: where from (`pypi`, `npm`), its hashes by CycloneDX's names, its licence by SPDX."""

    kind: str
    name: str
    version: str
    licence: str
    hashes: tuple[tuple[str, str], ...]

    @property
    def purl(self) -> str:
        """Its address among packages."""
        return f"pkg:{self.kind}/{self.name.replace('@', '%40')}@{self.version}"

    def described(self) -> dict[str, Any]:
        """As CycloneDX has it."""
        found: dict[str, Any] = {
            "type": "library",
            "bom-ref": self.purl,
            "name": self.name,
            "version": self.version,
            "purl": self.purl,
            "licenses": [{"expression": self.licence}],
        }
        if self.kind == "npm":
            found["hashes"] = [{"alg": name, "content": value} for name, value in self.hashes]
        else:  # a lock has the hash of every file that may be installed, a component those of one: they are kept aside
            found["properties"] = [{"name": f"hlsd:{name}", "value": value} for name, value in self.hashes]
        return found


def licence(name: str) -> str:
    """By SPDX, of a package that is installed, or of one that is known."""
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return ELSEWHERE[name]
    word = str(said.json.get("license_expression") or said.json.get("license") or "")
    if not word or "\n" in word:
        (word, *_) = [
            one.rpartition(" :: ")[2] for one in said.get_all("Classifier") or () if one.startswith("License")
        ]
    return WORDS.get(word, word)


def locked() -> list[Component]:
    """What requirements.txt has."""
    text = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        match = re.match(r"([a-z0-9._-]+)(?:\[[a-z,]+\])?==([^ ;]+)", line)
        if match:
            hashes = tuple(("sha256", digest) for digest in re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
            found.append(Component("pypi", match[1], match[2], licence(match[1]), hashes))
    return found


def loaded() -> list[Component]:
    """What the pages load."""
    lock = json.loads((CHECKOUT / "web" / "package-lock.json").read_text(encoding="utf-8"))
    found = []
    for path, said in lock["packages"].items():
        if path and not said.get("dev"):
            _, _, digest = said["integrity"].partition("sha512-")
            raw = base64.b64decode(digest).hex()
            name = path.rpartition("node_modules/")[2]
            found.append(Component("npm", name, said["version"], said["license"], (("SHA-512", raw),)))
    return found


def bom() -> dict[str, Any]:
    """The document; the same for the same locks."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = str(project.get("version") or metadata("hlsd")["Version"])
    parts = [*locked(), *loaded()]
    digest = hashlib.sha256("".join(one.purl for one in parts).encode()).digest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": "hlsd", "name": "hlsd", "version": version},
        },
        "components": [one.described() for one in parts],
        "dependencies": [{"ref": "hlsd", "dependsOn": [one.purl for one in parts]}],
    }


def table() -> str:
    """Of docs/licences.md."""
    rows = [
        f"| {one.name} | {'Python' if one.kind == 'pypi' else 'pages'} | {one.licence} | {BUNDLED.get(one.name, '')} |"
        for one in (*locked(), *loaded())
    ]
    return "\n".join(rows) + "\n"


def document() -> str:
    """docs/licences.md, with its table made anew."""
    text = DOCUMENT.read_text(encoding="utf-8")
    head, rule, rest = text.partition("|---|---|---|---|\n")
    return head + rule + table() + rest[rest.index("\n## ") :]


def main(what: str) -> int:
    """The exit status."""
    if what == "licences":
        DOCUMENT.write_text(document(), encoding="utf-8")
        return 0
    target = CHECKOUT / "build" / "hlsd.cdx.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(bom(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{target.relative_to(CHECKOUT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "bom"))
