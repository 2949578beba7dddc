"""URL templates of relay rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.relay.address import read_address
from hlsd.relay.template import VIA, Signing, Template, TemplateSubject, carried, looped

NOW = 1503455121.0
NMS = Signing("nms", "nodemedia2017privatekey", 3600)


def test_fields_are_filled_and_the_signature_is_of_the_filled_path() -> None:
    template = Template("rtmp://origin:19350/{app}/{stream}?{sign}&e={exp}&s={server_id}")
    url = template.fill(TemplateSubject("live", "stream", {}), now=NOW, server_id="edge-1", signing=NMS)
    assert url == (
        "rtmp://origin:19350/live/stream?sign=1503458721-80c1d1ad2e0c2ab63eebb50eed64201a&e=1503458721&s=edge-1"
    )


def test_signature_is_made_afresh_each_time() -> None:
    """A reconnect after its hour must not be refused."""
    template = Template("rtmp://o/{path}?{sign}")
    subject = TemplateSubject("live", "stream", {})
    urls = {template.fill(subject, now=NOW + late, server_id="a", signing=NMS) for late in (0, 1, 7200)}
    assert len(urls) == 3


def test_only_named_arguments_of_a_viewer_go_along() -> None:
    """A viewer's token is for this server and nobody else."""
    subject = TemplateSubject("live", "s", {"token": "SECRET", "u": "4 2&x=1"})
    url = Template("http://o/{app}/{stream}.flv").fill(subject, now=NOW, server_id="a", forward=["u", "none"], via="a")
    assert url == f"http://o/live/s.flv?u=4%202%26x%3D1&{VIA}=a"
    assert Template("rtmp://o/x/{args.u}").fill(subject, now=NOW, server_id="a") == "rtmp://o/x/4%202%26x%3D1"
    assert Template("rtsp://cam/x").fill(subject, now=NOW, server_id="a", forward=["u"], via="a") == "rtsp://cam/x"


@pytest.mark.parametrize(
    "text",
    [
        "rtmp://{app}/x", "rtmp://{args.host}/live/x", "{args.u}://o/x", "{app}", "rtmp://o.{g1}/x", "rtmp://u:{exp}@o/x",
        "rtmp://o/{nope}", "rtmp://o/{app", "rtmp://o/app}", "rtmp://o/{}", "gopher://o/{app}", "rtmp://o{app}/x",
        "file:///media/{args.film}", "file://{stream}", "rtmp:{app}", "rtmp://o/{{app}}",
    ],
)  # fmt: skip
def test_nothing_a_viewer_says_may_choose_the_host_or_a_file(text: str) -> None:
    """Otherwise anybody who may watch could connect this server to anything."""
    with pytest.raises(ValueError):  # noqa: PT011  the texts vary
        Template(text)


def test_a_sign_behind_its_own_name_is_told_when_the_rule_is_read() -> None:
    """`sign=sign=…` is refused by every origin, and nothing would say why."""
    with pytest.raises(ValueError, match=r"\?\{sign\}"):
        Template("rtmp://o/{app}/{stream}?sign={sign}")


@given(value=st.text(max_size=60))
def test_whatever_a_viewer_says_the_host_and_path_stay(value: str) -> None:
    """A property for all arguments: encoded, they can end neither authority nor path."""
    text = "http://origin:81/a/{args.u}/b?c={args.u}"
    address = read_address(Template(text).fill(TemplateSubject("live", "s", {"u": value}), now=NOW, server_id="a"))
    assert (address.scheme, address.host, address.port) == ("http", "origin", 81)
    assert address.path.startswith("/a/")
    assert address.path.endswith("/b")
    assert ".." not in address.path.split("/")


def test_a_stream_that_came_through_here_is_a_loop() -> None:
    args = {VIA: "edge-1,mid"}
    assert looped(args, "mid")
    assert not looped(args, "mi")
    assert carried(args, "edge-2") == "edge-1,mid,edge-2"
    assert carried({}, "a") == "a"
    assert len(carried({VIA: ",".join("abcdefghijklmnop")}, "z").split(",")) == 9
