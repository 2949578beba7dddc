"""Processes that work for the server: how they end, whoever holds their pipes, and that none outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from hlsd.base.children import LINE, kill, last_words
from tests.support.eventually import eventually, eventually_here
from tests.support.server import CHECKOUT

PIPE = asyncio.subprocess.PIPE


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_its_last_line_is_kept_however_much_it_says() -> None:
    code = "import sys; sys.stderr.write('x' * 100_000 + '\\n' + 'y' * 300 + '\\n')"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=PIPE)
    assert process.stderr is not None
    assert await last_words(process.stderr) == "y" * LINE
    await process.wait()


async def test_neither_a_full_pipe_nor_a_grandchild_that_holds_one_keeps_it_from_ending(tmp_path: Path) -> None:
    """`wait` of asyncio waits for the pipes too: what was taken over by a picture would hold up the server's end."""
    pid = tmp_path / "pid"
    code = (
        "import os, subprocess, sys; one = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
        f"open({str(pid)!r}, 'w').write(str(one.pid))\n"
        "sys.stdout.buffer.write(bytes(1_000_000))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    await eventually(lambda: pid.exists() and pid.read_text() != "")
    try:
        await asyncio.wait_for(kill(process), 20)
        assert process.returncode == -signal.SIGKILL
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


async def test_what_it_has_begun_in_its_session_goes_with_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    process = await asyncio.create_subprocess_shell(f"sleep 300 & echo $! > {pid}; wait", start_new_session=True)
    await eventually(lambda: pid.exists() and pid.read_text() != "")
    await asyncio.wait_for(kill(process), 20)
    await eventually(lambda: not alive(int(pid.read_text())))


def test_one_that_hangs_does_not_outlive_a_server_that_is_killed() -> None:
    """Its input ends as well, but a decoder that hangs reads none."""
    child = (
        "import os; from hlsd.base.confinement import confine; confine(1 << 30)\n"
        "os.write(1, b'%d\\n' % os.getpid())\nwhile True: pass"
    )
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True).wait()"
    server = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE)
    assert server.stdout is not None
    with server.stdout as said:
        try:
            worker = int(said.readline())
            assert alive(worker)
        finally:
            server.kill()
            server.wait(10)
        eventually_here(lambda: not alive(worker), 10, what="its end")
