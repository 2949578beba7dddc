"""Names the files of recordings: `{app}/{stream}/{yyyy}/{mm}/{dd}/{HH}{MM}{SS}.{ms}_{id}`, in UTC.

Law: no name leaves the folder of recordings. A template is a relative path whose steps do not begin with a dot; what
is filled in are names of streams (`hlsd.base.stream_name`), digits and ids: none has a slash. `{id}` stands in the last
step, so that two files never have one name. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

LONGEST: Final = 512
"""Characters of a template, and of a name."""
DEFAULT: Final = "{app}/{stream}/{yyyy}/{mm}/{dd}/{HH}{MM}{SS}.{ms}_{id}"
FIELDS: Final = ("app", "stream", "yyyy", "mm", "dd", "HH", "MM", "SS", "ms", "id")
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_STEP: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~ -]*")


class FileTemplate:
    """One template. Raises ValueError where it is none."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"is longer than {LONGEST} characters")
        for match in _FIELD.finditer(text):
            if match[1] not in FIELDS:
                raise ValueError(f"{{{match[1]}}} is no field of a file name; there are {', '.join(FIELDS)}")
        for step in _FIELD.sub("x", text).split("/"):
            if not _STEP.fullmatch(step) or ".." in step:
                raise ValueError("should be a relative path of A-Z a-z 0-9 . _ ~ -, no step of which begins with a dot")
        if "{id}" not in text.rpartition("/")[2]:
            raise ValueError("needs {id} behind its last slash: two files must not have one name")
        self.text = text

    def fill(self, app: str, name: str, wall: float, ident: str) -> str:
        """The path of a file, without its ending, below the folder of recordings; `wall` in seconds of the epoch."""
        at = datetime.fromtimestamp(wall, UTC)
        values = {
            "app": app,
            "stream": name,
            "yyyy": f"{at.year:04d}",
            "mm": f"{at.month:02d}",
            "dd": f"{at.day:02d}",
            "HH": f"{at.hour:02d}",
            "MM": f"{at.minute:02d}",
            "SS": f"{at.second:02d}",
            "ms": f"{at.microsecond // 1000:03d}",
            "id": ident,
        }
        return _FIELD.sub(lambda match: values[match[1]], self.text)
