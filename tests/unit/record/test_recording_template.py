"""How files of recordings are named, and what no name can do."""

from __future__ import annotations

import pytest

from hlsd.record.take import new_take_id
from hlsd.record.template import DEFAULT, FileTemplate


def test_the_default_is_by_stream_and_day_in_utc() -> None:
    name = FileTemplate(DEFAULT).fill("live", "cam", 1_700_000_000.125, "abc")
    assert name == "live/cam/2023/11/14/221320.125_abc"


@pytest.mark.parametrize(
    "text",
    [
        "/abs/{id}", "../{id}", "a/../{id}", "a//{id}", ".hidden/{id}", "{app}/.{id}", "{app}/{id}/x", "{nothing}_{id}",
        "no id", "a\\{id}", "a\x00{id}", "{id", "x" * 600 + "{id}", "{id}/", "",
    ],
)  # fmt: skip
def test_what_leaves_the_folder_or_names_two_files_alike_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        FileTemplate(text)


def test_ids_sort_by_time_and_are_names() -> None:
    ids = [new_take_id(1_700_000_000.0 + at / 10) for at in range(50)]
    assert ids == sorted(ids)
    assert all(len(ident) == 16 and ident.isalnum() for ident in ids)
