"""Says what an error in what a page sends means for its publication."""

from __future__ import annotations

from hlsd.base.errors import MediaError, ProtocolError, UnsupportedCodec
from hlsd.ingest.recorder.pieces import LargeElement
from hlsd.ingest.recorder.texts import BadText
from hlsd.ports.flv_body import PublishEnding
from hlsd.ports.recorder import LargeMessage


def ending_of(error: Exception, position: int = 0) -> PublishEnding | None:
    """What it means that `error` was raised by what a page sent; None if that was no fault of the page's."""
    if isinstance(error, UnsupportedCodec):
        return PublishEnding("codec", str(error))
    if isinstance(error, LargeElement):
        return PublishEnding("large", f"{error}, at byte {position}")
    if isinstance(error, LargeMessage):
        return PublishEnding("large", str(error))
    if isinstance(error, MediaError):
        return PublishEnding("media", f"{error}, at byte {position}")
    if isinstance(error, BadText):
        return PublishEnding("parameters", str(error))
    return PublishEnding("protocol", str(error)) if isinstance(error, ProtocolError) else None
