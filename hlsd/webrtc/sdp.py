"""Reads an offer (RFC 8866, 9429) and chooses what of a publisher's is taken; of a viewer's: `sdp_wish`. Pure.

Law: an offer is taken whole or refused whole, with words that name what is missing; a half answer would leave its
sender with a black picture. Lines, sections and payload types have bounds. Candidates are only counted: we are ICE
lite, the other side comes to us, so nobody can have us send anywhere, or look a name up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from hlsd.base.errors import ProtocolError

LIMIT: Final = 64 << 10
"""Bytes of an offer."""
LINES: Final = 1500
"""Of an offer; Chromium's of everything it knows has 400."""
SECTIONS: Final = 8
TRANSPORT_WIDE: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
"""The header extension that numbers packets, whoever sends them."""

_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){15,63}")
_TOKEN: Final = re.compile(r"[!-~]{1,64}")
_STATIC: Final = {0: ("PCMU", 8000), 8: ("PCMA", 8000)}
_SOUNDS: Final = {"OPUS": 48_000, "PCMU": 8000, "PCMA": 8000}
"""Sound that is taken, the best first, with the only rate that each has (RFC 7587 §4.1, 3551 §6)."""
_PICTURES: Final = {"H264": 90_000, "H265": 90_000}
"""Likewise (RFC 6184 §8.2.1, 7798 §7.2.1)."""
_CONVERTED: Final = {"VP8": 90_000, "VP9": 90_000}
"""Likewise, where somebody makes H.264 of it (RFC 7741 §6.1, 9628 §6.1)."""

Setup = Literal["active", "passive", "actpass"]
_SETUPS: Final[tuple[Setup, ...]] = ("active", "passive", "actpass")


class BadOffer(ProtocolError):
    """What was sent is no offer of WebRTC: 400."""


class Unacceptable(ProtocolError):
    """It is one, and there is nothing in it that we take: 422."""


@dataclass(slots=True)
class PayloadType:
    """One format of a section: `name` in capitals, `rate` in hertz."""

    number: int
    name: str = ""
    rate: int = 0
    fmtp: str = ""
    feedback: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, str]:
        """Those of its fmtp line, names in lower case."""
        pairs = (part.strip().partition("=") for part in self.fmtp.split(";"))
        return {name.lower(): value for name, _, value in pairs}


@dataclass(slots=True)
class Section:
    """One `m=` of an offer, in its order."""

    kind: str
    protocol: str
    port: int
    formats: list[str]
    mid: str = ""
    direction: str = "sendrecv"
    payloads: dict[int, PayloadType] = field(default_factory=dict)
    feedback: list[str] = field(default_factory=list)
    """Such as is of all of them."""
    extensions: dict[str, int] = field(default_factory=dict)
    mux: bool = False
    reduced: bool = False
    ufrag: str = ""
    password: str = ""
    fingerprints: list[tuple[str, str]] = field(default_factory=list)
    setup: str = ""
    candidates: int = 0

    @property
    def sends(self) -> bool:
        """Whether its sender would send."""
        return self.kind in ("audio", "video") and self.direction in ("sendrecv", "sendonly") and not self._refused

    @property
    def receives(self) -> bool:
        """Whether its sender would be sent something."""
        return self.kind in ("audio", "video") and self.direction in ("sendrecv", "recvonly") and not self._refused

    @property
    def _refused(self) -> bool:
        return self.port == 0 and not self.mid


@dataclass(slots=True)
class Chosen:
    """What is taken of one section; `rtx` is the payload type of its retransmissions."""

    section: Section
    payload: PayloadType
    rtx: PayloadType | None = None


@dataclass(slots=True)
class Offer:
    """An offer that can be answered."""

    sections: list[Section]
    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: Setup
    picture: Chosen | None
    sound: Chosen | None
    candidates: int

    @property
    def transport_id(self) -> int:
        """The number of the extension with transport-wide numbers, or 0."""
        for chosen in (self.picture, self.sound):
            if chosen is not None and (number := chosen.section.extensions.get(TRANSPORT_WIDE)):
                return number
        return 0


def read_offer(body: bytes, *, converts: bool = False) -> Offer:
    """The offer; `converts`: whether somebody makes H.264 of VP8 and VP9. Raises BadOffer, Unacceptable."""
    head, sections = read_sections(body)
    sending = [section for section in sections if section.sends]
    if not sending:
        raise Unacceptable("the offer sends neither picture nor sound")
    picture = _choose(sending, "video", _PICTURES | (_CONVERTED if converts else {}))
    sound = _choose(sending, "audio", _SOUNDS)
    return offer_of(head, sections, sending, picture, sound)


def read_sections(body: bytes) -> tuple[dict[str, str], list[Section]]:
    """What stands before the sections of an offer, and these. Raises BadOffer."""
    return _sections(_lines(body))


def offer_of(
    head: dict[str, str], sections: list[Section], sending: list[Section], picture: Chosen | None, sound: Chosen | None
) -> Offer:
    """The offer of these sections, of which media goes by those that are `sending`. Raises BadOffer, Unacceptable."""
    if len(sending) > 1:
        bundled = set(head.get("group:BUNDLE", "").split())
        if not all(section.mid in bundled for section in sending):
            raise Unacceptable("the offer is not all of one transport (BUNDLE)")
    first = sending[0]
    ufrag = first.ufrag or head.get("ice-ufrag", "")
    password = first.password or head.get("ice-pwd", "")
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        raise BadOffer("the offer has no ice-ufrag and ice-pwd, or none that RFC 8839 allows")
    fingerprints = first.fingerprints or _fingerprints(head.get("fingerprint", ""))
    if not fingerprints:
        raise BadOffer("the offer has no fingerprint")
    setup = first.setup or head.get("setup", "") or "actpass"
    role = next((one for one in _SETUPS if one == setup), None)
    if role is None:
        raise BadOffer("the offer's setup is none of active, passive, actpass")
    if "ice-lite" in head:
        raise Unacceptable("the offer is of ICE lite, as we are: nobody would begin")
    if not all(section.mux for section in sending):
        raise Unacceptable("the offer has no rtcp-mux: RTCP must come by the same port")
    candidates = sum(section.candidates for section in sections)
    return Offer(sections, ufrag, password, tuple(fingerprints), role, picture, sound, candidates)


def read_fragment(body: bytes) -> tuple[str, str]:
    """The user name fragment and password that a PATCH names (RFC 8840); raises BadOffer."""
    ufrag = password = ""
    for kind, value in _lines(body):
        name, _, rest = value.partition(":")
        if kind == "a" and name == "ice-ufrag":
            ufrag = rest
        elif kind == "a" and name == "ice-pwd":
            password = rest
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        raise BadOffer("the fragment has no ice-ufrag and ice-pwd")
    return ufrag, password


def _lines(body: bytes) -> list[tuple[str, str]]:
    if len(body) > LIMIT:
        raise BadOffer("the offer is too long")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadOffer("the offer is not UTF-8") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > LINES:
        raise BadOffer("the offer has too many lines")
    found: list[tuple[str, str]] = []
    for line in lines:
        if not line.strip():
            continue
        if len(line) < 2 or line[1] != "=":
            raise BadOffer("a line of the offer is not of the form x=…")
        found.append((line[0], line[2:].strip()))
    return found


def _sections(lines: list[tuple[str, str]]) -> tuple[dict[str, str], list[Section]]:
    head: dict[str, str] = {}
    sections: list[Section] = []
    if not lines or lines[0] != ("v", "0"):
        raise BadOffer("the offer does not begin with v=0")
    for kind, value in lines:
        if kind == "m":
            if len(sections) >= SECTIONS:
                raise BadOffer("the offer has too many sections")
            sections.append(_section(value))
        elif kind == "a":
            name, _, rest = value.partition(":")
            if sections:
                _attribute(sections[-1], name, rest)
            elif name == "group" and rest.startswith("BUNDLE"):
                head.setdefault("group:BUNDLE", rest[6:])
            else:
                head.setdefault(name, rest)
    return head, sections


def _section(value: str) -> Section:
    parts = value.split()
    if len(parts) < 4 or len(parts) > 3 + 128:
        raise BadOffer("an m= line that is none")
    port = parts[1].partition("/")[0]
    if not port.isascii() or not port.isdigit() or len(port) > 5 or not all(map(_TOKEN.fullmatch, parts)):
        raise BadOffer("an m= line that is none")
    section = Section(parts[0], parts[2], int(port), parts[3:])
    if section.kind in ("audio", "video"):
        for number in map(_number, parts[3:]):
            name, rate = _STATIC.get(number, ("", 0))
            section.payloads[number] = PayloadType(number, name, rate)
    return section


def _attribute(section: Section, name: str, rest: str) -> None:  # noqa: C901, PLR0912 - one line for each
    if name == "mid":
        if not _TOKEN.fullmatch(rest):
            raise BadOffer("a mid that is none")
        section.mid = rest
    elif name in ("sendrecv", "sendonly", "recvonly", "inactive"):
        section.direction = name
    elif name == "rtpmap":
        number, _, form = rest.partition(" ")
        if (payload := section.payloads.get(_number(number))) is not None:
            codec, _, rate = form.strip().partition("/")
            payload.name, payload.rate = codec.upper()[:32], _number(rate.partition("/")[0], 1_000_000)
    elif name == "fmtp":
        number, _, payload_fmtp = rest.partition(" ")
        if (payload := section.payloads.get(_number(number))) is not None:
            payload.fmtp = payload_fmtp.strip()[:1024]
    elif name == "rtcp-fb":
        number, _, what = rest.partition(" ")
        known = None if number == "*" else section.payloads.get(_number(number))
        feedback = section.feedback if number == "*" else known.feedback if known is not None else None
        if feedback is not None and len(feedback) < 32:
            feedback.append(what.strip()[:64])
    elif name == "extmap":
        number, _, uri = rest.partition(" ")
        if len(section.extensions) < 64:
            section.extensions[uri.strip().partition(" ")[0]] = _number(number.partition("/")[0], 255)
    elif name == "rtcp-mux":
        section.mux = True
    elif name == "rtcp-rsize":
        section.reduced = True
    elif name == "ice-ufrag":
        section.ufrag = rest
    elif name == "ice-pwd":
        section.password = rest
    elif name == "fingerprint" and len(section.fingerprints) < 8:
        section.fingerprints += _fingerprints(rest)
    elif name == "setup":
        section.setup = rest
    elif name == "candidate":
        section.candidates += 1


def _fingerprints(value: str) -> list[tuple[str, str]]:
    name, _, digits = value.partition(" ")
    digits = digits.strip()
    return [(name.lower(), digits.upper())] if name and _FINGERPRINT.fullmatch(digits) else []


def _number(text: str, most: int = 127) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 7 or int(text) > most:
        raise BadOffer("a number in the offer is none")
    return int(text)


def _choose(sending: list[Section], kind: str, wanted: dict[str, int]) -> Chosen | None:
    """The one section of a kind, with the best format of it."""
    sections = [section for section in sending if section.kind == kind]
    if not sections:
        return None
    word = "picture" if kind == "video" else "sound"
    if len(sections) > 1:
        raise Unacceptable(f"the offer has more than one {word}")
    (section,) = sections
    for name, rate in wanted.items():
        fitting = [one for one in section.payloads.values() if (one.name, one.rate) == (name, rate)]
        # Mode 1 lets a picture be cut into packets; mode 0 has its encoder cut it into slices of one.
        fitting.sort(key=lambda payload: name == "H264" and payload.parameters.get("packetization-mode") != "1")
        for payload in fitting:
            payload.feedback += [what for what in section.feedback if what not in payload.feedback]
            return Chosen(section, payload, rtx_of(section, payload.number))
    hint = ""
    if kind == "video" and any(one.name in _CONVERTED and one.name not in wanted for one in section.payloads.values()):
        hint = "; VP8 and VP9 are taken where transcode.video is on"
    wished = " or ".join(wanted)
    raise Unacceptable(f"no {word} that is taken here: the offer has {names(section)}, wanted is {wished}{hint}")


def names(section: Section) -> str:
    """The codecs that it has, for people."""
    helpers = ("RTX", "RED", "ULPFEC", "FLEXFEC-03", "CN", "TELEPHONE-EVENT", "")
    offered = dict.fromkeys(payload.name for payload in section.payloads.values() if payload.name not in helpers)
    return ", ".join(list(offered)[:8]) or "nothing that has a name"


def rtx_of(section: Section, number: int) -> PayloadType | None:
    """The payload type by which packets of `number` are sent again (RFC 4588 §8.1)."""
    for payload in section.payloads.values():
        if payload.name == "RTX" and payload.parameters.get("apt") == str(number):
            return payload
    return None
