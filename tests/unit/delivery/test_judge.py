"""The judge: what a player gets, rule by rule (ids of hls-rules)."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from hlsd.delivery.answer import Fall, Reply, Wait, WaitForMedia, WaitForNews, WaitForPart, WaitForPlaylist
from hlsd.delivery.request import Request
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.wait_queue import Outcome
from hlsd.events import Event
from hlsd.ports import Denial, Grant, RenditionBody
from hlsd.sessions.signing import Issue
from tests.support.answers import Answers, Said
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import TrustingSigner, viewers

SID = "A" * 22
PLAYLIST = f"/live/cam/~{SID}/index.m3u8"
MEDIA = f"/live/cam/~{SID}/r1/100.ts"


class Player:
    """Asks for the one stream `/live/cam`."""

    def __init__(
        self, playable: MemoryPlayable | None = None, signer: TrustingSigner | None = None, **settings: object
    ) -> None:
        self.stream = playable or MemoryPlayable()
        self.stream.add_media("r1", "100.ts", b"0123456789")
        self.directory = MemoryDirectory(cam=self.stream)
        self.signer = signer or TrustingSigner()
        self.settings = HttpSettings.model_validate(settings)
        self.sessions = viewers(signer=self.signer)
        self.answers = Answers(self.directory, self.sessions, self.settings)
        self.replies = self.answers.judge.replies
        self.request = Request("GET", b"/", b"", {})
        """The last one."""

    def ask(self, url: str, method: str = "GET", peer: str = "", **headers: str) -> Said:
        path, _, query = url.partition("?")
        named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        self.request = Request(method, path.encode(), query.encode(), named, peer)
        return self.answers.ask(self.request)

    def after(self, wait: Wait, outcome: bool | Outcome) -> Reply:
        if isinstance(outcome, bool):
            outcome = Outcome.RELEASED if outcome else Outcome.EXPIRED
        answer = self.answers.after(self.request, wait, outcome)
        assert isinstance(answer, Reply), answer
        return answer

    def reply(self, url: str, method: str = "GET", **headers: str) -> Reply:
        answer = self.ask(url, method, **headers)
        assert isinstance(answer, Reply), answer
        return answer


def header(reply: Reply, name: str) -> str | None:
    value = dict(reply.headers).get(name.encode())
    return None if value is None else value.decode()


@pytest.fixture
def player() -> Player:
    return Player()


@pytest.fixture
def low() -> Player:
    return Player(MemoryPlayable(low_latency=True))


# -- renditions

MAIN_PLAYLIST = f"/live/cam/~{SID}/main/index.m3u8"


@pytest.mark.parametrize("query", ["", "?_HLS_skip=YES", "?_HLS_msn=102", "?_HLS_msn=999", "?_HLS_part=1"])
def test_an_address_without_a_rendition_gets_the_bytes_of_the_main_one(low: Player, query: str) -> None:
    """Players hold the addresses they began with, through an update of the server too."""
    one, other = low.reply(f"{PLAYLIST}{query}"), low.reply(f"{MAIN_PLAYLIST}{query}")
    assert one == other
    old, new = low.reply(MEDIA), low.reply(f"/live/cam/~{SID}/main/r1/100.ts")
    assert (old.status, old) == (200, new)


def test_a_rendition_has_its_own_playlist_media_and_waits(low: Player) -> None:
    small = low.stream.add_rendition("v480")
    small.add_media("r1", "p7.ts", b"small")
    low.stream.add_media("r1", "p7.ts", b"whole")
    base = f"/live/cam/~{SID}"
    assert low.reply(f"{base}/v480/r1/p7.ts").body == b"small"
    assert low.reply(f"{base}/main/r1/p7.ts").body == low.reply(f"{base}/r1/p7.ts").body == b"whole"
    small.finish_segment()
    assert low.reply(f"{base}/v480/index.m3u8").body != low.reply(f"{base}/main/index.m3u8").body
    held = low.ask(f"{base}/v480/index.m3u8?_HLS_msn=104&_HLS_part=0")
    assert isinstance(held, WaitForPart)
    assert held.playable is small
    small.hint = ("r1", "p8.ts")
    hinted = low.ask(f"{base}/v480/r1/p8.ts")
    assert isinstance(hinted, WaitForMedia)
    small.add_media("r1", "p8.ts", b"next")
    assert low.after(hinted, True).body == b"next"
    assert low.after(held, False).status == 503, "it is there, and late"


@pytest.mark.parametrize("rest", ["v9/index.m3u8", "v9/r1/100.ts"])
def test_a_rendition_that_there_is_not_is_not_found(low: Player, rest: str) -> None:
    assert low.reply(f"/live/cam/~{SID}/{rest}").status == 404


def test_who_has_lost_its_session_is_led_to_the_rendition_that_it_asked_for(low: Player) -> None:
    low.stream.add_rendition("v480")
    for rest, led in (("v480/index.m3u8", "v480"), ("index.m3u8", "main")):
        place = header(low.reply(f"/live/cam/~a/{rest}"), "location")
        assert place is not None
        assert place.endswith(f"/{led}/index.m3u8")
        assert low.reply(place).status == 200


def test_the_sound_alone_is_for_who_asks_for_it_where_it_is_offered(low: Player) -> None:
    assert low.reply("/live/cam.m3u8?audio=only").status == 404
    low.stream.add_rendition("audio")
    body = bytes(low.reply("/live/cam.m3u8?audio=only").body)
    assert b"/audio/index.m3u8" in body
    assert b"/main/" not in body
    assert b"/main/" in bytes(low.reply("/live/cam.m3u8?audio=yes").body)
    place = header(low.reply("/live/cam.m3u8?audio=only&flat=1"), "location")
    assert place is not None
    assert place.endswith("/audio/index.m3u8")


def test_what_is_not_of_the_main_rendition_says_so_for_the_accounts(low: Player) -> None:
    small = low.stream.add_rendition("v480")
    for name, init in (("p7.ts", False), ("i0.mp4", True)):
        small.add_media("r1", name, b"small")
        small.resources["r1", name] = replace(small.resources["r1", name], rendition="v480", init=init)
    whole, head = (low.reply(f"/live/cam/~{SID}/v480/r1/{name}").media for name in ("p7.ts", "i0.mp4"))
    assert isinstance(whole, RenditionBody)
    assert isinstance(head, RenditionBody)
    assert (whole.rendition, whole.begins, head.rendition, head.begins) == ("v480", True, "v480", False)
    assert type(low.reply(MEDIA).media) is int, "the main one costs nothing more"


# -- session URIs


@pytest.mark.parametrize(
    ("url", "base"),
    [("/live/cam.m3u8", "cam/"), ("/live/cam/index.m3u8", ""), ("/live/cam/master.m3u8", "")],
)
def test_se02_the_variant_is_a_relative_path_with_a_fresh_session(player: Player, url: str, base: str) -> None:
    """Relative URIs do not inherit the query, so the session stands in the path."""
    variants = [bytes(player.reply(url).body).decode().splitlines()[-1] for _ in range(2)]
    assert variants[0] != variants[1]
    for variant in variants:
        assert variant.startswith(f"{base}~")
        assert variant.endswith("/index.m3u8")
        resolved = f"/live/cam/{variant.removeprefix(base)}"
        assert player.reply(resolved).status == 200


def test_se01_directives_of_the_request_never_reach_the_answer(player: Player) -> None:
    """A directive copied into URIs would be sent for every segment."""
    assert b"_HLS" not in bytes(player.reply("/live/cam.m3u8?_HLS_msn=1&x=1").body)


def test_a_flat_url_is_redirected_to_the_media_playlist(player: Player) -> None:
    """Players that read no multivariant playlist still get a session of their own."""
    reply = player.reply("/live/cam.m3u8?flat=1")
    assert reply.status == 302
    location = header(reply, "location")
    assert location is not None
    assert bytes(player.reply(location).body).startswith(b"#EXTM3U\n#EXT-X-TARGETDURATION")


def test_the_bare_name_is_a_page_for_browsers_and_a_playlist_for_players(player: Player) -> None:
    """One address to hand out (contract §1)."""
    assert isinstance(player.ask("/live/cam", accept="text/html,*/*"), Fall)
    assert isinstance(player.ask("/live/none", accept="text/html"), Fall)
    reply = player.reply("/live/cam", accept="*/*")
    assert (reply.status, header(reply, "location")) == (302, "/live/cam.m3u8")
    signed = player.reply("/live/none?sign=1-a&u=2")  # whether it is there is told to who may watch, at the next step
    assert (signed.status, header(signed, "location")) == (302, "/live/none.m3u8?sign=1-a&u=2")


@pytest.mark.parametrize("path", [f"/live/cam/~{SID}x/r1/100.ts", "/live/cam/~a/r1/100.ts"])
def test_se05_what_is_no_session_is_refused(player: Player, path: str) -> None:
    """A client's own idea of a session is never taken."""
    reply = player.reply(path)
    assert (reply.status, header(reply, "cache-control")) == (403, "no-store")
    assert header(reply, "access-control-allow-origin") == "*"


@pytest.mark.parametrize("path", [f"/live/cam/~{SID}x/index.m3u8", "/live/cam/~a/index.m3u8"])
def test_a_playlist_of_no_session_leads_to_one_of_its_own_and_always_the_same(player: Player, path: str) -> None:
    """Rule 13: an id that was forgotten costs the viewer a redirection, and a player that keeps asking one session."""
    replies = [player.reply(path) for _ in range(3)]
    assert {(reply.status, header(reply, "cache-control")) for reply in replies} == {(302, "no-store")}
    assert len({header(reply, "location") for reply in replies}) == len(player.sessions) == 1
    (session,) = player.sessions
    assert header(replies[0], "location") == f"{session.prefix.decode()}main/index.m3u8"
    assert player.reply(f"{session.prefix.decode()}main/index.m3u8").status == 200
    assert player.reply(path, method="HEAD").status == 403
    assert player.reply("/live/none/~a/index.m3u8").status == 404


def test_what_is_fetched_ahead_makes_no_session(player: Player) -> None:
    """A browser asks ahead for pages that nobody may ever open."""
    for name in ("sec_purpose", "purpose"):
        assert player.reply("/live/cam.m3u8", **{name: "prefetch;prerender"}).status == 503
        assert player.reply("/live/cam/~a/index.m3u8", **{name: "prefetch"}).status == 403
    assert len(player.sessions) == 0


def test_the_time_of_a_wrong_sid_does_not_tell_whether_a_stream_is_there() -> None:
    """A hidden stream's name must not be found by asking: the id is looked at alike for a stream and for none."""
    looks: list[str] = []

    class Counting(TrustingSigner):
        def read(self, sid: bytes, path: str) -> Issue | None:
            looks.append(path)
            return None

    player = Player(signer=Counting())
    for name in ("cam", "none"):
        player.reply(f"/live/{name}.m3u8?sid={'A' * 48}")
    assert looks == ["/live/cam", "/live/none"]


def test_sid_as_an_argument_names_the_session_one_has_and_no_other(player: Player) -> None:
    """For those who keep the id beside the address."""
    first = player.reply("/live/cam.m3u8")
    (session,) = player.sessions
    again = player.reply(f"/live/cam.m3u8?sid={session.sid.decode()}")
    assert again.body == first.body
    assert player.reply(f"/live/cam.m3u8?sid={session.sid.decode()}&flat=1").status == 302
    assert len(player.sessions) == 1
    player.reply("/live/cam.m3u8?sid=forged")
    assert len(player.sessions) == 2


@pytest.mark.parametrize(
    ("url", "base"),
    [("/live/cam.m3u8", "teaser/"), ("/live/cam/index.m3u8", "../teaser/"), ("/live/cam.m3u8?flat=1", "/live/teaser/")],
)
def test_a_receiver_may_lead_a_viewer_to_another_stream(player: Player, url: str, base: str) -> None:
    """Who has not paid is shown the trailer: to show the film instead is the one thing that must not happen."""

    async def says(event: Event) -> Grant:
        assert event.facts["name"] == "cam"
        return Grant(name="teaser", method="callback")

    player.sessions.bus.consult(says)
    assert player.reply(url).status == 404, "there is no such stream"
    player.directory.streams["live", "teaser"] = MemoryPlayable()
    reply = player.reply(url)
    led = header(reply, "location") or bytes(reply.body).decode().splitlines()[-1]
    session = list(player.sessions)[-1]
    assert led == f"{base}~{session.sid.decode()}/main/index.m3u8"
    assert session.path == "/live/teaser"
    assert player.reply(f"{session.prefix.decode()}index.m3u8").status == 200
    assert player.reply(f"/live/cam/~{session.sid.decode()}/index.m3u8", user_agent="other").status == 302, (
        "it is none of cam's"
    )
    forged = {header(player.reply("/live/cam/~a/index.m3u8"), "location") for _ in range(3)}
    assert len(forged) == 1, "one session for a player that goes on asking, wherever it was led"


def test_a_player_that_opens_twice_is_one_viewer(player: Player) -> None:
    """Players open, fail, and open again at once: by their own id of the playback they are known."""
    for more in ({"x_playback_session_id": "A-1"}, {"cmcd_session": 'cid="x",sid="A-2"'}):
        bodies = {bytes(player.reply("/live/cam.m3u8", user_agent="p", **more).body) for _ in range(3)}
        assert len(bodies) == 1
    player.reply("/live/cam.m3u8?CMCD=ot%3Dm%2Csid%3D%22A-2%22", user_agent="p")
    assert len(player.sessions) == 2
    player.reply("/live/cam.m3u8", user_agent="another", x_playback_session_id="A-1")
    assert len(player.sessions) == 3


def test_a_viewer_behind_a_proxy_of_ours_is_known_by_its_own_address(player: Player) -> None:
    """And a stranger's X-Forwarded-For is only its own words."""
    for peer, told, ip in (
        ("127.0.0.1", "198.51.100.9, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.1", "198.51.100.9", "203.0.113.1"),
    ):
        player.ask("/live/cam.m3u8", peer=peer, x_forwarded_for=told)
        assert list(player.sessions)[-1].ip == ip


@pytest.mark.parametrize("path", ["/", "/healthz", "/streams.json", "/_/page.js", "/api/v1/streams", "/live/cam.flv"])
def test_what_is_no_streams_business_falls_through(player: Player, path: str) -> None:
    """Pages and other rooms are not the judge's."""
    assert isinstance(player.ask(path), Fall)


# -- unknown and bad


@pytest.mark.parametrize(
    "path",
    [
        "/live/none.m3u8",
        "/x/cam.m3u8",
        f"/live/none/~{SID}/index.m3u8",
        f"/live/none/~{SID}/r/1.ts",
        "/live/cam/x.m3u8",
    ],
)
def test_ht09_an_unknown_stream_is_404_at_once(player: Player, path: str) -> None:
    """Never a hold, never 200 with nothing in it."""
    reply = player.reply(path)
    assert reply.status == 404
    assert len(reply.body) < 100


def test_bad_names_are_400_and_long_addresses_414(player: Player) -> None:
    """A name that is not allowed cannot be unknown: it is wrong."""
    assert player.reply("/live/..%2fetc.m3u8").status == 400
    assert player.reply("/live/" + "%61" * 2000).status == 414
    assert player.reply("/live/cam.m3u8?" + "a" * 5000).status == 414


def test_other_methods_are_405_with_allow(player: Player) -> None:
    """RFC 9110 §15.5.6: "MUST generate an Allow header field"."""
    reply = player.reply(PLAYLIST, "POST")
    assert (reply.status, header(reply, "allow")) == (405, "GET, HEAD, OPTIONS")


# -- the first playlist


@pytest.mark.parametrize("url", ["/live/cam.m3u8", PLAYLIST])
def test_the_first_playlist_is_waited_for(url: str) -> None:
    """A publisher who has just begun is no error: players give up on the first 404."""
    player = Player(MemoryPlayable(begun=False))
    answer = player.ask(url)
    assert isinstance(answer, WaitForPlaylist)
    assert answer.timeout == 10
    assert player.after(answer, False).status == 503
    answer = player.ask(url)
    assert isinstance(answer, WaitForPlaylist)
    player.stream.begin()
    assert player.after(answer, True).status == 200


def test_who_finds_no_place_to_wait_for_the_first_playlist_may_ask_again() -> None:
    """As any other 503: the page and players that know `HLSD-Refused` are not to stop for it."""
    player = Player(MemoryPlayable(begun=False))
    answer = player.ask("/live/cam.m3u8")
    assert isinstance(answer, WaitForPlaylist)
    reply = player.after(answer, Outcome.REFUSED)
    assert (reply.status, header(reply, "retry-after"), header(reply, "hlsd-refused")) == (503, "1", None)
    assert player.answers.stats.app("live").refused == {"not_ready": 1}
    assert len(player.sessions) == 0


def test_the_wait_for_the_first_playlist_ends_with_404_when_the_stream_does() -> None:
    """503 would say: ask again."""
    player = Player(MemoryPlayable(begun=False))
    answer = player.ask("/live/cam.m3u8")
    assert isinstance(answer, WaitForPlaylist)
    player.directory.streams.clear()
    assert player.after(answer, False).status == 404
    player = Player(MemoryPlayable(begun=False))
    player.stream.ended = True
    assert player.reply("/live/cam.m3u8").status == 404


def test_no_wait_for_the_first_playlist_where_the_operator_wants_none() -> None:
    """`first_playlist_wait = 0`."""
    player = Player(MemoryPlayable(begun=False), first_playlist_wait=0)
    reply = player.reply("/live/cam.m3u8")
    assert (reply.status, header(reply, "retry-after"), header(reply, "cache-control")) == (503, "1", "no-store")


# -- delivery directives


@pytest.mark.parametrize("url", ["/live/cam.m3u8", "/live/cam.m3u8?flat=1"])
def test_a_viewer_comes_in_with_the_next_part(low: Player, url: str) -> None:
    """Its player takes the first playlist's end for this moment: an old end is latency for as long as it plays."""
    low.stream.part_target = 0.334
    held = low.ask(url)
    assert isinstance(held, WaitForNews)
    assert held.timeout == 0.334
    assert held.verdict() is None
    assert low.sessions.count("live", "cam", "hls") == 0, "nobody has a session who has not come in"
    low.stream.add_part()
    assert held.verdict() is True
    assert low.after(held, True).status == (302 if "flat" in url else 200)


def test_a_viewer_comes_in_without_the_next_part_if_it_does_not_come(low: Player) -> None:
    """One part's time is waited, no longer."""
    low.stream.part_target = 0.334
    held = low.ask("/live/cam.m3u8")
    assert isinstance(held, WaitForNews)
    assert low.after(held, False).status == 200


def test_a_stream_that_goes_while_a_viewer_waits_at_the_door_is_404(low: Player) -> None:
    """And nobody has a session of it."""
    low.stream.part_target = 0.334
    held = low.ask("/live/cam.m3u8")
    assert isinstance(held, WaitForNews)
    low.directory.streams.clear()
    low.stream.remove()
    assert held.verdict() is not None
    assert low.after(held, False).status == 404
    assert low.sessions.count("live", "cam", "hls") == 0


@pytest.mark.parametrize("why", ["long parts", "ended", "away", "HEAD", "known", "no playlist yet", "no low latency"])
def test_a_viewer_comes_in_at_once_where_no_part_is_near(why: str) -> None:
    """Parts too long to be waited for, a publisher who is away, the end; who has a session; who has waited already."""
    player = Player(MemoryPlayable(low_latency=why != "no low latency", begun=why != "no playlist yet"))
    player.stream.part_target = 0.6 if why == "long parts" else 0.334
    player.stream.ended, player.stream.away = why == "ended", why == "away"
    url = f"/live/cam.m3u8?sid={SID}" if why == "known" else "/live/cam.m3u8"
    answer = player.ask(url, "HEAD" if why == "HEAD" else "GET")
    if why == "no playlist yet":
        assert isinstance(answer, WaitForPlaylist)
        player.stream.begin()
        answer = player.after(answer, True)
    assert isinstance(answer, Reply), answer
    assert answer.status == 200


def test_held_answers_are_alike_where_nothing_but_the_stream_decides(low: Player) -> None:
    """What is rendered for one may go to all who agree; what a header makes its own must not."""
    reload = f"{PLAYLIST}?_HLS_msn=103&_HLS_part=0"
    low.stream.hint = ("r1", "p1.ts")

    def alike(url: str, **headers: str) -> object:
        held = low.ask(url, **headers)
        assert isinstance(held, WaitForPart | WaitForMedia)
        return held.alike

    plain = alike(reload)
    part = alike(f"/live/cam/~{SID}/r1/p1.ts")
    assert plain == alike(reload, origin="https://elsewhere.test", user_agent="x")
    assert len({plain, part, alike(reload, accept_encoding="gzip"), alike(f"{reload}&_HLS_skip=YES")}) == 4
    assert None not in {plain, part}
    assert alike(reload, if_none_match='"x"') is None
    assert alike(f"/live/cam/~{SID}/r1/p1.ts", range="bytes=0-1") is None


def test_held_answers_are_alike_by_origin_where_origins_are_listed() -> None:
    """The answer says the origin back."""
    low = Player(MemoryPlayable(low_latency=True), allow_origin=["https://a.test"])
    said = [low.ask(f"{PLAYLIST}?_HLS_msn=103", origin=origin) for origin in ("https://a.test", "https://b.test")]
    tastes = {held.alike for held in said if isinstance(held, WaitForPart)}
    assert len(tastes) == 2
    assert None not in tastes


def test_directives_mean_nothing_without_low_latency(player: Player) -> None:
    """Nothing was promised by CAN-BLOCK-RELOAD, so nothing is held and nothing refused."""
    for query in ("_HLS_msn=9999", "_HLS_part=1", "_HLS_msn=x", "_HLS_skip=YES"):
        reply = player.reply(f"{PLAYLIST}?{query}")
        assert reply.status == 200
        assert b"SKIP" not in bytes(reply.body)


def test_dd01_a_reload_is_held_until_its_part_is_listed(low: Player) -> None:
    """Never answered early with the old playlist."""
    low.stream.add_part()
    assert low.reply(f"{PLAYLIST}?_HLS_msn=103&_HLS_part=0").status == 200
    answer = low.ask(f"{PLAYLIST}?_HLS_msn=103&_HLS_part=1")
    assert isinstance(answer, WaitForPart)
    assert (answer.msn, answer.part) == (103, 1)
    low.stream.add_part()
    reply = low.after(answer, True)
    assert b"r1/103.1.ts" in bytes(reply.body)
    assert header(reply, "cache-control") == "private, max-age=12"


def test_dd02_an_msn_alone_is_held(low: Player) -> None:
    """Safari asks so after a finished segment."""
    answer = low.ask(f"{PLAYLIST}?_HLS_msn=103")
    assert isinstance(answer, WaitForPart)
    assert answer.part is None


def test_dd04_a_past_msn_gets_the_whole_playlist_at_once(low: Player) -> None:
    """Not 400: gohlslib's mistake."""
    for msn in (0, 1, 100, 102):
        assert low.reply(f"{PLAYLIST}?_HLS_msn={msn}").status == 200


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=0",
        "_HLS_msn=",
        "_HLS_msn=-1",
        "_HLS_msn=1.5",
        "_HLS_msn=100&_HLS_part=x",
        "_HLS_msn=99999999999999999999",
        "_HLS_msn=105",
        "_HLS_msn=103&_HLS_part=99",
    ],
)
def test_dd05_to_dd08_impossible_directives_are_400(low: Player, query: str) -> None:
    """Failure of a blocking playlist may be kept for four target durations (B.1)."""
    reply = low.reply(f"{PLAYLIST}?{query}")
    assert (reply.status, header(reply, "cache-control")) == (400, "private, max-age=8")


def test_a_directive_given_twice_is_400(low: Player) -> None:
    """A cache in between and the origin must not read different ones."""
    assert low.reply(f"{PLAYLIST}?_HLS_msn=100&_HLS_msn=101").status == 400


@pytest.mark.parametrize(("target", "seconds"), [(1, 3), (2, 6), (6, 8)])
def test_dd09_a_hold_ends_with_503_in_time(target: int, seconds: float) -> None:
    """After three target durations, and before hls.js gives up on the first byte."""
    player = Player(MemoryPlayable(low_latency=True, target=target))
    answer = player.ask(f"{PLAYLIST}?_HLS_msn=103&_HLS_part=0")
    assert isinstance(answer, WaitForPart)
    assert answer.timeout == seconds
    reply = player.after(answer, False)
    assert (reply.status, header(reply, "cache-control"), header(reply, "retry-after")) == (503, "no-store", "1")


def test_a_hold_ends_with_the_unchanged_playlist_while_the_publisher_is_away(low: Player) -> None:
    """A blink of the publisher is no error to a viewer; and the answer is not to be kept."""
    before = low.reply(PLAYLIST)
    low.stream.away = True
    answer = low.ask(f"{PLAYLIST}?_HLS_msn=103&_HLS_part=0")
    assert isinstance(answer, WaitForPart)
    reply = low.after(answer, False)
    assert (reply.status, bytes(reply.body)) == (200, bytes(before.body))
    assert header(reply, "cache-control") == "private, no-cache"


def test_the_id_of_before_a_restart_is_not_told_404_while_its_publisher_may_come(
    low: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hls.js gives up on 404, and on the third 503 in a row: it waits, then it gets the playlist or 503."""
    low.reply(PLAYLIST)
    streams = dict(low.directory.streams)
    low.directory.streams.clear()
    assert low.reply(PLAYLIST).status == 404
    monkeypatch.setattr(low.sessions, "awaits", lambda _: True)
    held = low.ask(PLAYLIST)
    assert isinstance(held, WaitForPlaylist)
    assert held.verdict() is None
    assert low.after(held, False).status == 503
    low.directory.streams.update(streams)
    low.directory.awaited["live", "cam"].remove()
    assert held.verdict() is False
    assert bytes(low.after(held, False).body).startswith(b"#EXTM3U")


def test_dd09_the_end_answers_held_requests_with_endlist_and_removal_with_404(low: Player) -> None:
    """A player that gets 503 at the end asks for ever."""
    answer = low.ask(f"{PLAYLIST}?_HLS_msn=103&_HLS_part=0")
    assert isinstance(answer, WaitForPart)
    low.stream.end()
    assert b"#EXT-X-ENDLIST" in bytes(low.after(answer, False).body)
    low.directory.streams.clear()
    assert low.after(answer, False).status == 404


def test_en01_directives_are_ignored_after_the_end(low: Player) -> None:
    """Step 2 of §5 stands before all the refusals."""
    low.stream.end()
    for query in ("_HLS_msn=9999", "_HLS_part=1", "_HLS_msn=x"):
        assert b"#EXT-X-ENDLIST" in bytes(low.reply(f"{PLAYLIST}?{query}").body)


@pytest.mark.parametrize(
    ("denial", "told", "later"),
    [
        (Denial(403, "not allowed", "expired"), "expired", None),
        (Denial(403, "session not accepted", "banned"), "banned", None),
        (Denial(403, "not allowed", "callback_failed"), "denied", None),
        (Denial(429, "too many sessions", "limit"), "limit", "10"),
        (Denial(503, "too many viewers, ask again", "limit"), "limit", "10"),
        (Denial(404, "not found", "absent"), None, None),
    ],
)
def test_a_refusal_says_why_and_when_to_ask_again(
    player: Player, denial: Denial, told: str | None, later: str | None
) -> None:
    """The page tells its viewer, and does not ask for ever; how the operator decides is told to nobody."""
    reply = player.replies.deny(Request("GET", b"/live/cam.m3u8", b"", {}), denial)
    assert (header(reply, "hlsd-refused"), header(reply, "retry-after")) == (told, later)


@pytest.mark.parametrize(
    ("peer", "said", "below"),
    [
        ("127.0.0.1", b"/tv", "/tv"),
        ("127.0.0.1", b"/tv/", "/tv"),
        ("127.0.0.1", b"/", ""),
        ("127.0.0.1", None, "/set"),
        ("192.0.2.1", b"/tv", "/set"),
        ("127.0.0.1", b"//evil.example", "/set"),
    ],
)
def test_redirects_stay_below_the_path_that_a_proxy_took_off(peer: str, said: bytes | None, below: str) -> None:
    """Of a trusted proxy; else below `http.prefix`."""
    player = Player(prefix="/set")
    headers = {} if said is None else {"x_forwarded_prefix": said.decode()}
    for url, to in (("/live/cam?sign=1", "/live/cam.m3u8?sign=1"), ("/live/cam.m3u8?flat=1", "/live/cam/~")):
        reply = player.ask(url, peer=peer, **headers)
        assert isinstance(reply, Reply)
        assert reply.status == 302
        assert (header(reply, "location") or "").startswith(below + to)


@pytest.mark.parametrize(("value", "delta"), [("YES", True), ("v2", True), ("NO", False), ("yes", False), ("", False)])
def test_dd10_skip_gives_a_delta_update_with_and_without_a_hold(low: Player, value: str, delta: bool) -> None:
    """DD13: other values are ignored; the directives work together, in any order."""
    assert (b"EXT-X-SKIP" in bytes(low.reply(f"{PLAYLIST}?_HLS_skip={value}").body)) is delta
    answer = low.ask(f"{PLAYLIST}?_HLS_skip={value}&_HLS_part=0&_HLS_msn=103")
    assert isinstance(answer, WaitForPart)
    low.stream.add_part()
    assert (b"EXT-X-SKIP" in bytes(low.after(answer, True).body)) is delta


def test_dd14_the_hinted_part_is_held_and_then_whole(low: Player) -> None:
    """DD15: not one byte before all of it is ready."""
    low.stream.hint = ("r1", "p7.ts")
    answer = low.ask(f"/live/cam/~{SID}/r1/p7.ts")
    assert isinstance(answer, WaitForMedia)
    assert (answer.run, answer.name, answer.timeout) == ("r1", "p7.ts", 6)
    assert low.after(answer, False).status == 503
    low.stream.add_media("r1", "p7.ts", b"part")
    assert low.after(answer, True).body == b"part"


def test_dd14_a_hinted_part_that_will_not_come_is_404(low: Player) -> None:
    """The hint was withdrawn: waiting longer helps nobody."""
    low.stream.hint = ("r1", "p7.ts")
    answer = low.ask(f"/live/cam/~{SID}/r1/p7.ts")
    assert isinstance(answer, WaitForMedia)
    low.stream.hint = None
    reply = low.after(answer, True)
    assert (reply.status, header(reply, "cache-control")) == (404, "max-age=1")


def test_dd18_equal_urls_at_one_instant_give_equal_bytes(low: Player) -> None:
    """B.1: idempotent."""
    for url in (PLAYLIST, f"{PLAYLIST}?_HLS_msn=102", MEDIA):
        assert low.reply(url) == low.reply(url)


# -- HTTP


def test_ht01_ht02_playlists_are_gzipped_for_whom_asks(player: Player) -> None:
    """And every cache is told that the answer varies."""
    for url in (PLAYLIST, "/live/cam.m3u8"):
        plain, zipped = player.reply(url), player.reply(url, accept_encoding="gzip")
        assert header(plain, "content-encoding") is None
        assert header(zipped, "content-encoding") == "gzip"
        assert header(plain, "vary") == header(zipped, "vary") == "Accept-Encoding"
        assert gzip.decompress(zipped.body).startswith(b"#EXTM3U")
        assert header(zipped, "content-length") == str(len(zipped.body))
        assert header(player.reply(url, accept_encoding="gzip;q=0"), "content-encoding") is None


def test_ht01_media_is_never_compressed(player: Player) -> None:
    """It would cost much and gain nothing."""
    reply = player.reply(MEDIA, accept_encoding="gzip")
    assert header(reply, "content-encoding") is None
    assert reply.body is player.stream.resources["r1", "100.ts"].body


def test_p02_ht06_types(player: Player) -> None:
    """AVP refuses an unidentified playlist."""
    assert header(player.reply(PLAYLIST + "?x=1"), "content-type") == "application/vnd.apple.mpegurl"
    assert header(player.reply("/live/cam.m3u8?x=1"), "content-type") == "application/vnd.apple.mpegurl"
    assert header(player.reply(MEDIA), "content-type") == "video/mp2t"


@pytest.mark.parametrize(
    ("url", "status", "cache"),
    [
        (PLAYLIST, 200, "private, no-cache"),
        ("/live/cam.m3u8", 200, "private, no-store"),
        ("/live/none.m3u8", 404, "no-store"),
        (MEDIA, 200, "max-age=3600, immutable"),
        (f"/live/cam/~{SID}/r1/99.ts", 404, "max-age=2"),
    ],
)
def test_ht04_ht05_cache_control_is_always_said(player: Player, url: str, status: int, cache: str) -> None:
    """SE04: a playlist whose path holds a session is private; media stays shareable."""
    reply = player.reply(url)
    assert (reply.status, header(reply, "cache-control")) == (status, cache)


def test_ht05_a_missing_part_is_forgotten_within_a_second(low: Player) -> None:
    """It may be there with the next one."""
    assert header(low.reply(f"/live/cam/~{SID}/r1/p9.ts"), "cache-control") == "max-age=1"


@pytest.mark.parametrize("url", [PLAYLIST, "/live/cam.m3u8", MEDIA, f"/live/cam/~{SID}/r1/no.ts"])
def test_ht07_head_is_get_without_a_body(player: Player, url: str) -> None:
    """Same status, same headers; a multivariant playlist that was not made has no length to tell."""
    get, head = player.reply(url), player.reply(url, "HEAD")
    assert head.body == b""
    assert head.status == get.status
    length = {b"content-length"} if url == "/live/cam.m3u8" else set()
    assert {pair for pair in get.headers if pair[0] not in length} == set(head.headers)


def test_ht07_head_never_holds(low: Player) -> None:
    """Nor for a directive, a hinted part or the first playlist."""
    low.stream.hint = ("r1", "p7.ts")
    assert low.reply(f"{PLAYLIST}?_HLS_msn=103", "HEAD").status == 200
    assert low.reply(f"/live/cam/~{SID}/r1/p7.ts", "HEAD").status == 404
    assert Player(MemoryPlayable(begun=False)).reply("/live/cam.m3u8", "HEAD").status == 404


def test_ht10_single_ranges(player: Player) -> None:
    """206 with Content-Range, 416 outside, and not a byte copied."""
    part = player.reply(MEDIA, range="bytes=2-4")
    assert (part.status, bytes(part.body), header(part, "content-range")) == (206, b"234", "bytes 2-4/10")
    assert header(part, "content-length") == "3"
    outside = player.reply(MEDIA, range="bytes=10-")
    assert (outside.status, header(outside, "content-range")) == (416, "bytes */10")
    assert header(player.reply(MEDIA), "accept-ranges") == "bytes"
    assert player.reply(PLAYLIST, range="bytes=0-3").status == 200


def test_ht10_if_range_with_another_tag_gets_the_whole(player: Player) -> None:
    """Else a client glues halves of two resources together."""
    assert player.reply(MEDIA, range="bytes=2-4", if_range='"other"').status == 200
    assert player.reply(MEDIA, range="bytes=2-4", if_range='"r1-100.ts"').status == 206


def test_ht16_an_unchanged_playlist_is_304_by_its_tag(player: Player) -> None:
    """The tag is of the version and of the coding: gzip bytes are other bytes."""
    for coding in ("", "gzip"):
        etag = header(player.reply(PLAYLIST, accept_encoding=coding), "etag") or ""
        assert etag
        unchanged = player.reply(PLAYLIST, accept_encoding=coding, if_none_match=etag)
        assert (unchanged.status, unchanged.body, header(unchanged, "etag")) == (304, b"", etag)
        assert header(unchanged, "vary") == "Accept-Encoding"
    assert header(player.reply(PLAYLIST), "etag") != etag
    player.stream.finish_segment()
    assert player.reply(PLAYLIST, accept_encoding="gzip", if_none_match=etag).status == 200


def test_ht16_a_blocking_reload_is_never_304(low: Player) -> None:
    """It was asked for because it differs."""
    etag = header(low.reply(PLAYLIST), "etag") or ""
    assert low.reply(f"{PLAYLIST}?_HLS_msn=102", if_none_match=etag).status == 200


def test_ht17_no_age(player: Player) -> None:
    """Age above 0 makes players start their tune-in for caches."""
    assert header(player.reply(PLAYLIST), "age") is None


# -- CORS


def test_ht14_preflight(player: Player) -> None:
    """Asked by browsers before a request with Range or CMCD headers."""
    reply = player.reply(PLAYLIST, "OPTIONS", origin="https://a.example")
    assert (reply.status, reply.body) == (204, b"")
    assert header(reply, "access-control-allow-methods") == "GET, HEAD, OPTIONS"
    allowed = header(reply, "access-control-allow-headers") or ""
    assert allowed.startswith("Range, Authorization")
    assert "CMCD-Request" in allowed
    assert header(reply, "access-control-max-age") == "600"


@pytest.mark.parametrize("url", ["/live/cam.m3u8", PLAYLIST, MEDIA, "/live/none.m3u8", "/live/..%2f.m3u8"])
def test_ht03_ht15_any_origin_may_read_every_answer(player: Player, url: str) -> None:
    """Without the header on errors hls.js sees "network error" instead of 404."""
    reply = player.reply(url, origin="https://a.example")
    assert header(reply, "access-control-allow-origin") == "*"
    assert header(reply, "access-control-expose-headers") == "Age, Content-Length, Content-Range, Date"
    assert header(reply, "access-control-allow-credentials") is None


@pytest.mark.parametrize("url", ["/live/cam.m3u8", PLAYLIST, MEDIA, "/live/none.m3u8"])
@pytest.mark.parametrize(
    ("origin", "echoed"), [("https://a.example", True), ("https://a.example.evil", False), ("null", False)]
)
def test_ht14_listed_origins_are_echoed_and_every_answer_varies(url: str, origin: str, echoed: bool) -> None:
    """Never `*` with credentials; a cache must not give one origin's answer to another."""
    player = Player(allow_origin=["https://a.example"], credentials=True)
    reply = player.reply(url, origin=origin)
    assert header(reply, "access-control-allow-origin") == (origin if echoed else None)
    assert header(reply, "access-control-allow-credentials") == ("true" if echoed else None)
    assert "Origin" in (header(reply, "vary") or "")
