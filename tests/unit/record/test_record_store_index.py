"""What stands beside a recording in the store: its index, its ETag; where the store is, and what it says."""

from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from hlsd.base.errors import ConfigError
from hlsd.config import load
from hlsd.record.boxes import BadBox
from hlsd.record.excerpt import excerpt
from hlsd.record.remote import bucket as bucket_module
from hlsd.record.remote.address import StoreAddress, parse_store
from hlsd.record.remote.bucket import Bucket, StoreFault
from hlsd.record.remote.copy import StoredCopy
from hlsd.record.remote.digest import PART, FileDigest, part_of, read_digest
from hlsd.record.remote.heads import read_heads, write_heads
from hlsd.record.remote.upload import Upload, UploadRate
from hlsd.record.settings import RecordSettings
from hlsd.record.shape import scan
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.recording import finished, reading, recorded

FILE = finished(recorded(BOTH, interleaved(video(25, 20), audio(20)))[0])[0]


def test_who_walks_over_the_index_finds_what_he_finds_in_the_file() -> None:
    packed = write_heads(reading(FILE), len(FILE))
    assert len(packed) < len(FILE) / 4
    there, here = scan(read_heads(packed), len(FILE)), scan(reading(FILE), len(FILE))
    assert there == here
    assert there.finished
    assert len(there.fragments) > 10
    for first, last in ((0, 1), (5, 9), (0, len(here.fragments))):
        assert excerpt(read_heads(packed), there, first, last) == excerpt(reading(FILE), here, first, last)


@pytest.mark.parametrize("wrong", [b"", b"no gzip", write_heads(reading(FILE), len(FILE))[:-200], os.urandom(1000)])
def test_an_index_that_is_damaged_is_none(wrong: bytes) -> None:
    with pytest.raises(BadBox):
        scan(read_heads(wrong), len(FILE))


def test_an_index_that_unpacks_to_more_than_it_may_is_refused() -> None:
    import gzip

    with pytest.raises(BadBox):
        scan(read_heads(gzip.compress(b"\0" * 8 + b"\xff\xff\xff\xff" + bytes(1 << 20))), 100)


def test_the_etag_that_a_store_must_give_is_of_its_parts(tmp_path: Path) -> None:
    octets = os.urandom(PART + 12345)
    (tmp_path / "f").write_bytes(octets)
    with (tmp_path / "f").open("rb") as file:
        found = read_digest(file.fileno(), indexed=False)
    parts = [hashlib.md5(part, usedforsecurity=False).digest() for part in (octets[:PART], octets[PART:])]
    assert found == (
        len(octets),
        hashlib.sha256(octets).hexdigest(),
        hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest() + "-2",
        PART,
        b"",
    )
    assert [part_of(size) for size in (0, PART, PART + 1)] == [0, 0, PART]
    assert -(-(5 << 40) // part_of(5 << 40)) <= 10_000, "parts that a store takes"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("s3://b-1/", StoreAddress("b-1", "")),
        ("s3://bucket/a/b", StoreAddress("bucket", "a/b")),
        ("s3://bucket/a?region=eu-west-1&style=host", StoreAddress("bucket", "a", "", "eu-west-1", hosted=True)),
        ("s3://bucket/a?endpoint=http://h:9000/", StoreAddress("bucket", "a", "http://h:9000", "us-east-1")),
        ("file:///mnt/nfs", StoreAddress("", "/mnt/nfs")),
    ],
)
def test_an_address_says_where_the_store_is(text: str, found: StoreAddress) -> None:
    assert parse_store(text) == found
    assert RecordSettings(store=text).store == text


@pytest.mark.parametrize(
    "text",
    [
        "http://bucket/x", "s3:///x", "s3://key:hush-hush@bucket/x", "s3://bucket/../x", "s3://bucket/a//b",
        "s3://bucket?endpoint=ftp://h", "s3://bucket?endpoint=http://a:hush-hush@h", "s3://bucket?secret=hush-hush",
        "s3://bucket?region=a&region=b", "s3://bucket?style=odd", "file://host/x", "s3://bucket/ü", "s3://[bucket/x",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_what_may_be_secret_in_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "hlsd.toml"
    file.write_text(f'[record]\nstore = "{text}"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {}, {})
    assert "record.store" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


def test_a_key_needs_its_secret() -> None:
    with pytest.raises(ValidationError, match="go together"):
        RecordSettings(store="s3://bucket", store_key=SecretStr("k"))


def test_without_the_library_the_server_does_not_start_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigError, match=r"pip install 'hlsd\[store\]'"):
        Bucket(parse_store("s3://bucket"), None, None, timeout=1.0, retries=0)


def test_what_a_store_says_is_told_without_its_address_and_without_keys() -> None:
    pytest.importorskip("obstore")
    store = Bucket(parse_store("s3://bucket"), SecretStr("AKID"), SecretStr("hush-hush"), timeout=1.0, retries=0)
    quoted = (
        "Generic S3 error: Error performing PUT http://h/bucket/x in 4ms - Server returned non-2xx status code: "
        "403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKID</AWSAccessKeyId></Error>\n\nDebug"
    )
    assert store._words(ValueError(quoted)) == "the store answers 403 Forbidden, SignatureDoesNotMatch"
    other = store._words(ValueError("something of AKID and hush-hush at http://u:p@h/path?x=y\nmore"))
    assert "AKID" not in other
    assert "hush" not in other
    assert "path" not in other
    assert bucket_module.StoreFault("late", late=True).status == 503


async def test_what_lies_in_a_folder_is_on_its_disk_before_it_counts_as_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file here goes because of it: the bytes and each folder by whose entry they are found, at every try."""
    pytest.importorskip("obstore")
    far, here = tmp_path / "far", tmp_path / "f.ts"
    here.write_bytes(b"media")
    store = Bucket(parse_store(f"file://{far}"), None, None, timeout=5.0, retries=0)
    forced: list[int] = []
    real = os.fsync

    def heard(fd: int) -> None:
        forced.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", heard)
    with ThreadPoolExecutor(1) as threads:

        async def known(_: FileDigest) -> None:
            pass

        async def tried() -> None:
            upload = Upload(StoredCopy("id1", "live/cam/f.ts", "ts", bytes=5), store, threads, UploadRate(0))
            await upload.run(lambda: os.open(here, os.O_RDONLY), known)

        for _ in ("it is sent", "it is there already"):
            forced.clear()
            await tried()
            want = (far / "live/cam/f.ts", far / "live/cam", far / "live", far)
            assert forced == [path.stat().st_ino for path in want]

        def fails(_fd: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", fails)
        with pytest.raises(StoreFault, match="Input/output error") as caught:
            await tried()
        assert str(tmp_path) not in str(caught.value)
