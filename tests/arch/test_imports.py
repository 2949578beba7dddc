"""The house stands as its plan says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def test_imports_go_downwards_only() -> None:
    """The layers of pyproject.toml; a room that knows its neighbour cannot be taken out again."""
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pure_modules_touch_no_sockets_clock_or_event_loop() -> None:
    """Sans-IO is what makes byte-by-byte tests and fault injection cheap."""
    pure = [
        *(CHECKOUT / "hlsd/media").glob("*.py"),
        *(CHECKOUT / "hlsd/ingest/rtmp").glob("*.py"),
        CHECKOUT / "hlsd/ingest/key_gate.py",
        CHECKOUT / "hlsd/ingest/media_clock.py",
        CHECKOUT / "hlsd/ingest/normaliser.py",
        CHECKOUT / "hlsd/ingest/picture_track.py",
        CHECKOUT / "hlsd/ingest/sound_track.py",
        CHECKOUT / "hlsd/ingest/timeline.py",
        CHECKOUT / "hlsd/segmenter/cutter.py",
        CHECKOUT / "hlsd/segmenter/window.py",
        CHECKOUT / "hlsd/segmenter/playlist.py",
        CHECKOUT / "hlsd/delivery/answer.py",
        CHECKOUT / "hlsd/sessions/session.py",
        CHECKOUT / "hlsd/sessions/life.py",
        CHECKOUT / "hlsd/sessions/limits.py",
        CHECKOUT / "hlsd/sessions/accounting.py",
        CHECKOUT / "hlsd/sessions/signing.py",
        CHECKOUT / "hlsd/publishing/demo_picture.py",
    ]
    banned = ("import asyncio", "import socket", "import time", "from time import", "open(", "import threading")
    allowed = {("demo_picture.py", "import time")}  # strftime of a time that is given to it
    found = [
        f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()}"
        for path in pure
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word in banned
        if line.lstrip().startswith(word) and (path.name, word) not in allowed
    ]
    assert not found


def test_only_the_segmenter_and_the_publishers_load_libav() -> None:
    """A crash in libavformat takes every viewer down: few places may call it, none with a peer's bytes unparsed."""
    users = {
        path.relative_to(CHECKOUT / "hlsd").as_posix()
        for path in (CHECKOUT / "hlsd").rglob("*.py")
        if any(line.startswith(("import av", "from av")) for line in path.read_text(encoding="utf-8").splitlines())
    }
    assert {user for user in users if not user.startswith("segmenter/")} <= {
        "publishing/demo_source.py",
        "publishing/publish.py",
        "publishing/relay_child.py",  # a process of its own for each source
        "publishing/tagger.py",
        "sound/decoder.py",  # a process of its own for all sound, as the three that follow
        "sound/encoder.py",
        "sound/resampler.py",
        "sound/transcoder.py",
        "snapshots/painter.py",  # a process of its own for the node
        "vod/covers.py",  # a process of its own for each step of a job, as all that follow
        "vod/film.py",
        "vod/hybrid.py",
        "vod/making.py",
        "vod/media_child.py",
        "vod/scaler.py",
        "vod/silence.py",
        "vod/texts.py",
        "vod/tracks.py",
        "transcode/encoder.py",  # a process of its own for each stream
        "transcode/transcoder.py",
    }
