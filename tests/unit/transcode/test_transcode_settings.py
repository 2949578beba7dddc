"""The [transcode] section: profiles by name, rules that know them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hlsd.transcode.settings import TranscodeSettings

PROFILE = {"height": 480, "bitrate": 1_000_000}


def test_profiles_and_rules_are_read() -> None:
    found = TranscodeSettings.model_validate(
        {"profiles": {"480p": PROFILE}, "rules": [{"match": "live/*", "profiles": ["480p"]}], "max": 3}
    )
    assert found.profiles["480p"].preset == "veryfast"
    assert found.rules[0].profiles == ["480p"]
    assert found.room == 3
    assert found.audio, "what it says of sound is as before"


def test_without_a_number_there_is_room_for_one_at_least() -> None:
    assert TranscodeSettings().room >= 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"profiles": {"main": PROFILE}}, "neither main nor audio"),
        ({"profiles": {"audio": PROFILE}}, "neither main nor audio"),
        ({"profiles": {"4/8": PROFILE}}, "small letters"),
        ({"profiles": {"480p": {**PROFILE, "preset": "-x"}}}, "preset"),
        ({"profiles": {"480p": PROFILE}, "rules": [{"profiles": ["720p"]}]}, "there are 480p"),
        ({"profiles": {"480p": PROFILE}, "rules": [{"profiles": ["480p", "480p"]}]}, "named twice"),
        ({"rules": [{"match": "~("}]}, "regular expression"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TranscodeSettings.model_validate(given)
