"""Keeps the keys of one connection: key material in and out, payloads into what is on the wire and back.

AES in counter mode; the keys of the stream travel wrapped by one that both sides derive from the passphrase
(draft-sharabayko-srt-01 §3.2.2, §6). Law: every length is looked at before anything is done with it, and a connection
that has keys never goes on without any because its peer says so. Pure.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

EVEN: Final = 1
ODD: Final = 2
BOTH: Final = 3
NO_SECRET: Final = 3
"""KMRSP of one word: the listener has no passphrase."""
WRONG_SECRET: Final = 4
"""KMRSP of one word: it has another one."""
LENGTHS: Final = (16, 24, 32)
ROUNDS: Final = 2048
"""Of PBKDF2 (§6.1.4): half a millisecond."""
_HEAD: Final = struct.Struct(">BHBIBBBBHBB")
_SALT: Final = 16
LARGEST: Final = _HEAD.size + _SALT + 2 * 32 + 8
SHORTEST_PASSPHRASE: Final = 10
LONGEST_PASSPHRASE: Final = 79


class KeyMaterial(NamedTuple):
    """A key material message; `parity` says which keys `wrapped` holds."""

    parity: int
    salt: bytes
    length: int
    wrapped: bytes


def read_key_material(message: bytes) -> KeyMaterial | None:
    """The message, or None if it is none that we understand."""
    if not _HEAD.size + _SALT < len(message) <= LARGEST:
        return None
    mark, sign, keys, _, cipher, auth, _, _, _, salt, length = _HEAD.unpack_from(message)
    parity = keys & 3
    size = 4 * length
    if (mark, sign, cipher, auth, salt) != (0x12, 0x2029, 2, 0, _SALT // 4) or size not in LENGTHS or not parity:
        return None
    wrapped = message[_HEAD.size + _SALT :]
    if len(wrapped) != 8 + size * (2 if parity == BOTH else 1):
        return None
    return KeyMaterial(parity, message[_HEAD.size : _HEAD.size + _SALT], size, wrapped)


def write_key_material(material: KeyMaterial) -> bytes:
    """Its bytes."""
    head = _HEAD.pack(0x12, 0x2029, material.parity, 0, 2, 0, 2, 0, 0, _SALT // 4, material.length // 4)
    return head + material.salt + material.wrapped


class SrtKeys:
    """The keys of one connection. `passphrase` is of both sides."""

    def __init__(self, passphrase: str) -> None:
        self._passphrase = passphrase.encode()
        self._known: tuple[bytes, int, bytes] | None = None  # salt, length, and the key that they make
        self._raw: dict[int, bytes] = {}
        self._ciphers: dict[int, CipherContext] = {}
        self._nonce = 0
        self.current = EVEN
        """The key by which we encrypt."""

    @property
    def length(self) -> int:
        """Bytes of a key; 0 before the first."""
        return self._known[1] if self._known is not None else 0

    def begin(self, length: int) -> bytes:
        """Makes a key of our own; gives the message for the peer."""
        salt = secrets.token_bytes(_SALT)
        self._derive(salt, length)
        self._set(EVEN, secrets.token_bytes(length))
        return self.message(EVEN)

    def take(self, message: bytes) -> bool:
        """Learns what a peer sends; False where its passphrase is another one, or it is no key material."""
        from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap  # noqa: PLC0415 - megabytes

        material = read_key_material(message)
        if material is None:
            return False
        known = self._known
        if known is not None and known[:2] != (material.salt, material.length):
            return False  # a refresh keeps both (§6.1.6); deriving anew for whoever asks would be work for nothing
        before = known
        wrapping = self._derive(material.salt, material.length)
        try:
            unwrapped = aes_key_unwrap(wrapping, material.wrapped)
        except (InvalidUnwrap, ValueError):
            self._known = before
            return False
        length = material.length
        if material.parity & EVEN:
            self._set(EVEN, unwrapped[:length])
        if material.parity & ODD:
            self._set(ODD, unwrapped[-length:])
        if not self._raw.get(self.current):
            self.current = material.parity & ODD or EVEN
        return True

    def message(self, parity: int) -> bytes:
        """The message with the keys of that parity, which must be there."""
        from cryptography.hazmat.primitives.keywrap import aes_key_wrap  # noqa: PLC0415 - as above

        assert self._known is not None
        salt, length, wrapping = self._known
        wanted = b"".join(self._raw[each] for each in (EVEN, ODD) if parity & each)
        return write_key_material(KeyMaterial(parity, salt, length, aes_key_wrap(wrapping, wanted)))

    def renew(self) -> bytes:
        """Makes the next key, which holds from `switch` on; gives the message for the peer (§6.1.6)."""
        self._set(self.current ^ BOTH, secrets.token_bytes(self.length))
        return self.message(BOTH)

    def switch(self) -> None:
        """The peer has the next key."""
        self.current ^= BOTH

    def crypt(self, parity: int, sequence: int, payload: bytes) -> bytes | None:
        """The payload of that packet, encrypted or decrypted, which is the same; None if there is no such key.

        "IV = (MSB(112, Salt) << 2) XOR (PktSeqNo)" (§6.2.2): the last two bytes count blocks.
        """
        cipher = self._ciphers.get(parity)
        if cipher is None:
            return None
        cipher.reset_nonce((self._nonce ^ sequence << 16).to_bytes(16, "big"))
        return cipher.update(payload)

    def _derive(self, salt: bytes, length: int) -> bytes:
        if self._known is not None and self._known[:2] == (salt, length):
            return self._known[2]
        wrapping = hashlib.pbkdf2_hmac("sha1", self._passphrase, salt[-8:], ROUNDS, length)
        self._known = salt, length, wrapping
        self._nonce = int.from_bytes(salt[:14] + b"\0\0", "big")
        return wrapping

    def _set(self, parity: int, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - as above

        self._raw[parity] = key
        self._ciphers[parity] = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
