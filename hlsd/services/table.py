"""The table of services: every way in and every way out, one line each.

A service is made from the `Node` and has settings, a start, a stop, routes, operations of the API, outputs and figures
(`hlsd.ports.Service`). They start in this order: the recorder before what lets publishers in, HTTP last, so that
`/healthz` answers when everything listens. They stop in it too, ways in before ways out, so that viewers are served
until the last publisher has been let go: the hub does that first, so nobody publishes any more when the recorder stops.
"""

from __future__ import annotations

from hlsd.services import operating, ways_in, ways_out
from hlsd.services.services import Made

SERVICES: tuple[Made, ...] = (
    ("record", ways_out.record),
    ("recorder", ways_in.recorder),  # before the page at the same address
    ("rtmp", ways_in.rtmp),
    ("whip", ways_in.whip),
    ("srt", ways_in.srt),
    ("flv_publish", ways_in.flv_publish),
    ("ts_publish", ways_in.ts_publish),
    ("ts_udp", ways_in.ts_udp),
    ("jt1078", ways_in.jt1078),
    ("gb28181", ways_in.gb28181),
    ("rtsp", ways_in.rtsp),
    ("metrics", operating.metrics),
    ("relay", ways_in.relay),
    ("sound", ways_out.sound),
    ("timeshift", ways_out.timeshift),
    ("flv", ways_out.flv),
    ("whep", ways_out.whep),  # behind whose newest pictures it begins with
    ("snapshot", ways_out.snapshot),
    ("vod", ways_out.vod),
    ("transcode", ways_out.transcode),
    ("console", operating.console),
    ("api", operating.api),
)
FRONTS: tuple[Made, ...] = (
    ("https", operating.https),
    ("http", operating.http),
)
"""What the routes of all others are answered by."""
