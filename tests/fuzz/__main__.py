"""`make fuzz`: every reader of strangers' bytes, a million cases each, guided by coverage where atheris is there.

`python -m tests.fuzz --cases 10000 --only rtmp,srt`. A case that is no refusal is kept in tests/fuzz/crashers/NAME,
where the tests run it from then on; the exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS, Target

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]


def kept(name: str) -> list[Path]:
    """The cases of a target that were no refusal once."""
    return sorted((HERE / "crashers" / name).glob("*"))


def guided(name: str, target: Target, cases: int) -> bool:
    """Under atheris; whether every case was read or refused."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate([*target.seeds(), *(path.read_bytes() for path in kept(name))]):
            (corpus / str(number)).write_bytes(seed)
        crashers = HERE / "crashers" / name
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.guided",
            name,
            f"-runs={cases}",
            "-timeout=20",
            "-rss_limit_mb=2048",
        ]
        log = Path(folder) / "log"
        with log.open("wb") as out:
            command += [f"-artifact_prefix={folder}/", str(corpus)]
            code = subprocess.run(command, cwd=CHECKOUT, stdout=out, stderr=out, check=False).returncode
        for case in (*Path(folder).glob("crash-*"), *Path(folder).glob("timeout-*"), *Path(folder).glob("oom-*")):
            crashers.mkdir(parents=True, exist_ok=True)
            case.rename(crashers / case.name)
        if code:
            print(log.read_text(errors="replace")[-3000:])  # noqa: T201
    return code == 0


def seeded(name: str, target: Target, cases: int, seed: int) -> bool:
    """Without it: the seeds, changed by chance."""
    draw, seeds = random.Random(f"{name} {seed}"), target.seeds()
    for _ in range(cases):
        case = mutated(draw, seeds, target.most)
        try:
            target.run(case)
        except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
            traceback.print_exc()
            crashers = HERE / "crashers" / name
            crashers.mkdir(parents=True, exist_ok=True)
            (crashers / f"crash-{hashlib.sha1(case, usedforsecurity=False).hexdigest()}").write_bytes(case)
            return False
    return True


def main() -> int:
    """The exit status: 1 if some case was no refusal."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unguided", action="store_true")
    asked = parser.parse_args()
    following = importlib.util.find_spec("atheris") is not None and not asked.unguided
    print("guided by coverage" if following else "seeds, changed by chance: atheris is not there")  # noqa: T201
    good = True
    for name in asked.only.split(",") if asked.only else TARGETS:
        began = time.monotonic()
        target = TARGETS[name]
        well = guided(name, target, asked.cases) if following else seeded(name, target, asked.cases, asked.seed)
        good &= well
        said = "every one read or refused" if well else "ONE WAS NEITHER: tests/fuzz/crashers"
        print(f"{name:18} {asked.cases:>9} cases, {time.monotonic() - began:7.1f} s: {said}", flush=True)  # noqa: T201
    return 0 if good else 1


if __name__ == "__main__":
    os.chdir(CHECKOUT)
    sys.exit(main())
