"""How much of a long test `make test` does: the short form, whose every claim is the long one's, in less of it.

`HLSD_LONG=1 make test` does the long form of all; `HLSD_LONG=30` is the same with thirty minutes of soak. Run as a
program it prints what the short form leaves out. `make test-fast` (HLSD_FAST) draws a fifth of what the short form
draws; what is quick stays whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.told import told, yes

_WORD = told("LONG")
LONG = yes("LONG")
"""Whether this is the long form."""
FAST = yes("FAST") and not LONG
"""Whether this is the fast gear."""
MINUTES = (30 if _WORD == "1" else int(_WORD)) if LONG else 0
"""Of the soak, in the long form."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A number that a test works through: how many of what, in either form."""

    what: str
    short: float
    long: float

    def now(self) -> int:
        """The number of the form that is run."""
        return int(self.long if LONG else self.short)

    def drawn(self) -> int:
        """The same of what is drawn by chance, where the fast gear draws less."""
        return self.now() // 5 if FAST else self.now()


REQUESTS = Amount("requests by four transports (property/test_transports_differential)", 600, 5000)
CONVERSATIONS = Amount("conversations on both roads of HTTP/1.1 (property/test_fastpath_differential)", 1000, 4000)
DEMO = Amount("seconds of the demo in a browser (interop/test_demo_browser)", 15, 60)
SOAK = Amount("seconds of a viewer whose publishers go and come back (interop/test_soak)", 40, 60 * (MINUTES or 30))
SOAK_RECONNECTS = Amount("publishers that come back meanwhile", 2, 4)
KILLS = Amount("kills of an origin behind a viewer at the edge (interop/test_relay_browser)", 1, 10)
PLAY = Amount("seconds of the usual viewer: Chromium, hls.js (interop/test_browsers)", 14, 30)
RULES = Amount("seconds that ten streams are watched rule by rule (interop/test_ll_rules)", 22, 30)
EVENTS = Amount("thousand events in the queue of an outage (fault/test_webhook_faults)", 30, 100)
CLICKS = Amount("seconds of a click and a flash each second (interop/test_sound)", 20, 600)
CUTS = Amount("cuts of a recording at any byte, each repaired (property/test_recording_damage)", 60, 1000)
TAPES = Amount("tapes of recordings looked at while they grow (property/test_timeshift_law)", 20, 400)
LIVES = Amount("runs of sessions over several processes, each table (property/test_session_lives)", 40, 500)
PICTURES = Amount("mutated key pictures for snapshots (fault/test_snapshots)", 200, 1000)
TS_FUZZ = Amount("pieces of transport streams, mutated (property/test_mpegts_damage)", 1000, 1_000_000)
TS_DAMAGE = Amount("transport streams with damage, each through to its units (property/test_mpegts_damage)", 20, 1000)
SRT_DAMAGE = Amount("packets and stream ids of SRT, damaged (property/test_srt_damage)", 4000, 1_000_000)
RTSP_FUZZ = Amount(
    "conversations, descriptions and packets of RTSP, mutated (property/test_rtsp_damage)", 1200, 1_000_000
)
LISTED = Amount("thousand sessions in a list that is paged through (unit/api/test_many)", 5, 50)
SRT_LOSS = Amount("seconds by SRT on a line that loses 5 % (interop/test_srt_loss)", 15, 600)
JT_FUZZ = Amount("pieces of JT/T 1078, mutated (property/test_jt1078_damage)", 1000, 1_000_000)
PS_FUZZ = Amount("pieces of programme streams, mutated (property/test_mpegps_damage)", 500, 1_000_000)
STORE_KILLS = Amount("kills of a server that uploads (fault/test_record_store_kills)", 4, 60)
DEATHS = Amount("kills of a server and its children at any moment (fault/test_death_at_any_moment)", 6, 1000)
ALL_WAYS = Amount("seconds in which all come and go by all ways (fault/test_soak_of_all_ways)", 70, 3600)
FUZZ = Amount("cases for each reader of bytes (property/test_fuzz_targets; make fuzz)", 150, 20_000)
UPLOADED = Amount("MiB of an upload that is cut off twenty times (unit/vod/test_vod_sources)", 42, 10 << 10)
JOB_KILLS = Amount("kills of workers at films, on PostgreSQL (unit/vod/test_vod_workers)", 5, 100)
FILMS = Amount("mutated films (unit/vod/test_vod_media)", 5, 500)
AMOUNTS = (
    FUZZ,
    ALL_WAYS,
    DEATHS,
    CUTS,
    UPLOADED,
    JOB_KILLS,
    FILMS,
    REQUESTS,
    CONVERSATIONS,
    EVENTS,
    LIVES,
    PICTURES,
    TAPES,
    DEMO,
    SOAK,
    SOAK_RECONNECTS,
    CLICKS,
    KILLS,
    STORE_KILLS,
    JT_FUZZ,
    RTSP_FUZZ,
    SRT_LOSS,
    SRT_DAMAGE,
    PS_FUZZ,
    TS_FUZZ,
    TS_DAMAGE,
    PLAY,
    RULES,
)


def left_out() -> list[str]:
    """What the short form does less of, a line each."""
    return [f"{one.short:g} instead of {one.long:g} {one.what}" for one in AMOUNTS]


if __name__ == "__main__" and not LONG:
    print("short form; HLSD_LONG=1 make test does the long one, make footage the footage's:")  # noqa: T201
    print("\n".join(f"  {line}" for line in left_out()))  # noqa: T201
