"""Answers as Node-Media-Server's version 2 does at /api/server and /api/streams, for the tools that know these.

Shapes and spellings are theirs (`totle`, `nodejs`), figures are ours: viewers by HLS are subscribers too, their
`protocol` is "hls". There is no paging in that interface, so the list of streams is written piece by piece.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from hlsd import __version__
from hlsd.api import cursor, nms_models
from hlsd.api.context import ApiContext
from hlsd.api.handlers import rss
from hlsd.api.models import NoQuery
from hlsd.api.operations import Call, Streamed
from hlsd.api.problems import ApiError, Code
from hlsd.base import masking
from hlsd.sessions.session import Session
from hlsd.streams.stream import Stream, StreamState

_PROTOCOLS = {"flv": "http", "wsflv": "ws"}
_SAMPLE = 0.1
"""Seconds over which the CPU's load is measured."""
_MANY = 100
"""Subscribers written at a time."""


class NmsHandlers:
    """The operations of /api/server and /api/streams."""

    def __init__(self, premises: ApiContext) -> None:
        self._hub = premises.hub
        self._sessions = premises.sessions
        self._clock = premises.clock
        self._begun = premises.begun

    async def server(self, call: Call, query: NoQuery) -> nms_models.NmsServer:  # noqa: ARG002
        """The machine and the process."""
        before = _cpu_times()
        await asyncio.sleep(_SAMPLE)
        after = _cpu_times()
        idle, total = after[0] - before[0], after[1] - before[1]
        kinds: Counter[str] = Counter()
        async for part in cursor.sliced(self._sessions):
            kinds.update([session.protocol for session in part])
        publishers = [stream.claim.request.protocol for stream in self._hub.streams if stream.claim is not None]
        active = len(self._sessions) + len(publishers)
        model, speed = _cpu_model()
        return nms_models.NmsServer(
            os=nms_models.NmsOs(
                arch=platform.machine(), platform=platform.system().lower(), release=platform.release()
            ),
            cpu=nms_models.NmsCpu(
                num=os.cpu_count() or 1,
                load=round(100 - 100 * idle / total) if total > 0 else 0,
                model=model,
                speed=speed,
            ),
            mem=_memory(),
            net=nms_models.NmsNet(
                inbytes=sum(stream.stats.received_bytes for stream in self._hub.streams),
                outbytes=self._sessions.ledger.total,
            ),
            nodejs=nms_models.NmsProcess(
                uptime=int(self._clock.monotonic() - self._begun),
                version=f"python {platform.python_version()}",
                mem={"rss": rss()},
            ),
            clients=nms_models.NmsClients(
                accepted=sum(app.opened.total() + app.publishes["ok"] for app in self._sessions.stats.apps.values()),
                active=active,
                idle=0,
                rtmp=kinds["rtmp"] + publishers.count("rtmp"),
                http=kinds["hls"] + kinds["flv"] + publishers.count("flv"),
                ws=kinds["wsflv"] + publishers.count("wsflv"),
            ),
            version=__version__,
        )

    async def streams(
        self,
        call: Call,  # noqa: ARG002
        query: NoQuery,  # noqa: ARG002
    ) -> Streamed[dict[str, dict[str, nms_models.NmsStream]]]:
        """Every stream with its publisher and its viewers."""
        watched: dict[str, dict[str, list[Session]]] = {}
        async for part in cursor.sliced(self._sessions):
            for session in part:
                watched.setdefault(session.app, {}).setdefault(session.name, []).append(session)
        for stream in self._hub.streams:
            if stream.claim is not None:
                watched.setdefault(stream.app, {}).setdefault(stream.name, [])
        return Streamed(self._written(watched))

    async def stream(self, call: Call, query: NoQuery) -> nms_models.NmsOneStream:  # noqa: ARG002
        """Whether a stream is live, and how many watch."""
        app, name = call.path["app"], call.path["stream"]
        stream = self._hub.get(app, name)
        claim = stream.claim if stream is not None else None
        lasted = self._clock.monotonic() - claim.since if claim is not None else 0.0
        return nms_models.NmsOneStream(
            isLive=claim is not None,
            viewers=self._sessions.of_stream(f"/{app}/{name}"),
            duration=-int(-lasted // 1),
            bitrate=round(stream.stats.bitrate / 1000) if stream is not None and claim is not None else 0,
            startTime=_iso(self._clock.wall() - lasted) if claim is not None else None,
            arguments=masking.arguments(claim.request.query) if claim is not None else {},
        )

    async def drop(self, call: Call, query: NoQuery) -> str:  # noqa: ARG002
        """Sends the publisher away; as there, it may come back at once."""
        if not self._hub.kick(call.path["app"], call.path["stream"]):
            raise ApiError(Code.NO_SUCH_STREAM, "stream not found")
        return "ok"

    async def _written(self, watched: dict[str, dict[str, list[Session]]]) -> AsyncIterator[bytes]:
        """`{app: {stream: {publisher, subscribers}}}`, a piece at a time."""
        comma_app = "{"
        for app, names in watched.items():
            yield f"{comma_app}{json.dumps(app)}:".encode()
            comma_app = ","
            comma_name = "{"
            for name, sessions in names.items():
                stream = self._hub.get(app, name)
                publisher = self._publisher(stream) if stream is not None else None
                said = publisher.model_dump_json() if publisher is not None else "null"
                yield f'{comma_name}{json.dumps(name)}:{{"publisher":{said},"subscribers":['.encode()
                comma_name = ","
                for start in range(0, len(sessions), _MANY):
                    part = [_subscriber(session).model_dump_json() for session in sessions[start : start + _MANY]]
                    yield ("," * bool(start) + ",".join(part)).encode()
                    await asyncio.sleep(0)
                yield b"]}"
            yield b"}"
        yield b"}" if comma_app == "," else b"{}"

    def _publisher(self, stream: Stream) -> nms_models.NmsPublisher | None:
        claim, publisher = stream.claim, self._hub.publisher(stream.app, stream.name)
        if claim is None or publisher is None or stream.state is not StreamState.LIVE:
            return None
        video = stream.tracks.video if stream.tracks else None
        audio = stream.tracks.audio if stream.tracks else None
        return nms_models.NmsPublisher(
            app=stream.app,
            stream=stream.name,
            clientId=publisher.id,
            connectCreated=_iso(publisher.since),
            bytes=max(0, stream.stats.received_bytes - publisher.received_before),
            ip=publisher.ip,
            audio=nms_models.NmsAudio(
                codec=_CODECS.get(audio.codec_string.partition(".")[0], audio.codec_string),
                profile=_aac_profile(audio.codec_string),
                samplerate=audio.sample_rate,
                channels=audio.channels,
            )
            if audio
            else None,
            video=nms_models.NmsVideo(
                codec=_CODECS.get(video.codec_string.partition(".")[0], video.codec_string),
                width=video.width,
                height=video.height,
                profile=_profile(video.codec_string),
                level=_level(video.codec_string),
                fps=round(stream.run.frame_rate, 3) if stream.run else 0.0,
            )
            if video
            else None,
        )


_CODECS = {"avc1": "H264", "avc3": "H264", "hvc1": "H265", "hev1": "H265", "av01": "AV1", "mp4a": "AAC"}
_PROFILES = {"42": "Baseline", "4d": "Main", "58": "Extended", "64": "High"}


def _profile(codec: str) -> str:
    """The profile's name, of a CODECS string (RFC 6381 §3.3; ISO/IEC 14496-15 Annex E)."""
    kind, _, rest = codec.partition(".")
    if kind.startswith("avc"):
        return _PROFILES.get(rest[:2].lower(), "")
    number = rest.partition(".")[0]
    if kind == "av01":
        return {"0": "Main", "1": "High", "2": "Professional"}.get(number, "")
    return {"1": "Main", "2": "Main 10"}.get(number, "") if kind.startswith("h") else ""


def _level(codec: str) -> float:
    """The level: of `avc1.64001f` 3.1, of `hvc1.1.6.L93.B0` 3.1, of `av01.0.05M.08` 3.1 (AV1 Bitstream §A.3)."""
    kind, _, rest = codec.partition(".")
    try:
        if kind.startswith("avc"):
            return int(rest[4:6], 16) / 10
        if kind == "av01":
            index = int(rest.split(".")[1][:2])
            return 2 + index // 4 + index % 4 / 10
        return int(rest.split(".")[2][1:]) / 30
    except (ValueError, IndexError):
        return 0.0


def _aac_profile(codec: str) -> str:
    """Of the audio object type (ISO/IEC 14496-3 table 1.17)."""
    return {"2": "LC", "5": "HE", "29": "HEv2"}.get(codec.rpartition(".")[2], "")


def _subscriber(session: Session) -> nms_models.NmsSubscriber:
    return nms_models.NmsSubscriber(
        app=session.app,
        stream=session.name,
        clientId=session.id,
        connectCreated=_iso(session.created_at),
        bytes=session.out_bytes,
        ip=session.ip,
        protocol=_PROTOCOLS.get(session.protocol, session.protocol),
    )


def _iso(seconds: float) -> str:
    """As JavaScript's Date writes itself into JSON."""
    whole, millis = divmod(int(seconds * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{millis:03d}Z"


def _cpu_times() -> tuple[int, int]:
    """Idle and all ticks of the machine since its start (proc(5)); zeros where there is no /proc."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return fields[3], sum(fields)


def _cpu_model() -> tuple[str, int]:
    """What the processor calls itself, and its MHz; 0 where it does not say."""
    found: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    try:
        speed = round(float(found.get("cpu MHz", "0")))
    except ValueError:
        speed = 0
    return found.get("model name", platform.processor()), speed


def _memory() -> nms_models.NmsMemory:
    """Of the machine."""
    page = os.sysconf("SC_PAGE_SIZE")
    return nms_models.NmsMemory(totle=os.sysconf("SC_PHYS_PAGES") * page, free=os.sysconf("SC_AVPHYS_PAGES") * page)
