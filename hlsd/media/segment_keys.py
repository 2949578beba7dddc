"""Encrypts media segments for HLS, and names the keys they are encrypted by: METHOD=AES-128 of RFC 8216 §4.3.2.4.

"Media Segments are completely encrypted using AES with a 128-bit key, CBC, and PKCS7 padding"; a tag without IV means
that "the Media Sequence Number is to be used as the IV". Keys are derived, not kept: one secret of the server makes a
key for each name and number, so nothing has to be stored, and every process that has the secret serves the same bytes.
Pure: no sockets, no clock, no randomness.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

KEY_TYPE: Final = "application/octet-stream"
KEY_BYTES: Final = 16
_NAME: Final = re.compile(r"k(0|[1-9][0-9]{0,17})\.key", re.ASCII)
NONE: Final = "#EXT-X-KEY:METHOD=NONE"
"""What stands before an EXT-X-MAP that follows a key: sections behind a key would be encrypted by it (§4.3.2.5)."""


class SegmentKeys:
    """The keys of one rendition of a run, or of one recording: one for each `every` segments, by their numbers.

    `secret`: 32 bytes; who has them has all of the keys.
    """

    __slots__ = ("every", "secret")

    def __init__(self, secret: bytes, every: int) -> None:
        self.secret = secret
        self.every = every

    def number(self, msn: int) -> int:
        """The number of the key of that segment."""
        return msn // self.every

    def key(self, number: int) -> bytes:
        """Sixteen bytes."""
        return hmac.digest(self.secret, b"segment key %d" % number, "sha256")[:KEY_BYTES]

    def seal(self, body: bytes | memoryview, msn: int, iv: int | None = None) -> bytes:
        """The segment as it goes out; `iv` where that is not its number."""
        return encrypt(body, self.key(self.number(msn)), msn if iv is None else iv)

    def tag(self, folder: str, msn: int, iv: int | None = None) -> str:
        """The EXT-X-KEY of a segment, whose key is below `folder`."""
        said = "" if iv is None else f",IV=0x{iv:032x}"
        return f'#EXT-X-KEY:METHOD=AES-128,URI="{folder}/k{self.number(msn)}.key"{said}'


def encrypt(body: bytes | memoryview, key: bytes, iv: int) -> bytes:
    """AES-128-CBC with PKCS7 padding: one to sixteen bytes more."""
    # loaded by who encrypts: 30 ms that nobody else is to wait for
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv.to_bytes(16, "big"))).encryptor()
    short = 16 - len(body) % 16
    return encryptor.update(body) + encryptor.update(bytes([short]) * short) + encryptor.finalize()


def key_number(name: str) -> int | None:
    """Which key the resource of that name is; None if it is none."""
    if not name.endswith(".key"):
        return None
    found = _NAME.fullmatch(name)
    return int(found[1]) if found is not None else None


class KeyLines:
    """Writes the tags of one playlist as it is rendered, segment by segment. `folder`: below which keys are."""

    __slots__ = ("_folder", "_keys", "_number")

    def __init__(self, keys: SegmentKeys, folder: str) -> None:
        self._keys = keys
        self._folder = folder
        self._number: int | None = None

    def before_map(self) -> list[str]:
        """What stands before an EXT-X-MAP, which is not encrypted."""
        behind, self._number = self._number is not None, None
        return [NONE] if behind else []

    def before(self, msn: int) -> list[str]:
        """What stands before the segment of that number: a tag, where another key begins."""
        number = self._keys.number(msn)
        if number == self._number:
            return []
        self._number = number
        return [self._keys.tag(self._folder, msn)]
