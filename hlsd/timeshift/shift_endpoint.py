"""Answers for the past of a stream: `/{app}/{stream}.m3u8?dvr=`, `/{app}/{stream}/archive-…`, and below a session.

The way in is the entrance, as for live: authorised, opened, counted; who has a session already (`?sid=`) goes on with
it. The answer is a multivariant playlist whose one variant lies below the session, `/{app}/{stream}/~{sid}/d/…`; with
`?flat=1`, or where a session begins anew, it is a redirection there. Segments are those of recordings, at
`/{app}/{stream}/~{sid}/r/…`. Only GET makes a session; HEAD says whether there would be something.
"""

from __future__ import annotations

from typing import Final

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hlsd.base.clock import Clock
from hlsd.delivery.answer import Reply
from hlsd.delivery.judge import ANEW, Judge
from hlsd.delivery.play_request import play_request
from hlsd.delivery.replies import NOT_READY
from hlsd.delivery.request import (
    BadRequest,
    Request,
    Target,
    is_prefetch,
    parse_path,
    parse_query,
)
from hlsd.delivery.web import COUNTED, charge_of, read_request
from hlsd.ports import ABSENT, VOD, Denial, Entrance, PlayRequest, Sessions, ViewerSession
from hlsd.record.index import IndexAway
from hlsd.record.remote.bucket import StoreFault
from hlsd.timeshift.forms import BadForm, Form, read_form, read_window
from hlsd.timeshift.shifted import NotYet, Shifted, ShiftedPlaylists

KEPT: Final = "kept.json"
"""What tells which times there are."""
_METHODS: Final = b"GET, HEAD, OPTIONS"


class ShiftVisit:
    """What a viewer of the past comes for (`hlsd.ports.Outputs`, and the output too)."""

    ended = False
    name = ""
    """Of the stream that it was let in to, which whoever authorises may have renamed."""

    def __init__(self, playlists: ShiftedPlaylists, form: Form) -> None:
        self._playlists = playlists
        self._form = form
        self.found: Shifted | None = None
        """What there was when `ready` was asked last, of the stream `of`."""
        self.of = ("", "")

    def find(self, app: str, name: str) -> ShiftVisit:  # noqa: ARG002 - whether there is something is asked for by `ready`
        """It is never obtained from elsewhere: it is here, or it is not."""
        self.name = name
        return self

    async def ready(self, request: PlayRequest, output: ShiftVisit) -> Denial | None:  # noqa: ARG002
        """Whether there is anything of what is asked for."""
        self.of = request.app, request.name
        try:
            self.found = await self._playlists.find(request.app, request.name, self._form)
        except NotYet:
            return NOT_READY
        except StoreFault as error:
            return Denial(error.status, str(error), "store")
        except IndexAway as error:
            return Denial(503, str(error), "store")
        return None if self.found is not None else ABSENT


class ShiftEndpoint:
    """The endpoint of all of them."""

    def __init__(
        self, playlists: ShiftedPlaylists, judge: Judge, entrance: Entrance, sessions: Sessions, clock: Clock
    ) -> None:
        self._playlists = playlists
        self._judge = judge
        self._replies = judge.replies
        self._entrance = entrance
        self._sessions = sessions
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - there is no body
        """One request."""
        request = read_request(scope)
        self._judge.locate(request)
        scope[COUNTED] = True
        try:
            reply = await self._reply(request)
        except (BadRequest, BadForm) as error:
            reply = self._replies.refuse(request, 400, words=str(error))
        except StoreFault as error:
            reply = self._replies.refuse(request, error.status, words=str(error))
        except IndexAway:  # the server is about to stop, or its state file cannot be read
            reply = self._replies.unavailable(request)
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body})
        charge_of(scope, self._sessions)(request.session, len(reply.body), reply.media)

    async def _reply(self, request: Request) -> Reply:
        target = parse_path(request.path)
        if target is None or not (target.run == "d" or target.kind == "multivariant"):
            return self._replies.refuse(request, 404)
        if request.method == "OPTIONS":
            return self._replies.preflight(request)
        if request.method not in {"GET", "HEAD"}:
            return self._replies.refuse(request, 405, more=[(b"allow", _METHODS)])
        query = parse_query(request.query)
        if target.sid:
            return await self._inside(request, target, query)
        return await self._outside(request, target, self._form(target, query), query)

    def _form(self, target: Target, query: dict[str, str]) -> Form:
        if target.kind == "multivariant":
            return read_window(query.get("dvr", ""), self._playlists.most)
        return read_form(target.resource, self._playlists.most)

    # -- the way in

    async def _outside(self, request: Request, target: Target, form: Form, query: dict[str, str]) -> Reply:
        """Lets a viewer in, or lets one that has a session go on with it."""
        flat = query.get("flat", "") not in {"", "0"}
        play = play_request(request, target, VOD if form.kind == "archive" else "hls")
        if request.method == "HEAD":
            return await self._look(request, play, form)
        if is_prefetch(request.headers):
            return self._replies.refuse(request, 503, words="not to be fetched ahead")
        known = query.get("sid", "")
        if known:
            agent = request.headers.get(b"user-agent", b"").decode("latin-1")
            viewer = self._sessions.admit(known, target.app, target.name, request.peer, agent, play.protocol)
            if not isinstance(viewer, Denial):
                self._count(request, viewer)
                self._sessions.linger(viewer)
                return await self._entered(request, target, viewer, form.at(self._clock.wall()), flat=flat)
        return await self._enter(request, target, play, form, flat=flat)

    async def _enter(self, request: Request, target: Target, play: PlayRequest, form: Form, *, flat: bool) -> Reply:
        form = form.at(self._clock.wall())
        visit = ShiftVisit(self._playlists, form)
        entry = await self._entrance.enter(play, visit, instead=target.sid)
        if isinstance(entry, Denial):
            return self._replies.deny(request, entry)
        session = request.session = entry.session
        session.in_bytes += request.size
        session.last = self._clock.monotonic()
        self._sessions.linger(session)
        found = visit.found if visit.of == (session.app, session.name) else None
        return await self._entered(request, target, session, form, found, flat=flat)

    async def _entered(  # noqa: PLR0913 - what is known by then
        self,
        request: Request,
        target: Target,
        session: ViewerSession,
        form: Form,
        found: Shifted | None = None,
        *,
        flat: bool,
    ) -> Reply:
        """What who has a session gets at the way in; `found` if that was looked for just now."""
        try:
            found = found or await self._playlists.find(session.app, session.name, form)
        except NotYet:
            return self._replies.deny(request, NOT_READY)
        if found is None:
            return self._replies.refuse(request, 404)
        if flat:
            return self._replies.redirect(request, f"{session.prefix.decode()}d/{form.file}")
        base = f"~{session.sid.decode()}/d/{form.file}"
        if target.kind == "multivariant" and target.variant:  # it stands beside the stream's path, and not below it
            base = f"{session.name}/{base}"
        elif session.name != target.name:
            base = f"../{session.name}/{base}"
        body = self._playlists.variant(session.app, session.name, found, base)
        headers = self._replies.looked(request).headers  # a few hundred bytes, of each viewer its own: never gzipped
        return Reply(200, [*headers, (b"content-length", b"%d" % len(body))], body)

    async def _look(self, request: Request, play: PlayRequest, form: Form) -> Reply:
        """What GET would get, whoever asks may look at it: no session, and no body."""
        visit = ShiftVisit(self._playlists, form)
        found = await self._entrance.glance(play, visit)
        if isinstance(found, Denial):
            return self._replies.deny(request, found)
        denial = await visit.ready(PlayRequest(play.app, found.name, play.protocol, play.ip), visit)
        return self._replies.deny(request, denial) if denial is not None else self._replies.looked(request)

    # -- with a session

    async def _inside(self, request: Request, target: Target, query: dict[str, str]) -> Reply:
        form = read_form(target.resource, self._playlists.most) if target.resource != KEPT else None
        agent = request.headers.get(b"user-agent", b"").decode("latin-1")
        viewer = self._sessions.admit(target.sid, target.app, target.name, request.peer, agent)
        if isinstance(viewer, Denial):
            if viewer.reason in ANEW and request.method == "GET" and form and not is_prefetch(request.headers):
                play = play_request(request, target, VOD if form.kind == "archive" else "hls")
                return await self._enter(request, target, play, form, flat=True)
            return self._replies.deny(request, viewer)
        self._count(request, viewer)
        if form is None:  # what there is: every page asks for that, of which most watch live
            return self._kept(request, await self._playlists.kept(target.app, target.name))
        self._sessions.linger(viewer)
        if form.kind == "moment":  # how far behind live that is, must not change from one reload to the next
            return self._replies.redirect(request, f"{viewer.prefix.decode()}d/{form.at(self._clock.wall()).file}")
        skip = query.get("_HLS_skip") in {"YES", "v2"}
        try:
            found = await self._playlists.find(target.app, target.name, form)
            if found is None:
                return self._replies.refuse(request, 404, cache=b"private, max-age=1")
            text = await self._playlists.playlist(target.app, target.name, found, skip=skip)
        except NotYet:
            return self._replies.refuse(request, 503)
        cache = b"private, max-age=60" if found.chosen.kind == "vod" else b"private, no-cache"
        return self._replies.playlist(request, text, cache=cache)

    def _count(self, request: Request, viewer: ViewerSession) -> None:
        request.session = viewer
        viewer.requests += 1
        viewer.in_bytes += request.size
        viewer.last = self._clock.monotonic()

    def _kept(self, request: Request, body: bytes) -> Reply:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"private, no-store"),
            *self._replies.readable(request),
        ]
        return Reply(200, headers, b"" if request.method == "HEAD" else body)


def shift_routes(endpoint: ShiftEndpoint) -> list[Route]:
    """Where it answers. Of playlists of live streams it gets those that the judge has left to it."""
    kinds = ("archive", "rewind", "timeshift_abs", "timeshift_rel")
    return [
        Route("/{app}/{name}.m3u8", endpoint),
        Route("/{app}/{name}/index.m3u8", endpoint),
        Route("/{app}/{name}/master.m3u8", endpoint),
        *[Route(f"/{{app}}/{{name}}/{kind}-{{rest}}", endpoint) for kind in kinds],
        Route("/{app}/{name}/{sid}/d/{file}", endpoint),
    ]
