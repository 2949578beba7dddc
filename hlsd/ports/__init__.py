"""The doors between boxes: what one may ask of another without knowing it.

Ingest knows `Admission` and `Publication`; outputs are `Output`, made by an `OutputFactory`; what they keep to be asked
for is a `MediaRun`, and who wants its segments is a `SegmentSink`; delivery knows `Directory` and `Playable`. The hub
and the streams stand behind these; `app` hands them in.
"""

from hlsd.ports.admission import ABSENT, REJECTED, VOD, Denial, Gate, Grant, PlayRequest, earlier
from hlsd.ports.directory import Directory, OnDemand, StreamSummary
from hlsd.ports.entrance import Ending, Entrance, Entry, O, Outputs
from hlsd.ports.outputs import (
    AUDIO_ONLY,
    MAIN,
    AsSentTaker,
    EventTaker,
    Feed,
    Keeping,
    LiveStream,
    MediaRun,
    Output,
    OutputFactory,
    RangeTaker,
    SegmentSink,
    SinkFactory,
    SinkPart,
    SinkSegment,
)
from hlsd.ports.pictures import KeyPicture, PictureMaker
from hlsd.ports.playable import Lateness, Media, Playable, Rendering
from hlsd.ports.publishing import Admission, LineState, Publication, PublishRequest, Refuse, RefuseCode
from hlsd.ports.reload import Commit, Reloadable
from hlsd.ports.renditions import Ladder, OfferedRendition, RenditionFeed
from hlsd.ports.service import Service
from hlsd.ports.sessions import MEDIA, MORE, WORDS, RenditionBody, Sessions, ViewerSession, rest_of
from hlsd.ports.sound import OpusDesk, OpusMaker, SoundConverter, SoundDesk, SoundSink, SoundTeller

__all__ = [
    "ABSENT",
    "AUDIO_ONLY",
    "MAIN",
    "MEDIA",
    "MORE",
    "REJECTED",
    "VOD",
    "WORDS",
    "Admission",
    "AsSentTaker",
    "Commit",
    "Denial",
    "Directory",
    "Ending",
    "Entrance",
    "Entry",
    "EventTaker",
    "Feed",
    "Gate",
    "Grant",
    "Keeping",
    "KeyPicture",
    "Ladder",
    "Lateness",
    "LineState",
    "LiveStream",
    "Media",
    "MediaRun",
    "O",
    "OfferedRendition",
    "OnDemand",
    "OpusDesk",
    "OpusMaker",
    "Output",
    "OutputFactory",
    "Outputs",
    "PictureMaker",
    "PlayRequest",
    "Playable",
    "Publication",
    "PublishRequest",
    "RangeTaker",
    "Refuse",
    "RefuseCode",
    "Reloadable",
    "Rendering",
    "RenditionBody",
    "RenditionFeed",
    "SegmentSink",
    "Service",
    "Sessions",
    "SinkFactory",
    "SinkPart",
    "SinkSegment",
    "SoundConverter",
    "SoundDesk",
    "SoundSink",
    "SoundTeller",
    "StreamSummary",
    "ViewerSession",
    "earlier",
    "rest_of",
]
