"""Writes grafana/dashboards/*.json: what each panel asks, kept in one readable place (`python scripts/dashboards.py`).

Classic dashboards for Grafana 10.4 and newer, for provisioning from files: no inputs, the data source is a variable.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
NODE = 'job=~"$job",instance=~"$instance"'
APP = NODE + ',app=~"$app"'
STREAM = APP + ',stream=~"$stream"'
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """One panel. `asks`: expressions with their legends; `warn` and `bad` are thresholds, `low`: bad is below."""

    title: str
    words: str
    asks: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 7
    stack: bool = False
    warn: float | None = None
    bad: float | None = None
    low: bool = False
    decimals: int | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Board:
    """One dashboard: rows of panels by the title of the row."""

    uid: str
    title: str
    words: str
    rows: dict[str, tuple[Panel, ...]]
    variables: tuple[str, ...] = field(default=("job", "instance"))


def total(metric: str, labels: str, by: str = "") -> str:
    """The sum of a gauge."""
    return f"sum{f' by ({by}) ' if by else ''}({metric}{{{labels}}})"


def rate(metric: str, labels: str, by: str = "") -> str:
    """The sum of a counter's rates."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({metric}{{{labels}}}{RATE}))"


def quantile(q: float, metric: str, labels: str, by: str = "") -> str:
    """A quantile of a histogram over the rate interval."""
    return f"histogram_quantile({q}, {rate(metric + '_bucket', labels, 'le' + (', ' + by if by else ''))})"


def heat(  # noqa: PLR0913, PLR0917 - a row of a table
    title: str, words: str, metric: str, labels: str, unit: str = "s", width: int = 8
) -> Panel:
    """A histogram over time."""
    return Panel(title, words, ((rate(metric + "_bucket", labels, "le"), "{{le}}"),), unit, "heatmap", width)


def stat(title: str, words: str, ask: str, unit: str = "short", **more: Any) -> Panel:  # noqa: ANN401
    """One number with its recent course."""
    return Panel(title, words, ((ask, title),), unit, "stat", 4, 4, **more)


ALL = rate("hlsd_http_requests_total", NODE)
ERRORS = "(" + rate("hlsd_http_requests_total", NODE + ',code=~"5.."') + f" or 0 * {ALL}) / {ALL}"
OVERVIEW = Board(
    "hlsd-overview",
    "hlsd / Overview",
    "One look at a node: who publishes, who watches, and whether it keeps up.",
    {
        "Now": (
            stat("Streams on air", "Streams with a publisher at this moment.", total("hlsd_streams", NODE)),
            stat("Viewers", "Open sessions over all streams and protocols.", total("hlsd_sessions", NODE)),
            stat("Sent", "Body bytes a second over HTTP.", rate("hlsd_http_sent_bytes_total", NODE), "Bps", decimals=1),
            stat(
                "Received",
                "Bytes a second from all publishers.",
                rate("hlsd_stream_ingest_bytes_total", NODE),
                "Bps",
                decimals=1,
            ),
            stat(
                "Held requests",
                "Low-latency reloads and parts that wait for news at this moment: a healthy number is about one or two "
                "for each low-latency viewer.",
                total("hlsd_hls_blocked_requests", NODE),
            ),
            stat(
                "Loop lag p99",
                "How late the event loop is. Above 0.2 s everybody waits.",
                quantile(0.99, "hlsd_event_loop_lag_seconds", NODE),
                "s",
                warn=0.05,
                bad=0.2,
            ),
        ),
        "Viewers and publishers": (
            Panel(
                "Viewers by protocol",
                "Open sessions.",
                ((total("hlsd_sessions", NODE, "protocol"), "{{protocol}}"),),
                stack=True,
            ),
            Panel("Viewers by app", "Open sessions.", ((total("hlsd_sessions", NODE, "app"), "{{app}}"),), stack=True),
            Panel(
                "Publishers at the door",
                "Publishing attempts a second, by result: `ok` or why not.",
                ((rate("hlsd_publishes_total", NODE, "result"), "{{result}}"),),
                "reqps",
            ),
            Panel(
                "Sent to",
                "Body bytes a second: to sessions, and to nobody's account (pages, the API, refusals).",
                ((rate("hlsd_http_sent_bytes_total", NODE, "account"), "{{account}}"),),
                "Bps",
                stack=True,
            ),
            Panel(
                "Received by app",
                "Bytes a second from publishers.",
                ((rate("hlsd_stream_ingest_bytes_total", NODE, "app"), "{{app}}"),),
                "Bps",
                stack=True,
            ),
            Panel(
                "Streams on air by app",
                "Streams with a publisher.",
                ((total("hlsd_streams", NODE, "app"), "{{app}}"),),
                stack=True,
            ),
        ),
        "HTTP": (
            Panel(
                "Requests by kind",
                "Answers a second, by what was asked for.",
                ((rate("hlsd_http_requests_total", NODE, "kind"), "{{kind}}"),),
                "reqps",
                stack=True,
            ),
            Panel(
                "Requests by status",
                "Answers a second, by status.",
                ((rate("hlsd_http_requests_total", NODE, "code"), "{{code}}"),),
                "reqps",
                stack=True,
            ),
            Panel(
                "Server errors",
                "Part of all answers with status 5xx. Above 1 % an alert fires.",
                ((ERRORS, "5xx"),),
                "percentunit",
                warn=0.001,
                bad=0.01,
            ),
            Panel(
                "Time to answer, p95",
                "Requests that were not held on purpose, by kind.",
                ((quantile(0.95, "hlsd_http_request_duration_seconds", NODE, "kind"), "{{kind}}"),),
                "s",
            ),
            heat(
                "Blocking reloads",
                "How long low-latency requests were held: most wait up to one part.",
                "hlsd_hls_blocking_wait_seconds",
                NODE,
            ),
            Panel(
                "Connections",
                "Open on the HTTP port, and how many the server ended or refused a second there and at the RTMP ports.",
                (
                    (total("hlsd_http_connections", NODE), "open"),
                    (rate("hlsd_http_connections_ended_total", NODE, "reason"), "{{reason}}/s"),
                    (rate("hlsd_rtmp_connections_ended_total", NODE, "reason"), "RTMP {{reason}}/s"),
                    (rate("hlsd_hls_refused_holds_total", NODE), "not held/s"),
                ),
            ),
        ),
        "The process": (
            heat(
                "Event loop lag",
                "How late the loop is, looked at four times a second.",
                "hlsd_event_loop_lag_seconds",
                NODE,
            ),
            Panel(
                "Memory",
                "Media in all windows beside its limit, and the process as a whole.",
                (
                    (total("hlsd_media_memory_bytes", NODE), "media"),
                    (total("hlsd_media_memory_limit_bytes", NODE), "limit of media"),
                    (f"sum(process_resident_memory_bytes{{{NODE}}})", "resident"),
                ),
                "bytes",
            ),
            Panel(
                "CPU",
                "Seconds of CPU a second: hlsd is one process and uses one core at most.",
                ((f"sum by (instance) (rate(process_cpu_seconds_total{{{NODE}}}{RATE}))", "{{instance}}"),),
                "percentunit",
                warn=0.7,
                bad=0.9,
            ),
            Panel(
                "Open files",
                "Files and sockets of the process beside what it may open.",
                (
                    (f"sum by (instance) (process_open_fds{{{NODE}}})", "{{instance}} open"),
                    (f"min by (instance) (process_max_fds{{{NODE}}})", "{{instance}} allowed"),
                ),
            ),
            Panel(
                "Scrapes",
                "What a scrape takes, and series that were left out for the bound: raise metrics.max_streams.",
                (
                    (f"max by (instance) (hlsd_metrics_scrape_duration_seconds{{{NODE}}})", "{{instance}}"),
                    (rate("hlsd_metrics_series_dropped_total", NODE), "series left out/s"),
                ),
                "s",
            ),
            Panel(
                "Faults inside",
                "Exceptions a second in outputs, sweeps and tasks, and outputs that stay off. Any fires an alert.",
                (
                    (rate("hlsd_output_faults_total", NODE, "output"), "{{output}}/s"),
                    (rate("hlsd_task_faults_total", NODE, "task"), "{{task}}/s"),
                    (total("hlsd_outputs_off", NODE, "output"), "{{output}} off"),
                ),
            ),
            Panel(
                "Versions",
                "What runs where.",
                ((f"max by (instance, version, python, av) (hlsd_build_info{{{NODE}}})", ""),),
                kind="table",
            ),
        ),
        "Webhooks and relays": (
            Panel(
                "Webhook events",
                "Events a second, by result.",
                ((rate("hlsd_notify_events_total", NODE, "result"), "{{result}}"),),
                "reqps",
            ),
            Panel(
                "Webhook backlog",
                "Age of the oldest event that is not delivered. Above 60 s an alert fires.",
                ((f"max by (instance) (hlsd_notify_oldest_event_age_seconds{{{NODE}}})", "{{instance}}"),),
                "s",
                warn=30,
                bad=60,
            ),
            Panel(
                "Webhook queue",
                "Events not delivered yet.",
                ((total("hlsd_notify_queue_length", NODE, "instance"), "{{instance}}"),),
            ),
            Panel(
                "Webhook receivers, p95",
                "Time that receivers take: `sync` is what a viewer or publisher waits for.",
                ((quantile(0.95, "hlsd_notify_request_duration_seconds", NODE, "phase"), "{{phase}}"),),
                "s",
            ),
            Panel(
                "Relays up",
                "Relay connections that carry media, by rule.",
                ((total("hlsd_relay_up", NODE, "rule, mode"), "{{rule}} {{mode}}"),),
            ),
            Panel(
                "Relay starts and bytes",
                "Attempts a second by result, and bytes a second by direction.",
                (
                    (rate("hlsd_relay_starts_total", NODE, "rule, result"), "{{rule}} {{result}}/s"),
                    (rate("hlsd_relay_bytes_total", NODE, "direction"), "bytes {{direction}}"),
                ),
            ),
            Panel(
                "Pictures of streams",
                "Requests a second by what they got, files a second, and ends of the process that decodes.",
                (
                    (rate("hlsd_snapshot_requests_total", NODE, "result"), "{{result}}/s"),
                    (rate("hlsd_snapshot_files_total", NODE, "result"), "files {{result}}/s"),
                    (rate("hlsd_snapshot_restarts_total", NODE, "reason"), "ended: {{reason}}/s"),
                ),
            ),
        ),
        "Sound": (
            Panel(
                "Sound converted",
                "Publishers whose sound becomes AAC, and packets of theirs a second, by codec.",
                (
                    (total("hlsd_sound_streams", NODE, "instance"), "{{instance}} publishers"),
                    (rate("hlsd_sound_packets_total", NODE, "codec"), "{{codec}}/s"),
                ),
            ),
            Panel(
                "Sound process: CPU and time taken",
                "Seconds of the processor a second, and how long 95 of 100 packets are in it.",
                (
                    (rate("hlsd_sound_cpu_seconds_total", NODE, "instance"), "{{instance}} CPU"),
                    (quantile(0.95, "hlsd_sound_wait_seconds", NODE), "p95"),
                ),
                "s",
            ),
            Panel(
                "Sound that is missing",
                "Silence put in and packets without sound, a second; restarts of the process.",
                (
                    (rate("hlsd_sound_silence_seconds_total", NODE, "instance"), "{{instance}} silence"),
                    (rate("hlsd_sound_errors_total", NODE, "reason"), "{{reason}}/s"),
                    (rate("hlsd_sound_restarts_total", NODE, "reason"), "{{reason}} restarts/s"),
                ),
            ),
        ),
        "WebRTC": (
            Panel(
                "Publishers by WebRTC",
                "Now; those refused a second, and those let in whose media never came.",
                (
                    (total("hlsd_webrtc_sessions", NODE, "instance"), "{{instance}}"),
                    (rate("hlsd_webrtc_unconnected_total", NODE, "stage"), "never came: {{stage}}/s"),
                    (rate("hlsd_webrtc_refused_total", NODE, "reason"), "refused: {{reason}}/s"),
                ),
                width=6,
            ),
            heat(
                "Time to connect",
                "From a publisher's POST to the end of its handshake.",
                "hlsd_webrtc_handshake_seconds",
                NODE,
                width=6,
            ),
            Panel(
                "Packets of WebRTC",
                "A second, by what became of them; recovered ones were asked for again.",
                ((rate("hlsd_webrtc_packets_total", NODE, "result"), "{{result}}"),),
                width=6,
            ),
            Panel(
                "Pictures lost on the way, and asked for",
                "Pictures a second of which a part was lost for good, and requests for key pictures, by cause.",
                (
                    (rate("hlsd_webrtc_pictures_lost_total", NODE, "instance"), "{{instance}} lost"),
                    (rate("hlsd_webrtc_keyframe_requests_total", NODE, "cause"), "key picture: {{cause}}"),
                ),
                width=6,
            ),
        ),
        "Viewers by WebRTC": (
            Panel(
                "Viewers by WebRTC now",
                "Now; those a second that never connected, and those ended as their line carried too little.",
                (
                    (total("hlsd_whep_sessions", NODE, "instance"), "{{instance}}"),
                    (rate("hlsd_whep_unconnected_total", NODE, "instance"), "never connected/s"),
                    (rate("hlsd_whep_narrow_total", NODE, "instance"), "line too narrow/s"),
                ),
            ),
            heat(
                "Viewers: time to connect",
                "From a viewer's POST to the end of its handshake.",
                "hlsd_whep_handshake_seconds",
                NODE,
            ),
            Panel(
                "Packets to viewers",
                "A second, by kind; those sent again were lost on the way. And their requests for key pictures.",
                (
                    (rate("hlsd_whep_packets_total", NODE, "kind"), "{{kind}}"),
                    (rate("hlsd_whep_keyframe_requests_total", NODE, "instance"), "key picture asked for"),
                ),
            ),
        ),
        "Browsers that publish by WebSocket": (
            Panel(
                "Browsers on air",
                "Now, and those away that are expected back.",
                ((total("hlsd_recorder_sessions", NODE, "state"), "{{state}}"),),
            ),
            Panel(
                "How late they come",
                "What browsers send, behind what came soonest: the latest one of an app.",
                ((f"max by (app) (hlsd_recorder_lag_seconds{{{NODE}}}) or vector(0)", "{{app}}"),),
                "s",
            ),
            Panel(
                "Ended and resumed",
                "A second: browsers refused or ended by the server, by reason; resumed went on by another connection.",
                (
                    (rate("hlsd_recorder_ended_total", NODE, "reason"), "{{reason}}/s"),
                    (rate("hlsd_recorder_resumed_total", NODE, "instance"), "resumed {{instance}}/s"),
                ),
            ),
        ),
        "Recordings": (
            Panel(
                "Recordings under way",
                "Files that are being written, by rule.",
                ((total("hlsd_record_open", NODE, "rule"), "{{rule}}"),),
            ),
            Panel(
                "Recorded bytes",
                "Bytes a second handed to the writer, by rule, and what waits for the disk.",
                (
                    (rate("hlsd_record_bytes_total", NODE, "rule"), "{{rule}}"),
                    (f"sum (hlsd_record_queue_bytes{{{NODE}}})", "waiting"),
                ),
                "Bps",
            ),
            Panel(
                "Files and gaps",
                "Files that ended, by what became of them, and gaps for a slow disk, a second. Lost: the disk did it.",
                (
                    (rate("hlsd_record_files_total", NODE, "result"), "{{result}}/s"),
                    (rate("hlsd_record_gaps_total", NODE, "rule"), "gap {{rule}}/s"),
                ),
            ),
            Panel(
                "Disk of the recordings",
                "Free, and what finished recordings take.",
                (
                    (f"min by (instance) (hlsd_record_disk_free_bytes{{{NODE}}})", "free {{instance}}"),
                    (f"sum by (instance) (hlsd_record_kept_bytes{{{NODE}}})", "kept {{instance}}"),
                ),
                "bytes",
            ),
            Panel(
                "Store of the recordings",
                "Files that wait for the store, tries that failed and reads for viewers that failed, a second.",
                (
                    (f"sum by (instance) (hlsd_record_upload_waiting_files{{{NODE}}})", "waiting {{instance}}"),
                    (rate("hlsd_record_uploads_total", NODE, "result"), "upload {{result}}/s"),
                    (rate("hlsd_record_store_reads_total", NODE, "result"), "read {{result}}/s"),
                ),
            ),
        ),
    },
)
STREAM_BOARD = Board(
    "hlsd-stream",
    "hlsd / Stream",
    "One stream from its publisher to its viewers.",
    {
        "Now": (
            stat(
                "Publisher",
                "1 while somebody publishes.",
                f"max(hlsd_stream_up{{{STREAM}}})",
                warn=1,
                bad=0.5,
                low=True,
            ),
            stat(
                "Newest frame",
                "Seconds since a frame arrived, at the time of the scrape. Above 10 s an alert fires.",
                f"max(timestamp(hlsd_stream_last_media_timestamp_seconds{{{STREAM}}})"
                f" - hlsd_stream_last_media_timestamp_seconds{{{STREAM}}})",
                "s",
                warn=3,
                bad=10,
                decimals=1,
            ),
            stat("Viewers", "Open sessions.", total("hlsd_sessions", STREAM)),
            stat("Received", "Bytes a second.", rate("hlsd_stream_ingest_bytes_total", STREAM), "Bps", decimals=1),
            stat("Sent", "Bytes a second.", rate("hlsd_session_sent_bytes_total", STREAM), "Bps", decimals=1),
            stat(
                "Key frames",
                "Longest time between key frames. Above 4 s players start slowly, and an alert fires.",
                f"max(hlsd_stream_keyframe_interval_seconds{{{STREAM}}})",
                "s",
                warn=2.5,
                bad=4,
                decimals=1,
            ),
        ),
        "Publisher": (
            Panel(
                "Received",
                "Bytes a second from each publisher.",
                ((rate("hlsd_stream_ingest_bytes_total", STREAM, "app, stream"), "{{app}}/{{stream}}"),),
                "Bps",
            ),
            Panel(
                "Frames received",
                "Frames a second, by track.",
                ((rate("hlsd_stream_ingest_frames_total", STREAM, "stream, media"), "{{stream}} {{media}}"),),
            ),
            Panel(
                "Frame rate",
                "Of the leading track, as measured over the media.",
                ((f"max by (app, stream) (hlsd_stream_frame_rate{{{STREAM}}})", "{{app}}/{{stream}}"),),
            ),
            Panel(
                "Key-frame interval",
                "Seconds of media between the last two key frames.",
                ((f"max by (app, stream) (hlsd_stream_keyframe_interval_seconds{{{STREAM}}})", "{{app}}/{{stream}}"),),
                "s",
                warn=2.5,
                bad=4,
            ),
            Panel(
                "Timestamp repairs",
                "Repairs of the publisher's timestamps a second, by kind; segments that began without a key frame.",
                (
                    (rate("hlsd_stream_timestamp_repairs_total", STREAM, "stream, kind"), "{{stream}} {{kind}}"),
                    (rate("hlsd_stream_forced_cuts_total", STREAM, "stream"), "{{stream}} forced cuts"),
                ),
            ),
            Panel(
                "How it comes and goes",
                "Codecs, container and protocol of each stream.",
                ((f"max by (app, stream, codec, container, protocol) (hlsd_stream_info{{{STREAM}}})", ""),),
                kind="table",
            ),
        ),
        "Segments and parts": (
            Panel(
                "Segments and parts",
                "Listed a second, by kind.",
                ((rate("hlsd_segments_total", STREAM, "stream, kind"), "{{stream}} {{kind}}"),),
            ),
            Panel(
                "Ready delay, p95",
                "From the end of the media to the playlist, over the app.",
                ((quantile(0.95, "hlsd_segment_ready_delay_seconds", APP, "kind"), "{{kind}}"),),
                "s",
            ),
            Panel(
                "Length, mean",
                "Of segments and parts over the app.",
                (
                    (
                        (
                            f"{rate('hlsd_segment_duration_seconds_sum', APP, 'kind')}"
                            f" / {rate('hlsd_segment_duration_seconds_count', APP, 'kind')}"
                        ),
                        "{{kind}}",
                    ),
                ),
                "s",
            ),
            Panel(
                "Memory of the window",
                "Media held for viewers.",
                ((total("hlsd_segment_memory_bytes", STREAM, "app, stream"), "{{app}}/{{stream}}"),),
                "bytes",
            ),
            heat("Blocking reloads", "How long requests of the app were held.", "hlsd_hls_blocking_wait_seconds", APP),
            Panel(
                "Held requests",
                "Waiting for news of the app's streams at this moment.",
                ((total("hlsd_hls_blocked_requests", APP, "app"), "{{app}}"),),
            ),
        ),
        "Viewers": (
            Panel(
                "Viewers",
                "Open sessions by protocol.",
                ((total("hlsd_sessions", STREAM, "stream, protocol"), "{{stream}} {{protocol}}"),),
                stack=True,
                width=12,
            ),
            Panel(
                "Sent",
                "Bytes a second by protocol.",
                ((rate("hlsd_session_sent_bytes_total", STREAM, "stream, protocol"), "{{stream}} {{protocol}}"),),
                "Bps",
                stack=True,
                width=12,
            ),
        ),
    },
    ("job", "instance", "app", "stream"),
)
SESSIONS = Board(
    "hlsd-sessions",
    "hlsd / Sessions and quality",
    "Who comes, who stays, who is refused, and what players report of their playback (CMCD).",
    {
        "Now": (
            stat("Viewers", "Open sessions.", total("hlsd_sessions", STREAM)),
            stat("Plays a minute", "Sessions that got media.", f"60 * {rate('hlsd_sessions_started_total', APP)}"),
            stat(
                "Watch time an hour",
                "Time watched by sessions that ended, put on one hour.",
                f"3600 * {rate('hlsd_session_duration_seconds_sum', APP)}",
                "s",
            ),
            stat(
                "Refused a minute", "Viewers that were not let in.", f"60 * {rate('hlsd_sessions_refused_total', APP)}"
            ),
            stat(
                "Stalls a minute",
                "Stalls that players reported, over all viewers.",
                f"60 * {rate('hlsd_player_stalls_total', STREAM)}",
            ),
            stat(
                "Buffer, median",
                "What players have buffered.",
                quantile(0.5, "hlsd_player_buffer_seconds", STREAM),
                "s",
                warn=1,
                bad=0.5,
                low=True,
                decimals=1,
            ),
        ),
        "Coming and going": (
            Panel(
                "Sessions opened and plays",
                "A second, by protocol: a session is a play once it got media.",
                (
                    (rate("hlsd_sessions_opened_total", APP, "protocol"), "opened {{protocol}}"),
                    (rate("hlsd_sessions_started_total", APP, "protocol"), "plays {{protocol}}"),
                ),
                "reqps",
            ),
            Panel(
                "Sessions ended",
                "A second, by reason.",
                ((rate("hlsd_sessions_closed_total", APP, "reason"), "{{reason}}"),),
                "reqps",
                stack=True,
            ),
            heat("How long they stayed", "Length of sessions that ended.", "hlsd_session_duration_seconds", APP),
            Panel(
                "Refused",
                "A second, by reason.",
                ((rate("hlsd_sessions_refused_total", APP, "reason"), "{{reason}}"),),
                "reqps",
                stack=True,
            ),
            Panel(
                "Authorisation",
                "Decisions a second, by method and result.",
                ((rate("hlsd_session_auth_total", APP, "method, result"), "{{method}} {{result}}"),),
                "reqps",
            ),
            Panel(
                "Changes of address",
                "Sessions that came from another address, by what was done.",
                ((rate("hlsd_session_ip_changes_total", APP, "result"), "{{result}}"),),
                "reqps",
            ),
        ),
        "Who watches what": (
            Panel(
                "Most watched",
                "Viewers of the ten most watched streams.",
                ((f"topk(10, {total('hlsd_sessions', STREAM, 'app, stream')})", ""),),
                kind="table",
                width=12,
            ),
            Panel(
                "Viewers by stream",
                "Open sessions of the ten most watched streams.",
                ((f"topk(10, {total('hlsd_sessions', STREAM, 'app, stream')})", "{{app}}/{{stream}}"),),
                width=12,
            ),
        ),
        "What players report": (
            heat(
                "Buffer length",
                "What players have buffered when they ask (CMCD bl).",
                "hlsd_player_buffer_seconds",
                STREAM,
            ),
            Panel(
                "Buffer, 10th percentile",
                "A tenth of the reports name less than this.",
                ((quantile(0.1, "hlsd_player_buffer_seconds", STREAM, "stream"), "{{stream}}"),),
                "s",
            ),
            Panel(
                "Reports with a stall",
                "Part of the reports that say the buffer ran dry (CMCD bs).",
                (
                    (
                        (
                            f"{rate('hlsd_player_stalls_total', STREAM, 'stream')}"
                            f" / {rate('hlsd_player_reports_total', STREAM, 'stream')}"
                        ),
                        "{{stream}}",
                    ),
                ),
                "percentunit",
            ),
            heat(
                "Throughput",
                "What players measured on the way to them (CMCD mtp).",
                "hlsd_player_throughput_bytes_per_second",
                STREAM,
                "Bps",
            ),
            Panel(
                "Throughput, median",
                "Half of the reports name less than this.",
                ((quantile(0.5, "hlsd_player_throughput_bytes_per_second", STREAM, "stream"), "{{stream}}"),),
                "Bps",
            ),
            Panel(
                "Reports",
                "Requests with a report a second: none means that players do not send CMCD.",
                ((rate("hlsd_player_reports_total", STREAM, "stream"), "{{stream}}"),),
                "reqps",
            ),
        ),
    },
    ("job", "instance", "app", "stream"),
)
BOARDS = (OVERVIEW, STREAM_BOARD, SESSIONS)


def dashboard(board: Board) -> dict[str, Any]:
    """The board in Grafana's classic model."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row, members in board.rows.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row,
                "collapsed": False,
                "panels": [],
                "gridPos": _at(0, y, WIDTH, 1),
            }
        )
        y += 1
        x = tallest = 0
        for panel in members:
            if x + panel.width > WIDTH:
                y += tallest
                x = tallest = 0
            panels.append(_panel(panel, len(panels) + 1, _at(x, y, panel.width, panel.height)))
            x += panel.width
            tallest = max(tallest, panel.height)
        y += tallest
    return {
        "id": None,
        "uid": board.uid,
        "title": board.title,
        "description": board.words,
        "tags": ["hlsd"],
        "schemaVersion": 41,  # Grafana 12; older ones take it as it is
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "graphTooltip": 1,
        "annotations": {"list": []},
        "links": [
            {
                "title": "hlsd",
                "type": "dashboards",
                "tags": ["hlsd"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_source_variable(), *(_variable(name) for name in board.variables)]},
        "panels": panels,
    }


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}


def _variable(name: str) -> dict[str, Any]:
    before = {"job": "", "instance": '{job=~"$job"}', "app": f"{{{NODE}}}", "stream": f"{{{APP}}}"}[name]
    metric = "hlsd_build_info" if name in ("job", "instance") else "hlsd_stream_up"
    query = f"label_values({metric}{before}, {name})"
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets: list[dict[str, Any]] = []
    for index, (ask, legend) in enumerate(panel.asks):
        target: dict[str, Any] = {
            "refId": "ABCDEF"[index],
            "datasource": SOURCE,
            "expr": ask,
            "legendFormat": legend or "__auto",
        }
        if panel.kind == "heatmap":
            target["format"] = "heatmap"
        if panel.kind == "table":
            target |= {"format": "table", "instant": True}
        targets.append(target)
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": _steps(panel)}}
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.words,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
    }
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stack else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stack else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.bad is not None else "off"},
        }
        made["options"] = {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif panel.kind == "stat":
        made["options"] = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
            "textMode": "value",
        }
    elif panel.kind == "heatmap":
        made["options"] = {
            "calculate": False,
            "yAxis": {"unit": panel.unit},
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "tooltip": {"mode": "single", "yHistogram": True},
        }
    else:
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True}}}]
        made["options"] = {"showHeader": True}
    return made


def _steps(panel: Panel) -> list[dict[str, Any]]:
    if panel.warn is None or panel.bad is None:
        return [{"color": "green", "value": None}]
    if panel.low:
        return [
            {"color": "red", "value": None},
            {"color": "yellow", "value": panel.bad},
            {"color": "green", "value": panel.warn},
        ]
    return [
        {"color": "green", "value": None},
        {"color": "yellow", "value": panel.warn},
        {"color": "red", "value": panel.bad},
    ]


def written(board: Board) -> str:
    """The file's text."""
    return json.dumps(dashboard(board), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes all files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (FOLDER / f"{board.uid}.json").write_text(written(board), encoding="utf-8")


if __name__ == "__main__":
    main()
