"""Where a publisher goes is read from what encoders really send, and odd names are not given."""

from __future__ import annotations

import pytest

from hlsd.ingest.rtmp.address import BadAddress, DoubtfulCredential, RtmpAddress, quoted, read_address

URL = "rtmp://h/live"


@pytest.mark.parametrize(
    ("app", "url", "name", "query"),
    [
        ("live", URL, "show?token=A", {"token": "A"}),
        ("live?token=A", URL + "?token=A", "show", {"token": "A"}),
        ("live", URL + "?token=A&x=1", "show?x=2", {"token": "A", "x": "2"}),
        ("live/", URL, "show", {}),
        ("", URL, "show", {}),
        ("live", "", "show?a", {"a": ""}),
        ("live", URL, "show?a=b=c&&d=%3D+x?y", {"a": "b=c", "d": "=+x?y"}),
        ("live", URL, "show?x=1&x=2", {"x": "1"}),
    ],
)
def test_arguments_are_merged(app: str, url: str, name: str, query: dict[str, str]) -> None:
    """The publish name wins; a plus stays a plus, since keys are often base64."""
    assert read_address(app, url, name) == RtmpAddress("live", "show", query)


@pytest.mark.parametrize(
    ("app", "url", "name"),
    [
        ("live", URL, "show?sign=1&sign=2"),
        ("live", URL + "?token=A", "show?token=B"),
        ("live?token=a", URL, "show?token=A"),
        ("live", URL, "show?Sign=1&Sign=2"),
    ],
)
def test_credential_with_two_values_is_refused(app: str, url: str, name: str) -> None:
    """Which of the two was checked? A doubled one killed another server outright."""
    with pytest.raises(DoubtfulCredential):
        read_address(app, url, name)


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("live", ""),
        ("", "show"),
        ("live", "a/b"),
        ("live/x", "show"),
        ("live", ".."),
        ("live", "a..b"),
        ("live", ".hidden"),
        ("live", "a b"),
        ("live", "a\n"),
        ("live", "é"),
        ("live", "x" * 129),
        ("live", "a\0"),
        ("live", "a%2fb"),
        ("..", "show"),
        ("live", "show?" + "a=b&" * 2000),
        ("live", "show?" + "&".join(f"{n}=" for n in range(200))),
    ],
)
def test_odd_name_is_not_given(app: str, name: str) -> None:
    """Names become paths, labels and URLs."""
    with pytest.raises(BadAddress) as refusal:
        read_address(app, "", name)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 200


def test_names_keep_their_case_and_may_be_long() -> None:
    assert read_address("Live", URL, "a" * 127 + "~").app == "Live"


def test_foreign_text_is_safe_to_log() -> None:
    """Terminal escapes and line breaks in a log are an attack on its reader."""
    assert quoted("a\r\n\x1b[31m\u202e") == r"'a\r\n\x1b[31m\u202e'"
    assert len(quoted("x" * 5000)) == 259


@pytest.mark.parametrize("name", ["my-stream-key ", "my-stream-key/x", "my-stream-key\n", ".my-stream-key"])
def test_a_name_that_may_be_a_key_with_a_slip_in_it_is_not_repeated(name: str) -> None:
    """The words go into the log; a pasted key with a blank behind it is still the key."""
    with pytest.raises(BadAddress) as caught:
        read_address("live", "rtmp://h/live", name)
    assert "my-stream-key" not in str(caught.value)
