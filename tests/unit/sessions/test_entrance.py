"""The one door for viewers: in which order it does what, whom it counts, and what it leaves behind of nobody."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from hlsd.base.clock import SystemClock
from hlsd.events import Event
from hlsd.ports import ABSENT, Denial, Entry, Grant, PlayRequest, PublishRequest
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.sessions.registry import Registry
from hlsd.stats import Stats
from tests.support.at_once import at_once
from tests.support.mischief import Mischief
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import TrustingSigner

LATE = Denial(503, "not yet", "late")


@dataclass
class Watched:
    """An output of some way out."""

    ended: bool = False


@dataclass
class Scene:
    """An entrance whose neighbours note, in order, what they are asked; itself gate, directory and outputs."""

    asked: list[str] = field(default_factory=list)
    verdict: Grant | Denial = field(default_factory=Grant)
    outputs: dict[str, Watched] = field(default_factory=dict)
    comes: dict[str, Watched | Denial] = field(default_factory=dict)
    """What can be made to come."""
    unready: Denial | None = None

    def __post_init__(self) -> None:
        self.stats = Stats()
        self.sessions = Registry(
            TrustingSigner(), SystemClock(), lambda _app, _name: 60.0, max_sessions=10, gate=self, stats=self.stats
        )
        self.entrance = ViewerEntrance(self.sessions, _Pulling(self), self.stats)

    def enter(self, name: str = "cam", instead: str = "") -> Entry[Watched] | Denial:
        return at_once(self.entrance.enter(PlayRequest("live", name, "flv", "192.0.2.1"), self, instead=instead))

    def refused(self) -> dict[str, int]:
        return dict(self.stats.app("live").refused)

    # as the gate

    async def play(self, request: PlayRequest) -> Grant | Denial:
        self.asked.append(f"may {request.name}")
        return self.verdict

    async def publish(self, request: PublishRequest) -> Grant | Denial:
        return Grant()

    async def renew(self, request: PlayRequest, grant: Grant) -> Grant | Denial:
        return grant

    def hides_names(self, app: str) -> bool:
        return False

    # as the outputs

    def find(self, app: str, name: str) -> Watched | None:
        self.asked.append(f"find {name}")
        return self.outputs.get(name)

    async def ready(self, request: PlayRequest, output: Watched) -> Denial | None:
        self.asked.append(f"ready {request.name}")
        assert output is self.outputs[request.name]
        return self.unready


class _Pulling(MemoryDirectory):
    """A directory that makes come what its scene says."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene = scene

    def obtainable(self, app: str, name: str) -> bool:
        return name in self.scene.comes

    async def obtain(self, request: PlayRequest) -> MemoryPlayable | Denial:
        self.scene.asked.append(f"obtain {request.name}")
        coming = self.scene.comes[request.name]
        if isinstance(coming, Denial):
            return coming
        self.scene.outputs[request.name] = coming
        return MemoryPlayable()


def test_who_is_let_in_has_a_session_and_what_it_watches() -> None:
    scene = Scene(outputs={"cam": Watched()})
    entry = scene.enter()
    assert isinstance(entry, Entry)
    assert (entry.output, entry.session.requests, entry.session.path) == (scene.outputs["cam"], 1, "/live/cam")
    assert scene.asked == ["may cam", "find cam", "ready cam", "find cam"]
    assert (scene.refused(), len(scene.sessions)) == ({}, 1)


def test_nothing_is_looked_for_or_made_to_come_for_who_may_not() -> None:
    """Else a stranger learns what is there, or has the server pull whatever it names."""
    scene = Scene(verdict=Denial(403, "no"), outputs={"cam": Watched()}, comes={"far": Watched()})
    for name in ("cam", "far", "none"):
        assert scene.enter(name) is scene.verdict
    assert scene.asked == ["may cam", "may far", "may none"]
    assert (scene.refused(), len(scene.sessions)) == ({"auth_denied": 3}, 0)


def test_who_is_led_to_another_name_is_let_in_there() -> None:
    """The name of the grant is looked for; what was asked for stands in the session's request."""
    scene = Scene(verdict=Grant(name="low"), outputs={"low": Watched()})
    entry = scene.enter()
    assert isinstance(entry, Entry)
    assert entry.session.path == "/live/low"
    assert scene.asked == ["may cam", "find low", "ready low", "find low"]
    (session,) = scene.sessions
    assert session.request().asked == "cam"


@pytest.mark.parametrize("there", [None, Watched(ended=True)], ids=["absent", "ended"])
def test_what_is_not_here_or_over_is_made_to_come(there: Watched | None) -> None:
    scene = Scene(outputs={} if there is None else {"cam": there}, comes={"cam": Watched()})
    entry = scene.enter()
    assert isinstance(entry, Entry)
    assert not entry.output.ended
    assert scene.asked == ["may cam", "find cam", "obtain cam", "find cam", "ready cam", "find cam"]


def test_who_wants_a_picture_is_judged_as_a_viewer_and_is_none() -> None:
    """Nothing is looked for who may not, nobody is counted, and whoever has a say in prePlay has it here."""
    there = Watched()
    scene = Scene(outputs={"cam": there}, comes={"far": Watched()})

    def glance(name: str) -> Watched | Denial:
        return at_once(scene.entrance.glance(PlayRequest("live", name, "snapshot", "192.0.2.1"), scene))

    assert glance("cam") is there
    assert glance("far") is ABSENT, "a picture makes nothing come"
    assert scene.asked == ["may cam", "find cam", "find cam", "may far", "find far"]
    scene.sessions.bus.on("prePlay", lambda viewer: viewer.reject())
    denied = glance("cam")
    assert isinstance(denied, Denial)
    assert denied.status == 403
    assert glance("none") is ABSENT, "nobody is asked about what is not there"
    scene.verdict = Denial(403, "no")
    scene.asked.clear()
    assert glance("cam") is scene.verdict
    assert scene.asked == ["may cam"]
    assert (scene.refused(), len(scene.sessions)) == ({}, 0)


def test_what_has_ended_and_cannot_begin_anew_is_watched_to_its_end() -> None:
    scene = Scene(outputs={"cam": Watched(ended=True)})
    entry = scene.enter()
    assert isinstance(entry, Entry)
    assert entry.output.ended


@pytest.mark.parametrize(
    ("scene", "denial"),
    [
        (Scene(), ABSENT),
        (Scene(comes={"cam": LATE}), LATE),
        (Scene(outputs={"cam": Watched()}, unready=LATE), LATE),
    ],
    ids=["absent", "does not come", "not ready"],
)
def test_who_finds_nothing_to_watch_has_no_session_and_is_counted_once(scene: Scene, denial: Denial) -> None:
    assert scene.enter() == denial
    assert (scene.refused(), len(scene.sessions)) == ({denial.reason: 1}, 0)
    assert not scene.stats.app("live").opened


def test_a_bound_refuses_after_everything_else_and_is_counted() -> None:
    scene = Scene(outputs={"cam": Watched()})
    scene.sessions._table.most = 0
    assert isinstance(scene.enter(), Denial)
    assert scene.asked == ["may cam", "find cam", "ready cam"]
    assert scene.refused() == {"limit": 1}


@pytest.mark.parametrize("led", ["", "gone"])
def test_a_stream_that_goes_while_its_viewer_is_asked_about_leaves_no_session(led: str) -> None:
    """Or one to which the viewer was led and that is not there: a session of it would count until it is idle."""
    scene = Scene(outputs={"cam": Watched()})

    async def says(_event: Event) -> Grant:
        del scene.outputs["cam"]
        return Grant(name=led)

    scene.sessions.bus.consult(says)
    assert scene.enter() == ABSENT
    assert (scene.refused(), len(scene.sessions)) == ({"absent": 1}, 0)
    closed = scene.stats.app("live").closed
    assert dict(closed) == {("flv", "abandoned"): 1}


def test_a_player_that_goes_on_with_an_id_that_is_not_accepted_gets_one_session() -> None:
    scene = Scene(outputs={"cam": Watched()})
    entries = [scene.enter(instead="forgotten") for _ in range(3)]
    assert len({id(entry.session) for entry in entries if isinstance(entry, Entry)}) == len(scene.sessions) == 1


def test_what_is_raised_on_the_way_is_nobodys_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that hangs up, or a fault of ours: neither is a viewer who was turned away."""
    scene = Scene(outputs={"cam": Watched()})

    async def raises(_request: PlayRequest, _output: Watched) -> Denial | None:
        raise Mischief

    monkeypatch.setattr(scene, "ready", raises)
    with pytest.raises(Mischief):
        scene.enter()
    assert (scene.refused(), len(scene.sessions)) == ({}, 0)


def test_who_looks_makes_nothing_come_and_is_not_counted() -> None:
    scene = Scene(outputs={"cam": Watched()}, comes={"far": Watched()})

    def look(name: str) -> Watched | Denial | None:
        return at_once(scene.entrance.look(PlayRequest("live", name, "flv", "192.0.2.1"), scene))

    assert look("cam") is scene.outputs["cam"]
    assert look("far") is None
    assert look("none") == ABSENT
    scene.verdict = Denial(403, "no")
    assert look("cam") is scene.verdict
    assert not [asked for asked in scene.asked if asked.startswith(("obtain", "ready"))]
    assert (scene.refused(), len(scene.sessions)) == ({}, 0)
