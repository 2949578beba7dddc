"""All settings of a server: one model for each section, declared by the boxes they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hlsd.api.settings import ApiSettings
from hlsd.auth.settings import AuthSettings
from hlsd.base.quantities import GIB, MIB, Duration, Size
from hlsd.cluster.settings import ClusterSettings
from hlsd.console.settings import ConsoleSettings
from hlsd.delivery.flv.settings import FlvSettings
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.settings import HttpsSettings
from hlsd.ingest.gb28181.settings import Gb28181Settings
from hlsd.ingest.jt1078.settings import Jt1078Settings
from hlsd.ingest.recorder.settings import RecorderSettings
from hlsd.ingest.rtsp.settings import RtspSettings
from hlsd.ingest.settings import PublishSettings, RtmpSettings
from hlsd.ingest.srt.settings import SrtSettings
from hlsd.ingest.ts.settings import TsSettings
from hlsd.metrics.settings import MetricsSettings
from hlsd.notify.settings import NotifySettings
from hlsd.record.settings import RecordSettings
from hlsd.relay.settings import RelaySettings
from hlsd.segmenter.settings import HlsSettings
from hlsd.sessions.settings import SessionSettings
from hlsd.snapshots.settings import SnapshotSettings
from hlsd.timeshift.settings import DvrSettings
from hlsd.transcode.settings import TranscodeSettings
from hlsd.vod.settings import CompatSettings, VodSettings
from hlsd.webrtc.settings import WebrtcSettings


class ServerSettings(BaseModel):
    """The process as a whole: section `[server]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    id: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Name of this node in logs, metrics and events. Empty: the host name.",
    )
    state_dir: Path = Field(
        Path("var"),
        description="Folder for what must survive a restart, relative to the working directory. Media sequence numbers "
        "are remembered here: without it a player that outlives a restart could see them go back if the clock did.",
    )
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = Field(
        1,
        description="Processes that serve viewers over HTTP and HTTPS; with more than one, another process takes "
        'publishers in, and one watches over all. "auto": one for each processor. More than one only with hlsd serve: '
        "docs/workers.md says what then differs.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="Least severe log line that is written. debug says more of each connection, nothing about media.",
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Shape of a log line on standard error: for eyes, or one JSON object for a collector."
    )
    drain_timeout: Duration = Field(
        8.0,
        ge=0,
        le=600,
        description="Longest time between SIGTERM and exit, seconds. Held requests are answered and connections closed "
        "meanwhile; what is still open afterwards is cut. Supervisors usually kill after 10 s or more.",
    )


class LimitsSettings(BaseModel):
    """What the whole node may take on: section `[limits]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    max_streams: int = Field(
        500, ge=1, le=100_000, description="Streams at once. Publishers beyond it are refused with the reason."
    )
    max_memory: Size = Field(
        2 * GIB,
        ge=16 * MIB,
        description="Media in memory for all streams together, bytes. While it is reached, new publishers are refused "
        "and old segments go early; if that is not enough, the publisher whose stream holds the most is let go.",
    )


class Settings(BaseModel):
    """The effective configuration, one field for each section."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    server: ServerSettings = Field(default_factory=ServerSettings)
    limits: LimitsSettings = Field(default_factory=LimitsSettings)
    rtmp: RtmpSettings = Field(default_factory=RtmpSettings)
    webrtc: WebrtcSettings = Field(default_factory=WebrtcSettings)
    srt: SrtSettings = Field(default_factory=SrtSettings)
    publish: PublishSettings = Field(default_factory=PublishSettings)
    ts: TsSettings = Field(default_factory=TsSettings)
    jt1078: Jt1078Settings = Field(default_factory=Jt1078Settings)
    gb28181: Gb28181Settings = Field(default_factory=Gb28181Settings)
    rtsp: RtspSettings = Field(default_factory=RtspSettings)
    recorder: RecorderSettings = Field(default_factory=RecorderSettings)
    transcode: TranscodeSettings = Field(default_factory=TranscodeSettings)
    hls: HlsSettings = Field(default_factory=HlsSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    flv: FlvSettings = Field(default_factory=FlvSettings)
    sessions: SessionSettings = Field(default_factory=SessionSettings)
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
    https: HttpsSettings = Field(default_factory=HttpsSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    notify: NotifySettings = Field(default_factory=NotifySettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    relay: RelaySettings = Field(default_factory=RelaySettings)
    record: RecordSettings = Field(default_factory=RecordSettings)
    dvr: DvrSettings = Field(default_factory=DvrSettings)
    snapshot: SnapshotSettings = Field(default_factory=SnapshotSettings)
    vod: VodSettings = Field(default_factory=VodSettings)
    compat: CompatSettings = Field(default_factory=CompatSettings)


def sections() -> dict[str, type[BaseModel]]:
    """The sections by name, in the order of the file."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        found[name] = model
    return found
