"""Declares the [record] section: which streams are recorded, into which files, and how long these are kept."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from hlsd.base.match import Match
from hlsd.base.quantities import GIB, MIB, Duration, Size
from hlsd.record.remote.address import parse_store
from hlsd.record.template import DEFAULT, LONGEST, FileTemplate

Format = Literal["mp4", "ts", "flv"]


class RecordRule(BaseModel):
    """One rule: a table `[[record]]` (or `[[record.rules]]`) of the file. What it does not say, [record] says."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    match: str = "*"
    when: Literal["always", "api"] = "always"
    name: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,64}$")
    path: str = Field(default="", max_length=LONGEST)
    format: Format | None = None
    rotate: Duration | None = Field(default=None, ge=1, le=86_400)
    max_bytes: Size | None = Field(default=None, ge=MIB)

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        Match(self.match)
        if self.path:
            FileTemplate(self.path)
        return self


class RecordSettings(BaseModel):
    """Recordings of streams. The rules are tables: see docs/recording.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    ROWS: ClassVar[str] = "rules"
    """The key that an array of tables `[[record]]` fills."""

    rules: list[RecordRule] = Field(
        default_factory=list,
        max_length=1000,
        description="What is recorded, best written as tables [[record.rules]], or [[record]] where no other key of "
        'this section is set: {match = "live/*"}. when = "always" records each publication, "api" what is started by '
        "API, with what the rule says. The first rule that matches holds. Without rules only the API records.",
    )
    dir: Path | None = Field(default=None, description="Folder of the recordings. Unset: records in server.state_dir.")
    path: str = Field(
        default=DEFAULT,
        max_length=LONGEST,
        description="Name of a file below dir, in UTC, no ending: fields {app} {stream} {yyyy} {mm} {dd} {HH} "
        "{MM} {SS} {ms} {id}. {id} must be in the last step.",
    )
    format: Format = Field(
        default="mp4",
        description='"mp4" can be played while it is written, and after a crash; this server plays it and cuts it. '
        '"ts" and "flv" are files for other programs, which this server does not play.',
    )
    rotate: Duration = Field(
        default=3600.0,
        ge=1,
        le=86_400,
        description="A file ends at the first key frame after this time, seconds; that frame begins the next one.",
    )
    max_bytes: Size = Field(
        default=4 * GIB, ge=MIB, description="A file ends at the first key frame after so many bytes as well."
    )
    sync: Duration = Field(
        default=5.0,
        ge=0,
        le=600,
        description="How much a power cut may cost, seconds: so often is a file forced to the disk. 0: never, which "
        "leaves it to the kernel (30 s and more). Below 1: after each fragment. What a crash of the server costs is a "
        "second, whatever this says.",
    )
    min_free: Size = Field(
        default=2 * GIB,
        ge=0,
        description="Recordings end while less than this is free on their disk, bytes, and begin again at half as much "
        "more. Streams go on. 0: no bound but the disk's own.",
    )
    keep_for: Duration = Field(
        default=0.0, ge=0, description="Recordings that ended longer ago are deleted, seconds. 0: none for its age."
    )
    keep_bytes: Size = Field(
        default=0, ge=0, description="The oldest are deleted while all together have more bytes. 0: no bound."
    )
    keep_free: Size = Field(
        default=0,
        ge=0,
        description="The oldest are deleted while less than this is free on their disk, bytes. Above min_free, or "
        "recording ends before anything is deleted. 0: none for that.",
    )
    max_queue: Size = Field(
        default=64 * MIB,
        ge=MIB,
        description="Media of all recordings that may wait for a slow disk, bytes. Beyond it what comes is left out up "
        "to the next key frame, and counted.",
    )
    max_tasks: int = Field(default=1000, ge=1, le=100_000, description="Recordings that the API may have begun.")
    store: str = Field(
        default="",
        max_length=1024,
        description="Where finished recordings are uploaded: s3://bucket/prefix?endpoint=https://host&region=…, or "
        "file:///folder. Verified there, the file here goes after keep_local, and is played from the store. Without "
        "endpoint it is Amazon's; &style=host puts the bucket's name into the host. Empty: they stay here. Needs "
        "hlsd[store].",
    )
    store_key: SecretStr | None = Field(
        default=None,
        description="Access key of the store. Without it the usual AWS_ variables hold: AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, web identity, the machine's role.",
    )
    store_secret: SecretStr | None = Field(default=None, description="Secret of store_key; both or none.")
    keep_local: Duration = Field(
        default=86_400.0,
        ge=0,
        description="How long a file stays here after it was verified in the store, seconds. 0: it goes at once. "
        "keep_for, keep_bytes and keep_free then are of what is here, and take only what is in the store as well.",
    )
    store_keep_for: Duration = Field(
        default=0.0,
        ge=0,
        description="Recordings in the store that ended longer ago are deleted, there and here, seconds. 0: none.",
    )
    store_keep_bytes: Size = Field(
        default=0, ge=0, description="The oldest in the store are deleted while it has more bytes of them. 0: no bound."
    )
    uploads: int = Field(default=2, ge=1, le=16, description="Files uploaded at once. Each takes 32 MiB at most.")
    upload_rate: Size = Field(
        default=0, ge=0, description="Bytes a second that all uploads together may send. 0: no bound."
    )

    @field_validator("path")
    @classmethod
    def _is_a_name(cls, text: str) -> str:
        FileTemplate(text)
        return text

    @field_validator("store")
    @classmethod
    def _is_a_store(cls, text: str) -> str:
        if text:
            parse_store(text)
        return text

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.store_key is None) != (self.store_secret is None):
            raise ValueError("store_key and store_secret go together")
        if self.keep_free and self.keep_free < self.min_free:
            raise ValueError("keep_free must not be below min_free: recording would end before anything is deleted")
        names = [rule.name for rule in self.rules if rule.name]
        if len(set(names)) < len(names):
            raise ValueError("two rules have one name")
        return self
