"""Asks an object store: puts, looks, reads ranges, deletes. Everything that knows of the library is here (obstore).

Law: nothing here blocks the event loop: the library works in threads of its own. What it raises becomes `StoreFault`,
whose words hold no address and no key: what a store answers to a bad signature quotes both.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from hlsd.base import masking
from hlsd.base.errors import ConfigError, HlsdError
from hlsd.record.remote.address import StoreAddress

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ClientConfig, LocalStore, S3Config, S3Store
    from pydantic import SecretStr

T = TypeVar("T")
MISSING: Final = (
    "the package obstore is missing (pip install 'hlsd[store]'); with it what is finished is uploaded to the store and "
    "played from there"
)
DIGEST: Final = "hlsd-sha256"
"""Name of the metadata that says what the bytes are."""
_STATUS: Final = re.compile(r"status code: (\d{3}[A-Za-z ]{0,40})")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_LATE: Final = ("TimedOut", "timed out", "deadline")


class StoreFault(HlsdError):
    """The store did not do what it was asked for; the words are fit for the log, the API and events.

    `late`: it did not answer in time, or too many wait for it already. `missing`: there is no such object.
    """

    def __init__(self, words: str, *, late: bool = False, missing: bool = False) -> None:
        super().__init__(words)
        self.late = late
        self.missing = missing

    @property
    def status(self) -> int:
        """Of HTTP, for who waits for it."""
        return 503 if self.late else 502


class StoredObject(NamedTuple):
    """What a store says of an object."""

    size: int
    etag: str
    digest: str
    """The SHA-256 that was given with it; "" where the store keeps no metadata."""


class Bucket:
    """One store, that `setting` names. `timeout`: seconds for one request; `retries`: of one that failed, in one call.

    Raises ConfigError if the library is missing, or refuses the settings.
    """

    def __init__(  # noqa: PLR0913 - what a store is reached by
        self,
        address: StoreAddress,
        key: SecretStr | None,
        secret: SecretStr | None,
        *,
        timeout: float,
        retries: int,
        setting: str = "record.store",
    ) -> None:
        self.folder = address.is_folder
        """Whether it keeps no metadata, and has no ETags that are made of the bytes."""
        self._root = Path(address.prefix)
        self._secrets = [one.get_secret_value() for one in (key, secret) if one is not None]
        self._timeout = timeout
        try:
            import obstore  # noqa: PLC0415 - an extra: needed by who has set record.store
        except ImportError:
            raise ConfigError(f"{setting}: {MISSING}") from None
        self._library = obstore
        try:
            self._store = self._open(address, timeout, retries)
        except Exception as error:  # noqa: BLE001 - its errors have no common base
            raise ConfigError(f"{setting} cannot be used: {self._words(error)}") from None

    def _open(self, address: StoreAddress, timeout: float, retries: int) -> S3Store | LocalStore:
        from obstore.store import LocalStore, S3Store  # noqa: PLC0415 - see above

        if address.is_folder:
            return LocalStore(address.prefix, mkdir=True)
        config: S3Config = {"virtual_hosted_style_request": address.hosted}
        if address.endpoint:
            config["endpoint"] = address.endpoint
        if address.region:
            config["region"] = address.region
        if self._secrets:
            config["access_key_id"], config["secret_access_key"] = self._secrets
        options: ClientConfig = {"timeout": timedelta(seconds=timeout), "connect_timeout": timedelta(seconds=5)}
        if address.plain:
            options["allow_http"] = True
        return S3Store(
            address.bucket,
            prefix=address.prefix or None,
            config=config,
            client_options=options,
            retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=timeout)},
        )

    async def put(self, key: str, body: AsyncIterator[bytes] | bytes, kind: str, digest: str, part: int) -> None:
        """Writes an object: whole or not at all. `part`: bytes of one part of a large one, 0 for one in one piece."""
        attributes: Attributes | None = None if self.folder else {"Content-Type": kind, DIGEST: digest}
        await self._ask(
            self._library.put_async(
                self._store,
                key,
                body,
                attributes=attributes,
                use_multipart=part > 0,
                chunk_size=part or 1 << 20,
                max_concurrency=2,
            ),
            None,  # each of its requests has a bound, and there may be thousands of them
        )
        await self.settle(key)

    async def settle(self, key: str) -> None:
        """Forces an object of a folder to the disk, or a power cut could take both copies. Raises StoreFault."""
        if self.folder:
            try:
                await asyncio.to_thread(_forced, self._root, key)
            except OSError as error:
                raise StoreFault(error.strerror or type(error).__name__) from None

    async def look(self, key: str) -> StoredObject | None:
        """What there is under a name; None if nothing."""
        try:
            found = await self._ask(self._library.get_async(self._store, key, options={"head": True}), self._timeout)
        except StoreFault as fault:
            if fault.missing:
                return None
            raise
        meta, said = found.meta, found.attributes
        return StoredObject(meta["size"], (meta["e_tag"] or "").strip('"'), str(said.get(DIGEST, "")))

    async def read(self, key: str, offset: int, size: int) -> bytes:
        """So many bytes from there on; there must be as many."""
        asked = self._library.get_range_async(self._store, key, start=offset, length=size)
        found = bytes(await self._ask(asked, self._timeout))
        if len(found) != size:
            raise StoreFault("the store sent fewer bytes than it should")
        return found

    async def delete(self, key: str) -> None:
        """Removes an object; one that is not there is removed."""
        try:
            await self._ask(self._library.delete_async(self._store, key), self._timeout)
        except StoreFault as fault:
            if not fault.missing:
                raise

    async def names(self, folder: str) -> list[str]:
        """What lies below a folder, by full names: for folders of which is known that they are small."""
        found = await self._ask(self._library.list(self._store, prefix=f"{folder}/").collect_async(), self._timeout)
        return [str(one["path"]) for one in found]

    async def _ask(self, asked: Awaitable[T], seconds: float | None) -> T:
        """What comes of a request. Raises StoreFault for whatever the library raises, which has no common base."""
        try:
            async with asyncio.timeout(seconds):
                return await asked
        except StoreFault:
            raise
        except Exception as error:  # noqa: BLE001 - see above; a cancellation is none
            raise self._fault(error) from None

    def _fault(self, error: Exception) -> StoreFault:
        late = isinstance(error, TimeoutError) or any(word in str(error) for word in _LATE)
        return StoreFault(self._words(error), late=late, missing=isinstance(error, FileNotFoundError))

    def _words(self, error: Exception) -> str:
        """What went wrong, without addresses and keys."""
        said = str(error)
        if isinstance(error, TimeoutError):
            return "the store did not answer in time"
        if (status := _STATUS.search(said)) is not None:
            code = _CODE.search(said)
            return f"the store answers {status[1].strip()}{f', {code[1]}' if code is not None else ''}"
        if isinstance(error, FileNotFoundError):
            return "it is not in the store"
        if any(word in said for word in _LATE):
            return "the store did not answer in time"
        if "kind: Connect" in said or "error sending request" in said:
            return "the store cannot be reached"
        words = masking.text(said.partition("\n")[0])[:200]
        for secret in self._secrets:
            words = words.replace(secret, masking.MASK)
        return words or type(error).__name__


def _forced(root: Path, key: str) -> None:
    """Forces a file below the root to the disk, and the folders by whose entries it is found. Raises OSError."""
    for step in (PurePosixPath(key), *PurePosixPath(key).parents):
        fd = os.open(root / step, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
