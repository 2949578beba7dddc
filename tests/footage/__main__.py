"""Draws footage and plays it through the house: `python -m tests.footage --seeds 1-500 --kind holes -v`.

Prints what fails with its seed; a seed makes the same film on every machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.footage import changes  # noqa: F401 - more kinds
from tests.footage.house import play
from tests.footage.judge import judge
from tests.footage.kinds import KINDS


def seeds_of(text: str) -> range:
    """`7` or `1-500`."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.footage", description=__doc__)
    parser.add_argument("--seeds", default="1-20", type=seeds_of)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="may be given more than once")
    parser.add_argument("--output", default="", help="one way out alone: ll, plain, unwatched, flv, rtmp, relay ...")
    parser.add_argument("-v", dest="verbose", action="store_true", help="every fault, and films that are fine")
    parser.add_argument("-q", dest="quiet", action="store_true", help="the sums alone")
    given = parser.parse_args()
    began = time.process_time()
    media = size = films = 0.0
    failed: Counter[str] = Counter()
    rules: dict[str, Counter[str]] = {}
    for name in given.kind or KINDS:
        for seed in given.seeds:
            film = KINDS[name](seed)
            result = play(film, only=given.output)
            faults = judge(film, result)
            films += 1
            media += film.seconds
            size += film.size
            if faults:
                failed[name] += 1
                for rule in {fault.split(": ")[1] if ": " in fault else fault for fault in faults}:
                    rules.setdefault(name, Counter())[rule[:40]] += 1
            if not given.quiet and (faults or given.verbose):
                print(f"{'FAIL' if faults else 'ok  '} --kind {name} --seeds {seed}: {film.words}")
                for fault in faults if given.verbose else faults[:4]:
                    print(f"       {fault}", flush=True)
    spent = time.process_time() - began
    print(f"{films:.0f} films, {media:.0f} s of media, {size / 1e6:.0f} MB in {spent:.1f} s of processor time", end="")
    print(f" ({media / spent:.0f} s/s); seeds {given.seeds.start}-{given.seeds.stop - 1}; {failed.total()} failed")
    for name, count in failed.items():
        print(f"  {name}: {count} of {len(given.seeds)}: {dict(rules[name].most_common(6))}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
