"""What goes over the pipe is read as it was written; what is cut off or too large ends the other side."""

from __future__ import annotations

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.transcode import wire
from hlsd.transcode.wire import Order, OutputForm, OutputLoad, Settled


def test_every_message_comes_out_as_it_went_in() -> None:
    order = Order("h264", b"\1record", 2, (OutputForm(480, 1_000_000, "veryfast", 0.0),))
    told = Settled(-5, 7, (OutputLoad(1, 2, 3), OutputLoad(4, 5, 6)))
    sent = [
        wire.order(order),
        wire.unit(wire.UNIT, 3, 1, -2, key=True, payload=b"picture"),
        wire.settled(told),
        wire.message(wire.SHED, 1),
    ]
    reading = wire.reader()
    got = [wire.fields(one) for octet in b"".join(sent) for one in reading.feed(bytes([octet]))]
    assert [kind for kind, _, _ in got] == [wire.OPEN, wire.UNIT, wire.SETTLED, wire.SHED]
    assert wire.read_order(got[0][2]) == order
    assert (got[1][1], wire.read_unit(got[1][2])) == (3, (1, -2, True, b"picture"))
    assert wire.read_settled(got[2][2]) == told


def test_what_is_cut_off_or_too_large_is_refused() -> None:
    for read, body in ((wire.read_unit, b"x" * 16), (wire.read_settled, b"x" * 15), (wire.read_settled, b"x" * 17)):
        with pytest.raises(ProtocolError):
            read(body)
    with pytest.raises(ProtocolError):
        wire.reader().feed(bytes([wire.PICTURE, 0]) + (wire.MESSAGE_LIMIT + 1).to_bytes(4, "big"))
