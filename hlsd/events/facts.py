"""Is what an event says of its subject: one typed model, and what makes it for all but viewers.

What goes out by webhook, outbox, event log and API is made of nothing else, so that a field has one name, one type and
one place (tests/golden/payloads.jsonl holds it byte for byte). Pure.
"""

from __future__ import annotations

from typing import TypedDict

from hlsd.base import masking


class Facts(TypedDict, total=False):
    """What an event says of its subject, ready for JSON: the fields of contract §2.3, and no others.

    Which of them an event has is its subject's business: `publisher_facts`, `connect_facts`, `relay_facts`,
    `record_facts`, `snapshot_facts`, `transcode_facts`, `receiver_facts`, `wish_facts` and, for viewers,
    `hlsd.sessions.session.facts` make all that there are, in the order in which they go out. Times are milliseconds of
    the epoch, sizes bytes.
    """

    ip: str
    """Address and port, as `address` writes it."""
    app: str
    name: str
    path: str
    protocol: str
    createtime: int
    endtime: int
    """0 while it lasts."""
    inbytes: int
    outbytes: int
    stream_id: str
    user_id: str
    user_agent: str
    referer: str
    """Without the values of secret arguments."""
    duration_ms: int
    media_bytes: int
    requests: int
    segments: int
    reason: str
    codec: str
    rendition: str
    """Of which most bytes were sent."""
    renditions: dict[str, int]
    """Bytes of media by rendition; only where there was another one than the main one."""
    resumed_from: str
    previous_ip: str
    adopted: bool
    detail: str
    dropped: list[str]
    converted: list[str]
    """Only where something is."""
    mode: str
    rule: str
    url: str
    """Masked; of a recording the path by which it is played."""
    file: str
    """Below the folder of recordings, or of snapshots."""
    bytes: int
    repaired: bool
    width: int
    height: int


def publisher_facts(  # noqa: PLR0913 - a publisher has as many
    *,
    ip: str,
    app: str,
    name: str,
    protocol: str,
    stream_id: str,
    since: float,
    at: float,
    over: bool,
    received: int,
    codec: str,
    dropped: tuple[str, ...],
    converted: tuple[str, ...] = (),
    user_id: str,
    user_agent: str = "",
    referer: str = "",
    reason: str = "",
    detail: str = "",
) -> Facts:
    """Of a publication, or of a stream's run; `since` and `at` (now) in seconds of the epoch, `received` in bytes."""
    told: Facts = {
        "ip": ip,
        "app": app,
        "name": name,
        "protocol": protocol,
        "createtime": int(since * 1000),
        "endtime": int(at * 1000) if over else 0,
        "inbytes": received,
        "outbytes": 0,
        "path": f"/{app}/{name}",
        "stream_id": stream_id,
        "user_id": user_id,
        "user_agent": user_agent,
        "referer": masking.page(referer),
        "duration_ms": max(0, int(at * 1000) - int(since * 1000)),
        "media_bytes": 0,
        "requests": 0,
        "segments": 0,
        "reason": reason,
        "detail": detail,
        "codec": codec,
        "dropped": list(dropped),
        "rendition": "",
    }
    if converted:
        told["converted"] = list(converted)
    return told


def connect_facts(  # noqa: PLR0913 - a connection has as many
    *,
    ip: str,
    app: str,
    protocol: str,
    since: float,
    at: float,
    over: bool,
    received: int,
    user_agent: str = "",
    referer: str = "",
    reason: str = "",
) -> Facts:
    """Of a connection; `since` and `at` (now) in seconds of the epoch, `received` in bytes. It has no stream."""
    return {
        "ip": ip,
        "app": app,
        "name": "",
        "protocol": protocol,
        "createtime": int(since * 1000),
        "endtime": int(at * 1000) if over else 0,
        "inbytes": received,
        "path": f"/{app}",
        "user_agent": user_agent,
        "referer": masking.page(referer),
        "duration_ms": max(0, int(at * 1000) - int(since * 1000)),
        "reason": reason,
    }


def relay_facts(  # noqa: PLR0913 - a relay has as many
    *,
    app: str,
    name: str,
    mode: str,
    rule: str,
    url: str,
    since: float,
    received: int = 0,
    sent: int = 0,
    reason: str | None = None,
) -> Facts:
    """Of a pull or a push; `url` is masked, `since` in seconds of the epoch, `reason` only of one that is over."""
    told: Facts = {
        "app": app,
        "name": name,
        "path": f"/{app}/{name}",
        "protocol": "relay",
        "mode": mode,
        "rule": rule,
        "url": url,
        "createtime": int(since * 1000),
        "inbytes": received,
        "outbytes": sent,
    }
    if reason is not None:
        told["reason"] = reason
    return told


def record_facts(  # noqa: PLR0913 - a recording has as many
    *,
    app: str,
    name: str,
    stream_id: str,
    rule: str,
    codec: str,
    file: str,
    url: str,
    since: float,
    at: float = 0.0,
    duration: float = 0.0,
    size: int = 0,
    reason: str = "",
    detail: str = "",
    repaired: bool = False,
) -> Facts:
    """Of a recording; `since` and `at` (its end, 0 while it lasts) in seconds of the epoch, `duration` of media."""
    return {
        "app": app,
        "name": name,
        "path": f"/{app}/{name}",
        "protocol": "record",
        "stream_id": stream_id,
        "rule": rule,
        "codec": codec,
        "file": file,
        "url": url,
        "createtime": int(since * 1000),
        "endtime": int(at * 1000),
        "duration_ms": round(duration * 1000),
        "bytes": size,
        "reason": reason,
        "detail": detail,
        "repaired": repaired,
    }


def snapshot_facts(  # noqa: PLR0913 - a picture has as many
    *, app: str, name: str, stream_id: str, file: str, width: int, height: int, size: int, taken: float
) -> Facts:
    """Of a timed picture; `taken` is when its key picture came, seconds of the epoch, `size` in bytes."""
    return {
        "app": app,
        "name": name,
        "path": f"/{app}/{name}",
        "protocol": "snapshot",
        "stream_id": stream_id,
        "file": file,
        "width": width,
        "height": height,
        "bytes": size,
        "createtime": int(taken * 1000),
    }


def job_facts(  # noqa: PLR0913 - a job has as many
    *,
    app: str,
    ident: str,
    state: str,
    code: str,
    detail: str,
    url: str,
    since: float,
    at: float,
    duration_ms: int,
    size: int,
) -> Facts:
    """Of a job that is over: `reason` is its state, or the code of what went wrong; `url` the path of its playlist."""
    return {
        "app": app,
        "name": ident,
        "path": f"/{app}/{ident}",
        "protocol": "vod",
        "url": url,
        "createtime": int(since * 1000),
        "endtime": int(at * 1000),
        "duration_ms": duration_ms,
        "bytes": size,
        "reason": code or state,
        "detail": detail,
    }


def receiver_facts(  # noqa: PLR0913 - a receiver has as many
    *, ip: str, app: str, name: str, since: float, at: float, received: int, reason: str, detail: str
) -> Facts:
    """Of a receiver of GB/T 28181 that is over; `since` and `at` in seconds of the epoch, `received` in bytes."""
    return {
        "ip": ip,
        "app": app,
        "name": name,
        "path": f"/{app}/{name}",
        "protocol": "gb28181",
        "createtime": int(since * 1000),
        "endtime": int(at * 1000),
        "inbytes": received,
        "reason": reason,
        "detail": detail,
    }


def wish_facts(app: str, name: str) -> Facts:
    """Of a stream of a terminal that is wanted, or that nobody watches."""
    return {"app": app, "name": name, "path": f"/{app}/{name}", "protocol": "jt1078"}


def transcode_facts(  # noqa: PLR0913 - it has as many
    *, app: str, name: str, stream_id: str, rendition: str, reason: str, detail: str
) -> Facts:
    """Of a stream that is not transcoded, or of a `rendition` of it that was given up."""
    return {
        "app": app,
        "name": name,
        "path": f"/{app}/{name}",
        "protocol": "transcode",
        "stream_id": stream_id,
        "rendition": rendition,
        "reason": reason,
        "detail": detail,
    }


def address(ip: str, port: int) -> str:
    """`192.0.2.7:51234`, `[::1]:60116`: as Node-Media-Server writes it."""
    return f"{bracketed(ip)}:{port}"


def bracketed(ip: str) -> str:
    """An address as it stands before a port: `[::1]`."""
    return f"[{ip}]" if ":" in ip else ip
