"""Pictures that go back in time are told of once a minute; a first one, a wrap and a leap are not."""

from __future__ import annotations

import pytest

from hlsd.base.remarks import Remarks
from hlsd.ingest.picture_order import PictureOrder

WRAP = 1 << 32


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([0, 33, 67, 100], 0),
        ([0, 100, 33, 67, 200], 1),
        ([0, 100, 67, 200, 167], 1),
        ([-40, 0, 40], 0),
        ([WRAP - 40, 0, 40], 0),
        ([WRAP - 40, 40, 0], 1),
        ([10, WRAP - 10, 20], 1),
        ([5000, 0, 40], 0),
    ],
)
def test_what_goes_back_is_told_once(times: list[int], told: int) -> None:
    lines: list[str] = []
    order = PictureOrder(Remarks(lambda event, _facts: lines.append(event)), "RTP has no")
    for number, ms in enumerate(times):
        order.look(ms, number / 25)
    assert lines == ["pictures come out of order: RTP has no decoding times, switch B-frames off"] * told
