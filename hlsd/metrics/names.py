"""Names every figure that Prometheus reads: type, labels, what it says; and how many series all of them may be.

Law (contract §8): one prefix; base units (seconds, bytes); `_total` on counters; no viewer, address, token or URL in
a label; values of labels are names of the configuration, names of publishers up to a bound, or closed enumerations.
The bound is `bound(apps, streams)`; the exporter keeps it whatever happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

NODE_SERIES: Final = 400
"""Series about the process as a whole, at most."""
APP_SERIES: Final = 120
"""Series of an app, at most (on average over the apps)."""
STREAM_SERIES: Final = 25
"""Series of a stream, at most (on average over `max_streams`)."""


def bound(apps: int, streams: int) -> int:
    """How many series there are at most with figures of `apps` apps and up to `streams` streams."""
    return NODE_SERIES + apps * APP_SERIES + streams * STREAM_SERIES


@dataclass(frozen=True)
class Spec:
    """One metric family. `name` is without the suffixes of samples; `labels` in alphabetical order.

    `scope`: what its number of series grows with.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    words: str
    labels: tuple[str, ...] = ()

    @property
    def scope(self) -> Literal["node", "app", "stream"]:
        """By the labels: `stream`, else `app`, else the node."""
        return "stream" if "stream" in self.labels else "app" if "app" in self.labels else "node"


_A = ("app", "stream")
BUILD = Spec("hlsd_build_info", "gauge", "What runs here; always 1.", ("av", "python", "version"))
STREAMS = Spec("hlsd_streams", "gauge", "Streams with a publisher.", ("app",))
UP = Spec("hlsd_stream_up", "gauge", "1 while somebody publishes, 0 while the stream is kept after that.", _A)
INFO = Spec(
    "hlsd_stream_info",
    "gauge",
    "How it comes in and goes out; always 1.",
    ("app", "codec", "container", "protocol", "stream"),
)
INGEST_BYTES = Spec("hlsd_stream_ingest_bytes", "counter", "Bytes received from the publisher.", _A)
FRAMES = Spec("hlsd_stream_ingest_frames", "counter", "Frames received, by track.", ("app", "media", "stream"))
FRAME_RATE = Spec("hlsd_stream_frame_rate", "gauge", "Frames per second of the leading track, as measured.", _A)
KEYFRAMES = Spec(
    "hlsd_stream_keyframe_interval_seconds", "gauge", "Seconds of media between the last two key pictures.", _A
)
REPAIRS = Spec(
    "hlsd_stream_timestamp_repairs",
    "counter",
    "Repairs of the publisher's timestamps, by kind.",
    ("app", "kind", "stream"),
)
LAST_MEDIA = Spec(
    "hlsd_stream_last_media_timestamp_seconds", "gauge", "When the newest frame arrived, seconds since the epoch.", _A
)
FORCED = Spec(
    "hlsd_stream_forced_cuts", "counter", "Segments that began without a key picture, for none came in time.", _A
)
PUBLISHES = Spec("hlsd_publishes", "counter", "Publishers at the door, by result.", ("app", "result"))
TAKEOVERS = Spec("hlsd_publish_takeovers", "counter", "Publishers that replaced another one.", ("app", "policy"))
SEGMENTS = Spec("hlsd_segments", "counter", "Segments and parts listed, by kind.", ("app", "kind", "stream"))
SEGMENT_DURATION = Spec("hlsd_segment_duration_seconds", "histogram", "Length of segments and parts.", ("app", "kind"))
SEGMENT_DELAY = Spec(
    "hlsd_segment_ready_delay_seconds",
    "histogram",
    "From the end of the media of a segment or part to when it was listed.",
    ("app", "kind"),
)
SEGMENT_MEMORY = Spec("hlsd_segment_memory_bytes", "gauge", "Media held in the live window.", _A)
MEMORY = Spec("hlsd_media_memory_bytes", "gauge", "Media held in all windows, of ended streams too.")
MEMORY_LIMIT = Spec("hlsd_media_memory_limit_bytes", "gauge", "limits.max_memory: above it no new publisher is let in.")
SESSIONS = Spec("hlsd_sessions", "gauge", "Viewers now.", ("app", "protocol", "stream"))
OPENED = Spec("hlsd_sessions_opened", "counter", "Sessions let in.", ("app", "protocol"))
STARTED = Spec("hlsd_sessions_started", "counter", "Sessions that got their first media: plays.", ("app", "protocol"))
CLOSED = Spec("hlsd_sessions_closed", "counter", "Sessions that ended, by reason.", ("app", "protocol", "reason"))
REFUSED = Spec("hlsd_sessions_refused", "counter", "Viewers that were not let in, by reason.", ("app", "reason"))
STAY = Spec(
    "hlsd_session_duration_seconds",
    "histogram",
    "How long ended sessions lasted; the sum is the time watched.",
    ("app", "protocol"),
)
SENT = Spec("hlsd_session_sent_bytes", "counter", "Body bytes sent to viewers.", ("app", "protocol", "stream"))
SENT_ALL = Spec(
    "hlsd_http_sent_bytes", "counter", "Body bytes sent by HTTP: to sessions, or to nobody's account.", ("account",)
)
AUTH = Spec("hlsd_session_auth", "counter", "Decisions about viewers and publishers.", ("app", "method", "result"))
IP_CHANGES = Spec("hlsd_session_ip_changes", "counter", "Sessions that came from another address.", ("app", "result"))
REQUESTS = Spec(
    "hlsd_http_requests", "counter", "Requests answered, by what they asked for and status.", ("code", "kind")
)
DURATION = Spec(
    "hlsd_http_request_duration_seconds",
    "histogram",
    "Time to answer requests that were not held on purpose.",
    ("kind",),
)
CONNECTIONS = Spec("hlsd_http_connections", "gauge", "Connections open on the HTTP and HTTPS ports.")
TURNED_AWAY = Spec(
    "hlsd_http_connections_ended", "counter", "Connections that the server ended or refused, by reason.", ("reason",)
)
WAIT = Spec(
    "hlsd_hls_blocking_wait_seconds", "histogram", "How long requests were held until their part came.", ("app",)
)
BLOCKED = Spec("hlsd_hls_blocked_requests", "gauge", "Requests held now.", ("app",))
UNHELD = Spec("hlsd_hls_refused_holds", "counter", "Requests that were not held, for a bound.")
NOTIFY = Spec("hlsd_notify_events", "counter", "Webhook events, by result.", ("action", "result"))
NOTIFY_QUEUE = Spec("hlsd_notify_queue_length", "gauge", "Webhook events not delivered yet.")
NOTIFY_AGE = Spec("hlsd_notify_oldest_event_age_seconds", "gauge", "Age of the oldest of them; 0 if there is none.")
NOTIFY_DURATION = Spec("hlsd_notify_request_duration_seconds", "histogram", "Time receivers took.", ("phase",))
RELAY_UP = Spec("hlsd_relay_up", "gauge", "Relay connections that carry media now.", ("mode", "rule"))
RELAY_STARTS = Spec("hlsd_relay_starts", "counter", "Attempts to start a relay.", ("result", "rule"))
RELAY_BYTES = Spec("hlsd_relay_bytes", "counter", "Bytes relayed.", ("direction", "rule"))
LAG = Spec("hlsd_event_loop_lag_seconds", "histogram", "How late the event loop was, looked at four times a second.")
OUTPUT_FAULTS = Spec(
    "hlsd_output_faults", "counter", "Exceptions in what a stream feeds: that output began anew.", ("output",)
)
OUTPUTS_OFF = Spec("hlsd_outputs_off", "gauge", "Outputs of streams that failed too often and stay off.", ("output",))
TASK_FAULTS = Spec("hlsd_task_faults", "counter", "Exceptions in sweeps, tasks and callbacks.", ("task",))
DROPPED = Spec("hlsd_metrics_series_dropped", "counter", "Series that scrapes left out for the bound.")
SCRAPE = Spec(
    "hlsd_metrics_scrape_duration_seconds", "gauge", "What the scrape before this one took, waiting included."
)
REPORTS = Spec("hlsd_player_reports", "counter", "Requests with a report of the player (CMCD).", _A)
STALLS = Spec("hlsd_player_stalls", "counter", "Stalls that players reported (CMCD bs).", _A)
BUFFER = Spec("hlsd_player_buffer_seconds", "histogram", "Buffer length that players reported (CMCD bl).", _A)
THROUGHPUT = Spec(
    "hlsd_player_throughput_bytes_per_second", "histogram", "Throughput that players measured (CMCD mtp).", _A
)
FAMILIES: Final = tuple(value for value in globals().values() if isinstance(value, Spec))
"""All of ours, in the order of this file; later ones are the first to go when the bound is reached."""
