"""What hlsd is made with is listed whole: the bill of materials has every lock, docs/licences.md every package."""

from __future__ import annotations

import importlib.util
import re
import sys
from types import ModuleType

import pytest

from tests.support.server import CHECKOUT

FREE = {"MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "PSF-2.0", "MPL-2.0", "LGPL-3.0-only"}
"""Licences that ask nothing of who is linked with it but to be named; a new one wants to be read first."""


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", CHECKOUT / "scripts" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sbom"] = module
    spec.loader.exec_module(module)
    return module


def names() -> set[str]:
    text = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    return set(re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[a-z,]+\])?==", text))


def test_the_bill_has_every_package_once_with_its_hashes(sbom: ModuleType) -> None:
    bill = sbom.bom()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    parts = {one["purl"]: one for one in bill["components"]}
    assert len(parts) == len(bill["components"])
    assert {one["name"] for one in parts.values() if one["purl"].startswith("pkg:pypi/")} == names()
    assert {"hls.js", "mpegts.js"} <= {one["name"] for one in parts.values()}
    assert all(one.get("hashes") or one.get("properties") for one in parts.values())
    assert bill["dependencies"][0]["dependsOn"] == list(parts)
    assert bill == sbom.bom(), "the same for the same locks"


def test_every_package_is_under_a_licence_that_was_read(sbom: ModuleType) -> None:
    for one in (*sbom.locked(), *sbom.loaded()):
        assert set(re.split(r" AND | OR ", one.licence)) <= FREE, one


def test_the_page_of_licences_is_what_the_script_writes(sbom: ModuleType) -> None:
    assert sbom.DOCUMENT.read_text(encoding="utf-8") == sbom.document()
