"""Is a relay rule or task made ready: compiled pattern and templates, and every bound that a pull or push needs.

Pure. `urls_for` makes the addresses of one try afresh, so that signatures hold from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from hlsd.base.match import Match
from hlsd.relay.address import Format
from hlsd.relay.settings import RelayRule
from hlsd.relay.template import UNSIGNED, Signing, TemplateSubject, carried

Mode = Literal["pull", "push", "static"]


class Fillable(Protocol):
    """What gives the address of a try."""

    def fill(  # noqa: PLR0913 - what an address is made of
        self,
        subject: TemplateSubject,
        *,
        now: float,
        server_id: str,
        signing: Signing,
        forward: Sequence[str],
        via: str,
    ) -> str:
        """The URL of this instant; ValueError if it cannot be made."""
        ...


class FixedUrl:
    """An address without fields: what came by API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def fill(  # noqa: PLR0913 - as `Fillable`
        self,
        subject: TemplateSubject,  # noqa: ARG002
        *,
        now: float,  # noqa: ARG002
        server_id: str,  # noqa: ARG002
        signing: Signing,  # noqa: ARG002
        forward: Sequence[str],  # noqa: ARG002
        via: str,  # noqa: ARG002
    ) -> str:
        """The URL."""
        return self._url


class Plan(NamedTuple):
    """One rule or task. Times in seconds; `guarded` ones go only where `relay.allow_hosts` lets them."""

    name: str
    mode: Mode
    match: Match
    templates: Sequence[Fillable]
    signing: Signing = UNSIGNED
    form: Format = "auto"
    start_timeout: float = 10.0
    idle_timeout: float = 20.0
    no_data_timeout: float = 10.0
    backoff: tuple[float, float] = (1.0, 30.0)
    max_streams: int = 50
    forward: tuple[str, ...] = ()
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    via: bool = True
    max_bandwidth: int = 20_000_000
    guarded: bool = False

    def urls_for(self, subject: TemplateSubject, now: float, server_id: str) -> list[str]:
        """The addresses of a try, in order, each signed from now on."""
        via = carried(subject.args, server_id) if self.via else ""
        return [
            template.fill(subject, now=now, server_id=server_id, signing=self.signing, forward=self.forward, via=via)
            for template in self.templates
        ]


def plan_of(rule: RelayRule, number: int, presets: Path | None) -> Plan:
    """The plan of a configured rule; `number` counts from 1 and names a rule without a name."""
    return Plan(
        name=rule.name or f"rule{number}",
        mode=rule.mode,
        match=Match(rule.match),
        templates=rule.templates(presets),
        signing=rule.signing(),
        form=rule.format,
        start_timeout=rule.start_timeout,
        idle_timeout=rule.idle_timeout,
        no_data_timeout=rule.no_data_timeout,
        backoff=(rule.backoff[0], rule.backoff[1]),
        max_streams=rule.max_streams,
        forward=tuple(rule.forward_args),
        rtsp_transport=rule.rtsp_transport,
        via=rule.via,
        max_bandwidth=rule.max_bandwidth,
    )
