"""What the URL of an SRT server asks for."""

from __future__ import annotations

import pytest

from hlsd.relay.address import kind_of, read_address
from hlsd.relay.srt_target import SrtTarget, read_target


def target(query: str) -> SrtTarget:
    return read_target(read_address(f"srt://origin.example:10080?{query}"))


def test_arguments_are_those_of_libsrt() -> None:
    assert target("streamid=read:live/cam") == SrtTarget("read:live/cam", "", 16, 120)
    query = "streamid=%23!::r=live/cam&passphrase=correct%20horse&pbkeylen=32&latency=400&mode=caller"
    assert target(query) == SrtTarget("#!::r=live/cam", "correct horse", 32, 400)
    assert target("") == SrtTarget("", "", 16, 120)
    assert kind_of(read_address("srt://origin.example:10080")) == "srt"


@pytest.mark.parametrize(
    "query",
    [
        "mode=listener", "transtype=file", "passphrase=short", "passphrase=" + "a" * 80, "pbkeylen=17", "latency=x",
        "latency=120000", "latency=-1", "streamid=" + "a" * 513, "rcvbuf=1", "latency=1111111111111",
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_without_its_secrets(query: str) -> None:
    with pytest.raises(ValueError, match=r"^[^=]*$") as refused:
        target(query)
    assert "aaa" not in str(refused.value)


def test_a_url_of_srt_names_its_port() -> None:
    with pytest.raises(ValueError, match="port"):
        read_address("srt://origin.example?streamid=x")
