"""Publishers by HTTP/2: in crumbs, refused, sent away, and again and again on one connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from hlsd.ports import Refuse, RefuseCode
from tests.support.eventually import eventually
from tests.support.flv_publish_room import FILE, HEADER, flv_publish_room, tag
from tests.support.http2client import Http2Client


async def test_http2_publishers_send_in_crumbs_and_end_in_order(tmp_path: Path) -> None:
    # A frame of DATA for each frame of sound is what such a client does: it is no attack.
    async with flv_publish_room(tmp_path) as room:
        h2 = await Http2Client.connect(room.https.port)
        stream = h2.ask("/live/show.flv", "POST", end=False)
        h2.h2.send_data(stream, HEADER)
        h2.flush()
        await eventually(lambda: room.admission.publications)
        for number in range(1000):
            h2.h2.send_data(stream, tag(number, 60))
            while h2.h2.local_flow_control_window(stream) < 100:
                h2.flush()
                await h2.read()
        h2.h2.end_stream(stream)
        h2.flush()
        assert (await h2.whole(stream)).status == 204
        assert room.tags == list(range(1000))
        h2.cut()


async def test_http2_publishers_are_refused_and_sent_away(tmp_path: Path) -> None:
    async with flv_publish_room(tmp_path) as room:
        base = f"https://127.0.0.1:{room.https.port}"
        async with httpx.AsyncClient(http2=True, verify=False, base_url=base, timeout=10) as client:
            answer = await client.post("/live/show.flv?sign=1", content=FILE, headers={"authorization": "Bearer t"})
            assert (answer.status_code, answer.http_version) == (204, "HTTP/2")
            assert room.admission.requests[0].bearer == "t"
            assert room.tags == list(range(20))
            assert (await client.post("/live/show.flv", content=b"not FLV")).status_code == 400
            room.admission.verdict = Refuse(RefuseCode.BUSY, "taken")
            answer = await client.post("/live/show.flv", content=FILE)
            assert (answer.status_code, answer.text) == (409, "409 taken\n")
        room.admission.verdict = None
        h2 = await Http2Client.connect(room.https.port)
        stream = h2.ask("/live/show.flv", "PUT", end=False)
        h2.h2.send_data(stream, FILE)
        h2.flush()
        await eventually(lambda: len(room.admission.publications) == 2)
        room.admission.requests[-1].drop("kicked")
        answer2 = await h2.whole(stream)
        assert (answer2.status, bytes(answer2.body)) == (403, b"403 kicked\n")
        h2.cut()


async def test_an_http2_connection_can_be_used_again_and_its_window_does_not_grow(tmp_path: Path) -> None:
    # What a refused publisher sent and nobody read is given back; so is what one that was let in might send ahead.
    async with flv_publish_room(tmp_path) as room:
        h2 = await Http2Client.connect(room.https.port)
        windows = []
        for turn in range(12):
            refused = bool(turn % 2)
            room.admission.verdict = Refuse(RefuseCode.BUSY, "taken") if refused else None
            stream = h2.ask("/live/show.flv", "POST", end=False)
            for at in range(0, len(FILE), 1000):
                h2.h2.send_data(stream, FILE[at : at + 1000])
            for _ in range(3 if refused else 0):
                h2.h2.send_data(stream, bytes(16_000))
            if not refused:
                h2.h2.end_stream(stream)
            h2.flush()
            answer = await h2.whole(stream)
            assert answer.status == (409 if refused else 204)
            windows.append(h2.h2.outbound_flow_control_window)
        assert 0 < windows[-1] <= max(windows[:3])
        h2.cut()


@pytest.mark.thorough
async def test_padding_is_given_back_to_a_body_that_lasts(tmp_path: Path) -> None:
    # "The entire DATA frame payload is included in flow control, including the Pad Length and Padding fields" (RFC 9113
    # §6.1).
    async with flv_publish_room(tmp_path) as room:
        h2 = await Http2Client.connect(room.https.port)
        stream = h2.ask("/live/show.flv", "POST", end=False)
        h2.h2.send_data(stream, HEADER)
        h2.flush()
        await eventually(lambda: room.admission.publications)
        for number in range(3000):  # 768 kB of padding
            while h2.h2.local_flow_control_window(stream) < 2000:
                h2.flush()
                await asyncio.wait_for(h2.read(), 10)
            h2.h2.send_data(stream, tag(number, 1500), pad_length=255)
        h2.h2.end_stream(stream)
        h2.flush()
        assert (await h2.whole(stream)).status == 204
        assert room.tags == list(range(3000))
        h2.cut()
