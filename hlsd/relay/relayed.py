"""Is a pull or a push as handlers of events see it (`hlsd.subjects.Relay`)."""

from __future__ import annotations

from collections.abc import Mapping

from hlsd.relay.plan import Plan
from hlsd.relay.template import TemplateSubject


class Relayed:
    """One relay of one stream; `shown` is the address of the last try, masked."""

    plan: Plan
    subject: TemplateSubject
    shown: str
    protocol = "relay"
    ip = ""
    """The address that it was last connected to; empty before."""

    @property
    def app(self) -> str:
        """The stream's app."""
        return self.subject.app

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.subject.name

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        return f"/{self.subject.app}/{self.subject.name}"

    @property
    def query(self) -> Mapping[str, str]:
        """The arguments of whoever made it begin, secrets included."""
        return self.subject.args

    @property
    def mode(self) -> str:
        """`pull`, `static` or `push`."""
        return self.plan.mode

    @property
    def url(self) -> str:
        """The other server's address, without what may be a secret."""
        return self.shown
