"""Puts a changed configuration in force while the server runs, as far as that can be done; says what wants a restart.

Law: all of it or nothing. Everybody concerned looks at what is to come first, and only when nobody objects is it put in
force, in one turn of the event loop. Whoever has a section of the settings has the one object of it: a reload writes
the new values there, and is the only one who does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hlsd.base.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from hlsd.config import Settings
    from hlsd.ports import Reloadable

Key = tuple[str, str]
_NOT_SET: Final = object()


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of it, by dotted keys in the order of the file."""

    changed: Sequence[str] = ()
    """In force now."""
    restart: Sequence[str] = ()
    """Written otherwise than they are in force, which only a restart changes."""


class Reload:
    """Of one server with `settings`. `parts()`: what can be changed; `elsewhere`: what another process sees to."""

    def __init__(
        self,
        settings: Settings,
        parts: Callable[[], Iterable[Reloadable]],
        elsewhere: Callable[[Key], bool] = lambda _key: False,
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._elsewhere = elsewhere

    def apply(self, wanted: Settings) -> Reloaded:
        """Puts `wanted` in force. Raises ConfigError that says what stands against it; then nothing has changed."""
        different = list(_differences(self._settings, wanted))
        parts = list(self._parts())
        able = {(part.section, key) for part in parts for key in part.keys}
        takes = [key for key in different if key in able]
        touched = {section for section, _ in takes} | {part.section for part in parts if part.always}
        coming = {section: self._coming(section, wanted, takes) for section in touched}
        problems: list[str] = []
        commits: list[Callable[[], None]] = []
        for part in parts:
            if part.always or any(section == part.section and key in part.keys for section, key in takes):
                try:
                    commits.append(part.prepare(coming[part.section]))
                except (ValueError, OSError, ConfigError) as error:
                    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                    problems.append(reason if reason.startswith(part.section) else f"{part.section}: {reason}")
        if problems:
            raise ConfigError("\n".join(problems))
        for section, model in coming.items():
            _write(getattr(self._settings, section), model)
        for commit in commits:
            commit()
        done = [key for key in different if key in able or self._elsewhere(key)]
        return Reloaded(
            [f"{section}.{key}" for section, key in done],
            [f"{section}.{key}" for section, key in different if (section, key) not in done],
        )

    def _coming(self, section: str, wanted: Settings, takes: Iterable[Key]) -> BaseModel:
        """A section as it will be: what cannot be changed stays as it is. Raises ConfigError if that is no whole."""
        now: BaseModel = getattr(self._settings, section)
        new: BaseModel = getattr(wanted, section)
        update = {key: getattr(new, key) for where, key in takes if where == section}
        found = now.model_copy(update=update)
        for worked_out in vars(found).keys() - type(found).model_fields:  # cached_property, of the old values
            del vars(found)[worked_out]
        for key in update:
            if key not in new.model_fields_set:
                found.model_fields_set.discard(key)
        return found


def _differences(now: Settings, wanted: Settings) -> Iterator[Key]:
    for section in type(now).model_fields:
        one, other = getattr(now, section), getattr(wanted, section)
        for key in type(one).model_fields:
            if getattr(one, key) != getattr(other, key, _NOT_SET):
                yield section, key


def _write(section: BaseModel, new: BaseModel) -> None:
    """The section's object says what `new` says. It is frozen for everybody else."""
    vars(section).clear()  # what was worked out from the old values (cached_property) goes with them
    vars(section).update({key: getattr(new, key) for key in type(new).model_fields})
    section.model_fields_set.clear()
    section.model_fields_set.update(new.model_fields_set)
