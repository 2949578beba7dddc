"""Says what a job looks like to those who ask for it: in the API, in callbacks, on the page. Pure."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel

from hlsd.base import masking
from hlsd.vod.job import LeftOut, RenditionMade, SoundMade, State, TextMade, Tried, VodJob


class PlaceView(BaseModel, defer_build=True):
    """Where what was made is, as paths of the server."""

    playlist: str
    files: dict[str, str]
    """By the rendition's name."""
    covers: list[str]


class JobView(BaseModel, defer_build=True):
    """A job. Times in ms of the epoch, `speed` in seconds of media a second, `eta` in seconds; 0: not known."""

    id: str
    state: State
    title: str
    source: str
    """`file`, `url` or `upload`, and which one, without secrets."""
    createtime: int
    started: int
    endtime: int
    step: str
    percent: float
    speed: float
    eta: float
    priority: int
    code: str
    error: str
    tries: list[Tried]
    duration_ms: int
    bytes: int
    damaged: bool
    renditions: list[RenditionMade]
    texts: list[TextMade]
    """Tracks of text, as WebVTT."""
    sounds: list[SoundMade]
    """Tracks of sound that can be chosen, where there are several."""
    left_out: list[LeftOut]
    """Tracks of sound that are not there, and why."""
    places: PlaceView | None

    @classmethod
    def of(cls, job: VodJob, app: str) -> Self:
        """The view of a job whose film is played below `app`."""
        wish, outcome = job.wish, job.outcome
        source = f"file {wish.file}" if wish.file else f"upload {wish.upload}"
        if wish.url:
            source = f"url {masking.address(wish.url)}"
        made = outcome.renditions if outcome is not None else []
        base = f"/{app}/{job.id}/v"
        return cls(
            id=job.id,
            state=job.state,
            title=wish.title,
            source=source,
            createtime=job.created,
            started=job.started,
            endtime=job.ended,
            step=job.step if job.state == "running" else "",
            percent=round(job.percent, 1),
            speed=job.speed,
            eta=job.eta,
            priority=wish.priority,
            code=job.code,
            error=job.error,
            tries=job.tries,
            duration_ms=outcome.duration_ms if outcome is not None else 0,
            bytes=sum(one.bytes for one in made),
            damaged=outcome is not None and outcome.damaged,
            renditions=made,
            texts=outcome.texts if outcome is not None else [],
            sounds=outcome.sounds if outcome is not None else [],
            left_out=outcome.left_out if outcome is not None else [],
            places=PlaceView(
                playlist=f"{base}/index.m3u8",
                files={one.name: f"{base}/{one.file}.mp4" for one in made},
                covers=[f"{base}/{at}.jpg" for at in range(outcome.covers)],
            )
            if outcome is not None
            else None,
        )
