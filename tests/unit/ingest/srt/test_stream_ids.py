"""What a stream id means, in every dialect."""

from __future__ import annotations

import pytest

from hlsd.ingest.srt.stream_id import BadStreamId, StreamTarget, read_stream_id

IDS = [
    ("#!::r=live/cam,m=publish", ("live", "cam", "publish", {})),
    ("#!::r=/live/cam,m=publish,u=ann,s=secret", ("live", "cam", "publish", {"user": "ann", "pass": "secret"})),
    ("#!::m=request,r=live/cam", ("live", "cam", "play", {})),
    ("#!::r=live/cam", ("live", "cam", "play", {})),
    ("#!::h=host,r=live/cam?token=a%3Db&sign=1,m=publish", ("live", "cam", "publish", {"token": "a=b", "sign": "1"})),
    ("#!::r=live/cam,m=publish,token=abc,sign=1-2", ("live", "cam", "publish", {"token": "abc", "sign": "1-2"})),
    ("%23!::r=live/cam,m=publish", ("live", "cam", "publish", {})),
    ("%23%21%3A%3Ar%3Dlive/cam%2Cm%3Dpublish", ("live", "cam", "publish", {})),
    ("#!::h=live/cam,m=publish", ("live", "cam", "publish", {})),
    ("#!::bmd_uuid=1,bmd_name=Web Presenter,u=live/cam", ("live", "cam", "publish", {})),
    ("publish:live/cam", ("live", "cam", "publish", {})),
    ("publish:live/cam:ann:secret", ("live", "cam", "publish", {"user": "ann", "pass": "secret"})),
    ("publish:live/cam:ann:no:token=x", ("live", "cam", "publish", {"user": "ann", "pass": "no", "token": "x"})),
    ("publish:live/cam?token=x:y", ("live", "cam", "publish", {"token": "x:y"})),
    ("read:live/cam", ("live", "cam", "play", {})),
    ("read:live/cam#feedbackplay", ("live", "cam", "play", {})),
    ("live/cam,mode:publish,token:abc", ("live", "cam", "publish", {"token": "abc"})),
    ("live/cam,mode:request", ("live", "cam", "play", {})),
    ("live/cam", ("live", "cam", "publish", {})),
    ("live/cam?token=abc", ("live", "cam", "publish", {"token": "abc"})),
    ("live/cam?m=request&token=abc", ("live", "cam", "play", {"token": "abc"})),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meant"), IDS)
def test_every_dialect_means_what_it_says(text: str, meant: tuple[str, str, str, dict[str, str]]) -> None:
    found = read_stream_id(text)
    assert (found.app, found.name, found.mode, found.query) == meant


def test_the_configuration_says_what_a_mere_name_means() -> None:
    assert read_stream_id("live/cam", "play").mode == "play"
    assert read_stream_id("publish:live/cam", "play").mode == "publish"


@pytest.mark.parametrize(
    "text",
    [
        "", "cam", "live/", "/cam", "live/cam/more", "live/../cam", "api/cam", "live/c\0m", "\n",
        "#!::m=publish", "#!::r=live/cam,m=bidirectional", "#!::r=live/cam?token=a,token=b", "#!{", "#!::",
        "live/cam?token=a&token=b", "publish:", "publish:::::", "live/cam,mode:both",
        "#!::r=" + "a=1," * 40, "live/cam?" + "&".join(f"a{number}=1" for number in range(40)),
    ],
)  # fmt: skip
def test_what_names_no_stream_is_refused_in_words_without_its_credentials(text: str) -> None:
    with pytest.raises(BadStreamId) as refused:
        read_stream_id(text)
    assert "token" not in str(refused.value)


def test_credentials_are_no_part_of_what_is_shown() -> None:
    assert "secret" not in repr(StreamTarget("live", "cam", "publish", {"pass": "secret"}))
