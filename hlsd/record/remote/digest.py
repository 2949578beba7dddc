"""Reads a finished file once, before it is uploaded: by what the copy in the store is told from anything else.

The SHA-256 of the file; the ETag that S3 gives to such bytes (the MD5 of them, or of the MD5s of its parts and how many
they are); and the heads that are its index there. Blocks: for a thread of the uploads.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from hlsd.record.boxes import BadBox
from hlsd.record.remote.heads import LARGEST, write_heads
from hlsd.record.repair import reader

PART: Final = 8 << 20
"""Bytes of a part; a file of fewer goes in one piece. S3 wants 5 MiB and more."""
_PARTS: Final = 9000
"""Parts of one object: S3 takes 10,000."""
_PIECE: Final = 1 << 20


class FileDigest(NamedTuple):
    """What is known of the bytes of a file. `part`: bytes, 0 is in one piece; `heads`: b"" where there is no index."""

    size: int
    digest: str
    etag: str
    part: int
    heads: bytes = b""


def part_of(size: int) -> int:
    """Bytes of a part of a file of that many; 0: in one piece. The same for every try, since ETags depend on it."""
    if size <= PART:
        return 0
    most = -(-size // _PARTS)
    return max(PART, -(-most // _PIECE) * _PIECE)


def digest_of(octets: bytes) -> FileDigest:
    """Of a small object, which goes in one piece."""
    etag = hashlib.md5(octets, usedforsecurity=False).hexdigest()
    return FileDigest(len(octets), hashlib.sha256(octets).hexdigest(), etag, 0)


def read_digest(fd: int, *, indexed: bool, over: Callable[[], bool] = lambda: False) -> FileDigest:
    """Of a whole file; `indexed`: it is an MP4 of ours; `over()`: nobody waits for it. Raises OSError, BadBox."""
    size = os.fstat(fd).st_size
    part = part_of(size)
    whole, parts, at = hashlib.sha256(), list[bytes](), 0
    while at < size or not parts:
        md5, end = hashlib.md5(usedforsecurity=False), min(size, at + part) if part else size
        while at < end:
            octets = os.pread(fd, min(_PIECE, end - at), at)
            if not octets or over():
                raise OSError(5, "the file is shorter than it was")
            whole.update(octets)
            md5.update(octets)
            at += len(octets)
            time.sleep(0)  # the event loop's turn
        parts.append(md5.digest())
    etag = f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}" if part else parts[0].hex()
    heads = write_heads(reader(fd), size) if indexed else b""
    if len(heads) > LARGEST:
        raise BadBox("its index is too large for it to be played from the store")
    return FileDigest(size, whole.hexdigest(), etag, part, heads)
