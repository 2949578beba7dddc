"""Runs jobs as workflows of DBOS: what a step has done is remembered, so that a job goes on where its worker died.

DBOS holds the queue and the outcome of each step; what a job is, and whose, stands in the ledger. Law: a job is begun
by whoever takes it from the queue, and ended by whoever has it in the ledger. Of a dead worker's jobs DBOS by itself
does nothing: each worker looks for the dead, and one of them puts their jobs back into the queue. The version of the
application is constant: by default it is a hash of the code, and jobs from before an upgrade would wait for ever for a
worker of the old one.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID
from sqlalchemy.exc import SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from hlsd.record.remote.bucket import StoreFault
from hlsd.vod.callback import call_back
from hlsd.vod.film_store import bucket_of, remove
from hlsd.vod.folder import VodFolder
from hlsd.vod.job import FINAL, Cancelled, JobFailed, State
from hlsd.vod.ledger import JobLedger, ledger_urls
from hlsd.vod.plan import Probed
from hlsd.vod.presence import is_dead, machine, process
from hlsd.vod.settings import VodSettings
from hlsd.vod.workshop import Bench, outcome_of, root_of, swept

QUEUE: Final = "hlsd-vod"
VERSION: Final = "1"
"""Of the workflow: raised when its steps change in kind or order, after which older jobs fail."""
RUNS: Final = 5
"""Times that a job is begun: one that kills its worker each time is no good."""
LOST: Final = 75
"""Status of a worker that was taken for dead: whoever keeps it running begins it anew."""
AGAIN: Final = 5.0
"""Seconds before a step is done again that could not reach the ledger."""
KEPT: Final = 3600.0
"""Seconds for which DBOS remembers the workflow of a job that is over."""
POLL: Final = 0.5
"""Seconds between two looks into the queue."""


class Engine:
    """A worker's part of all jobs. One in a process, as DBOS is.

    `state` is the server's state folder.
    """

    def __init__(self, settings: VodSettings, state: Path, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._log = log
        self.folder = VodFolder(root_of(settings, state))
        self._bucket = bucket_of(settings, patient=True)
        jobs, self._workflows = ledger_urls(settings.database, str(state))
        self.ledger = JobLedger(jobs)
        self.worker = f"{socket.gethostname()[:40]}-{secrets.token_hex(6)}"
        self._machine = machine()
        self._process = process(os.getpid())
        self._run: Callable[[str], None] | None = None

    def start(self) -> None:
        """Begins to take jobs. Raises OSError, SQLAlchemyError."""
        self.folder.start()
        self.ledger.start()
        self.ledger.enlist(self.worker, self._machine, self._process, time.time())
        config: DBOSConfig = {
            "name": "hlsd-vod",
            "system_database_url": self._workflows,
            "application_version": VERSION,
            "executor_id": self.worker,
            "log_level": "ERROR",
            "notification_listener_polling_interval_sec": 1.0,
        }
        DBOS(config=config)
        self._run = self._workflow()
        DBOS.launch()
        most = self._settings.concurrency
        DBOS.register_queue(QUEUE, worker_concurrency=most, polling_interval_sec=POLL, on_conflict="always_update")

    def stop(self) -> None:
        """Ends this process's part: others may have its jobs from now on. The process is to end at once."""
        self.ledger.leave(self.worker)

    # -- what a worker does again and again

    def beat(self) -> None:
        """Says that this worker lives; where it was taken for dead, it ends: another one has its jobs."""
        if not self.ledger.beat(self.worker, time.time()):
            self._lost()

    def _lost(self) -> NoReturn:
        """Ends the process, which kills its children: nothing that it has begun may be finished by it."""
        self._log.error("this worker was taken for dead, and ends: another one has its jobs", worker=self.worker)
        os._exit(LOST)

    def feed(self) -> None:
        """Gives jobs that are new to the queue; it takes each once, whoever gives it."""
        assert self._run is not None
        for ident, priority in self.ledger.unqueued():
            with SetWorkflowID(ident), SetEnqueueOptions(priority=priority):
                DBOS.enqueue_workflow(QUEUE, self._run, ident)
            self.ledger.queue(ident)

    def reap(self) -> None:
        """Puts the jobs of dead workers back into the queue."""
        for worker in self.ledger.workers():
            now = time.time()
            if worker.id == self.worker or not is_dead(worker, now):
                continue
            if not self.ledger.reap(worker.id, self.worker, now, worker.beat):
                continue
            left = DBOS.list_workflows(status="PENDING", executor_id=worker.id, load_input=False, load_output=False)
            for one in left:
                DBOS.resume_workflow(one.workflow_id, queue_name=QUEUE)
            self.ledger.bury(worker.id)
            self._log.warning("a worker is gone, its jobs are taken over", worker=worker.id, jobs=len(left))

    def tidy(self) -> None:
        """Forgets what DBOS remembers of jobs that were over long ago: the ledger has what came of them."""
        over = datetime.fromtimestamp(time.time() - KEPT, UTC).isoformat()
        found = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED"],
            completed_before=over,
            limit=100,
            load_input=False,
            load_output=False,
        )
        if found:
            DBOS.delete_workflows([one.workflow_id for one in found])

    # -- a job

    def _workflow(self) -> Callable[[str], None]:
        """The workflow, made known to DBOS. It is the same each time, given what its steps have said."""

        @DBOS.workflow(name="vod_job")
        def run(ident: str) -> None:
            try:
                do("fetch", self._fetch, ident)
                film = do("probe", self._probe, ident)
                made = do("make", self._make, ident, film)
                pictures = do("covers", self._covers, ident, film, made["duration"])
                do("publish", self._publish, ident, made, pictures)
            except JobFailed as error:
                do("fail", self._fail, ident, error.code, str(error))
            do("tell", self._tell, ident)

        def do(name: str, step: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401 - JSON, as DBOS remembers it
            said = DBOS.run_step({"name": name}, self._said, step, *given)
            if "failed" in said:
                raise JobFailed(*said["failed"])
            return said["done"]

        return run

    def _said(self, step: Callable[..., Any], *given: Any) -> dict[str, Any]:  # noqa: ANN401 - as `do`
        """What came of a step, as a value: DBOS would remember an exception as a pickle of it."""
        while True:
            try:
                return {"done": step(*given)}
            except JobFailed as error:
                return {"failed": [error.code, str(error)]}
            except Cancelled:
                return {"failed": ["cancelled", "cancelled"]}
            except SQLAlchemyError as error:
                self._log.warning("the jobs cannot be had for now", reason=str(error).partition("\n")[0][:200])
                time.sleep(AGAIN)
            except Exception:  # noqa: BLE001 - it costs this job, not the worker
                self._log.exception("a step of a job is at fault")
                return {"failed": ["internal", "a fault of the server's; its log has more"]}

    def _bench(self, ident: str) -> Bench:
        """The job, which is this worker's from now on. Raises JobFailed, Cancelled."""
        runs = self.ledger.take(ident, self.worker, _now())
        job = self.ledger.get(ident)
        if job is None or job.state in FINAL:
            raise Cancelled("cancelled")
        if not runs:
            self._lost()
        if runs > RUNS:
            raise JobFailed("worker_lost", f"{RUNS} workers have died of it")
        return Bench(job, self._settings, self.ledger, self.folder, self.worker, self._lost)

    def _fetch(self, ident: str) -> int:
        return self._bench(ident).fetch()

    def _probe(self, ident: str) -> dict[str, Any]:
        return self._bench(ident).probe()

    def _make(self, ident: str, film: dict[str, Any]) -> dict[str, Any]:
        return self._bench(ident).make(Probed.read(film))

    def _covers(self, ident: str, film: dict[str, Any], duration: float) -> int:
        return self._bench(ident).covers(Probed.read(film), duration)

    def _publish(self, ident: str, made: dict[str, Any], covers: int) -> None:
        self._bench(ident).publish(self._bucket)
        if self.ledger.finish(ident, self.worker, "done", _now(), outcome=outcome_of(made, covers)):
            self._log.info("job done", job=ident)
            if self._bucket is not None:
                swept(self.folder, ident)  # it is in the store

    def _fail(self, ident: str, code: str, words: str) -> None:
        self.ledger.take(ident, self.worker, _now())
        swept(self.folder, ident)
        self._taken_back(ident)
        state: State = "cancelled" if code == "cancelled" else "failed"
        if self.ledger.finish(ident, self.worker, state, _now(), code=code, error=words):
            self._log.info("job over", job=ident, state=state, code=code, reason=words)

    def _taken_back(self, ident: str) -> None:
        """What may have come into the store of a job that came to nothing goes."""
        job = self.ledger.get(ident)
        if self._bucket is None or job is None or job.state in FINAL or job.step != "publish":
            return
        try:
            asyncio.run(remove(self._bucket, ident))
        except StoreFault as error:
            self._log.warning("what is in the store of a job that failed stays there", job=ident, reason=str(error))

    def _tell(self, ident: str) -> None:
        job = self.ledger.get(ident)
        if job is not None and job.state in FINAL and job.wish.callback:
            call_back(job, self._settings, self._log)


def _now() -> int:
    return int(time.time() * 1000)
