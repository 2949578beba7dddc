"""The sound process itself: what it may take, how it ends, and that nothing a stranger sends makes it raise."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from hlsd.base.clock import SystemClock
from hlsd.base.errors import ProtocolError
from hlsd.base.faults import Faults
from hlsd.ingest.normaliser import Normaliser
from hlsd.media.sounds import SOUNDS, SoundFormat
from hlsd.sound import wire
from hlsd.sound.clock import FRAME
from hlsd.sound.converter import Converter
from hlsd.sound.figures import SoundStats
from hlsd.sound.process import STREAM_BYTES, SoundProcess
from hlsd.sound.settings import SoundSettings
from hlsd.sound.worker import BURST, SHARE, CpuAllowance, Worker
from tests.support.collected import Collected
from tests.support.seeds import first_seed

CHECKOUT = Path(__file__).resolve().parents[3]
ALAW = SoundFormat("pcm_alaw", b"", 8_000, 1)
ORDER = wire.SoundOrder(ALAW, 0, 128_000)


def run(code: str, *instead: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *(instead or ("-c", code))],
        input=b"",
        capture_output=True,
        check=False,
        timeout=60,
        cwd=CHECKOUT,
    )


def ask(worker: Worker, octets: bytes) -> list[wire.Answer]:
    """What a worker answers messages with."""
    said = b"".join(worker.handle(*message) for message in wire.reader().feed(octets))
    return [wire.read_answer(body) for _, _, body in wire.reader().feed(said)]


def test_its_memory_is_bounded_and_it_can_write_no_files(tmp_path: Path) -> None:
    code = "from hlsd.base.confinement import confine; confine(512 << 20); x = bytearray(600 << 20)"
    assert b"MemoryError" in run(code).stderr
    code = (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from hlsd.base.confinement import confine; confine(512 << 20)\n"
        f"open({str(tmp_path / 'x')!r}, 'wb', buffering=0).write(b'x')"
    )
    assert b"OSError" in run(code).stderr


def test_it_ends_with_its_input() -> None:
    """A server that was killed leaves no process behind."""
    command = [sys.executable, "-m", "hlsd.sound.worker", str(512 << 20)]
    octets = wire.opening(1, ORDER) + b"".join(wire.packet(1, 20 * n, b"\xd5" * 160) for n in range(50))
    done = subprocess.run(command, input=octets, capture_output=True, check=False, timeout=60, cwd=CHECKOUT)
    assert done.returncode == 0
    assert not done.stderr
    kinds = [kind for kind, _, _ in wire.reader().feed(done.stdout)]
    assert kinds == [wire.READY] + [wire.ANSWER] * 50


def test_streams_have_no_threads_of_their_own() -> None:
    """Libav would begin some for each core in each filter graph, and each takes 8 MiB of the address space."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    worker = Worker()
    for stream, form in enumerate(
        (ALAW, SoundFormat("pcm_s16le", b"", 44_100, 2), SoundFormat("pcm_u8", b"", 48_000, 1))
    ):
        octets = wire.opening(stream, ORDER._replace(form=form))
        octets += b"".join(wire.packet(stream, 20 * n, b"\x55" * 1_764) for n in range(20))
        assert any(told.frames for told in ask(worker, octets))
    assert len(list(Path("/proc/self/task").iterdir())) == threads


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_it_encodes_under_the_shipped_unit_and_where_the_unit_lets_it_choose_no_core(tmp_path: Path) -> None:
    """A call that a jail forbids is to cost address space, and no sound."""
    unit = CHECKOUT / "conf" / "systemd" / "hlsd.service"
    strict = tmp_path / "strict.service"
    strict.write_text(unit.read_text().replace("SystemCallFilter=sched_setaffinity\n", ""))
    assert strict.read_text() != unit.read_text()
    code = (
        "import os; from pathlib import Path; from hlsd.sound.encoder import SoundEncoder\n"
        "before = len(os.listdir('/proc/self/task')); e = SoundEncoder(2, 128000); e.anchor(0)\n"
        "assert e.silence(4096); print(len(os.listdir('/proc/self/task')) - before)"
    )
    for jail in (unit, strict):
        done = run("", "-m", "tests.support.confine", str(jail), sys.executable, "-c", code)
        assert done.returncode == 0, done.stderr.decode()
        assert jail is strict or int(done.stdout) == 0


@pytest.mark.thorough
def test_it_has_room_for_as_many_streams_as_are_let_in() -> None:
    settings = SoundSettings()
    command = [sys.executable, "-m", "hlsd.sound.worker", str(settings.audio_memory)]
    streams = range(1, settings.audio_streams + 1)
    octets = b"".join(wire.opening(stream, ORDER._replace(channels=2)) for stream in streams)
    octets += b"".join(wire.packet(stream, 20 * n, b"\x55" * 160) for n in range(10) for stream in streams)
    done = subprocess.run(command, input=octets, capture_output=True, check=False, timeout=120, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr[-300:]
    heard = [wire.read_answer(body) for kind, _, body in wire.reader().feed(done.stdout) if kind == wire.ANSWER]
    assert len(heard) == 10 * len(streams)
    assert sum(bool(told.frames) for told in heard[-5 * len(streams) :]) > len(streams)


def test_every_packet_is_answered_and_frames_follow_each_other() -> None:
    worker = Worker()
    octets = b"".join(wire.packet(7, 20 * n, b"\xd5" * 160) for n in range(100)) + wire.message(wire.CLOSE, 7)
    answers = ask(worker, wire.opening(7, ORDER) + octets)
    assert len(answers) == 101
    places = [frame.at for told in answers for frame in told.frames]
    assert places == [FRAME * n for n in range(-1, len(places) - 1)]
    assert 2 * 48_000 <= places[-1] + FRAME <= 2 * 48_000 + FRAME
    (after,) = ask(worker, wire.packet(7, 2_000, b"\xd5" * 160))
    assert after.flags == wire.UNABLE, "the stream is over"


@pytest.mark.thorough
@pytest.mark.parametrize("codec", SOUNDS)
def test_nothing_that_is_sent_makes_it_raise(codec: str) -> None:
    """Packets, configurations and times of random bytes; what comes out of it is bounded."""
    draw = random.Random(f"{codec} {first_seed()}")
    worker = Worker()
    for turn in range(6):
        config = draw.randbytes(draw.choice((0, 0, 19, 34, 60)))
        if codec == "opus" and turn % 2:
            config = b"OpusHead" + draw.randbytes(draw.choice((2, 11, 30)))
        form = SoundFormat(codec, config, draw.choice((0, 8_000, 44_100, 7)), draw.choice((0, 1, 2)))
        octets = wire.opening(1, wire.SoundOrder(form, 0, 128_000))
        ms = draw.randrange(1 << 33)
        for _ in range(40):
            ms = draw.choice((ms + 20, ms + 20, ms + 20, ms, ms + 700, ms - 50, draw.randrange(-(1 << 40), 1 << 40)))
            octets += wire.packet(1, ms, draw.randbytes(draw.choice((1, 7, 64, 200, 1_500))))
        answers = ask(worker, octets)
        assert len(answers) == 40
        assert sum(len(told.frames) for told in answers) < 40 * 120


def test_a_stream_that_takes_too_much_of_the_processor_is_held_back_for_a_while() -> None:
    allowance = CpuAllowance()
    assert not allowance.spent(1_000_000_000)
    allowance.take(BURST + 500_000_000)
    assert allowance.spent(1_000_000_001)
    assert allowance.spent(2_900_000_000)
    assert not allowance.spent(1_000_000_000 + int(0.51e9 / SHARE))


def test_messages_have_a_bound_and_answers_that_are_cut_are_none() -> None:
    with pytest.raises(ProtocolError):
        wire.reader().feed(b"\x02\x00\x00\x00\x01" + (wire.MESSAGE_LIMIT + 1).to_bytes(4, "big"))
    told = wire.Answer(wire.DRIFT, 2, 960, 12, [wire.Frame(-1_024, b"abc"), wire.Frame(1 << 40, b"")])
    ((_, _, body),) = wire.reader().feed(wire.answer(3, told))
    assert wire.read_answer(body) == told
    for cut in (4, len(body) - 8, len(body) - 1):
        with pytest.raises(ProtocolError):
            wire.read_answer(body[:cut])
    order = wire.SoundOrder(SoundFormat("opus", b"OpusHead\x01", 48_000, 2), 1, 64_000, -77)
    ((_, _, body),) = wire.reader().feed(wire.opening(3, order))
    assert wire.read_opening(body) == order


def test_who_has_taken_far_too_much_gets_not_even_silence() -> None:
    """A stamp of 18 bytes asks for a second and a half of it, and that has to be encoded."""
    worker = Worker()
    ask(worker, wire.opening(1, ORDER) + b"".join(wire.packet(1, 20 * n, b"\xd5" * 160) for n in range(20)))
    share = worker._streams[1][1]
    share.take(2 * BURST)
    (said,) = ask(worker, wire.packet(1, 1_400, b"\xd5"))
    assert (said.flags, said.frames) == (wire.OVER_BUDGET, [])


async def test_what_waits_for_the_process_is_bounded_with_all_that_says_what_it_is() -> None:
    """A publisher that changes its codec with each packet said so with each, and that was counted nowhere."""
    stats, forms = SoundStats(), [SoundFormat(codec, bytes(1000), 48_000, 2) for codec in ("opus", "flac")]
    process = SoundProcess(512 << 20, SystemClock(), structlog.get_logger(), stats, Faults())
    collected = Collected()
    sink = Normaliser(collected, 0.0)
    converter = Converter(process, sink, collected, SystemClock(), stats, 128_000, lambda: True)
    for number in range(2000):
        converter.take(forms[number % 2], number, bytes(10), 0.0)
    assert sum(map(len, process._early)) <= STREAM_BYTES
    assert stats.errors["full"] > 1000
    converter.close()
    await process.stop()
