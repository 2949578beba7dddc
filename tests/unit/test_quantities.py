"""Durations and sizes as operators write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.base.quantities import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(2, 2), (2.5, 2.5), ("2", 2), ("2s", 2), ("500ms", 0.5), ("1m", 60), ("1.5 h", 5400), ("1d", 86400), (".5s", 0.5)],
)
def test_durations_are_read_as_people_write_them(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "2 parsec", "1:30", "nan", "inf", True, float("nan"), float("inf")])
def test_what_is_no_duration_is_refused(text: object) -> None:
    """A NaN deadline would never come."""
    with pytest.raises(ValueError, match=r"should be|unit of time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [(7, 7), ("1024", 1024), ("64MiB", 64 << 20), ("1.5GiB", 3 << 29), ("500kB", 500_000), ("1k", 1024), ("8B", 8)],
)
def test_sizes_know_both_families(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1 furlong", "0.3B", True])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"should be|unit of size"):
        parse_size(text)


@given(st.integers(0, 10**12))
def test_a_written_size_reads_back(size: int) -> None:
    """`hlsd check` must print what may be pasted into the file."""
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**12).map(lambda micros: micros / 1e6))
def test_a_written_duration_reads_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)
