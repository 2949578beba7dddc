"""Answers the operator: what the server carries, who watches, what happened, and who is sent away.

It reads the live objects and changes nothing but by the doors that they have for it (`kick`). Whatever grows with the
number of viewers is looked through in slices, so that an operator's curiosity costs no viewer a stutter.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from hlsd import __version__
from hlsd.api import cursor, models
from hlsd.api.models import EventsQuery, KickQuery, NoQuery, SessionsQuery, StreamsQuery
from hlsd.api.operations import Call
from hlsd.api.problems import ApiError, Code
from hlsd.base import masking
from hlsd.events import Event
from hlsd.events.facts import address
from hlsd.media.codecs import codecs_attribute
from hlsd.ports import OfferedRendition
from hlsd.sessions.session import Session
from hlsd.streams.stream import Stream, StreamState

if TYPE_CHECKING:
    from collections.abc import Callable

    from hlsd.api.context import ApiContext

MAX_WAITING = 64
"""Requests for events that wait at once."""
_LOOK = 1.0
"""Seconds between two looks of a waiting request at whether the server is about to stop."""


class Handlers:
    """The operations of /api/v1."""

    def __init__(self, premises: ApiContext) -> None:
        self._hub = premises.hub
        self._sessions = premises.sessions
        self._ring = premises.ring
        self._clock = premises.clock
        self._config = premises.config
        self._id = premises.server_id
        self._congestion = premises.congestion
        self._snapshots = premises.snapshots
        self._since = premises.since
        self._begun = premises.begun
        self._waiting: set[asyncio.Future[None]] = set()
        buses = {id(bus): bus for bus in (premises.hub.bus, premises.sessions.bus)}
        for bus in buses.values():
            bus.listen(self._happened)

    # -- the server

    async def server(self, call: Call, query: NoQuery) -> models.NodeView:  # noqa: ARG002 - what every operation gets
        """This node."""
        streams = [stream for stream in self._hub.streams if stream.state is not StreamState.ENDED]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return models.NodeView(
            id=self._id,
            version=__version__,
            python=platform.python_version(),
            pid=os.getpid(),
            createtime=_ms(self._since),
            uptime_ms=_ms(self._clock.monotonic() - self._begun),
            draining=self._hub.draining,
            streams=len(streams),
            publishers=sum(stream.claim is not None for stream in streams),
            sessions=len(self._sessions),
            inbytes=sum(stream.stats.received_bytes for stream in self._hub.streams),
            outbytes=self._sessions.ledger.total,
            unattributed_bytes=self._sessions.ledger.unattributed,
            media_bytes=self._hub.media_bytes(),
            rss_bytes=rss(),
            cpu_seconds=round(usage.ru_utime + usage.ru_stime, 3),
            congestion=dict(self._congestion()),
        )

    async def config(self, call: Call, query: NoQuery) -> models.SettingsView:  # noqa: ARG002
        """The effective configuration, masked."""
        return models.SettingsView.model_validate({"sections": self._config()})

    # -- streams

    async def streams(self, call: Call, query: StreamsQuery) -> models.StreamList:  # noqa: ARG002
        """A page of streams."""
        found, more = await cursor.page(
            self._hub.streams,
            lambda stream: (stream.app, stream.name),
            cursor.decode(query.cursor, (str, str)),
            query.limit,
            lambda stream: query.app is None or stream.app == query.app,
        )
        return models.StreamList(items=[self._stream(stream) for stream in found], cursor=more)

    async def stream(self, call: Call, query: NoQuery) -> models.StreamView:  # noqa: ARG002
        """One stream."""
        found = self.find_stream(call.path["app"], call.path["stream"])
        return self._stream(found)

    async def kick_publisher(self, call: Call, query: KickQuery) -> models.Kicked:
        """Sends the publisher of a stream away."""
        found = self.find_stream(call.path["app"], call.path["stream"])
        if not self._hub.kick(found.app, found.name, ban=query.ban):
            raise ApiError(Code.NOT_PUBLISHING, f"nobody publishes {found.path} at this instant")
        return models.Kicked(id=found.path, ban=query.ban)

    def find_stream(self, app: str, name: str) -> Stream:
        """The stream of a path. Raises ApiError."""
        found = self._hub.get(app, name)
        if found is None:
            raise ApiError(Code.NO_SUCH_STREAM, "there is no such stream")
        return found

    def _stream(self, stream: Stream) -> models.StreamView:
        run = stream.run
        tracks = stream.tracks
        video = tracks.video if tracks else None
        audio = tracks.audio if tracks else None
        return models.StreamView(
            id=stream.id,
            app=stream.app,
            name=stream.name,
            path=stream.path,
            state=stream.state.value,
            createtime=_ms(stream.since),
            publisher=self._publisher(stream),
            video=models.VideoView(
                codec=video.codec_string,
                width=video.width,
                height=video.height,
                frame_rate=round(run.frame_rate, 3) if run else 0.0,
            )
            if video
            else None,
            audio=models.Audio(
                codec=audio.codec_string,
                sample_rate=audio.sample_rate,
                channels=audio.channels,
                hls=run is not None and not run.muted,
            )
            if audio
            else None,
            dropped=list(stream.dropped),
            converted=list(stream.converted),
            bitrate=round(stream.stats.bitrate),
            inbytes=stream.stats.received_bytes,
            video_frames=stream.stats.video_frames,
            audio_frames=stream.stats.audio_frames,
            key_interval_ms=_ms(stream.stats.keyframe_interval),
            repairs=dict(stream.stats.repairs),
            sessions=self._sessions.of_stream(stream.path),
            target_duration=run.live.target_duration if run else 0,
            low_latency=run is not None and run.live.low_latency,
            media_bytes=run.bytes if run else 0,
            renditions=[_rendition(one) for one in run.offered()] if run else [],
            snapshot=f"{stream.path}.jpg" if self._snapshots and video and stream.newest_key is not None else "",
        )

    def _publisher(self, stream: Stream) -> models.PublisherView | None:
        publisher, claim = self._hub.publisher(stream.app, stream.name), stream.claim
        if publisher is None or claim is None:
            return None
        return models.PublisherView(
            id=publisher.id,
            ip=address(publisher.ip, publisher.port),
            protocol=publisher.protocol,
            user_id=publisher.user_id,
            user_agent=publisher.user_agent,
            createtime=_ms(publisher.since),
            duration_ms=_ms(self._clock.monotonic() - claim.since),
            tracks_left_out=list(claim.other_tracks),
        )

    # -- sessions

    async def sessions(self, call: Call, query: SessionsQuery) -> models.SessionList:  # noqa: ARG002
        """A page of sessions."""
        found, more = await cursor.page(
            self._sessions,
            lambda session: (float(session.created_at), session.id),
            cursor.decode(query.cursor, (float, str)),
            query.limit,
            _filter(query),
        )
        items: list[models.SessionView] = []
        for number, session in enumerate(found, 1):
            items.append(self._session(session))
            if not number % 50:
                await asyncio.sleep(0)
        return models.SessionList(items=items, cursor=more)

    async def session(self, call: Call, query: NoQuery) -> models.SessionView:  # noqa: ARG002
        """One session."""
        found = self._sessions.get(call.path["id"])
        if found is None:
            raise _no_session()
        return self._session(found)

    async def kick_session(self, call: Call, query: KickQuery) -> models.Kicked:
        """Ends a session, and keeps its viewer out for a while."""
        if not self._sessions.kick(call.path["id"], query.ban):
            raise _no_session()
        return models.Kicked(id=call.path["id"], ban=query.ban)

    def _session(self, session: Session) -> models.SessionView:
        told = {
            **self._sessions.facts(session),
            "id": session.id,
            "state": session.state.value,
            "query": masking.arguments(session.query),
        }
        return models.SessionView.model_validate(told)

    # -- events

    async def events(self, call: Call, query: EventsQuery) -> models.Events:  # noqa: ARG002
        """What happened since."""
        items, cursor_ = self._ring.after(query.after, query.limit)
        if not items and query.wait and not self._hub.draining:
            if len(self._waiting) >= MAX_WAITING:
                raise ApiError(Code.TOO_MANY_WAITING, "too many requests wait for events", {"retry-after": "1"})
            await self._next_event(query.wait)
            items, cursor_ = self._ring.after(query.after, query.limit)
        return models.Events.model_validate({"items": items, "cursor": cursor_})

    async def _next_event(self, seconds: float) -> None:
        """Returns at the next event, when the time is over, or when the server is about to stop."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        woken: asyncio.Future[None] = loop.create_future()
        self._waiting.add(woken)
        try:
            while not woken.done() and not self._hub.draining and (left := until - loop.time()) > 0:
                await asyncio.wait([woken], timeout=min(left, _LOOK))
        finally:
            self._waiting.discard(woken)

    def _happened(self, event: Event) -> None:  # noqa: ARG002 - the ring has it
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)


def _no_session() -> ApiError:
    return ApiError(Code.NO_SUCH_SESSION, "there is no such session; it may have ended")


def _filter(query: SessionsQuery) -> Callable[[Session], bool]:
    stream = f"/{query.stream.lstrip('/')}" if query.stream else None
    ip, user, protocol = query.ip, query.user_id, query.protocol

    def wanted(session: Session) -> bool:
        return (
            not session.over
            and (stream is None or session.path == stream)
            and (protocol is None or session.protocol == protocol)
            and (user is None or session.user_id == user)
            and (ip is None or session.ip == ip or address(session.ip, session.port) == ip)
        )

    return wanted


def rss() -> int:
    """Resident bytes of this process (proc(5)); where there is no /proc, the most it ever had."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _rendition(one: OfferedRendition) -> models.RenditionView:
    video = one.tracks.video
    return models.RenditionView(
        name=one.name,
        codecs=codecs_attribute(one.tracks),
        width=video.width if video else 0,
        height=video.height if video else 0,
        frame_rate=round(one.frame_rate, 3) if video else 0.0,
        bandwidth=one.bandwidth,
        average_bandwidth=one.average_bandwidth,
    )
