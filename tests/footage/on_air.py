"""Sends real encoders' footage through a real server by RTMP, with every way out attached, at its own pace.

`python -m tests.footage.on_air [--takes x264,x265] [--seconds 60]`. Ways out: HLS by ffmpeg and by a patient player,
low latency by a watcher, HTTP-FLV and RTMP by ffmpeg, a relay to a second server and its HLS. What each of them gets is
decoded and must be a stretch of the source, picture by picture; a log line that says error fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg

from tests.footage.encoded import LONG, Take, decoded
from tests.support.llcheck import watch
from tests.support.players import follow
from tests.support.seeds import first_seed
from tests.support.server import CHECKOUT, HlsdServer

MADE = CHECKOUT / "build" / "footage"
"""Where encoded takes are kept: they cost more than anything that is done with them."""
LEAST = 0.8
"""How much of the source a way out must have, which begins when there is something to begin with."""


def recording(url: str, path: Path) -> subprocess.Popen[bytes]:
    """An ffmpeg that copies `url` into a file until it ends."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", url, "-c", "copy", str(path)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def error_lines(server: HlsdServer) -> list[str]:
    """What a server has logged as an error."""
    words = ("Traceback (most recent call last)", '"level": "error"', '"level":"error"')
    return [line[:400] for line in server.logs().splitlines() if any(word in line for word in words)]


def stretch_of(wanted: list[str], got: list[str]) -> str:
    """What is wrong with pictures that should be a stretch of `wanted`; empty if they are."""
    if not got:
        return "nothing"
    if got[0] not in wanted:
        return "begins with a picture that was never sent"
    at = wanted.index(got[0])
    for number, (one, due) in enumerate(zip(got, wanted[at:], strict=False)):
        if one != due:
            return f"picture {number} of {len(got)} is another one"
    if len(got) > len(wanted) - at:
        return f"{len(got)} pictures where {len(wanted) - at} are left"
    if len(got) < LEAST * len(wanted):
        return f"{len(got)} of {len(wanted)} pictures"
    return ""


def run(take: Take, folder: Path) -> list[str]:
    """Broadcasts one take; what is wrong."""
    path = take.make(MADE, first_seed())
    wanted = decoded(path.read_bytes())
    env = {"HLSD_PUBLISH__GRACE": "3", "HLSD_LIMITS__MAX_MEMORY": "2GiB"}
    with HlsdServer(folder / "target", low_latency=True, env=env) as target:
        rule = {"mode": "push", "match": "live/*", "url": f"rtmp://127.0.0.1:{target.rtmp_port}/live/{{stream}}"}
        env["HLSD_RELAY__RULES"] = json.dumps([rule])
        with HlsdServer(folder / "server", low_latency=True, env=env) as server, ThreadPoolExecutor(4) as pool:
            found = _broadcast(take, path, wanted, (server, target), folder, pool)
            return found + [f"log: {line}" for one in (server, target) for line in error_lines(one)[:5]]


def _broadcast(
    take: Take,
    path: Path,
    wanted: list[str],
    servers: tuple[HlsdServer, HlsdServer],
    folder: Path,
    pool: ThreadPoolExecutor,
) -> list[str]:
    server, target = servers
    length = take.seconds + 30
    publishing = subprocess.Popen(
        [sys.executable, "-m", "hlsd", "publish", str(path), server.rtmp("cam")], cwd=CHECKOUT
    )
    patient = pool.submit(follow, server.hls("cam"), seconds=length)
    relayed = pool.submit(follow, target.hls("cam"), seconds=length, patience=30)
    while not server.logs().count("publish started"):
        if publishing.poll() is not None:
            return ["the publisher never began"]
    flv = server.hls("cam").replace(".m3u8", ".flv")
    copies = {"rtmp": (server.rtmp("cam"), folder / "rtmp.flv"), "flv": (flv, folder / "flv.flv")}
    programs = {name: recording(url, to) for name, (url, to) in copies.items()}
    opened = pool.submit(_when_there, server.hls("cam"))
    opened.result()
    copies["hls"] = (server.hls("cam"), folder / "hls.mkv")
    programs["hls"] = recording(*copies["hls"])
    watched = pool.submit(lambda: asyncio.run(watch(server.hls("cam"), take.seconds - 5)))
    code = publishing.wait(length)
    found = [] if code == 0 else [f"the publisher ended with {code}"]
    for name, program in programs.items():
        try:
            program.wait(30)
        except subprocess.TimeoutExpired:
            program.kill()
            found.append(f"{name}: did not end")
        if wrong := stretch_of(wanted, decoded(copies[name][1].read_bytes())):
            found.append(f"{name}: {wrong}")
    for name, job in (("patient", patient), ("relayed", relayed)):
        seen = job.result()
        found += [f"{name}: {fault}" for fault in seen.faults]
        if len(seen.stretches()) != 1:
            found.append(f"{name}: {len(seen.stretches()) - 1} discontinuities")
        if wrong := stretch_of(wanted, [one for media in seen.media() for one in decoded(media)]):
            found.append(f"{name}: {wrong}")
    advice = {"LL09", "LL20", "DD16", "MP08"}
    return (
        found + [f"watched: {one.rule} {one.text}" for one in watched.result().violations if one.rule not in advice][:9]
    )


def _when_there(url: str) -> None:
    follow(url, until=lambda recording: bool(recording.segments), patience=30)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.footage.on_air", description=__doc__)
    parser.add_argument("--takes", default=",".join(take.name for take in LONG))
    parser.add_argument("--seconds", type=int, default=0, help="of each take, in place of its own minutes")
    given = parser.parse_args()
    failed = False
    for take in LONG:
        if take.name not in given.takes.split(","):
            continue
        shot = replace(take, seconds=given.seconds) if given.seconds else take
        with tempfile.TemporaryDirectory() as folder:
            found = run(shot, Path(folder))
        failed |= bool(found)
        print(f"{'FAIL' if found else 'ok  '} {shot.name}: {shot.seconds} s, seed {first_seed()}", flush=True)
        for fault in found:
            print(f"       {fault}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
