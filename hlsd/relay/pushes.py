"""Sends streams on to every target that a rule names: who is pushed where, now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

from hlsd.ports import Feed, PublishRequest
from hlsd.relay.fan import Fan
from hlsd.relay.plan import Plan
from hlsd.relay.pull import PROTOCOL
from hlsd.relay.push import Push, Sending
from hlsd.relay.template import TemplateSubject, looped
from hlsd.stats import RelayStats

OUTPUT: Final = "push"
"""What it is called among a stream's outputs."""

Key = tuple[str, str]


class PushHost(Sending, Protocol):
    """What all pushes know of the service they belong to."""

    def note(self, task: asyncio.Task[None]) -> None:
        """A relay's task has ended."""
        ...


class Pushes:
    """The pushes of one server, at most `most()`; `figures(rule, mode)`: where they are counted."""

    def __init__(self, host: PushHost, figures: Callable[[str, str], RelayStats], most: Callable[[], int]) -> None:
        self._host = host
        self._figures = figures
        self._most = most
        self.fans: dict[Key, Fan] = {}
        self.pushes: dict[Push, Fan] = {}
        self.tasks: dict[Push, asyncio.Task[None]] = {}

    def add(self, plan: Plan, on_air: Iterable[Feed]) -> None:
        """Takes a rule up for the streams that are on air."""
        for stream in on_air:
            key = (stream.app, stream.name)
            if plan.match.groups(*key) is not None:
                fan = self.fans.get(key)
                if fan is None:
                    fan = self._fan(key, TemplateSubject(*key, {}), stream)
                    stream.attach(OUTPUT, fan)
                self._push(fan, plan, fan.subject)

    def output(self, stream: Feed, request: PublishRequest, plans: Iterable[Plan]) -> Fan | None:
        """A publisher has been let in: its stream goes on to every target that a rule names."""
        key = (request.app, request.name)
        subject = TemplateSubject(*key, request.query)
        if key in self.fans:
            return None
        if looped(request.query, self._host.server_id) and request.protocol != PROTOCOL:
            self._host.log.warning("stream not pushed: it has been here before", app=key[0], name=key[1])
            return None
        plans = [plan for plan in plans if plan.mode == "push" and plan.match.groups(*key) is not None]
        if not plans:
            return None
        fan = self._fan(key, subject, stream)
        for plan in plans:
            self._push(fan, plan, subject)
        return fan

    def _fan(self, key: Key, subject: TemplateSubject, stream: Feed) -> Fan:
        def ended(over: Fan) -> None:
            if self.fans.get(key) is over:
                del self.fans[key]
            stream.detach(OUTPUT)

        fan = Fan(subject, ended, self._host.faults)
        self.fans[key] = fan
        return fan

    def _push(self, fan: Fan, plan: Plan, subject: TemplateSubject) -> list[Push]:
        groups = plan.match.groups(subject.app, subject.name) or ()
        begun: list[Push] = []
        for template in plan.templates:
            if len(self.pushes) >= self._most():
                self._host.log.warning("push not started: relay.max_pushes is reached", rule=plan.name)
                break
            figures = self._figures(plan.name, plan.mode)
            push = Push(self._host, plan, template, subject._replace(groups=groups), figures)
            fan.add(push)
            self.pushes[push] = fan
            begun.append(push)
            task = asyncio.create_task(push.run(), name=f"push {plan.name}")
            self.tasks[push] = task
            task.add_done_callback(partial(self._pushed, push))
        return begun

    def _pushed(self, push: Push, task: asyncio.Task[None]) -> None:
        self.tasks.pop(push, None)
        fan = self.pushes.pop(push, None)
        if fan is not None:
            fan.remove(push)
        self._host.note(task)
