"""Writes the answer to a publisher's or viewer's offer (RFC 9429 §5.3), and to its PATCH (RFC 8840). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hlsd.webrtc.sdp import TRANSPORT_WIDE, Chosen, Offer, Section

_FEEDBACK: Final = ("nack", "nack pli", "ccm fir", "transport-cc", "goog-remb")
_HEARD: Final = ("nack", "nack pli", "ccm fir", "goog-remb")
"""What is listened to of a viewer. Not each packet's arrival: nothing here could be encoded to follow it."""
CNAME: Final = "hlsd"
"""Of all that we send: picture and sound are played together by it (RFC 3550 §6.5.1)."""
_OPUS: Final = "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1;usedtx=0;maxaveragebitrate=128000"
"""Without it browsers send one channel of 32 kb/s, whatever the microphone has (RFC 7587 §7)."""


@dataclass(frozen=True, slots=True)
class AnswerTerms:
    """What we answer with: our user name fragment and password, fingerprint, and `addresses` where packets are awaited.

    `client`: whether we begin the DTLS handshake. Bit rates in bits a second.
    """

    ufrag: str
    password: str
    fingerprint: str
    client: bool
    addresses: Sequence[tuple[str, int]]
    max_bitrate: int
    start_bitrate: int


@dataclass(frozen=True, slots=True)
class Sources:
    """By which SSRCs we send to a viewer: picture, its retransmissions, sound."""

    picture: int
    again: int
    sound: int


def answer(offer: Offer, terms: AnswerTerms, session: int, sources: Sources | None = None) -> str:
    """The answer; `session` is a number for its `o=` line. `sources`: to a viewer, who is sent these."""
    taken = {id(chosen.section): chosen for chosen in (offer.picture, offer.sound) if chosen is not None}
    bundle = " ".join(section.mid for section in offer.sections if id(section) in taken and section.mid)
    lines = [
        "v=0",
        f"o=- {session} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        *([f"a=group:BUNDLE {bundle}"] if bundle else []),
        "a=ice-lite",
        "a=msid-semantic:WMS *",
    ]
    for section in offer.sections:
        chosen = taken.get(id(section))
        lines += _refused(section) if chosen is None else _taken(chosen, terms, sources)
    return "\r\n".join(lines) + "\r\n"


def fragment(offer: Offer, terms: AnswerTerms) -> str:
    """The answer to an ICE restart."""
    lines = ["a=ice-lite"]
    for chosen in (offer.picture, offer.sound):
        if chosen is not None:
            lines += [f"m={chosen.section.kind} 9 {chosen.section.protocol} 0", f"a=mid:{chosen.section.mid}"]
            lines += _transport(terms)
            break  # "the bundled sections share one transport" and its first stands for it (RFC 8840 §4.4)
    return "\r\n".join(lines) + "\r\n"


def _transport(terms: AnswerTerms) -> list[str]:
    lines = [f"a=ice-ufrag:{terms.ufrag}", f"a=ice-pwd:{terms.password}"]
    for number, (ip, port) in enumerate(terms.addresses):
        priority = 126 << 24 | 65_535 - number << 8 | 255  # RFC 8445 §5.1.2.1, of a host, the first one preferred
        lines.append(f"a=candidate:{number + 1} 1 udp {priority} {ip} {port} typ host")
    lines.append("a=end-of-candidates")
    return lines


def _refused(section: Section) -> list[str]:
    """A section of which nothing is taken: data channels, what would be received (RFC 3264 §6)."""
    mid = [f"a=mid:{section.mid}"] if section.mid else []
    return [f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}", "c=IN IP4 0.0.0.0", *mid,
            *(["a=inactive"] if section.kind in ("audio", "video") else [])]  # fmt: skip


def _taken(chosen: Chosen, terms: AnswerTerms, sources: Sources | None) -> list[str]:
    section, payload, rtx = chosen.section, chosen.payload, chosen.rtx
    ip, port = terms.addresses[0] if terms.addresses else ("0.0.0.0", 9)  # noqa: S104 - "no address" in SDP
    numbers = f"{payload.number}" + (f" {rtx.number}" if rtx is not None else "")
    lines = [
        f"m={section.kind} {port} {section.protocol} {numbers}",
        f"c=IN IP{6 if ':' in ip else 4} {ip}",
    ]
    if section.kind == "video" and sources is None:
        lines.append(f"b=AS:{terms.max_bitrate // 1000}")
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    lines += _transport(terms)
    lines += [
        f"a=fingerprint:{terms.fingerprint}",
        f"a=setup:{'active' if terms.client else 'passive'}",
        "a=recvonly" if sources is None else "a=sendonly",
        "a=rtcp-mux",
    ]
    if section.reduced:
        lines.append("a=rtcp-rsize")
    if TRANSPORT_WIDE in section.extensions and sources is None:
        lines.append(f"a=extmap:{section.extensions[TRANSPORT_WIDE]} {TRANSPORT_WIDE}")
    channels = "/2" if payload.name == "OPUS" else ""
    name = payload.name.lower() if payload.name == "OPUS" else payload.name
    lines.append(f"a=rtpmap:{payload.number} {name}/{payload.rate}{channels}")
    if fmtp := _parameters(chosen, terms) if sources is None else payload.fmtp:
        lines.append(f"a=fmtp:{payload.number} {fmtp}")
    heard = _FEEDBACK if sources is None else _HEARD
    lines += [f"a=rtcp-fb:{payload.number} {what}" for what in heard if what in payload.feedback]
    if rtx is not None:
        lines += [f"a=rtpmap:{rtx.number} rtx/{rtx.rate}", f"a=fmtp:{rtx.number} apt={payload.number}"]
    if sources is not None:
        lines += _sent(chosen, sources)
    return lines


def _sent(chosen: Chosen, sources: Sources) -> list[str]:
    """Whose the packets are (RFC 5576), and that picture and sound are of one stream (RFC 8830)."""
    if chosen.section.kind == "audio":
        return [f"a=msid:{CNAME} sound", f"a=ssrc:{sources.sound} cname:{CNAME}"]
    lines = [f"a=msid:{CNAME} picture", f"a=ssrc:{sources.picture} cname:{CNAME}"]
    if chosen.rtx is not None:
        lines += [f"a=ssrc:{sources.again} cname:{CNAME}", f"a=ssrc-group:FID {sources.picture} {sources.again}"]
    return lines


def _parameters(chosen: Chosen, terms: AnswerTerms) -> str:
    """A picture's as they were offered, with where its encoder may begin; ours for Opus."""
    if chosen.payload.name == "OPUS":
        return _OPUS
    offered = chosen.payload.fmtp
    if chosen.section.kind != "video":
        return offered
    hint = f"x-google-start-bitrate={min(terms.start_bitrate, terms.max_bitrate) // 1000}"
    return f"{offered};{hint}" if offered else hint
