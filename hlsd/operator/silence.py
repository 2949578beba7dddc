"""Says what holds while a service of the operator's does not answer: the rule that settings call `on_error`.

"stale": the last decision stands for whom it has let in, others are refused (Flussonic's rule). "deny" refuses
everybody. "allow" lets everybody in, those it knows by what was granted; others are asked about again within `SOON`
seconds, for nobody has said yes. Pure.
"""

from __future__ import annotations

from typing import Final, Literal

from hlsd.events import UNANSWERED
from hlsd.operator.answer import METHOD
from hlsd.ports import Denial, Grant

OnError = Literal["deny", "allow", "stale"]

SOON: Final = 30.0
OUT_OF_ORDER: Final = Denial(403, "not allowed", "callback_failed")
UNKNOWN: Final = Denial(403, "not allowed", UNANSWERED)
"""Nobody says no either: it denies a new viewer, and ends nobody who watches."""


def unanswered(rule: OnError, last: Grant | None, *, soon: float = SOON) -> Grant | Denial:
    """What becomes of a peer; `last` is what it was let in with before, if it was. `soon` in seconds, 0: never."""
    if rule == "deny":
        return OUT_OF_ORDER
    if last is not None:
        return last
    return Grant(method=METHOD, auth_duration=soon) if rule == "allow" else UNKNOWN
