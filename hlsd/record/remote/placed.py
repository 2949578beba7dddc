"""Says where a recording is, and how it comes into the store."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel


class UploadView(BaseModel, defer_build=True):
    """How a recording comes into the store, as the API shows it. `next_try` in ms of the epoch, 0 for none."""

    state: str
    """"pending", "uploading", "stored", "failed", or "removing" of what is being deleted."""
    sent: int
    bytes: int
    tries: int
    next_try: int
    error: str
    stored_at: int


class Placed(NamedTuple):
    """Where a recording is: "local", "store" or "both"."""

    where: str
    upload: UploadView | None
