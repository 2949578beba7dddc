"""Answers plain GETs of playlists, parts and segments from ready frames, as they are read: the hot path of HTTP/2.

Law: as for HTTP/1.1 (`hlsd.delivery.http1.fastpath`): what is answered here is a plain GET for a URL of an open session
that the judge has answered with 200 or a wait, and what it gets is looked up in the same place. Everything else is a
stream of the connection's. An answer that the windows take whole has no stream at all; one that waits, or is larger,
has one. Body bytes are charged when they are given to the transport (`settle`).
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol, cast

from hlsd.delivery.http1.connections import ClientAddress
from hlsd.delivery.http1.hotpath import HotPath
from hlsd.delivery.http1.wire import ReadyBytes, Stamp
from hlsd.delivery.http2.coded_path import CodedPrefix
from hlsd.delivery.http2.core import Http2
from hlsd.delivery.http2.hot_stream import HotStream
from hlsd.delivery.http2.ready_frames import ReadyFrames, frames_of
from hlsd.delivery.http2.request_form import RequestForm
from hlsd.delivery.wait_queue import WaitQueue
from hlsd.ports import ViewerSession

_TWO: int = 0x7F
"""From this size on the length of a string has a second octet (RFC 7541 §5.1)."""


class Stamped(Protocol):
    """What knows the header lines of this second."""

    common: Stamp


class HotRequests:
    """Of one connection."""

    __slots__ = (
        "_address", "_changes", "_coded", "_core", "_flush", "_form", "_given", "_hot", "_ip", "_last", "_last_rest",
        "_lead", "_session", "_size", "_soon", "_stamped", "_tail", "_unsettled", "_viewer",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - what it stands on
        self,
        hot: HotPath,
        stamped: Stamped,
        core: Http2,
        address: ClientAddress,
        ip: str,
        flush: Callable[[], None],
        soon: Callable[[], None],
    ) -> None:
        """`flush()` writes what is to be written, `soon()` has it written before the next turn of the event loop."""
        self._flush = flush
        self._hot = hot
        self._stamped = stamped
        self._core = core
        self._address = address
        self._ip = ip
        self._soon = soon
        self._session: ViewerSession | None = None
        self._viewer = ip
        # The last block that was answered here: what stood before and behind the string of its path
        self._lead = b""
        self._tail = b""
        self._changes = -1
        self._form: RequestForm | None = None
        self._coded: CodedPrefix | None = None
        self._last = b""
        self._last_rest = b""
        self._size = 0
        self._given: list[tuple[ViewerSession | None, int, int]] = []
        self._unsettled: list[tuple[ViewerSession | None, int, int]] = []

    # -- requests

    def again(self, number: int, block: bytes) -> bool:
        """Answers a request that is the last one but for what its session asks for; False if it must be read.

        A client sends the same lines each time, and they are coded alike as long as the table is the same. Any doubt,
        and the block is read by the rules.
        """
        session, form, coded = self._session, self._form, self._coded
        if (
            session is None
            or form is None
            or coded is None
            or session.over
            or self._changes != self._core.reader.changes
        ):
            return False
        if block == self._last:
            return self._serve(number, session, form, self._last_rest)
        tail = self._tail
        at, end = len(self._lead), len(block) - len(tail)
        if at + 1 >= end or not block.startswith(self._lead) or not block.endswith(tail):
            return False
        first = block[at]
        size = first & 0x7F
        at += 1
        if size == _TWO:
            if block[at] >= 0x80:
                return False
            size += block[at]
            at += 1
        if at + size != end or (first & 0x80) != self._size or not block.startswith(coded.octets, at):
            return False
        rest = coded.rest(block[at + coded.size : end])
        if rest is None or not self._serve(number, session, form, rest):
            return False
        self._last, self._last_rest = block, rest
        return True

    def first(self, number: int, form: RequestForm, path: bytes, block: bytes, span: tuple[int, int] | None) -> bool:
        """Answers a request that was read by the rules, if it is plain; False if it is none of the hot path.

        `span`: where in `block` the string of the path stands, if it does and the block has changed no table.
        """
        begin = path.find(b"/~", 2)
        if begin < 0:
            return False
        session = self._hot.sessions.find(path[begin + 2 : path.find(b"/", begin + 2)])
        if session is None or not path.startswith(session.prefix):
            return False
        forwarded = form.forwarded
        self._viewer = self._hot.proxies.viewer(self._ip, forwarded) if forwarded else self._ip
        rest = path[len(session.prefix) :]
        self._session = None
        if not self._serve(number, session, form, rest):
            return False
        if form.report:
            self._hot.quality.report(session.app, session.name, form.report, self._core.now)
        elif span is not None:
            self._remember(session, form, rest, block, span)
        return True

    def _remember(
        self, session: ViewerSession, form: RequestForm, rest: bytes, block: bytes, span: tuple[int, int]
    ) -> None:
        at, end = span
        self._lead, self._tail = block[:at], block[end:]
        self._size = block[at] & 0x80
        size = 1 if block[at] & 0x7F < _TWO else 2
        self._coded = CodedPrefix(session.prefix, block[at + size : end], coded=bool(self._size))
        self._changes = self._core.reader.changes
        self._session, self._form = session, form
        self._last, self._last_rest = block, rest

    def _serve(self, number: int, session: ViewerSession, form: RequestForm, rest: bytes) -> bool:
        """Answers the plain GET of `session.prefix + rest`, or has it wait; a fault of ours makes it a stream's."""
        try:
            return self._answer(number, session, form, rest)
        except Exception as error:  # noqa: BLE001 - it costs this request only, which is answered by the rules
            self._hot.blocked.faults.output("viewer", error)
            return False

    def _answer(self, number: int, session: ViewerSession, form: RequestForm, rest: bytes) -> bool:
        core = self._core
        answer = self._hot.look_up(session, rest, self._viewer, form.zipped, form.origin, core.now)
        if answer is None:
            return False
        session.in_bytes += form.size + len(session.prefix) + len(rest)
        if answer.__class__ is ReadyBytes:
            self._send(number, session, answer)
            return True
        stream = HotStream(number, asked=True, session=session, address=self._address, woken=self._woken)
        if self._hot.blocked.enter(cast("WaitQueue", answer), stream, core.now):
            core.hold(stream)
        else:
            self._send(number, session, self._hot.refusal)
        return True

    def _woken(self, stream: HotStream, answer: ReadyBytes | None) -> None:
        session = stream.session
        ready = answer or self._hot.refusal
        if session is not None:
            session.last = monotonic()
        frames = frames_of(ready, self._stamped.common)
        ready.cell.count += 1
        if self._core.give_held(stream, frames):
            self._given.append((session, ready.size, ready.media))
            if not self._core.streams:  # nobody else of this connection can be woken in the same breath
                self._flush()
                return
        else:
            self._flow(stream, ready)
            self._core.begin(stream, frames)
        self._soon()

    def _send(self, number: int, session: ViewerSession | None, ready: ReadyBytes) -> None:
        frames = ready.frames
        if frames.__class__ is not ReadyFrames or frames.stamp is not self._stamped.common:
            frames = frames_of(ready, self._stamped.common)
        ready.cell.count += 1
        if self._core.give(number, frames):
            self._given.append((session, ready.size, ready.media))
            return
        stream = HotStream(number, asked=True, session=session)
        self._flow(stream, ready)
        self._core.hold(stream)
        self._core.begin(stream, frames)

    @staticmethod
    def _flow(stream: HotStream, ready: ReadyBytes) -> None:
        """The answer takes its time: it keeps its session alive meanwhile, and is charged when its end is known."""
        stream.judged = True
        stream.media = ready.media
        if stream.session is not None:
            stream.flowing = True
            stream.session.flows += 1

    # -- endings

    def left(self, stream: HotStream) -> None:
        """The stream is over; it need not have been answered."""
        if stream.queue is not None:
            self._hot.blocked.leave(stream)

    def settle(self, *, left: bool) -> None:
        """What was answered whole has been given to the transport; `left`: and has left it."""
        given = self._given
        if given:
            charge = self._hot.charge
            for session, size, media in given:
                charge(session, size, media)
            if left:
                given.clear()
            else:
                self._unsettled, self._given = given, []

    def drop(self) -> None:
        """It never will be: the connection is gone."""
        self._given.clear()

    def left_all(self) -> None:
        """What the transport held has left it."""
        self._unsettled.clear()

    def refund(self, size: int) -> None:
        """Takes back what was charged for the last `size` bytes of body, which the transport still holds."""
        for session, had, media in reversed(self._unsettled):
            if size <= 0:
                break
            self._hot.charge(session, -min(had, size), media)
            size -= had
        self._unsettled.clear()
