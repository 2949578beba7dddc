"""Describes the answers that have Node-Media-Server's shapes (contract §6), in its names and units."""

from __future__ import annotations

from pydantic import BaseModel, Field


class NmsOs(BaseModel, defer_build=True):
    """Of the machine."""

    arch: str
    platform: str
    release: str


class NmsCpu(BaseModel, defer_build=True):
    """Of the machine."""

    num: int
    load: int = Field(description="Per cent.")
    model: str
    speed: int = Field(description="MHz")


class NmsMemory(BaseModel, defer_build=True):
    """Of the machine, bytes; the spelling is Node-Media-Server's."""

    totle: int
    free: int


class NmsNet(BaseModel, defer_build=True):
    """Bytes in and out."""

    inbytes: int
    outbytes: int


class NmsProcess(BaseModel, defer_build=True):
    """Of the process; `version` is Python's."""

    uptime: int
    version: str
    mem: dict[str, int]


class NmsClients(BaseModel, defer_build=True):
    """Publishers and viewers."""

    accepted: int
    active: int
    idle: int
    rtmp: int
    http: int
    ws: int


class NmsServer(BaseModel, defer_build=True):
    """`GET /api/server` of Node-Media-Server."""

    os: NmsOs
    cpu: NmsCpu
    mem: NmsMemory
    net: NmsNet
    nodejs: NmsProcess
    clients: NmsClients
    version: str


class NmsAudio(BaseModel, defer_build=True):
    """The audio of a publisher."""

    codec: str
    profile: str
    samplerate: int
    channels: int


class NmsVideo(BaseModel, defer_build=True):
    """The video of a publisher."""

    codec: str
    width: int
    height: int
    profile: str
    level: float
    fps: float


class NmsPublisher(BaseModel, defer_build=True):
    """Who publishes."""

    app: str
    stream: str
    clientId: str  # noqa: N815 - Node-Media-Server's name
    connectCreated: str = Field(description="ISO 8601")  # noqa: N815
    bytes: int
    ip: str
    audio: NmsAudio | None
    video: NmsVideo | None


class NmsSubscriber(BaseModel, defer_build=True):
    """Who watches."""

    app: str
    stream: str
    clientId: str  # noqa: N815
    connectCreated: str = Field(description="ISO 8601")  # noqa: N815
    bytes: int
    ip: str
    protocol: str = Field(description="hls, http (HTTP-FLV), ws (WebSocket-FLV) or rtmp.")


class NmsStream(BaseModel, defer_build=True):
    """One stream of `GET /api/streams`."""

    publisher: NmsPublisher | None
    subscribers: list[NmsSubscriber]


class NmsOneStream(BaseModel, defer_build=True):
    """`GET /api/streams/{app}/{stream}`."""

    isLive: bool  # noqa: N815
    viewers: int
    duration: int = Field(description="Seconds.")
    bitrate: int = Field(description="Kilobits per second.")
    startTime: str | None = Field(description="ISO 8601")  # noqa: N815
    arguments: dict[str, str]
