"""Names the files of timed pictures: `{app}/{stream}/{yyyy}{mm}{dd}-{HH}{MM}{SS}.jpg`, in UTC.

Law: no name leaves the folder. A template is a relative path whose steps do not begin with a dot; what is filled in are
names of streams (`hlsd.base.stream_name`) and digits: none has a slash, none begins with a dot. Times stand in the last
step only, so that what is to be kept of one stream lies in one folder. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from hlsd.snapshots.wire import Format

LONGEST: Final = 256
"""Characters of a template."""
_TIMES: Final = {"yyyy": "%Y", "mm": "%m", "dd": "%d", "HH": "%H", "MM": "%M", "SS": "%S"}
_FIELDS: Final = ("app", "stream", *_TIMES)
_FORMATS: Final[dict[str, Format]] = {".jpg": "jpg", ".jpeg": "jpg", ".webp": "webp"}
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_STEP: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~ -]*")


class PictureTemplate:
    """One template; `form` is the format that its ending names. Raises ValueError where it is none."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"path is longer than {LONGEST} characters")
        self.fields = {match[1] for match in _FIELD.finditer(text)}
        for field in self.fields - set(_FIELDS):
            raise ValueError(f"{{{field}}} is no field of path; there are {', '.join(_FIELDS)}")
        if not all(_STEP.fullmatch(step) and ".." not in step for step in _FIELD.sub("x", text).split("/")):
            raise ValueError(
                "path should be a relative path of A-Z a-z 0-9 . _ ~ -, no step of which begins with a dot"
            )
        self._folders, _, self._name = text.rpartition("/")
        for match in _FIELD.finditer(self._folders):
            if match[1] in _TIMES:
                raise ValueError(f"{{{match[1]}}} may stand behind the last slash of path only")
        form = _FORMATS.get("." + text.rpartition(".")[2])
        if form is None:
            raise ValueError("path should end in .jpg, .jpeg or .webp")
        self.form: Format = form

    def fill(self, app: str, name: str, wall: float) -> tuple[list[str], str]:
        """The folders, from the outermost on, and the file's name; `wall` in seconds of the epoch."""
        at = datetime.fromtimestamp(wall, UTC)
        values = {"app": app, "stream": name, **{field: at.strftime(form) for field, form in _TIMES.items()}}

        def put(match: re.Match[str]) -> str:
            return values[match[1]]

        return [_FIELD.sub(put, step) for step in self._folders.split("/") if step], _FIELD.sub(put, self._name)

    def siblings(self, app: str, name: str) -> re.Pattern[str]:
        """What the files of one stream are called, at whatever time."""
        digits = {**dict.fromkeys(_TIMES, r"\d{2}"), "yyyy": r"\d{4}"}
        values = {"app": re.escape(app), "stream": re.escape(name), **digits}
        parts = re.split(_FIELD, self._name)  # text and fields in turn
        return re.compile("".join(values[part] if number % 2 else re.escape(part) for number, part in enumerate(parts)))
