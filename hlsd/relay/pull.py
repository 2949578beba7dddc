"""Brings one stream from elsewhere, from the first try until it is stopped: tries, failover, back-off, no-data timeout.

Law: at most one connection at a time; the addresses of a plan are tried in order at once, and only when all have failed
comes a pause. The stream's name is claimed when media is there, not before, and let go when the source is lost; coming
back within the stream's grace continues its playlist behind a discontinuity. A pull that was cancelled leaves nothing.
Times are monotonic seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from hlsd.base import masking
from hlsd.base.clock import Clock
from hlsd.base.errors import UnsupportedCodec
from hlsd.base.faults import Faults
from hlsd.events import Action, Bus, Event, new_id
from hlsd.events.facts import relay_facts
from hlsd.ingest.intake import Intake
from hlsd.ports import Admission, Publication, PublishRequest, Refuse, RefuseCode
from hlsd.relay.address import Address, Kind, kind_of, read_address
from hlsd.relay.backoff import STABLE, Backoff
from hlsd.relay.dial import SourceError
from hlsd.relay.plan import Plan
from hlsd.relay.relayed import Relayed
from hlsd.relay.sources import SourceFeed
from hlsd.relay.template import VIA, TemplateSubject, carried
from hlsd.stats import RelayStats

PROTOCOL: Final = "relay"
"""What a pulled stream's publisher is called; the gate does not ask it for a key."""


class Fetching(Protocol):
    """What a pull knows of the service it belongs to."""

    admission: Admission
    clock: Clock
    bus: Bus
    log: FilteringBoundLogger
    server_id: str
    faults: Faults
    intake: Callable[[Publication, float], Intake]

    async def fetch(self, url: str, address: Address, kind: Kind, plan: Plan, feed: SourceFeed) -> None:
        """Feeds from an address until the source is lost; raises SourceError."""
        ...

    def awaited(self, app: str, name: str) -> bool:
        """Whether the stream is here and may go on: its viewers have not been told that it is over."""
        ...


class Pull(Relayed):
    """One stream's pull. `run` is its whole life; `began` is called whenever media begins to come.

    `asker` is whose wish made it begin, as `relay.memory.asker_of` says it; "" for a static pull.
    """

    def __init__(  # noqa: PLR0913 - what, from where, for whom
        self,
        host: Fetching,
        plan: Plan,
        subject: TemplateSubject,
        figures: RelayStats,
        began: Callable[[Pull], None],
        *,
        asker: str = "",
    ) -> None:
        self.id = new_id()
        self.plan = plan
        self.subject = subject
        self.over = ""
        """Why it ended; "" while it runs."""
        self.shown = ""
        """The address of the last try, masked."""
        self.error = ""
        """What the last try failed with."""
        self.since = host.clock.wall()
        self.asker = asker
        self.received_bytes = 0
        self.brought = False
        """Whether media has ever come."""
        self._host = host
        self._figures = figures
        self._tell_began = began
        self._backoff = Backoff(*plan.backoff)
        self._publication: Publication | None = None
        self._intake: Intake | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._wanted = host.clock.monotonic()  # when somebody last watched or asked
        self._waiting = 0  # viewers, at this instant
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._url = ""  # of this try: never to be shown
        self._why = ""  # why the attempt was cut by us
        self._heard = 0.0  # last media, or the try's begin
        self._began = 0.0
        self._sequence = 0
        self._log = host.log.bind(app=subject.app, name=subject.name, rule=plan.name)

    @property
    def active(self) -> bool:
        """Whether media comes at this instant."""
        return self._publication is not None

    async def comes(self) -> bool:
        """Waits until viewers need not wait for it any more; False if that takes longer than its plan allows."""
        if self._settled.done() and not self.active:  # it is between two tries
            self._settled = asyncio.get_running_loop().create_future()
        self._waiting += 1
        try:
            async with asyncio.timeout(self.plan.start_timeout):
                await asyncio.shield(self._settled)
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
            self.seen(self._host.clock.monotonic())
        return True

    def settle(self) -> None:
        """Viewers need not wait for it any more: there is a playlist, or there will be none."""
        if not self._settled.done():
            self._settled.set_result(None)

    def seen(self, at: float) -> None:
        """Somebody watched it, or asked for it, at that time."""
        self._wanted = max(self._wanted, at)

    def idle(self, now: float) -> float:
        """Seconds for which nobody has wanted it."""
        if self._waiting:
            self._wanted = now
        return now - self._wanted

    async def run(self) -> None:
        """Tries until it is stopped, or for a pull on demand until every address refused it.

        While the stream may go on a refusal is not the last word: an origin that was restarted knows nothing of it
        until its publisher is back.
        """
        try:
            while True:
                final = await self._round()
                if self._stopped():
                    break
                if final and self.plan.mode == "pull" and not self._host.awaited(self.subject.app, self.subject.name):
                    self.over = "refused"
                    break
                await asyncio.sleep(self._backoff.pause(random.random()))  # noqa: S311 - jitter
        finally:
            self.over = self.over or "stopped"

    def _stopped(self) -> bool:
        return bool(self.over)

    def stop(self, reason: str) -> None:
        """Ends it; `run` returns soon."""
        self.over = self.over or reason
        self._cut(reason)

    def reject(self, reason: str = "kicked") -> None:
        """As `hlsd.subjects.Subject`."""
        self.stop(reason)

    def sweep(self, now: float) -> None:
        """Once a second: lets the intake's time pass, cuts a try that brings nothing."""
        if self._intake is not None:
            with contextlib.suppress(UnsupportedCodec):  # its next tag will say so
                self._intake.tick(now)
        if self._attempt is not None and now - self._heard > self.plan.no_data_timeout:
            self._cut("no_data")

    # One try of each address.

    async def _round(self) -> bool:
        """Tries every address once; whether all refused for good. Returns after the first that brought media."""
        final = True
        try:
            urls = self.plan.urls_for(self.subject, self._host.clock.wall(), self._host.server_id)
        except ValueError as error:
            self.error = str(error)
            return True
        for url in urls:
            self.shown = masking.address(url)
            self._heard = self._host.clock.monotonic()
            self._why = ""
            brought, refused = await self._try(url)
            if self._stopped():
                return True
            final = final and refused
            if brought:
                return False
        return final

    async def _try(self, url: str) -> tuple[bool, bool]:
        """Whether it brought media for a while, and whether it was refused for good."""
        self._url = url
        try:
            address = read_address(url)
            kind = kind_of(address, self.plan.form)
            attempt = asyncio.ensure_future(self._host.fetch(url, address, kind, self.plan, self))
        except ValueError as error:
            self.error = str(error)
            self._figures.starts["refused"] += 1
            return False, True
        self._attempt = attempt
        try:
            await asyncio.wait({attempt})
        finally:
            self._attempt = None
            if not attempt.done():  # it is the pull itself that is cancelled
                attempt.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await attempt
            began = bool(self._began)
            refused, why = self._verdict(attempt)
            if not began:
                self._figures.starts["refused" if refused else "timeout" if why == "no_data" else "error"] += 1
            brought = self._release(why)
        return brought, refused

    def _verdict(self, attempt: asyncio.Task[None]) -> tuple[bool, str]:
        if attempt.cancelled():
            why = self._why or "stopped"
            self.error = {"no_data": "no media came in time"}.get(why, why)
            self._log.info("relay cut", url=self.shown, reason=why)
            return False, why
        error = attempt.exception()
        self.error = masking.without(str(error or "ended"), self._url)  # a server may quote what it was asked for
        if isinstance(error, SourceError):
            self._log.info("relay source lost", url=self.shown, reason=self.error)
            return error.final, "closed"
        self._log.warning("relay failed", url=self.shown, reason=type(error).__name__)
        if error is not None:
            self._host.faults.task("relay", error)
        return False, "error:internal"

    def _release(self, why: str) -> bool:
        """Lets the name go; whether the try had been good."""
        publication, intake = self._publication, self._intake
        self._publication = self._intake = None
        guard = self._host.faults.guard("relay_end")
        if (
            publication is not None
        ):  # the name must be let go whatever went wrong before, and whatever its last frames do
            if intake is not None:
                with guard:
                    intake.close()
            with guard:
                publication.end(why)
        if not self._began:
            return False
        lasted = self._host.clock.monotonic() - self._began
        self._began = 0.0
        self._figures.up -= 1
        self._tell(Action.RELAY_STOP, reason=self.over or why)
        if lasted < STABLE:
            return False
        self._backoff.good()
        return True

    def _cut(self, why: str) -> None:
        if self._attempt is not None:
            self._why = self._why or why
            self._attempt.cancel()

    # As the source sees it.

    def received(self, size: int) -> None:
        """Counts bytes of the connection."""
        self.received_bytes += size
        self._figures.received_bytes += size
        if self._publication is not None:
            self._publication.received(size)

    async def begin(self, ip: str, port: int) -> None:
        """Claims the stream's name. Raises SourceError."""
        self.ip = ip
        subject = self.subject
        # Who carried it so far goes on to whom it is pushed; a viewer's own arguments are nobody's business.
        args = {VIA: carried(subject.args, self._host.server_id)}
        request = PublishRequest(
            subject.app, subject.name, PROTOCOL, ip, port, self._dropped, query=args, held=self._held
        )
        verdict = await self._host.admission.publish(request)
        if isinstance(verdict, Refuse):
            if verdict.code is RefuseCode.BUSY and self.plan.mode == "pull":
                self.over = "busy"  # a publisher came first: there is nothing left to bring
            raise SourceError(f"not let in: {verdict.reason}")
        now = self._host.clock.monotonic()
        self._publication = verdict
        self._intake = self._host.intake(verdict, now)
        self._heard = self._began = now
        self.brought = True
        self._figures.starts["ok"] += 1
        self._figures.up += 1
        self._log.info("relay started", url=self.shown)
        self._tell_began(self)
        self._tell(Action.RELAY_START)

    def tag(self, type_id: int, timestamp: int, body: bytes) -> None:
        """Hands a tag to the stream."""
        intake = self._intake
        if intake is None:
            raise SourceError("the stream was taken by another publisher")
        clock = self._host.clock
        now = clock.monotonic()
        if type_id != 18:  # metadata alone is no sign of life
            self._heard = now
        intake.tag(type_id, timestamp, body, now, clock.wall())

    def _held(self) -> int:
        return self._intake.held if self._intake is not None else 0

    def _dropped(self, reason: str) -> None:
        """What the hub calls: the publication is gone already."""
        self._publication = self._intake = None
        if reason == "shutdown" or self.plan.mode == "pull":
            self.stop(reason)
        else:
            self._cut(reason)

    def _tell(self, action: Action, reason: str | None = None) -> None:
        self._sequence += 1
        host = self._host
        facts = relay_facts(
            app=self.subject.app,
            name=self.subject.name,
            mode=self.plan.mode,
            rule=self.plan.name,
            url=self.shown,
            since=self.since,
            received=self.received_bytes,
            reason=reason,
        )
        host.bus.emit(Event(action, self.id, self._sequence, host.clock.wall(), facts), self)
