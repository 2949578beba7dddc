"""The list of recordings: its end, and what who asks is told when it cannot answer."""

from __future__ import annotations

import threading
from pathlib import Path

from hlsd.record.index import RecordIndex
from tests.support.eventually import eventually


async def test_a_disk_that_holds_up_the_list_does_not_hold_up_the_end(tmp_path: Path) -> None:
    index, gate, closed = RecordIndex(tmp_path / "hlsd.sqlite"), threading.Event(), threading.Event()
    await index.start()
    index.beside(closed.set)
    index.tell(lambda _: gate.wait(20))
    await index.stop(0.05)
    assert not closed.is_set()
    gate.set()
    await eventually(closed.is_set, what="its file is closed all the same")
