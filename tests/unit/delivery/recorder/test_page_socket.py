"""A page's connection: what is not read waits at the page, order is kept, who is silent is gone."""

from __future__ import annotations

import asyncio

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.delivery.flv.websocket import BINARY, CLOSE, PING, TEXT
from hlsd.delivery.recorder.page_socket import MAX_PENDING, MAX_STRANGERS, MAX_TEXT, PageSocket
from hlsd.ports.recorder import LargeMessage
from tests.unit.delivery.flv_publish.test_messages import framed
from tests.unit.delivery.flv_publish.test_socket_publishers import Pausable


class Written(Pausable):
    """One that keeps what is written, and says how much of it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []
        self.unread = 0
        self.aborted: list[bool] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.frames.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.aborted.append(True)


def socket(most: int = 1 << 20) -> tuple[PageSocket, Written]:
    """One that has answered its handshake."""
    page, transport = PageSocket(most), Written()
    page.begin(transport, b"")
    transport.frames.clear()
    return page, transport


async def test_texts_and_pieces_come_in_their_order_however_they_are_cut() -> None:
    octets = framed(TEXT, b"one", fin=False) + framed(PING, b"p") + framed(0, " é".encode()) + framed(BINARY, b"ab")
    octets += framed(TEXT, b"") + framed(BINARY, b"c", fin=False) + framed(0, b"d") + framed(CLOSE, b"\x0f\xa0")
    for size in (1, 3, len(octets)):
        page, transport = socket()
        found: list[bytes | str | None] = []
        for at in range(0, len(octets), size):
            page.received(octets[at : at + size])
        while (said := await page.read()) is not None:
            found.append(said)
        assert [one for one in found if isinstance(one, str)] == ["one é", ""]
        assert b"".join([one for one in found if isinstance(one, bytes)]) == b"abcd"
        assert found.index("") > found.index("one é")
        assert page.code == 4000
        assert transport.frames == [b"\x8a\x01p"]


async def test_what_is_not_read_waits_at_the_page() -> None:
    # Of a stranger little, of who was let in two MiB.
    page, transport = socket(16 << 20)
    page.received(framed(BINARY, bytes(MAX_STRANGERS)))
    assert transport.noted == [True, False]
    page.admitted()
    assert transport.noted == [True, False, True]
    page.received(b"\x82\xff" + MAX_PENDING.to_bytes(8, "big") + bytes(4) + bytes(MAX_PENDING))  # its mask is 0
    assert transport.noted[3:] == [False]
    taken = 0
    while not transport.reading:
        piece = await page.read()
        assert isinstance(piece, bytes)
        taken += len(piece)
    assert taken >= MAX_PENDING // 2
    assert page.held <= MAX_PENDING // 2 + MAX_STRANGERS


@pytest.mark.parametrize(
    "octets",
    [
        framed(TEXT, bytes(MAX_TEXT + 1)),
        framed(TEXT, bytes(MAX_TEXT), fin=False) + framed(0, b"x"),
        framed(BINARY, bytes(1000), fin=False) + framed(0, bytes(25)),
    ],
)
async def test_a_message_has_a_bound_in_one_frame_or_many(octets: bytes) -> None:
    page, _ = socket(1024)
    page.received(octets)
    with pytest.raises(LargeMessage):
        await _all(page)


async def test_a_text_is_utf_8() -> None:
    page, _ = socket()
    page.received(framed(TEXT, b"\xff"))
    with pytest.raises(ProtocolError, match="UTF-8"):
        await page.read()


async def test_who_does_not_read_is_told_nothing_more() -> None:
    page, transport = socket()
    page.tell("x")
    transport.unread = 1 << 20
    page.tell("y")
    assert transport.frames == [b"\x81\x01x"]


async def test_a_page_is_pinged_and_one_that_says_nothing_is_gone() -> None:
    page, transport = socket()
    begun = page._heard
    for second in range(1, 25):
        page.received(framed(PING, b"") if second == 20 else b"")
        page._fresh = second == 20
        page.tick(begun + second)
    assert transport.frames.count(b"\x89\x00") == 2
    assert transport.aborted == []
    page.tick(begun + 49)
    assert transport.aborted == []
    page.tick(begun + 51)
    assert transport.aborted == [True]
    page.lost()
    page.received(b"")
    with pytest.raises(OSError):  # noqa: PT011 - whatever kind
        await asyncio.wait_for(_all(page), 5)


async def _all(page: PageSocket) -> None:
    while await page.read() is not None:
        pass
