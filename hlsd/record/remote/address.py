"""Reads `record.store`: the address of a bucket, `s3://bucket/prefix?endpoint=…&region=…`, or of a folder, `file:///…`.

Law: no secret stands in it. Who signs requests is said by settings of their own or by the usual AWS_ variables, since
an address is shown where secrets are not. Pure.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

REGION: Final = "us-east-1"
"""What look-alikes of S3 take where they have no regions."""
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", re.ASCII)
_PREFIX: Final = re.compile(r"[A-Za-z0-9._~/-]{0,512}", re.ASCII)
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_KEYS: Final = ("endpoint", "region", "style")


class StoreAddress(NamedTuple):
    """Where recordings are kept. `prefix` has no slash at its ends; of a folder, `bucket` is "" and `prefix` its path.

    `endpoint`: "" is Amazon's own of the region, "" for `region` what AWS_REGION says; `hosted`: the bucket's name
    stands in the host and not in the path.
    """

    bucket: str
    prefix: str
    endpoint: str = ""
    region: str = ""
    hosted: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of this machine, or one that is mounted."""
        return not self.bucket

    @property
    def plain(self) -> bool:
        """Whether it is asked without TLS."""
        return self.endpoint.startswith("http://")


def parse_store(text: str) -> StoreAddress:
    """What an address says. Raises ValueError, whose words hold nothing of the address that could be a secret."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("is no address") from None
    if parts.scheme == "file":
        if parts.netloc or parts.query or parts.fragment or not parts.path.startswith("/"):
            raise ValueError("should be file:///folder")
        return StoreAddress("", parts.path)
    if parts.scheme != "s3" or parts.fragment:
        raise ValueError("should be s3://bucket/prefix?endpoint=…&region=…, or file:///folder")
    if "@" in parts.netloc:
        raise ValueError("must not hold keys: they are record.store_key and record.store_secret")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError("names no bucket")
    prefix = parts.path.strip("/")
    if not _PREFIX.fullmatch(prefix) or any(step in {"", ".", ".."} for step in prefix.split("/") if prefix):
        raise ValueError("has a prefix that is no path of A-Z a-z 0-9 . _ ~ -")
    return _with_arguments(parts.netloc, prefix, parts.query)


def _with_arguments(bucket: str, prefix: str, query: str) -> StoreAddress:
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=8) if query else []
    said = dict(pairs)
    if len(said) < len(pairs) or not said.keys() <= set(_KEYS):
        raise ValueError(f"takes each of {', '.join(_KEYS)} once, and no other argument")
    endpoint = said.get("endpoint", "").rstrip("/")
    if endpoint:
        there = urlsplit(endpoint)
        if there.scheme not in {"http", "https"} or not there.hostname or "@" in there.netloc or there.query:
            raise ValueError("has an endpoint that is not http(s)://host[:port]")
    region = said.get("region", "")
    if region and not _REGION.fullmatch(region):
        raise ValueError("has a region that is none")
    style = said.get("style", "path")
    if style not in {"path", "host"}:
        raise ValueError("has a style that is neither path nor host")
    return StoreAddress(bucket, prefix, endpoint, region or (REGION if endpoint else ""), style == "host")
