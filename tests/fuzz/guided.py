"""One target under atheris, which follows what of hlsd's code a case reaches: `python -m tests.fuzz.guided NAME …`.

What comes behind the name is libFuzzer's: folders of cases, `-runs=1000000`, `-artifact_prefix=folder/`. It ends with a
status other than 0 at the first case that is no refusal, and leaves that case in a file.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main(name: str, arguments: list[str]) -> None:
    """Does not return."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["hlsd"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    atheris.Setup([sys.argv[0], f"-max_len={target.most}", *arguments], lambda octets: target.run(bytes(octets)))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
