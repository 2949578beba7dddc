"""Prints whose the packages of an environment are and under which licence, for a package that carries them.

`copyright.py ENVIRONMENT`: a folder with lib/python3.x/site-packages, as a virtual environment has.
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path


def licence(of: Distribution) -> str:
    """What a package says of it: the expression, the word, or the classifiers."""
    fields = of.metadata.json
    said = fields.get("license_expression") or fields.get("license") or ""
    if isinstance(said, str) and said and "\n" not in said:
        return said
    words = [
        one.rpartition(" :: ")[2] for one in of.metadata.get_all("Classifier") or () if one.startswith("License ::")
    ]
    return ", ".join(words) or "see its files"


def main(environment: Path) -> None:
    """The list, each with the folder where its own words are."""
    (site,) = environment.glob("lib/python3.*/site-packages")
    lines = [
        "hlsd, and what it is made with. Each package's own words of licence are in its .dist-info folder below",
        f"/usr/lib/hlsd/{site.relative_to(environment)}.",
        "",
        "Copyright: those who wrote hlsd, and those who wrote each of these, by licences as follow:",
        "",
    ]
    found = sorted(distributions(path=[str(site)]), key=lambda it: it.name.lower())
    lines += [f"  {one.name} {one.version}: {licence(one)}" for one in found]
    lines += [
        "",
        "The pages load hls.js and mpegts.js, by the Apache License: /usr/share/common-licenses/Apache-2.0",
        "",
    ]
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
