"""Adds, lists and removes relays by API: what the routes do, without HTTP.

Law: what comes by API goes only where `relay.allow_hosts` lets it, and says so at once; it is judged again, and pinned,
at each connect. Addresses are shown masked. There are at most `max_tasks`; ids are made here.
"""

from __future__ import annotations

from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from hlsd.base import masking, stream_name
from hlsd.base.clock import Clock
from hlsd.base.errors import HlsdError
from hlsd.base.match import Match
from hlsd.events import new_id
from hlsd.relay.address import ONLY, PUSHED, read_address
from hlsd.relay.dial import Dial, SourceError
from hlsd.relay.guard import Forbidden, HostList
from hlsd.relay.plan import FixedUrl, Plan
from hlsd.relay.pull import Pull
from hlsd.relay.push import Push
from hlsd.relay.settings import RelaySettings
from hlsd.relay.tasks import Task, TaskStore

API_RULE: Final = "api"
"""What all tasks are called together in logs and figures: ids are no labels."""


class RelayRefused(HlsdError):
    """A task is not taken; `status` is HTTP's, `code` for programs, the text for people."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class RelayView(BaseModel):
    """A relay, of a task or of a rule."""

    model_config = ConfigDict(defer_build=True)

    id: str
    mode: str = Field(description="pull (on demand), static (always) or push.")
    rule: str = Field(description="The rule that it is of; api: it came by API.")
    app: str
    name: str
    path: str = Field(description="`/{app}/{name}`")
    url: str = Field(description="The other server's address, without what may be a secret.")
    stored: bool = Field(description="Whether it is a task, which DELETE takes away; a rule's comes back.")
    state: str = Field(description="running: media flows; trying: it is to be had; idle: nobody wants it.")
    error: str = Field(description="Why it does not run, if it is tried.")
    createtime: int = Field(description="Since when, ms of the epoch.")
    inbytes: int = Field(description="Bytes received since then.")
    outbytes: int = Field(description="Bytes sent since then.")


class RelayHost(Protocol):
    """What tasks know of the service that runs them."""

    settings: RelaySettings
    clock: Clock
    hosts: HostList
    guarded: Dial

    def add(self, plan: Plan) -> None:
        """Takes a task up."""

    def remove(self, plan: Plan) -> None:
        """Gives a task up, and ends what runs of it."""

    def of(self, plan: Plan) -> list[Pull | Push]:
        """What runs of a task."""

    def running(self) -> list[Pull | Push]:
        """Every relay of this instant."""


class Relays:
    """The relays of one server as the API sees them."""

    def __init__(self, host: RelayHost, store: TaskStore) -> None:
        self._host = host
        self._store = store
        self._plans: dict[str, tuple[Task, Plan]] = {}

    def restore(self) -> None:
        """Takes up the stored tasks: the service's start. A host that is no longer listed is tried in vain."""
        for task in self._store.load():
            self._take(task)

    async def add(self, task: Task) -> RelayView:
        """Begins and stores a task; id and time are given here. Raises RelayRefused."""
        if words := stream_name.fault(task.app, task.name):
            raise RelayRefused(400, "bad_name", words)
        if len(self._plans) >= self._host.settings.max_tasks:
            raise RelayRefused(409, "too_many", "relay.max_tasks is reached")
        for url in (task.url, *task.urls):
            await self._judge(task, url)
        if len(self._plans) >= self._host.settings.max_tasks:  # others came while names were looked up
            raise RelayRefused(409, "too_many", "relay.max_tasks is reached")
        task = task.model_copy(update={"id": new_id(), "created": self._host.clock.wall()})
        self._store.put(task)
        self._take(task)
        found = self.get(task.id)
        assert found is not None
        return found

    def every(self, app: str = "", name: str = "") -> list[RelayView]:
        """Every task and everything that runs, of one app or stream if they are named."""
        views: list[RelayView] = []
        told: set[Pull | Push] = set()
        for task, plan in self._plans.values():
            running = self._host.of(plan)
            told.update(running)
            views.append(_view_of_task(task, running))
        views += [_view(relay) for relay in self._host.running() if relay not in told]
        return [view for view in views if (not app or view.app == app) and (not name or view.name == name)]

    def page(
        self, app: str, name: str, *, after: tuple[int, str] | None, most: int
    ) -> tuple[list[RelayView], tuple[int, str] | None]:
        """`most` of `every` behind a key, the oldest first, and the key of the last one if there are more."""
        views = sorted(self.every(app, name), key=_key)
        rest = [view for view in views if after is None or _key(view) > after]
        return rest[:most], _key(rest[most - 1]) if len(rest) > most else None

    def get(self, relay_id: str) -> RelayView | None:
        """One of `every`."""
        return next((view for view in self.every() if view.id == relay_id), None)

    def remove(self, relay_id: str) -> bool:
        """Takes a task away, or ends a relay that a rule runs; False if there is none of that id."""
        found = self._plans.pop(relay_id, None)
        if found is not None:
            self._store.drop(relay_id)
            self._host.remove(found[1])
            return True
        for relay in self._host.running():
            if relay.id == relay_id:
                relay.stop("kicked")
                return True
        return False

    def close(self) -> None:
        """Lets go of the store."""
        self._store.close()

    async def _judge(self, task: Task, url: str) -> None:
        try:
            address = read_address(url)
            self._host.hosts.lists(address)
            await self._host.guarded.resolve(address)
        except ValueError as error:
            raise RelayRefused(400, "bad_url", str(error)) from None
        except Forbidden as error:
            raise RelayRefused(403, "forbidden_host", str(error)) from None
        except SourceError as error:
            if error.final:
                raise RelayRefused(403, "forbidden_host", str(error)) from None
            # else a name that cannot be resolved at this instant; it may be later on
        if task.mode == "push" and address.scheme not in PUSHED:
            raise RelayRefused(400, "bad_url", ONLY)

    def _take(self, task: Task) -> None:
        plan = Plan(
            name=API_RULE,
            mode=task.mode,
            match=Match(f"{task.app}/{task.name}"),
            templates=[FixedUrl(url) for url in (task.url, *task.urls)],
            form=task.format,
            rtsp_transport=task.rtsp_transport,
            guarded=True,
        )
        self._plans[task.id] = (task, plan)
        self._host.add(plan)


def _key(view: RelayView) -> tuple[int, str]:
    return view.createtime, view.id


def _view(relay: Pull | Push) -> RelayView:
    pull = isinstance(relay, Pull)
    return RelayView(
        id=relay.id,
        mode=relay.plan.mode,
        rule=relay.plan.name,
        app=relay.subject.app,
        name=relay.subject.name,
        path=f"/{relay.subject.app}/{relay.subject.name}",
        url=relay.shown,
        stored=False,
        state="running" if relay.active else "trying",
        error="" if relay.active else relay.error,
        createtime=int(relay.since * 1000),
        inbytes=relay.received_bytes if isinstance(relay, Pull) else 0,
        outbytes=0 if pull else relay.sent_bytes if isinstance(relay, Push) else 0,
    )


def _view_of_task(task: Task, running: list[Pull | Push]) -> RelayView:
    views = [_view(relay) for relay in running]
    active = any(view.state == "running" for view in views)
    return RelayView(
        id=task.id,
        mode=task.mode,
        rule=API_RULE,
        app=task.app,
        name=task.name,
        path=f"/{task.app}/{task.name}",
        url=masking.address(task.url),
        stored=True,
        state="running" if active else "trying" if views else "idle",
        error="" if active else next((view.error for view in views if view.error), ""),
        createtime=int(task.created * 1000),
        inbytes=sum(view.inbytes for view in views),
        outbytes=sum(view.outbytes for view in views),
    )
