"""Publishes a film by HTTP-FLV round and round, at its own pace, and says something beside its frames."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from hlsd.media import flv
from hlsd.media.flv import FileReader
from tests.support.events import data

OFF = 300
"""Milliseconds behind each whole second of the film at which something is said."""


class Talking:
    """A publisher of /live/{name} for as long as the context lasts; `said` counts what it has said."""

    def __init__(self, film: Path, port: int, name: str, length: int) -> None:
        self._tags = FileReader().feed(film.read_bytes())
        self._port, self._name, self._length = port, name, length
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.said = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request("POST", f"/live/{self._name}.flv", body=self._body(), encode_chunked=True,
                               headers={"transfer-encoding": "chunked", "content-type": "video/x-flv"})  # fmt: skip
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass  # the server has sent it away: who looks at the stream sees that it is gone
        finally:
            connection.close()

    def _body(self) -> Iterator[bytes]:
        yield flv.file_header(video=True, audio=True)
        began = time.monotonic()
        due = OFF
        for lap in range(10_000):
            for tag in self._tags:
                at = lap * self._length + tag.timestamp
                told = tag.type == flv.SCRIPT or (tag.body[:1] in {b"\x17", b"\xaf"} and not tag.body[1])
                if lap and told:
                    continue  # what it is made of was said
                if self._over.wait(max(0.0, began + at / 1000 - time.monotonic())):
                    return
                if tag.type == flv.VIDEO and at >= due:
                    yield flv.file_tag(flv.SCRIPT, due, data("onTextData", {"at": float(due), "n": float(self.said)}))
                    self.said += 1
                    due += 1000
                yield flv.file_tag(tag.type, at, tag.body)
