"""Says what an operator may set about events: section `notify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from hlsd.base.match import Match
from hlsd.base.quantities import MIB, Duration, Size
from hlsd.events import Action
from hlsd.operator.silence import OnError

Format = Literal["hlsd", "srs", "nginx-rtmp", "flussonic"]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def known_actions(events: list[str]) -> list[str]:
    """The same. Raises ValueError at what is no action."""
    known = [action.value for action in Action]
    for event in events:
        if event not in known:
            raise ValueError(f'"{event}" is no event; events are {", ".join(known)}')
    return events


class ExecRule(BaseModel):
    """A program that is run at events."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    command: list[str] = Field(
        min_length=1,
        max_length=64,
        description="The program and its arguments, as they are: no shell reads them. What is no path is looked for in "
        "/bin and /usr/bin.",
    )
    events: Annotated[list[str], BeforeValidator(_listed)] = Field(
        min_length=1, description="The actions at which it runs. pre… events are not waited for: it cannot refuse."
    )
    match: str = Field("*", description='Streams it is for: "app/stream" with * and ?, or ~regular expression.')
    timeout: Duration = Field(60.0, gt=0, le=86_400, description="Longest run, seconds; then it is ended.")
    parallel: int = Field(4, ge=1, le=64, description="How many of them run at once.")

    @field_validator("command")
    @classmethod
    def _says_something(cls, command: list[str]) -> list[str]:
        if not command[0].strip() or any("\0" in word for word in command):
            raise ValueError("should be a program and its arguments")
        return command

    @field_validator("events")
    @classmethod
    def _known_actions(cls, events: list[str]) -> list[str]:
        return known_actions(events)

    @field_validator("match")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        Match(pattern)
        return pattern


class NotifySettings(BaseModel):
    """Section `notify`: who is told what happens to viewers, publishers and streams."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: Annotated[list[str], BeforeValidator(_listed)] = Field(
        default_factory=list,
        max_length=8,
        description="Where events are POSTed, one URL or a list. All of them must allow a pre… event; each has a queue "
        "of its own for the others. Empty: no webhooks.",
    )
    format: Format = Field(
        "hlsd",
        description="Shape of what is sent. hlsd is JSON that Node-Media-Server's receivers understand; srs, "
        "nginx-rtmp and flussonic are those servers' callbacks.",
    )
    secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key of the signature in X-Hlsd-Signature, 16 characters or more. Without it nothing is signed.",
    )
    timeout: Duration = Field(
        3.0, gt=0, le=60, description="Longest wait for an answer, seconds. A viewer waits as long for pre… events."
    )
    on_error: OnError = Field(
        "stale",
        description="What becomes of a pre… event when a URL cannot be reached, is too slow, answers 5xx or what "
        "cannot be read. stale: who was let in within the last hour and asks exactly the same still is, others are "
        "denied.",
    )
    events: Annotated[list[str], BeforeValidator(_listed)] = Field(
        default_factory=list,
        description="The only actions that are sent to the URLs. Empty: all of them but preConnect, postConnect and "
        "doneConnect, which have to be named; then the URLs are also asked (prePlay, prePublish), and what they refuse "
        "is refused.",
    )
    batch: int = Field(
        1,
        ge=1,
        le=1000,
        description="Events in one request at most. Above 1 each request holds a JSON list (formats hlsd, flussonic).",
    )
    send_secrets: bool = Field(
        False,
        description="Send the arguments sign, token, jwt, key and the like as the peer gave them, instead of ***. "
        "Needed where the receiver checks them; it should then be reached by https.",
    )
    parallel: int = Field(
        8, ge=1, le=64, description="Requests to one URL at once. Events of one viewer or publisher never overtake."
    )
    max_queue: int = Field(
        200_000,
        ge=100,
        le=10_000_000,
        description="Undelivered events that are kept on disk for each URL, about 1.1 kB each, 5 kB and more where "
        "viewers come with long arguments; further ones are dropped and counted. update… events are dropped at half of "
        "it already.",
    )
    max_queue_bytes: Size = Field(
        256 * MIB,
        ge=1 * MIB,
        description="Disk that the undelivered events of each URL take at most, bytes; a quarter of it in memory where "
        "the disk cannot be used. What does not fit fares as beyond max_queue.",
    )
    backoff_first: Duration = Field(
        1.0, gt=0, le=60, description="Wait before a failed event is sent again, seconds; doubled each time."
    )
    backoff_max: Duration = Field(60.0, gt=0, le=3600, description="Longest wait between two attempts, seconds.")
    keep_for: Duration = Field(
        86_400.0,
        ge=1,
        le=2_592_000,
        description="How long an event that cannot be delivered is tried again, seconds; then it is dropped and "
        "counted.",
    )
    log: Path | None = Field(None, description="File to which every event is written, one JSON object a line.")
    log_size: Size = Field(
        64 * MIB, ge=4096, description="Bytes at which the file is put aside as FILE.1, FILE.2, … and begun anew."
    )
    log_files: int = Field(4, ge=0, le=100, description="How many files put aside are kept.")
    exec: list[ExecRule] = Field(
        default_factory=list,
        max_length=32,
        description="Programs that are run at events, [[notify.exec]] each, with command, events, match, timeout and "
        "parallel. They get the event as JSON on standard input and as variables (EVENT_ACTION, EVENT_APP, …).",
    )
    ring: int = Field(1000, ge=1, le=100_000, description="Last events that /api/v1/events can show, about 2 kB each.")

    @field_validator("url")
    @classmethod
    def _web_addresses(cls, urls: list[str]) -> list[str]:
        for url in urls:
            parts = urlsplit(url)
            try:
                fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:  # a port that is none
                fine = False
            if not fine:
                raise ValueError("should be a URL that begins with http:// or https://")
        if len(set(urls)) != len(urls):
            raise ValueError("names a URL twice")
        return urls

    @field_validator("events")
    @classmethod
    def _known_actions(cls, events: list[str]) -> list[str]:
        return known_actions(events)

    @model_validator(mode="after")
    def _batch_needs_a_list(self) -> Self:
        if self.batch > 1 and self.format in ("srs", "nginx-rtmp"):
            raise ValueError(f"batch: format {self.format} knows no lists; leave batch at 1")
        return self
