"""Keeps every job: one table that the server and all workers read and write, in SQLite or PostgreSQL.

Law: whoever changes a job says in the same statement what it must be like for that, so that of two who do one thing
one has done it. A job that is over is never changed again, but for being forgotten. Every call blocks: for a thread.
`version` rises with each change, for those who wait for one.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, Final, Literal

import sqlalchemy as sa
from pydantic import SecretStr, ValidationError

from hlsd.base.errors import HlsdError
from hlsd.vod.job import FINAL, MOST_TRIES, FilmOutcome, Progress, State, Tried, VodJob, Wish

PATIENCE: Final = 10.0
"""Seconds that SQLite waits for another who writes."""
_META: Final = sa.MetaData()
_JOBS: Final = sa.Table(
    "hlsd_jobs",
    _META,
    sa.Column("id", sa.String(23), primary_key=True),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("wish", sa.Text, nullable=False),
    sa.Column("callback_form", sa.String(4), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("started", sa.BigInteger, nullable=False, default=0),
    sa.Column("ended", sa.BigInteger, nullable=False, default=0),
    sa.Column("step", sa.String(16), nullable=False, default=""),
    sa.Column("percent", sa.Float, nullable=False, default=0.0),
    sa.Column("speed", sa.Float, nullable=False, default=0.0),
    sa.Column("eta", sa.Float, nullable=False, default=0.0),
    sa.Column("worker", sa.String(64), nullable=False, default=""),
    sa.Column("runs", sa.Integer, nullable=False, default=0),
    sa.Column("code", sa.String(32), nullable=False, default=""),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("tries", sa.Text, nullable=False, default="[]"),
    sa.Column("outcome", sa.Text, nullable=False, default=""),
    sa.Column("version", sa.BigInteger, nullable=False, default=0),
    sa.Column("queued", sa.Boolean, nullable=False, default=False),
    sa.Column("unwanted", sa.Boolean, nullable=False, default=False),
    sa.Column("told", sa.Boolean, nullable=False, default=False),
    sa.Index("hlsd_jobs_by_state", "state", "id"),
)
_WORKERS: Final = sa.Table(
    "hlsd_workers",
    _META,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("machine", sa.String(128), nullable=False),
    sa.Column("process", sa.String(64), nullable=False),
    sa.Column("beat", sa.Float, nullable=False),
    sa.Column("reaper", sa.String(64), nullable=False, default=""),
    sa.Column("reaped", sa.Float, nullable=False, default=0.0),
)
_ENOUGH: Final = sa.Table("hlsd_enough", _META, sa.Column("id", sa.String(23), primary_key=True))
"""Jobs whose recording is to end."""
_SEEN: Final = [column for column in _JOBS.columns if column.name in VodJob.model_fields]


class QuotaFull(HlsdError):
    """Whoever asks has as many jobs waiting or under way as it may have."""


class LedgerWorker:
    """A worker as it stands in the ledger: `process` names it on its machine, `beat` is when it was last heard of."""

    def __init__(self, row: Any) -> None:  # noqa: ANN401 - a row of SQLAlchemy's
        self.id: str = row.id
        self.machine: str = row.machine
        self.process: str = row.process
        self.beat: float = row.beat


class JobLedger:
    """The jobs at `url`, of SQLAlchemy's form. Everything raises sqlalchemy.exc.SQLAlchemyError if it cannot be had."""

    def __init__(self, url: str) -> None:
        if url.startswith("postgresql://"):
            url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self._engine = sa.create_engine(url, pool_size=4, max_overflow=4, pool_pre_ping=True, hide_parameters=True)
        self._lite = self._engine.dialect.name == "sqlite"
        if self._lite:
            sa.event.listen(self._engine, "connect", _calm)

    def start(self) -> None:
        """Makes the tables where there are none."""
        with self._engine.begin() as connection:
            if not self._lite:  # two who begin at once would both make them
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7405680021)"))
            _META.create_all(connection)

    def close(self) -> None:
        """Lets go of it."""
        self._engine.dispose()

    # -- who asks for jobs

    def add(self, job: VodJob, quota: int) -> None:
        """Takes a new job in. Raises QuotaFull."""
        row = job.model_dump(include={"id", "owner", "state", "callback_form", "created"})
        row |= {"wish": job.wish.model_dump_json(), "priority": job.wish.priority, "version": 1}
        with self._engine.begin() as connection:
            if not self._lite:  # or two of one owner would both see the last free place
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:owner))"), {"owner": job.owner})
            else:
                connection.execute(sa.text("UPDATE hlsd_workers SET beat = beat WHERE id = ''"))  # it writes: locked
            waiting = _JOBS.c.state.notin_(FINAL) & (_JOBS.c.owner == job.owner)
            if (connection.scalar(sa.select(sa.func.count()).where(waiting)) or 0) >= quota:
                raise QuotaFull(f"{quota} jobs of this token wait or are under way already")
            connection.execute(_JOBS.insert().values(row))

    def get(self, ident: str) -> VodJob | None:
        """A job."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(*_SEEN).where(_JOBS.c.id == ident)).first()
        return _job(row) if row is not None else None

    def page(self, *, state: str = "", owner: str = "", after: str = "", most: int = 100) -> list[VodJob]:
        """Jobs, the newest first, after the one of that id."""
        asked = sa.select(*_SEEN).order_by(_JOBS.c.id.desc()).limit(most)
        if state:
            asked = asked.where(_JOBS.c.state == state)
        if owner:
            asked = asked.where(_JOBS.c.owner == owner)
        if after:
            asked = asked.where(_JOBS.c.id < after)
        with self._engine.connect() as connection:
            return [job for row in connection.execute(asked) if (job := _job(row)) is not None]

    def cancel(self, ident: str, now_ms: int) -> bool:
        """It is not wanted any more; False if it is over already, or not there. One that waits is over at once."""
        over = {"state": "cancelled", "ended": now_ms, "code": "cancelled", "error": "cancelled"}
        return self._set(ident, _JOBS.c.state == "queued", **over) or self._set(
            ident, _JOBS.c.state == "running", unwanted=True
        )

    def forget(self, ident: str) -> bool:
        """Takes a job that is over out; whether it was there."""
        self._run(_ENOUGH.delete().where(_ENOUGH.c.id == ident))
        return self._run(_JOBS.delete().where(_JOBS.c.id == ident, _JOBS.c.state.in_(FINAL)))

    def enough(self, ident: str) -> None:
        """What a live playlist has brought so far is to be the film."""
        with contextlib.suppress(sa.exc.IntegrityError), self._engine.begin() as connection:
            connection.execute(_ENOUGH.insert().values(id=ident))  # or it was said before

    def is_enough(self, ident: str) -> bool:
        """Whether that was said."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(_ENOUGH.c.id).where(_ENOUGH.c.id == ident)) is not None

    def untold(self, most: int = 100) -> list[VodJob]:
        """Jobs that are over, and nobody was told yet."""
        asked = sa.select(*_SEEN).where(_JOBS.c.state.in_(FINAL), _JOBS.c.told.is_(False)).limit(most)
        with self._engine.connect() as connection:
            return [job for row in connection.execute(asked) if (job := _job(row)) is not None]

    def tell(self, ident: str) -> bool:
        """Whoever gets True tells of its end, and nobody else."""
        return self._run(_JOBS.update().where(_JOBS.c.id == ident, _JOBS.c.told.is_(False)).values(told=True))

    def counts(self) -> dict[str, int]:
        """How many jobs there are, by state."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_JOBS.c.state, sa.func.count()).group_by(_JOBS.c.state))
            return {state: count for state, count in rows}  # noqa: C416 - rows are no pairs to mypy

    def surplus(self, most: int) -> list[str]:
        """Ids of what failed or was cancelled beyond the newest `most`, a hundred at a time."""
        gone = _JOBS.c.state.in_(("failed", "cancelled")) & _JOBS.c.told.is_(True)
        asked = sa.select(_JOBS.c.id).where(gone).order_by(_JOBS.c.id.desc()).offset(most).limit(100)
        with self._engine.connect() as connection:
            return list(connection.execute(asked).scalars())

    # -- workers

    def unqueued(self, most: int = 100) -> list[tuple[str, int]]:
        """Ids and priorities of jobs that no queue knows yet, the oldest first."""
        asked = sa.select(_JOBS.c.id, _JOBS.c.priority).where(_JOBS.c.state == "queued", _JOBS.c.queued.is_(False))
        with self._engine.connect() as connection:
            rows = connection.execute(asked.order_by(_JOBS.c.id).limit(most))
            return [(row.id, row.priority) for row in rows]

    def queue(self, ident: str) -> None:
        """A queue knows it now."""
        self._run(_JOBS.update().where(_JOBS.c.id == ident).values(queued=True))

    def take(self, ident: str, worker: str, now_ms: int) -> int:
        """The worker has it from now on; how many have had it so far. 0: it is over, or the worker was buried."""
        lives = sa.exists().where(_WORKERS.c.id == worker, _WORKERS.c.reaper == "")
        taken = _JOBS.update().where(_JOBS.c.id == ident, _JOBS.c.state.notin_(FINAL), lives)
        values = {
            "state": "running",
            "worker": worker,
            "runs": _JOBS.c.runs + sa.case((_JOBS.c.worker == worker, 0), else_=1),
            "started": sa.case((_JOBS.c.started > 0, _JOBS.c.started), else_=now_ms),
            "version": _JOBS.c.version + 1,
        }
        with self._engine.begin() as connection:
            if not connection.execute(taken.values(values)).rowcount:
                return 0
            return int(connection.scalar(sa.select(_JOBS.c.runs).where(_JOBS.c.id == ident)) or 0)

    def standing(self, ident: str, worker: str) -> Literal["wanted", "unwanted", "lost"]:
        """Whether somebody wants it, and whether it is the worker's still."""
        asked = sa.select(_JOBS.c.state, _JOBS.c.worker, _JOBS.c.unwanted).where(_JOBS.c.id == ident)
        with self._engine.connect() as connection:
            row = connection.execute(asked).first()
        if row is None or row.unwanted:
            return "unwanted"
        return "wanted" if row.state == "running" and row.worker == worker else "lost"

    def progress(self, ident: str, worker: str, said: Progress) -> bool:
        """How far it is; False if it is not the worker's any more."""
        return self._set(ident, self._mine(worker), **said._asdict())

    def tried(self, ident: str, worker: str, one: Tried) -> None:
        """A try went wrong."""
        with self._engine.begin() as connection:
            text = connection.scalar(sa.select(_JOBS.c.tries).where(_JOBS.c.id == ident))
            tries = [*json.loads(text or "[]"), one.model_dump()][-MOST_TRIES:]
            values = {"tries": json.dumps(tries), "version": _JOBS.c.version + 1}
            connection.execute(_JOBS.update().where(_JOBS.c.id == ident, self._mine(worker)).values(values))

    def finish(  # noqa: PLR0913 - what an end is made of
        self,
        ident: str,
        worker: str,
        state: State,
        now_ms: int,
        *,
        code: str = "",
        error: str = "",
        outcome: FilmOutcome | None = None,
    ) -> bool:
        """It is over; False if it was already, or is another worker's."""
        came = outcome.model_dump_json() if outcome is not None else ""
        percent = {"percent": 100.0} if state == "done" else {}
        ended: dict[str, Any] = {"state": state, "ended": now_ms, "code": code, "error": error[:500], "outcome": came}
        return self._set(ident, self._mine(worker), **ended, **percent, speed=0.0, eta=0.0)

    # -- whether workers live

    def enlist(self, worker: str, machine: str, process: str, now: float) -> None:
        """A worker is there."""
        values = {"id": worker, "machine": machine, "process": process, "beat": now, "reaper": "", "reaped": 0.0}
        with self._engine.begin() as connection:
            connection.execute(_WORKERS.insert().values(values))

    def beat(self, worker: str, now: float) -> bool:
        """The worker lives; False: it is too late to say so."""
        return self._run(_WORKERS.update().where(_WORKERS.c.id == worker, _WORKERS.c.reaper == "").values(beat=now))

    def leave(self, worker: str) -> None:
        """The worker ends by itself: what it has is others' at once."""
        self._run(_WORKERS.update().where(_WORKERS.c.id == worker).values(machine="", beat=0.0))

    def workers(self) -> list[LedgerWorker]:
        """All that have not been buried."""
        with self._engine.connect() as connection:
            return [LedgerWorker(row) for row in connection.execute(sa.select(_WORKERS))]

    def reap(self, dead: str, reaper: str, now: float, beat: float) -> bool:
        """Whoever gets True takes what a dead worker had, and buries it; `beat` is when it was last heard of."""
        free = (_WORKERS.c.reaper == "") | (_WORKERS.c.reaped < now - 60.0)  # who reaped it may be dead as well
        same = (_WORKERS.c.id == dead) & (_WORKERS.c.beat == beat) & free
        return self._run(_WORKERS.update().where(same).values(reaper=reaper, reaped=now))

    def bury(self, dead: str) -> None:
        """Nothing is left of it."""
        self._run(_WORKERS.delete().where(_WORKERS.c.id == dead))

    # --

    @staticmethod
    def _mine(worker: str) -> sa.ColumnElement[bool]:
        return (_JOBS.c.state == "running") & (_JOBS.c.worker == worker)

    def _set(self, ident: str, like: sa.ColumnElement[bool], **values: object) -> bool:
        changed = _JOBS.update().where(_JOBS.c.id == ident, like)
        return self._run(changed.values(**values, version=_JOBS.c.version + 1))

    def _run(self, statement: sa.Update | sa.Delete) -> bool:
        with self._engine.begin() as connection:
            return bool(connection.execute(statement).rowcount)


def _job(row: Any) -> VodJob | None:  # noqa: ANN401 - a row of SQLAlchemy's
    """The job of a row; None if it cannot be read."""
    said: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - that is what it is called
    try:
        said["wish"] = Wish.model_validate_json(said["wish"])
        said["tries"] = json.loads(said["tries"])
        said["outcome"] = FilmOutcome.model_validate_json(said["outcome"]) if said["outcome"] else None
        return VodJob.model_validate(said)
    except (ValidationError, ValueError):
        return None


def _calm(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own
    """Readers wait for nobody, writers for one another."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA busy_timeout={int(PATIENCE * 1000)}")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def ledger_urls(database: SecretStr | None, state: str) -> tuple[str, str]:
    """Where the jobs are, and where DBOS has its own: `database`, or files in the folder `state`."""
    if database is not None:
        return database.get_secret_value(), database.get_secret_value()
    return f"sqlite:///{state}/jobs.sqlite", f"sqlite:///{state}/workflows.sqlite"
