"""Reads the offer of a viewer and chooses how the stream is sent to it (RFC 9429 §5.3, 6184 §8.2.2, 7798 §7.2.2). Pure.

Law: as with publishers an offer is taken whole or refused whole. A picture goes only as the codec it is, for nothing is
transcoded; sound goes as Opus, which every WebRTC endpoint has (RFC 7874 §3).
"""

from __future__ import annotations

from typing import Final, Literal

from hlsd.webrtc.sdp import Chosen, Offer, PayloadType, Section, Unacceptable, names, offer_of, read_sections, rtx_of

Picture = Literal["h264", "h265"]
_NAMES: Final[dict[Picture, str]] = {"h264": "H264", "h265": "H265"}


def read_wish(body: bytes, picture: Picture, profile: int, *, has_picture: bool, has_sound: bool) -> Offer:
    """The offer, with how what it wants is sent. Raises BadOffer, Unacceptable.

    `picture` is the stream's codec and `profile` its H.264 profile_idc (0: not known). Without `has_picture` the stream
    has none now, and it is no reason to refuse that none could be sent. Without `has_sound` none can be made.
    """
    head, sections = read_sections(body)
    wanted = [section for section in sections if section.receives]
    shown = _picture(_one(wanted, "video"), picture, profile, needed=has_picture)
    heard = _sound(_one(wanted, "audio")) if has_sound else None
    receiving = [chosen.section for chosen in (heard, shown) if chosen is not None]
    if not receiving:
        raise Unacceptable("the offer receives nothing that this stream has")
    return offer_of(head, sections, receiving, shown, heard)


def _one(wanted: list[Section], kind: str) -> Section | None:
    sections = [section for section in wanted if section.kind == kind]
    if len(sections) > 1:
        raise Unacceptable(f"the offer has more than one {'picture' if kind == 'video' else 'sound'}")
    return sections[0] if sections else None


def _picture(section: Section | None, codec: Picture, profile: int, *, needed: bool) -> Chosen | None:
    if section is None:
        return None
    name = _NAMES[codec]
    fitting = [one for one in section.payloads.values() if (one.name, one.rate) == (name, 90_000)]
    if codec == "h264":
        # "packetization-mode … 0: the single NAL unit mode": our pictures come in units longer than a packet.
        fitting = [one for one in fitting if one.parameters.get("packetization-mode") == "1"]
        # Whoever plays must be told the profile it offered, and nothing but a decoder that has it will do; but there is
        # none in browsers that has one profile alone, so another one is better than nothing.
        fitting.sort(key=lambda one: _profile(one) != profile)
    if fitting:
        return _chosen(section, fitting[0])
    if needed:
        form = "H264 with packetization-mode=1" if codec == "h264" else name
        raise Unacceptable(f"the stream's picture is {form}, the offer has {names(section)}")
    return None


def _profile(payload: PayloadType) -> int:
    """Its profile_idc; "If no profile-level-id is present, the Baseline profile … is inferred" (RFC 6184 §8.1)."""
    told = payload.parameters.get("profile-level-id", "42")[:2]
    try:
        return int(told, 16)
    except ValueError:
        return 0


def _sound(section: Section | None) -> Chosen | None:
    if section is None:
        return None
    for payload in section.payloads.values():
        if (payload.name, payload.rate) == ("OPUS", 48_000):
            return _chosen(section, payload)
    raise Unacceptable(f"the stream's sound is sent as OPUS, the offer has {names(section)}")


def _chosen(section: Section, payload: PayloadType) -> Chosen:
    payload.feedback += [what for what in section.feedback if what not in payload.feedback]
    return Chosen(section, payload, rtx_of(section, payload.number))
