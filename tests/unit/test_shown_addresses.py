"""No address shows a secret, wherever one may stand in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.base import masking


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtmp://a.example/live2/KEY", "rtmp://a.example/live2/***"),
        (
            "rtmps://user:pw@a.example:443/app/_inst_/KEY?token=T&u=1",
            "rtmps://***@a.example:443/app/***?token=***&u=***",
        ),
        ("rtmp://a.example/KEY", "rtmp://a.example/***"),
        ("RTMP://a.example/live/KEY", "RTMP://a.example/live/***"),
        ("rtsp://cam/user=admin_password=PW_channel=1.sdp", "rtsp://cam/***"),
        ("http://iptv/user/PW/1.ts?PW", "http://iptv/***?***"),
        ("https://hooks.example/services/T0/B0/KEY#KEY", "https://hooks.example/***#***"),
        ("https://[2001:db8::1]:8443/hook", "https://[2001:db8::1]:8443/***"),
        ("http://user:pa/ss@host/x", "http://***"),
        ("http://a@b:pw@host/", "http://***@host/"),
        ("http://host", "http://host"),
        ("udp://239.1.1.1:5000", "udp://239.1.1.1:5000"),
        ("file:/media/film.mp4", "file:/media/film.mp4"),
        ("no address at all", "***"),
        ("rtmp://a/b/\x1b[31mKEY", "rtmp://a/b/***"),
    ],
)
def test_host_and_application_are_shown_and_nothing_else(url: str, shown: str) -> None:
    assert masking.address(url) == shown


@pytest.mark.parametrize(
    "template",
    ["rtmp://origin/{app}/{stream}?{sign}", "http://origin:8000/{path}.flv?t={args.token}", "rtsp://h/{g1}/index.m3u8"],
)
def test_the_fields_of_a_template_are_no_secrets(template: str) -> None:
    """Or an operator could not read the own rules; what stands beside a field may be one."""
    assert masking.address(template) == template
    assert masking.address("rtmp://h/live/KEY-{stream}?t=KEY{app}") == "rtmp://h/live/***?t=***"


def test_every_address_in_a_text_is_masked_and_the_text_stays() -> None:
    words = 'tried "rtmp://u:PW@a/live/KEY?x=PW", then https://h/hook/KEY and went on'
    assert masking.text(words) == 'tried "rtmp://***@a/live/***?x=***", then https://h/*** and went on'


def test_what_a_server_says_of_our_own_address_is_scrubbed() -> None:
    """Servers quote the key that they refuse, as it was written or as it was meant."""
    url = "rtmp://us%65r:PASSWORD@a.example/live2/abcd-%4bEY?token=TOKEN-1&k"
    said = "NetStream.Publish.BadName (stream abcd-KEY?token=TOKEN-1 of user PASSWORD is busy: abcd-%4bEY; TOKEN-1)"
    shown = masking.without(said, url)
    assert shown.startswith("NetStream.Publish.BadName (stream ")
    for secret in ("KEY", "%4b", "TOKEN-1", "PASSWORD"):
        assert secret not in shown


SECRET = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%!*()+,;=:@", min_size=8, max_size=12).filter(
    lambda text: "*" not in text and not text.isdecimal()
)


SCHEMES = st.sampled_from(["rtmp", "rtmps", "rtsp", "http", "https", "srt", "ws"])


@given(st.tuples(SECRET, SECRET, SECRET, SECRET), SCHEMES, st.integers(0, 3))
def test_no_secret_is_shown_wherever_it_stands(secrets: tuple[str, ...], scheme: str, steps: int) -> None:
    """And what is shown is shown alike when it is masked once more: on its way it passes the log's own mask."""
    one, two, three, four = secrets
    url = f"{scheme}://{one}:{two}@host.example:1935/app{'/x' * steps}/{three}?a={four}&{one}"
    shown = masking.address(url)
    for secret in secrets:
        assert secret not in shown
    assert "host.example" in shown
    assert masking.address(shown) == shown == masking.text(shown)


@given(st.text(max_size=200))
def test_it_never_raises(text: str) -> None:
    masking.address(text)
    masking.text(text)
    masking.without(text, text)
