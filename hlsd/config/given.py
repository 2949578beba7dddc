"""A value of the configuration as it was found, and what a setting may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from hlsd.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was found; `place` is where a reader would look for it, `name` what it is called there."""

    value: object
    place: str
    name: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings together with the origin of each value by dotted key ("default" where it is missing)."""

    settings: Settings
    origins: Mapping[str, str]


def kinds(annotation: Any) -> set[Any]:  # noqa: ANN401 - annotations are of any type
    """The plain classes of an annotation, with the members of unions."""
    origin = get_origin(annotation)
    if origin is None:
        return {annotation}
    if origin is Literal:
        return {type(choice) for choice in get_args(annotation)}
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return set().union(*(kinds(argument) for argument in get_args(annotation)))
    return {origin}


def choices(annotation: Any) -> tuple[object, ...]:  # noqa: ANN401
    """What a literal allows; nothing for other annotations."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def unit_of(field: FieldInfo) -> str:
    """What a number of it counts; empty where its name says so."""
    if "duration" in field.metadata:
        return "seconds"
    return "bytes" if "size" in field.metadata else ""


def is_secret(field: FieldInfo) -> bool:
    """Whether the setting holds a secret, itself or within."""
    return _holds_secret(field.annotation)


def _holds_secret(annotation: Any) -> bool:  # noqa: ANN401
    """Whether a secret may stand anywhere within: an error must not show the value then."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(_holds_secret(field.annotation) for field in annotation.model_fields.values())
    return annotation is SecretStr or any(_holds_secret(argument) for argument in get_args(annotation))
