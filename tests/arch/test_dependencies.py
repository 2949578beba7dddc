"""No dependency may be installed in a version with a known hole: pyproject's lower bounds, and what is locked."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.server import CHECKOUT

LEAST = {
    # what it was that the version before had; those of ours that it reached, and those that it did not
    "pyjwt": (
        "2.15.1",
        "crit headers (CVE-2026-32597), algorithm confusion (CVE-2026-48523), file: addresses, redirects",
    ),
    "starlette": ("1.3.1", "request.url made from the Host header (CVE-2026-48710) and the path (PYSEC-2026-248)"),
    "hpack": ("4.2.0", "integers without end (PYSEC-2026-4053)"),
    "cryptography": ("50.0.0", "buffers (CVE-2026-39892), elliptic curves (CVE-2026-26007), PKCS#7 (CVE-2026-69247)"),
    "h11": ("0.16", "chunked bodies read too kindly (CVE-2025-43859)"),
    "httptools": ("0.7", "smuggling by llhttp below 9 (CVE-2023-30589, CVE-2024-27982)"),
    "idna": ("3.7", "quadratic time (CVE-2024-3651)"),
    "certifi": ("2024.7.4", "roots that are trusted no more (CVE-2024-39689)"),
    "pydantic": ("2.4", "a regular expression (CVE-2024-3772)"),
}


def _said() -> dict[str, Requirement]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["h2"]]
    return {one.name.lower(): one for one in map(Requirement, lines)}


@pytest.mark.parametrize("name", LEAST)
def test_a_lower_bound_leaves_no_known_hole(name: str) -> None:
    """Who installs the package beside others gets the oldest that fits: that must do."""
    least, why = LEAST[name]
    bounds = [spec.version for spec in _said()[name].specifier if spec.operator in (">=", "==")]
    assert bounds, f"{name} has no lower bound: {why}"
    assert Version(bounds[0]) >= Version(least), f"{name} {bounds[0]}: {why}"


@pytest.mark.parametrize("name", LEAST)
def test_what_is_locked_is_not_older(name: str) -> None:
    for lock in ("requirements.txt", "requirements-dev.txt"):
        lines = (CHECKOUT / lock).read_text(encoding="utf-8").splitlines()
        locked = {Requirement(line.partition("\\")[0]) for line in lines if line[:1].isalpha()}
        versions = [str(one.specifier).removeprefix("==") for one in locked if one.name.lower() == name]
        assert [version for version in versions if Version(version) >= Version(LEAST[name][0])] == versions != []


def test_every_dependency_has_a_lower_bound() -> None:
    """Without one any version will do, those with holes that are not known yet included."""
    for name, one in _said().items():
        assert any(spec.operator in (">=", "==") for spec in one.specifier), name
