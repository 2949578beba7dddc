"""Relays: what is pulled when somebody watches, what is pulled always, what is pushed on.

Law: a stream has one pull however many ask for it; whoever asks was authorised before (by the entrance). It
is `hlsd.ports.OnDemand` to the hub. Bounds: `max_pulls` in all, `max_streams` a rule; of both a quarter is kept for
names that have brought media before, one address may have `max_starts_per_ip` begun that have not, and a name that
failed rests (`memory`): whoever makes names up takes nobody's place. Everything it starts is a task in one of its
tables, and `stop` ends them all. Seconds, monotonic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Final

from starlette.routing import Route
from structlog.typing import FilteringBoundLogger

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, ended, sweep
from hlsd.events import Bus
from hlsd.ingest.intake import Intake
from hlsd.net.congestion import Congestion
from hlsd.ports import (
    ABSENT,
    VOD,
    Admission,
    Denial,
    Feed,
    Output,
    OutputFactory,
    Playable,
    PlayRequest,
    Publication,
    PublishRequest,
    Reloadable,
    Service,
)
from hlsd.relay.address import Address, Kind
from hlsd.relay.changes import RuledPlan, reloadables, ruled_of
from hlsd.relay.child import pull_child
from hlsd.relay.dial import Dial
from hlsd.relay.figures import RelayFigures
from hlsd.relay.guard import HostList
from hlsd.relay.memory import PullMemory, asker_of, share
from hlsd.relay.nms_routes import nms_routes
from hlsd.relay.plan import Plan
from hlsd.relay.pull import Pull
from hlsd.relay.push import Push
from hlsd.relay.pushes import OUTPUT, Pushes
from hlsd.relay.relays import Relays
from hlsd.relay.routes import operations
from hlsd.relay.settings import RelaySettings
from hlsd.relay.sources import SourceFeed, pull_flv, pull_rtmp
from hlsd.relay.tasks import TaskStore
from hlsd.relay.template import TemplateSubject, looped
from hlsd.relay.viewer import PullViewer
from hlsd.stats import RelayStats

SWEEP: Final = 0.5
UNPROVED_IDLE: Final = 5.0
"""Seconds at most that a pull which has brought nothing goes on when nobody waits for it."""
_TELL_EVERY: Final = 60.0

LATE: Final = Denial(503, "the stream has not come yet, ask again", "late")
FULL: Final = Denial(503, "too many streams, ask again", "limit")
CROWDED: Final = Denial(503, "too many streams begin for you, ask again", "limit")

Key = tuple[str, str]


class RelayService(Service):
    """The relays of one server; `hosts` guard what came by API. Pushes are outputs (`hlsd.ports.OutputFactory`)."""

    name = OUTPUT

    def __init__(  # noqa: PLR0913, PLR0917 - what a room is given
        self,
        settings: RelaySettings,
        admission: Admission,
        find: Callable[[str, str], Playable | None],
        viewers: Callable[[], Iterable[PullViewer]],
        clock: Clock,
        bus: Bus,
        log: FilteringBoundLogger,
        *,
        tasks: TaskStore,
        server_id: str,
        own_ports: Callable[[], Collection[int]] = tuple,
        rules: dict[tuple[str, str], RelayStats] | None = None,
        on_air: Callable[[], Iterable[Feed]] = tuple,
        abandon: Callable[[str, str], None] = lambda _app, _name: None,
        faults: Faults | None = None,
        intake: Callable[[Publication, float], Intake] = Intake,
    ) -> None:
        self.intake = intake
        """What takes the tags of a publication."""
        self.settings = settings
        self.faults = faults or Faults()
        self.admission = admission
        self.clock = clock
        self.bus = bus
        self.log = log
        self.server_id = server_id
        self.hosts = HostList(settings.allow_hosts)
        self.ruled = ruled_of(settings)
        """The rules, each with its plan."""
        self.relays = Relays(self, tasks)
        """What the API asks."""
        self.plans_by_api: list[Plan] = []
        self._rules: dict[tuple[str, str], RelayStats] = {} if rules is None else rules
        self._on_air = on_air
        self._abandon = abandon
        for plan in self.plans:
            self._figures(plan.name, plan.mode)  # rules that have done nothing yet are figures too
        self.pulls: dict[Key, Pull] = {}
        self._pushes = Pushes(self, self._figures, lambda: settings.max_pushes)
        self.fans = self._pushes.fans
        self.pushes = self._pushes.pushes
        self.max_seconds = settings.push_seconds
        self.max_bytes = settings.push_bytes
        self.push_congestion = Congestion("relay.congestion", settings.congestion, log)
        self._find = find
        self._viewers = viewers
        self._trusted = Dial(own_ports)
        self.guarded = Dial(own_ports, self.hosts)
        self._tasks: dict[Pull, asyncio.Task[None]] = {}
        self._memory = PullMemory()
        self._left_out = 0
        self._told = float("-inf")
        self._sweeping: asyncio.Task[None] | None = None
        self._open = False

    def reloads(self) -> tuple[Reloadable, ...]:
        """Rules, hosts and bounds."""
        return reloadables(self)

    def turn_to(self, ruled: list[RuledPlan], settings: RelaySettings, hosts: HostList) -> None:
        """Keeps other rules and bounds from now on, for what begins."""
        self.ruled, self.hosts = ruled, hosts
        self.guarded.turn_to(hosts)
        self.max_seconds, self.max_bytes = settings.push_seconds, settings.push_bytes

    @property
    def plans(self) -> list[Plan]:
        """Of the rules."""
        return [plan for _, plan in self.ruled]

    def operations(self) -> list[Route]:
        """What the API can do with relays."""
        return [*operations(self.relays, self.settings.presets), *nms_routes(self.relays)]

    def outputs(self) -> tuple[OutputFactory, ...]:
        """What sends streams on."""
        return (self,)

    def figures(self) -> tuple[RelayFigures, ...]:
        """Of all rules, those of the API included."""
        return (RelayFigures(self._rules),)

    async def start(self) -> None:
        """Begins the static pulls."""
        self.push_congestion.look()
        self.congestion = self.push_congestion.held
        self.relays.restore()
        self._open = True
        self._keep_static()
        self._sweeping = sweep(SWEEP, self._sweep, "relay_sweep", self.faults)

    async def stop(self, deadline: float) -> None:
        """Ends every relay."""
        self._open = False
        await end(self._sweeping)
        self._sweeping = None
        guard = self.faults.guard("relay_stop")
        for relay in self.running():
            with guard:
                relay.stop("shutdown")
        with guard:
            await ended([*self._tasks.values(), *self._pushes.tasks.values()], deadline)
        self.relays.close()

    def _figures(self, rule: str, mode: str) -> RelayStats:
        """What a rule's relays count into."""
        return self._rules.setdefault((rule, mode), RelayStats())

    # As the hub sees it.

    def obtainable(self, app: str, name: str) -> bool:
        """Whether a rule says where the stream can be had."""
        return self._open and ((app, name) in self.pulls or self._plan_for(app, name) is not None)

    async def obtain(self, request: PlayRequest) -> Denial | None:
        """Makes the stream come, and returns when its playlist is there, or why it will not come."""
        key = (request.app, request.name)
        pull = self.pulls.get(key)
        if pull is None:
            started = self._begin(key, request)
            if isinstance(started, Denial):
                return started
            pull = started
        if not await pull.comes():
            return LATE
        playable = self._find(*key)
        return None if playable is not None and not playable.ended else LATE

    def output(self, stream: Feed, request: PublishRequest) -> Output | None:
        """A publisher has been let in: its stream goes on to every target that a rule names."""
        return self._pushes.output(stream, request, (*self.plans, *self.plans_by_api)) if self._open else None

    def add(self, plan: Plan) -> None:
        """Takes a task up."""
        self.plans_by_api.append(plan)
        self.begin(plan)

    def begin(self, plan: Plan) -> None:
        """A task or rule is new; it has effect on streams that are on air too."""
        self._figures(plan.name, plan.mode)
        if not self._open:
            return
        self._keep_static()
        if plan.mode == "push":
            self._pushes.add(plan, self._on_air())

    def remove(self, plan: Plan) -> None:
        """Gives a task up, and ends what runs of it."""
        self.plans_by_api = [each for each in self.plans_by_api if each is not plan]
        for relay in self.of(plan):
            relay.stop("removed")

    def of(self, plan: Plan) -> list[Pull | Push]:
        """What runs of a rule or task."""
        return [relay for relay in self.running() if relay.plan is plan]

    def running(self) -> list[Pull | Push]:
        """Every relay of this instant."""
        return [*self.pulls.values(), *self.pushes]

    def _keep_static(self) -> None:
        """Pulls what is to be pulled always and is not: at the start, and again when somebody ended it."""
        for plan in (*self.plans, *self.plans_by_api):
            key = plan.match.literal
            if plan.mode == "static" and key and key not in self.pulls and len(self.pulls) < self.settings.max_pulls:
                self._pull(key, plan, TemplateSubject(*key, {}))

    def _plan_for(self, app: str, name: str) -> tuple[Plan, tuple[str, ...]] | None:
        for plan in (*self.plans, *self.plans_by_api):
            if plan.mode == "pull":
                groups = plan.match.groups(app, name)
                if groups is not None:
                    return plan, groups
        return None

    def _begin(self, key: Key, request: PlayRequest) -> Pull | Denial:
        found = self._plan_for(*key)
        if found is None or not self._open:
            return ABSENT
        if looped(request.query, self.server_id):
            self.log.warning("relay refused: it would go in a circle", app=key[0], name=key[1])
            return ABSENT
        plan, groups = found
        if self._memory.rests(key, self.clock.monotonic()):
            self._figures(plan.name, plan.mode).starts["resting"] += 1
            return LATE
        asker = asker_of(request.ip)
        if (full := self._full(key, plan, asker)) is not None:
            self._figures(plan.name, plan.mode).starts["limited"] += 1
            self._tell_left_out(plan, request.ip)
            return full
        return self._pull(key, plan, TemplateSubject(*key, request.query, groups), asker)

    def _full(self, key: Key, plan: Plan, asker: str) -> Denial | None:
        """Why there is no room for one more pull."""
        pulls, most = self.pulls.values(), self.settings.max_pulls
        if len(pulls) >= most or sum(pull.plan is plan for pull in pulls) >= plan.max_streams:
            return FULL
        if self._memory.known(key):
            return None
        unproved = [pull for pull in pulls if pull.plan.mode == "pull" and not self._proved(pull)]
        if len(unproved) >= share(most) or sum(pull.plan is plan for pull in unproved) >= share(plan.max_streams):
            return FULL
        per_ip = self.settings.max_starts_per_ip
        return CROWDED if per_ip and sum(pull.asker == asker for pull in unproved) >= per_ip else None

    def _proved(self, pull: Pull) -> bool:
        return self._memory.known((pull.subject.app, pull.subject.name))

    def _tell_left_out(self, plan: Plan, ip: str) -> None:
        """Once a minute: a stranger can cause it as often as it likes."""
        self._left_out += 1
        now = self.clock.monotonic()
        if now - self._told >= _TELL_EVERY:
            self.log.warning("pulls not begun: too many at once", rule=plan.name, ip=ip, count=self._left_out)
            self._told, self._left_out = now, 0

    def _pull(self, key: Key, plan: Plan, subject: TemplateSubject, asker: str = "") -> Pull:
        pull = Pull(self, plan, subject, self._figures(plan.name, plan.mode), self._began, asker=asker)
        self.pulls[key] = pull
        task = asyncio.create_task(pull.run(), name=f"relay {plan.name}")
        self._tasks[pull] = task
        task.add_done_callback(lambda done: self._done(pull, done))
        return pull

    def _began(self, pull: Pull) -> None:
        """Media has begun to come: those who wait are told when there is a playlist."""
        if pull.plan.mode == "pull":
            self._memory.good((pull.subject.app, pull.subject.name))
        playable = self._find(pull.subject.app, pull.subject.name)
        if playable is None:
            return

        def changed() -> None:
            if playable.target_duration or playable.gone or playable.ended:
                playable.unwatch(changed)
                if playable.target_duration:
                    pull.settle()

        playable.watch(changed)
        changed()

    def _done(self, pull: Pull, task: asyncio.Task[None]) -> None:
        self._tasks.pop(pull, None)
        key = (pull.subject.app, pull.subject.name)
        if self.pulls.get(key) is pull:
            del self.pulls[key]
        if pull.plan.mode == "pull" and (pull.over == "refused" or (pull.over == "idle" and not pull.brought)):
            self._memory.failed(key, self.clock.monotonic())
        if pull.plan.mode == "pull":
            # No grace for what is not coming back: who asks from now on must make it come anew, not get what is left.
            with self.faults.guard("relay_end"):
                self._abandon(*key)
        pull.settle()  # whoever waits looks for itself
        self.note(task)
        self.log.info(
            "relay ended", app=key[0], name=key[1], rule=pull.plan.name, reason=pull.over, bytes=pull.received_bytes
        )

    def note(self, task: asyncio.Task[None]) -> None:
        """A relay's task has ended: it does so when it is told to, and handles all that may happen outside."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.faults.task("relay", error)

    def _sweep(self) -> None:
        now = self.clock.monotonic()
        guard = self.faults.guard("relay_sweep")
        with guard:
            self._memory.sweep(now)
        with guard:
            self._keep_static()
        with guard:
            if self.pulls:
                self._look(now)

    def _look(self, now: float) -> None:
        """Ends the pulls on demand that nobody has watched for their idle time."""
        for viewer in self._viewers():
            pull = self.pulls.get((viewer.app, viewer.name))
            if pull is not None and viewer.protocol != VOD:
                watching = viewer.held or viewer.protocol != "hls"
                pull.seen(now if watching else viewer.last)
        guard = self.faults.guard("relay_sweep")
        for pull in list(self.pulls.values()):
            with guard:
                patience = pull.plan.idle_timeout if pull.brought else min(pull.plan.idle_timeout, UNPROVED_IDLE)
                if pull.plan.mode == "pull" and pull.idle(now) >= patience:
                    pull.stop("idle")
                else:
                    pull.sweep(now)

    # How media is fetched.

    def dial(self, plan: Plan) -> Dial:
        """The way out for a plan."""
        return self.guarded if plan.guarded else self._trusted

    def awaited(self, app: str, name: str) -> bool:
        """Whether the stream is here and may go on."""
        playable = self._find(app, name)
        return playable is not None and not playable.ended

    async def fetch(self, url: str, address: Address, kind: Kind, plan: Plan, feed: SourceFeed) -> None:
        """Feeds from the address until the source is lost; raises SourceError."""
        dial = self.dial(plan)
        if kind == "rtmp":
            await pull_rtmp(url, address, dial, feed)
        elif kind == "flv":
            await pull_flv(address, dial, feed)
        elif kind == "srt":
            from hlsd.relay.srt_pull import pull_srt  # noqa: PLC0415 - what nobody uses is not loaded

            await pull_srt(url, address, plan, dial, feed, memory=self.settings.child_memory)
        elif kind == "hls":
            from hlsd.relay.hls_pull import pull_hls  # noqa: PLC0415 - as above

            log = self.log.bind(rule=plan.name)
            await pull_hls(url, address, plan, dial, feed, log, memory=self.settings.child_memory)
        else:
            await pull_child(url, address, kind, plan, dial, feed, memory=self.settings.child_memory)
