"""Does the steps of a job, each so that doing it again harms nothing. Blocks: for the thread of a job.

fetch ─► probe ─► make ─► covers ─► publish. Law: what a step leaves is in the job's `.tmp`, and whole or not there; a
step that may go right the next time is tried `TRIES` times, and each reason is kept; nothing is written for a job that
another worker has, or that nobody wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from hlsd.base.errors import MediaError
from hlsd.base.quantities import in_mib
from hlsd.media.unit import TICKS
from hlsd.record.boxes import BadBox
from hlsd.record.remote.bucket import Bucket, StoreFault
from hlsd.record.repair import reader
from hlsd.record.segments import Segments
from hlsd.record.shape import Layout, Read, open_layout, scan, walk
from hlsd.record.track_choice import tracks_of
from hlsd.vod.codec_names import codecs_of
from hlsd.vod.fetch import awaited, fetch, way_out
from hlsd.vod.fetch_playlist import fetch_playlist, is_playlist
from hlsd.vod.film_store import bring
from hlsd.vod.folder import SOURCE, TMP, VodFolder, below
from hlsd.vod.forms import LOOK, form_of
from hlsd.vod.job import (
    Cancelled,
    FilmOutcome,
    JobFailed,
    LeftOut,
    Progress,
    RenditionMade,
    SoundMade,
    TextMade,
    Tried,
    TryAgain,
    VodJob,
    cover_at,
)
from hlsd.vod.ledger import JobLedger
from hlsd.vod.media import carry_out
from hlsd.vod.orders import MediaOrder
from hlsd.vod.plan import MOST_TEXT, RANGES, PlannedRendition, Probed, examine, plan
from hlsd.vod.settings import VodSettings
from hlsd.vod.sound_tracks import left_out, sounds_made
from hlsd.vod.text_tracks import texts_made

T = TypeVar("T")
TRIES: Final = 3
PAUSE: Final = 2.0
"""Seconds before the second try, and twice as many before each further one."""
TELL: Final = 0.5
"""Seconds between two words on how far a job is."""
PROBE_SECONDS: Final = 60
"""Of the processor, for a look at a film."""


class Bench:
    """One job under way. `worker` is whose it is; `lost()` is called, and does not return, when it is not any more."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        job: VodJob,
        settings: VodSettings,
        ledger: JobLedger,
        folder: VodFolder,
        worker: str,
        lost: Callable[[], None],
    ) -> None:
        self.job = job
        self._settings = settings
        self._ledger = ledger
        self._folder = folder
        self._worker = worker
        self._lost = lost
        self._step = ""
        self._began = 0.0
        self._told = 0.0

    # -- steps

    def fetch(self) -> int:
        """Brings the film into the job's folder; its bytes."""
        return self._tried("fetch", self._fetch)

    def probe(self) -> dict[str, Any]:
        """What the film is."""
        return self._tried("probe", self._probe)._asdict()

    def make(self, film: Probed) -> dict[str, Any]:
        """Makes the renditions; what came of them."""
        return self._tried("make", lambda: self._make(film))

    def covers(self, film: Probed, duration: float) -> int:
        """Makes the pictures; how many there are."""
        return self._tried("covers", lambda: self._covers(film, duration))

    def publish(self, bucket: Bucket | None) -> None:
        """All of it is there from now on, or in the store and in `.tmp` still."""
        self._tried("publish", lambda: self._publish(bucket))

    def _publish(self, bucket: Bucket | None) -> None:
        if bucket is None:
            self._folder.publish(self.job.id)
            return
        work = bring(bucket, self._folder, self.job.id, lambda done, of: self._tell(100 * done / of))
        try:
            asyncio.run(awaited(work, self.wanted))
        except StoreFault as error:
            raise TryAgain(str(error)) from None

    # -- how they are done

    def _fetch(self) -> int:
        wish, ident = self.job.wish, self.job.id
        if wish.upload:
            if not self._folder.take_upload(wish.upload, ident):
                raise JobFailed("no_such_upload", "there is no such upload, or it expired")
        elif wish.file:
            self._take_file(wish.file)
        else:
            self._room()
            dial, grow = way_out(self._settings), partial(self._folder.grow, ident)
            if is_playlist(wish.url):
                enough, longest = partial(self._ledger.is_enough, ident), wish.max_duration
                fetch_playlist(wish.url, self._settings, dial, grow, self.wanted, self._fetched, enough, longest)
            else:
                fetch(wish.url, self._settings, dial, grow, self.wanted, self._fetched)
            folder = self._folder.open_tmp(ident)
            try:
                os.rename(SOURCE + TMP, SOURCE, src_dir_fd=folder, dst_dir_fd=folder)
            except FileNotFoundError:
                os.stat(SOURCE, dir_fd=folder)  # it was fetched before
            finally:
                os.close(folder)
        fd = self._source()
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _take_file(self, path: str) -> None:
        """Looks whether the file may be read; it stays where it is."""
        fd = self._open_file(path)
        os.close(fd)

    def _open_file(self, path: str) -> int:
        try:
            fd = below(self._settings.roots, path)
        except ValueError as error:
            raise JobFailed("forbidden_file", str(error)) from None
        except OSError as error:
            raise JobFailed("no_such_file", f"the file cannot be read: {error.strerror}") from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise JobFailed("no_such_file", "it is no file")
        if found.st_size > self._settings.max_bytes:
            os.close(fd)
            raise JobFailed("too_large", f"it has more than {in_mib(self._settings.max_bytes)}")
        return fd

    def _source(self) -> int:
        """A descriptor to read the film by."""
        if self.job.wish.file:
            return self._open_file(self.job.wish.file)
        return self._folder.source(self.job.id)

    def _fetched(self, done: int, of: int) -> None:
        if time.monotonic() - self._told >= TELL:
            self._room()
        self._tell(100 * done / of if of else 0.0)

    def _probe(self) -> Probed:
        fd = self._source()
        try:
            form = form_of(os.pread(fd, LOOK, 0))
            said = self._order(MediaOrder("probe", fd, form, self._settings.memory, 0, PROBE_SECONDS))
            film = Probed.read(said["film"])
            examine(film, self._settings.max_duration)
        except MediaError as error:
            raise JobFailed("bad_media", str(error)) from None
        finally:
            os.close(fd)
        return film

    def _make(self, film: Probed) -> dict[str, Any]:
        self._room()
        planned = plan(film, self.job.wish.renditions)
        fd, outputs = self._source(), list[int]()
        try:
            for at in range(len(planned)):
                outputs.append(self._folder.make(self.job.id, f"{self.job.id}{at}.mp4"))
            settings = self._settings
            # A second of the processor for each second of media and rendition is ten times what 1080p takes
            seconds = 600 + int(len(planned) * 20 * max(film.duration, 60.0))
            order = MediaOrder(
                "make", fd, film.form, settings.memory, settings.max_bytes, seconds, outputs, planned,
                ident=self.job.id, app=settings.app, duration=film.duration, rotation=film.rotation,
                threads=settings.threads, preset=settings.preset, crf=settings.crf,
            )  # fmt: skip
            said = self._order(order, film.duration)
            made = [
                self._described(out, at, one, film) for at, (out, one) in enumerate(zip(outputs, planned, strict=True))
            ]
            for out in outputs:
                os.fsync(out)
        finally:
            for one in (fd, *outputs):
                os.close(one)
        duration = max(float(one["duration"]) for one in said["files"])
        texts, torn = self._texts(film, duration)
        lost = {int(track): str(why) for track, why in said["lost"].items()}
        shown = next((one.file for one in made if one.width), "")
        sounds = sounds_made(shown, film.sounds, lost) if shown else []
        if duration > self._settings.max_duration:
            raise JobFailed("bad_media", f"it lasts {duration:.0f} s; {self._settings.max_duration:.0f} s is the most")
        return {
            "duration": duration,
            "damaged": bool(said["damaged"]) or torn,
            "renditions": [one.model_dump() for one in made],
            "texts": [one.model_dump() for one in texts],
            "sounds": [one.model_dump() for one in sounds],
            "left_out": [one.model_dump() for one in left_out(film, lost)],
        }

    def _texts(self, film: Probed, duration: float) -> tuple[list[TextMade], bool]:
        """Tracks of text, of which those count that say something; and whether they could not be read."""
        if not film.texts:
            return [], False
        ident, fd, outputs = self.job.id, self._source(), list[int]()
        try:
            for at in range(len(film.texts)):
                outputs.append(self._folder.make(ident, f"{ident}s{at}.vtt"))
            memory, most = self._settings.memory, MOST_TEXT
            order = MediaOrder("text", fd, film.form, memory, most, 600, outputs, texts=film.texts)
            cues = self._order(order, duration)["cues"]
        except JobFailed:
            return [], True  # the film is there, and it is said that it is damaged
        finally:
            for one in (fd, *outputs):
                os.close(one)
        return texts_made(ident, film.texts, cues), False

    def _described(self, fd: int, at: int, made: PlannedRendition, film: Probed) -> RenditionMade:
        size = os.fstat(fd).st_size
        try:
            layout: Layout = scan(reader(fd), size)
        except BadBox as error:
            raise TryAgain(f"what was made cannot be read: {error}") from None
        found = Segments(layout.fragments)
        found.grow(whole=True)
        peak = max((one.size * 8 * TICKS / max(1, one.end - one.start) for one in found), default=0)
        if made.further:
            peak = peak_of_one_sound(reader(fd), size, found)
        rate = film.frame_rate if made.copy_video else min(film.frame_rate, 60.0)
        return RenditionMade(
            name=made.name,
            file=f"{self.job.id}{at}",
            bytes=size,
            width=made.width,
            height=made.height,
            frame_rate=round(rate, 3) if made.width else 0.0,
            codecs=codecs_of(layout.init),
            bandwidth=max(1, round(peak)),
            copied=made.copy_video,
            video_range=(RANGES.get(film.transfer, "SDR") if made.copy_video else "SDR") if made.width else "",
        )

    def _covers(self, film: Probed, duration: float) -> int:
        times = [cover_at(text, duration) for text in self.job.wish.covers]
        if not times or not film.video:
            return 0
        fd, outputs = self._source(), list[int]()
        try:
            for at in range(len(times)):
                outputs.append(self._folder.make(self.job.id, f"{at}.jpg"))
            settings = self._settings
            order = MediaOrder(
                "cover", fd, film.form, settings.memory, 16 << 20, 60 * len(times) + 60, outputs, covers=times,
                rotation=film.rotation,
            )  # fmt: skip
            return int(self._order(order)["covers"])
        finally:
            for one in (fd, *outputs):
                os.close(one)

    # -- what all of them do

    def wanted(self) -> bool:
        """Whether somebody wants the job; if it is not this worker's any more, it ends."""
        standing = self._ledger.standing(self.job.id, self._worker)
        if standing == "lost":
            self._lost()
        return standing == "wanted"

    def _order(self, order: MediaOrder, duration: float = 0.0) -> dict[str, Any]:
        os.lseek(order.source, 0, os.SEEK_SET)
        return carry_out(order, self.wanted, lambda at: self._tell(100 * at / duration if duration else 0.0, at))

    def _room(self) -> None:
        if self._folder.free < self._settings.min_free:
            raise TryAgain("less is free on the disk than vod.min_free")

    def _tell(self, percent: float, media: float = 0.0) -> None:
        now = time.monotonic()
        if now - self._told < TELL and percent:
            return
        self._told = now
        percent = min(99.9, max(0.0, percent))
        spent = now - self._began
        eta = spent * (100 - percent) / percent if percent > 1 else 0.0
        speed = media / spent if spent > 0.5 else 0.0
        self._ledger.progress(self.job.id, self._worker, Progress(self._step, percent, round(speed, 2), round(eta, 1)))

    def _tried(self, step: str, do: Callable[[], T]) -> T:
        """Does a step, again if that may help. Raises JobFailed, Cancelled."""
        self._step, self._told = step, 0.0
        for number in range(1, TRIES + 1):
            if not self.wanted():
                raise Cancelled("cancelled")
            self._began = time.monotonic()
            self._tell(0.0)
            try:
                return do()
            except (TryAgain, OSError) as error:
                words = str(error) if isinstance(error, TryAgain) else f"{step}: {error.strerror or error}"
                if number == TRIES:
                    raise JobFailed(f"{step}_failed", f"{words} (tried {TRIES} times)") from None
                self._ledger.tried(
                    self.job.id, self._worker, Tried(step=step, at=int(time.time() * 1000), reason=words)
                )
                self._wait(PAUSE * 2 ** (number - 1))
        raise AssertionError

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self.wanted():
            time.sleep(min(left, 0.25))


def peak_of_one_sound(read: Read, size: int, found: Segments) -> float:
    """Bits a second of the segment with the most, with the largest of its tracks of sound alone. Raises BadBox."""
    layout = open_layout(read)
    sound = frozenset(tracks_of(layout.init)[1])
    more = []  # of each fragment: where it is, and the bytes of its other tracks of sound
    for fragment, runs in walk(read, layout, size):
        sizes = [sum(run.sizes) for run in runs if run.track in sound]
        more.append((fragment.offset, sum(sizes) - max(sizes, default=0)))
    peak, rest = 0.0, iter(more)
    one = next(rest, None)
    for span in found:
        less = 0
        while one is not None and one[0] < span.offset + span.size:
            less, one = less + one[1], next(rest, None)
        peak = max(peak, (span.size - less) * 8 * TICKS / max(1, span.end - span.start))
    return peak


def outcome_of(made: dict[str, Any], covers: int) -> FilmOutcome:
    """What came of a job."""
    renditions = [RenditionMade.model_validate(one) for one in made["renditions"]]
    duration = round(made["duration"] * 1000)
    texts = [TextMade.model_validate(one) for one in made.get("texts", ())]
    sounds = [SoundMade.model_validate(one) for one in made.get("sounds", ())]
    without = [LeftOut.model_validate(one) for one in made.get("left_out", ())]
    return FilmOutcome(
        duration_ms=duration, renditions=renditions, covers=covers, damaged=made["damaged"], texts=texts,
        sounds=sounds, left_out=without,
    )  # fmt: skip


def root_of(settings: VodSettings, state: Path) -> Path:
    """Where everything is made."""
    return settings.dir or state / "vod"


def swept(folder: VodFolder, ident: str) -> None:
    """What a job has left that came to nothing is removed."""
    with contextlib.suppress(OSError):
        folder.remove_tmp(ident)
