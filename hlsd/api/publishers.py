"""Answers who publishes: one row for each publisher there is, whatever its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.api import cursor, models
from hlsd.api.models import NoQuery, PublishersQuery
from hlsd.api.operations import Call
from hlsd.api.problems import ApiError, Code
from hlsd.events.facts import address

if TYPE_CHECKING:
    from hlsd.streams.hub import Hub
    from hlsd.streams.stream import Stream


class PublisherHandlers:
    """The operations of /api/v1/publishers."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def publishers(self, call: Call, query: PublishersQuery) -> models.PublisherList:  # noqa: ARG002
        """A page of publishers."""
        found, more = await cursor.page(
            self._hub.streams,
            lambda stream: (stream.app, stream.name),
            cursor.decode(query.cursor, (str, str)),
            query.limit,
            lambda stream: stream.claim is not None and query.app in (None, stream.app),
        )
        rows = [row for stream in found if (row := self._row(stream)) is not None]
        return models.PublisherList(items=rows, cursor=more)

    async def publisher(self, call: Call, query: NoQuery) -> models.PublisherRow:  # noqa: ARG002
        """One of them."""
        for stream in self._hub.streams:
            entry = self._hub.publisher(stream.app, stream.name)
            if entry is not None and entry.id == call.path["id"] and (row := self._row(stream)) is not None:
                return row
        raise ApiError(Code.NO_SUCH_PUBLISHER, "there is no such publisher; it may have left")

    def _row(self, stream: Stream) -> models.PublisherRow | None:
        entry, claim = self._hub.publisher(stream.app, stream.name), stream.claim
        if entry is None or claim is None:
            return None
        stats, tracks, line = stream.stats, stream.tracks, claim.request.line()
        carried = [track.codec_string for track in (tracks.video, tracks.audio) if track is not None] if tracks else []
        on_air = stats.last_unit >= entry.since
        return models.PublisherRow(
            id=entry.id,
            app=stream.app,
            name=stream.name,
            path=stream.path,
            ip=address(entry.ip, entry.port),
            protocol=entry.protocol,
            user_id=entry.user_id,
            user_agent=entry.user_agent,
            createtime=round(entry.since * 1000),
            status="running" if on_air else "created",
            codecs=",".join(carried) if on_air else "",
            inbytes=max(0, stats.received_bytes - entry.received_before),
            video_frames=stats.video_frames,
            audio_frames=stats.audio_frames,
            last_frame=round(stats.last_unit * 1000) if on_air else 0,
            line=models.LineView(
                connected=line.connected, loss=round(line.loss, 5), round_trip_ms=round(line.round_trip * 1000, 1)
            )
            if line is not None
            else None,
        )
