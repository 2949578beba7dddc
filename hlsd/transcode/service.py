"""Is the transcode service: smaller renditions of the streams that rules name, as many as there is room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hlsd.base.match import Match
from hlsd.events import Action, Event, new_id
from hlsd.events.facts import transcode_facts
from hlsd.ports import Service
from hlsd.transcode.figures import CONVERTED, TranscodeFigures, TranscodeStats
from hlsd.transcode.wire import OutputForm

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.events import Bus
    from hlsd.ports import LiveStream, OutputFactory, PublishRequest
    from hlsd.ports.converted_pictures import ConversionTeller, ConvertedPictures
    from hlsd.transcode.child import ChildListener, TranscodeChild
    from hlsd.transcode.conversion import PictureConversion
    from hlsd.transcode.settings import TranscodeSettings
    from hlsd.transcode.transcoding import Transcoding

TALLEST: Final = 2304
"""Lines of what is converted: as many as `hlsd.transcode.transcoder.LARGEST` has."""


@dataclass(frozen=True, slots=True)
class Untranscoded:
    """What a handler of `transcodeRefused` and `transcodeShed` gets (`hlsd.subjects.Subject`)."""

    id: str
    app: str
    name: str
    protocol: str = "transcode"
    ip: str = ""

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        return f"/{self.app}/{self.name}"

    @property
    def query(self) -> Mapping[str, str]:
        """Nobody asked."""
        return {}

    def reject(self, reason: str = "kicked") -> None:
        """It is decided already: nothing happens."""


class TranscodeService(Service):
    """The service, and `hlsd.ports.OutputFactory`. Nothing runs for a stream that no rule names."""

    name = "transcode"

    def __init__(self, settings: TranscodeSettings, clock: Clock, bus: Bus, log: Log, faults: Faults) -> None:
        self._settings = settings
        self.clock = clock
        self._bus = bus
        self._log = log
        self._faults = faults
        self.threads = settings.threads
        """Of each encoder."""
        self.converted = OutputForm(TALLEST, settings.video_bitrate, settings.preset, 0.0)
        """What comes of pictures that are not carried."""
        names = (*settings.profiles, CONVERTED) if settings.video else tuple(settings.profiles)
        self.stats = TranscodeStats(settings.room, names)
        self._rules = [(Match(rule.match), rule.profiles) for rule in settings.rules]
        self._at_work: dict[ChildListener, TranscodeChild] = {}
        self._ending: set[TranscodeChild] = set()

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nothing is waited for
        """Ends every child: the publishers are gone."""
        for child in [*self._at_work.values(), *self._ending]:
            await child.stop()
        self._at_work.clear()
        self._ending.clear()

    def outputs(self) -> Sequence[OutputFactory]:
        """Itself, if there is anything to be done."""
        return (self,) if self._rules else ()

    def output(self, stream: LiveStream, request: PublishRequest) -> Transcoding | None:  # noqa: ARG002 - whoever it is
        """The transcoding of a stream, by the first rule that names it."""
        profiles = self._settings.profiles
        for match, names in self._rules:
            if match.groups(stream.app, stream.name) is not None:
                chosen = [(name, profiles[name]) for name in names]
                run = stream.run
                if not chosen or run is None:
                    return None
                from hlsd.transcode.transcoding import Transcoding  # noqa: PLC0415 - what nobody uses is not loaded

                return Transcoding(stream.app, stream.name, stream.id, run.ladder, chosen, self)
        return None

    def figures(self) -> tuple[TranscodeFigures, ...]:
        """What it does and costs."""
        return (TranscodeFigures(self.stats),)

    def children(self) -> list[TranscodeChild]:
        """Those that are at work."""
        return list(self._at_work.values())

    # As ways in see it (`hlsd.ports.converted_pictures.PictureDesk`).

    @property
    def vacant(self) -> bool:
        """Whether there is room for one more child."""
        return len(self._at_work) < self._settings.room

    def converter(self, sink: ConvertedPictures, teller: ConversionTeller) -> PictureConversion:
        """A converter of VP8 and VP9 to H.264."""
        from hlsd.transcode.conversion import PictureConversion  # noqa: PLC0415

        return PictureConversion(sink, teller, self)

    # As transcodings see it.

    def hire(self, listener: ChildListener) -> TranscodeChild | None:
        """A child; None if there is no room for one more."""
        if not self.vacant:
            return None
        settings = self._settings
        from hlsd.transcode.child import TranscodeChild  # noqa: PLC0415 - loaded with whoever hires it

        child = TranscodeChild(listener, settings.memory, settings.nice, self.stats, self._faults, self._log)
        self._at_work[listener] = child
        self.stats.streams = len(self._at_work)
        return child

    def dismiss(self, listener: ChildListener) -> None:
        """It is not needed any more; it ends by itself."""
        child = self._at_work.pop(listener, None)
        self.stats.streams = len(self._at_work)
        self._ending = {one for one in self._ending if not one.over}
        if child is not None:
            self._ending.add(child)

    def refused(self, transcoding: Transcoding, reason: str, detail: str) -> None:
        """The stream is offered as it came."""
        self.stats.refused[reason] += 1
        self._log.warning(
            "stream not transcoded", app=transcoding.app, name=transcoding.name, reason=reason, detail=detail
        )
        self._tell(Action.TRANSCODE_REFUSED, transcoding, "", reason, detail)

    def shed(self, transcoding: Transcoding, rendition: str, reason: str) -> None:
        """A rendition was given up."""
        self.stats.shed[rendition] += 1
        words = "it cannot keep pace" if reason == "pace" else "its process ends again and again"
        self._log.warning(
            "rendition given up",
            app=transcoding.app,
            name=transcoding.name,
            rendition=rendition,
            reason=words,
            hint="a cheaper preset, fewer profiles, or a smaller transcode.max",
        )
        self._tell(Action.TRANSCODE_SHED, transcoding, rendition, reason, words)

    def _tell(self, action: Action, transcoding: Transcoding, rendition: str, reason: str, detail: str) -> None:
        if not self._bus.heard(action):
            return
        ident = new_id()
        facts = transcode_facts(
            app=transcoding.app,
            name=transcoding.name,
            stream_id=transcoding.stream_id,
            rendition=rendition,
            reason=reason,
            detail=detail,
        )
        subject = Untranscoded(ident, transcoding.app, transcoding.name)
        self._bus.emit(Event(action, ident, 1, self.clock.wall(), facts), subject)
