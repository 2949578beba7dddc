"""`python -m bench`: runs the pages, or those named, and says whether their targets are met."""

from __future__ import annotations

import argparse
import sys

from bench import handshakes
from bench.pages import (
    abr,
    fanout,
    flv,
    hotpath,
    https,
    ingest,
    latency,
    loss,
    metrics,
    players,
    record,
    relay,
    sessions,
    sound,
    transports,
    vod,
)

PAGES = {
    page.NAME: page
    for page in (
        ingest,
        latency,
        hotpath,
        https,
        handshakes,
        fanout,
        sessions,
        metrics,
        flv,
        relay,
        record,
        abr,
        players,
        loss,
        sound,
        transports,
        vod,
    )
}


def main() -> int:
    """Exit status 0 if every target is met."""
    parser = argparse.ArgumentParser(prog="bench", description="Measures hlsd beside its peers; writes docs/bench.")
    parser.add_argument("pages", nargs="*", choices=[[], *PAGES], help="pages to run (all)")
    parser.add_argument("--quick", action="store_true", help="one round of 8 s: to see that it runs, not to publish")
    parser.add_argument("--seconds", type=float, default=30, help="measured time of a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each measurement (%(default)s)")
    parser.add_argument("--counts", default="", help="publishers, such as 1,20,50")
    parser.add_argument("--only", default="", help="servers, such as hlsd,nginx-rtmp (of loss: congestion controls)")
    given = parser.parse_args()
    met = True
    for name in given.pages or PAGES:
        page = PAGES[name]
        met &= page.run(
            seconds=8 if given.quick else given.seconds,
            rounds=1 if given.quick else given.rounds,
            counts=[int(count) for count in given.counts.split(",") if count] or page.COUNTS,
            only=[peer for peer in given.only.split(",") if peer],
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
