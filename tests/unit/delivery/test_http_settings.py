"""Section `http`: what is refused before anything listens."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hlsd.delivery.settings import HttpSettings


@pytest.mark.parametrize(
    "section",
    [
        {"credentials": True},
        {"credentials": True, "allow_origin": ["https://a.example", "*"]},
        {"allow_origin": ["https://a.example\r\nx: y"]},
        {"allow_headers": [""]},
        {"frame_ancestors": ["'self'; script-src *"]},
        {"prot": 8000},
        {"port": 70000},
    ],
)
def test_unsafe_or_unknown_settings_are_refused(section: dict[str, object]) -> None:
    """HT14: "never `*`" with credentials; a setting must not write a header of its own."""
    with pytest.raises(ValidationError):
        HttpSettings.model_validate(section)


def test_every_key_says_what_it_does() -> None:
    """The configuration reference is made from these words."""
    for name, field in HttpSettings.model_fields.items():
        assert field.description, name
