"""EXT-X-DATERANGE as a line: attributes, bounds, what may be in a quoted string."""

from __future__ import annotations

from hlsd.media.date_range import DateRange, is_client_attribute, is_line, is_quoted


def test_a_range_is_an_attribute_list() -> None:
    """rfc8216bis §4.4.5.1, §4.2: P03."""
    told = DateRange(
        "ad-1",
        1_700_000_000.25,
        kind="break",
        planned=30.5,
        splice="SCTE35-OUT",
        section=b"\xfc\x00\xab",
        attributes={"X-COM-EXAMPLE": "yes", "X-N": 0.00001},
    )
    assert told.line == (
        '#EXT-X-DATERANGE:ID="ad-1",CLASS="break",START-DATE="2023-11-14T22:13:20.250Z",PLANNED-DURATION=30.5,'
        'X-COM-EXAMPLE="yes",X-N=0.00001,SCTE35-OUT=0xFC00AB'
    )
    assert is_line(told.line)


def test_the_end_of_a_range_is_known_or_not() -> None:
    assert DateRange("a", 100.0, splice="SCTE35-OUT").end is None
    assert DateRange("a", 100.0, splice="SCTE35-OUT", planned=5).end == 105
    assert DateRange("a", 100.0, splice="SCTE35-IN", planned=5, duration=7).end == 107
    assert DateRange("a", 100.0, splice="SCTE35-CMD").end == 100


def test_nothing_breaks_out_of_a_line() -> None:
    assert is_quoted("Werbung für alle")
    for text in ('a"b', "a\nb", "a\rb", "a\x85b", "a\u2028b", "\ud800"):
        assert not is_quoted(text)
    assert is_client_attribute("X-COM-EXAMPLE-2")
    for name in ("X-", "X-a", "Y-A", "X-A=1,ID", "X-" + "A" * 65):
        assert not is_client_attribute(name)
    assert not is_line('#EXT-X-DATERANGE:ID="a"\n#EXTINF:1,')
    assert not is_line("#EXT-X-KEY:METHOD=NONE")
