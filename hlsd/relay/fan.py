"""Feeds all pushes of one stream: an output like others, whatever the number of targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hlsd.base.faults import Faults
from hlsd.media import flv
from hlsd.media.codecs import SAMPLE_ENTRY, VideoCodec
from hlsd.media.timed_event import TimedEvent
from hlsd.media.unit import AccessUnit, Kind, Tracks
from hlsd.relay.push import SET_DATA_FRAME, Push, PushedTag
from hlsd.relay.template import TemplateSubject

METADATA: Final = b"\x02\x00\x0aonMetaData"


class Fan:
    """A stream's pushes as one `hlsd.ports.Output`: each frame is made a tag once, whatever the number of targets."""

    def __init__(self, subject: TemplateSubject, ended: Callable[[Fan], None], faults: Faults | None = None) -> None:
        self.subject = subject
        self._faults = faults or Faults()
        self.pushes: list[Push] = []
        self._ended = ended
        self._codec: VideoCodec = "h264"
        self._video = False
        self._tracks: Tracks | None = None
        self._opening: list[PushedTag] = []

    def add(self, push: Push) -> None:
        """One more target, from the next key frame on."""
        push.opening(list(self._opening))
        self.pushes.append(push)

    def remove(self, push: Push) -> None:
        """One target less."""
        if push in self.pushes:
            self.pushes.remove(push)

    def tracks(self, tracks: Tracks) -> None:
        """What the frames from here on are made of."""
        opening = [PushedTag(flv.SCRIPT, 0, SET_DATA_FRAME + flv.metadata(_described(tracks)), False)]
        self._video = tracks.video is not None
        if tracks.video is not None:
            self._codec = tracks.video.codec
            opening.append(PushedTag(flv.VIDEO, 0, flv.video_config(tracks.video.codec, tracks.video.record), False))
        if tracks.audio is not None:
            opening.append(PushedTag(flv.AUDIO, 0, flv.audio_config(tracks.audio.record), False))
        self._opening = opening
        same = self._tracks is not None and tracks.decodes_as(self._tracks)
        self._tracks = tracks
        for push in self.pushes:
            push.opening(opening, keep=same)

    def unit(self, unit: AccessUnit) -> None:
        """The next frame."""
        if not self.pushes:
            return
        time = unit.dts // 90
        if unit.kind is Kind.VIDEO:
            offset = (unit.pts - unit.dts + 45) // 90
            tag = PushedTag(flv.VIDEO, time, flv.video_frame(self._codec, unit.key, offset, unit.payload), unit.key)
        else:
            tag = PushedTag(flv.AUDIO, time, flv.audio_frame(unit.payload), not self._video)
        rest = iter(self.pushes)
        while True:
            push: Push | None = None
            try:
                for push in rest:
                    push.put(tag)
            except Exception as error:  # noqa: BLE001 - one target's fault is its own
                self._faults.output("push", error)
                if push is not None:
                    push.reset()
            else:
                return

    def event(self, event: TimedEvent) -> None:
        """Something is to be said at an instant (`hlsd.ports.EventTaker`): it goes on as the publisher said it."""
        if event.script:
            head = SET_DATA_FRAME if event.script.startswith(METADATA) else b""
            for push in self.pushes:
                push.say(head + event.script)

    def reset(self) -> None:
        """Something here has raised (`Mendable`): targets stay connected, and wait for a key frame."""
        for push in self.pushes:
            push.reset()

    def halt(self) -> None:
        """It stays off (`Mendable`): targets are let go; the next publication begins with new ones."""
        self._finish("error:output")

    def jump(self) -> None:
        """Times go on rising: nothing to tell a target."""

    def pause(self) -> None:
        """The publisher may come back: targets are kept."""

    def end(self) -> None:
        """The stream is over."""
        self._finish("stream_end")

    def _finish(self, reason: str) -> None:
        guard = self._faults.guard("push_end")
        for push in list(self.pushes):
            with guard:
                push.finish(reason)
        self._ended(self)


def _described(tracks: Tracks) -> dict[str, float | bool | str]:
    facts: dict[str, float | bool | str] = {"encoder": "hlsd"}
    if tracks.video is not None:
        facts |= {
            "width": float(tracks.video.width),
            "height": float(tracks.video.height),
            "videocodecid": 7.0 if tracks.video.codec == "h264" else SAMPLE_ENTRY[tracks.video.codec],
        }
    if tracks.audio is not None:
        facts |= {
            "audiocodecid": 10.0,
            "audiosamplerate": float(tracks.audio.sample_rate),
            "stereo": tracks.audio.channels > 1,
        }
    return facts
