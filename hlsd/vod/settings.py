"""Declares the [vod] section: whether files become streams here, from where they may come, what they may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from hlsd.base import stream_name
from hlsd.base.quantities import GIB, MIB, Duration, Size
from hlsd.record.remote.address import parse_store


class VodSettings(BaseModel):
    """Files that become streams."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    enabled: bool = Field(
        default=False,
        description="Whether files become streams here: jobs by API, worked at by `hlsd worker`, a process of its own "
        "that reads the same file of settings. Needs hlsd[vod].",
    )
    app: str = Field(
        default="vod",
        pattern=f"^{stream_name.PATTERN}$",
        max_length=stream_name.LONGEST,
        description="App that they are played below: /{app}/{id}. The rules of [auth] for it hold.",
    )
    dir: Path | None = Field(
        default=None,
        description="Folder of what is made, as yyyy/mm/dd/id. Workers on other machines need the same one, shared. "
        "Unset: vod in server.state_dir.",
    )
    database: SecretStr | None = Field(
        default=None,
        description="Where the jobs are kept: postgresql://user:password@host/name, for workers on several machines. "
        "Unset: SQLite files in server.state_dir, for workers on this one.",
    )
    roots: list[Path] = Field(
        default_factory=list,
        max_length=100,
        description="Folders below which a job may name a file of this machine, in full. None: only what is fetched "
        "or uploaded.",
    )
    urls: bool = Field(
        default=True,
        description="Whether a job may name a URL: http or https, of a public address, and so on each hop.",
    )
    allow_private: bool = Field(
        default=False,
        description="Lets URLs and callbacks of jobs name addresses that are not public too: for closed networks, where"
        " who may begin a job may speak to every server of them.",
    )
    max_bytes: Size = Field(
        default=8 * GIB,
        ge=MIB,
        description="Bytes that a source may have, and what is made of it as well. What is more is refused.",
    )
    max_duration: Duration = Field(default=43_200.0, ge=1, le=86_400, description="How long a film may be, seconds.")
    min_free: Size = Field(
        default=2 * GIB, ge=0, description="Nothing is fetched, taken or made while less is free on the disk, bytes."
    )
    quota: int = Field(
        default=100, ge=1, le=100_000, description="Jobs that each token of the API may have waiting or under way."
    )
    max_jobs: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Jobs that failed or were cancelled and are remembered; the oldest are forgotten. Those that are "
        "done stay until they are deleted.",
    )
    store: str = Field(
        default="",
        max_length=2048,
        description="Where films are kept when they are made, and played from: s3://bucket/prefix?endpoint=…&region=…, "
        "or file:///folder. Needs hlsd[store]. Empty: in dir.",
    )
    store_key: SecretStr | None = Field(
        default=None, description="Access key of the store. Without it the usual AWS_ variables hold."
    )
    store_secret: SecretStr | None = Field(default=None, description="Secret of store_key; both or none.")
    upload_expiry: Duration = Field(
        default=3600.0, ge=60, le=604_800, description="An upload that nobody has gone on with for so long is deleted."
    )
    concurrency: int = Field(default=1, ge=1, le=64, description="Jobs that a worker has under way at once.")
    memory: Size = Field(
        default=GIB,
        ge=256 * MIB,
        description="Address space of the process that reads and makes media for a job. 4K with many references needs "
        "more.",
    )
    threads: int = Field(default=1, ge=1, le=64, description="Cores that one rendition is encoded by.")
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = Field(
        default="veryfast", description="Preset of x264: what is slower makes smaller files."
    )
    crf: int = Field(default=23, ge=16, le=35, description="Quality of x264 (CRF): lower is better, and larger.")

    @field_validator("store")
    @classmethod
    def _is_a_store(cls, text: str) -> str:
        if text:
            parse_store(text)
        return text

    @model_validator(mode="after")
    def _has_whole_keys(self) -> Self:
        if (self.store_key is None) != (self.store_secret is None):
            raise ValueError("store_key and store_secret go together")
        return self

    @field_validator("database")
    @classmethod
    def _is_a_database(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith("postgresql://"):
            raise ValueError("it should be postgresql://user:password@host/name")
        return url

    @field_validator("roots")
    @classmethod
    def _are_whole(cls, roots: list[Path]) -> list[Path]:
        for root in roots:
            if not root.is_absolute():
                raise ValueError(f"{root} should begin with a slash")
        return roots

    @field_validator("app")
    @classmethod
    def _is_free(cls, app: str) -> str:
        if app in stream_name.RESERVED_APPS:
            raise ValueError("it belongs to the server")
        return app


class CompatSettings(BaseModel):
    """Addresses and answers of other servers, for programs that were written for them: section `[compat]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    vod: bool = Field(
        default=False,
        description="Whether /version, /hls, /update and /recording answer, as of a pull server for VOD: docs/vod.md. "
        "Needs vod.enabled.",
    )
    keys: list[SecretStr] = Field(
        default_factory=list,
        max_length=1000,
        description="Who may ask: shown as `Authorization: Bearer`, or as header or argument `token`. Without any only "
        "open_routes are answered.",
    )
    open_routes: list[Literal["/version", "/hls", "/update", "/recording"]] = Field(
        default_factory=list, description="Routes that anybody may ask."
    )
    base: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+[^\s?#/])?$",
        max_length=512,
        description="What addresses in answers begin with, such as https://films.example. Empty: as the server was "
        "asked.",
    )
